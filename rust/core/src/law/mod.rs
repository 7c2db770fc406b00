//! Laws: distributions of a positive random number.
//!
//! One law a file. Each knows its CDF and survival function, its quantile from
//! either side, its mean and its variance. A new law is a file and a variant.

mod capped;
mod constant;
mod empirical;
mod exponential;
mod extended;
mod gamma;
mod gauss;
mod grid;
mod log_uniform;
mod lognormal;
mod mixture;
mod normal;
mod pareto;
mod series;
pub mod special;
mod tabulated;
mod uniform;
mod weibull;

pub use capped::Capped;
pub use constant::Constant;
pub use empirical::Empirical;
pub use exponential::Exponential;
pub use extended::with_pareto_tail;
pub use gamma::Gamma;
pub use grid::Quantiles;
pub use log_uniform::LogUniform;
pub use lognormal::LogNormal;
pub use mixture::Mixture;
pub use normal::Normal;
pub use pareto::Pareto;
pub(crate) use tabulated::octave_start;
pub use tabulated::{OCTAVES, STRAIGHT, Tabulated, straight_line_miss, tail_probability};
pub use uniform::Uniform;
pub use weibull::Weibull;

use crate::error::{Error, Result};

/// The smallest tail probability that a draw can have.
pub const SMALLEST_TAIL: f64 = 1.0 / (1_u128 << 65) as f64;

/// Distribution of a positive random number.
#[derive(Debug, Clone, PartialEq)]
pub enum Law {
    /// Always the same number.
    Constant(Constant),
    /// The exponential of a normal number.
    LogNormal(LogNormal),
    /// A waiting time, shifted.
    Exponential(Exponential),
    /// A sum of waiting times.
    Gamma(Gamma),
    /// A waiting time whose end depends on its age.
    Weibull(Weibull),
    /// A normal number that is positive.
    Normal(Normal),
    /// A power-law tail.
    Pareto(Pareto),
    /// Every number of an interval alike.
    Uniform(Uniform),
    /// Every order of magnitude of an interval alike.
    LogUniform(LogUniform),
    /// The piecewise-linear quantile function of samples.
    Empirical(Empirical),
    /// A quantile function given on the grid of tail probabilities.
    Tabulated(Tabulated),
    /// One of several laws.
    Mixture(Mixture),
    /// The smaller one of a law's number and a cap.
    Capped(Capped),
}

/// Calls one method on whatever law it is.
macro_rules! each {
    ($self:expr, $law:ident => $call:expr) => {
        match $self {
            Law::Constant($law) => $call,
            Law::LogNormal($law) => $call,
            Law::Exponential($law) => $call,
            Law::Gamma($law) => $call,
            Law::Weibull($law) => $call,
            Law::Normal($law) => $call,
            Law::Pareto($law) => $call,
            Law::Uniform($law) => $call,
            Law::LogUniform($law) => $call,
            Law::Empirical($law) => $call,
            Law::Tabulated($law) => $call,
            Law::Mixture($law) => $call,
            Law::Capped($law) => $call,
        }
    };
}

impl Law {
    /// Probability of a number of at most `x`.
    #[must_use]
    pub fn cdf(&self, x: f64) -> f64 {
        each!(self, law => law.cdf(x))
    }

    /// Probability of a number above `x`, accurate where it is small.
    #[must_use]
    pub fn sf(&self, x: f64) -> f64 {
        each!(self, law => law.sf(x))
    }

    /// The number whose CDF is `p`, for `p` in (0, 1).
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        each!(self, law => law.quantile(p))
    }

    /// The number whose survival function is `q`, for `q` in (0, 1); accurate
    /// where `q` is small.
    #[must_use]
    pub fn upper_quantile(&self, q: f64) -> f64 {
        each!(self, law => law.upper_quantile(q))
    }

    /// Expected number; infinite for an unbounded Pareto tail with `alpha <= 1`.
    #[must_use]
    pub fn mean(&self) -> f64 {
        each!(self, law => law.mean())
    }

    /// Variance; infinite for an unbounded Pareto tail with `alpha <= 2`.
    #[must_use]
    pub fn variance(&self) -> f64 {
        each!(self, law => law.variance())
    }

    /// The laws and weights that a draw chooses from: several for a mixture,
    /// else this one alone.
    #[must_use]
    pub fn components(&self) -> Vec<(f64, Law)> {
        match self {
            Self::Mixture(mixture) => mixture.components().to_vec(),
            Self::Capped(capped) => capped.components(),
            law => vec![(1.0, law.clone())],
        }
    }

    fn is_mixture(&self) -> bool {
        match self {
            Self::Mixture(_) => true,
            Self::Capped(capped) => capped.law().is_mixture(),
            _ => false,
        }
    }

    /// Refuses a law that no table can hold.
    ///
    /// # Errors
    /// [`Error::Domain`] naming the parameter that makes the variance infinite
    /// or moves a quantile out of the range of f32, and a value that works.
    pub fn check_drawable(&self) -> Result<()> {
        // The narrower one of two ends is the one to name.
        match self {
            Self::LogNormal(law) => law.check_both()?,
            Self::Weibull(law) => law.check_both()?,
            _ => {}
        }
        self.check_lower()?;
        self.check_upper()
    }

    /// Refuses a law whose lowest quantiles f32 does not hold.
    fn check_lower(&self) -> Result<()> {
        each!(self, law => law.check_lower())
    }

    /// Refuses a law whose highest quantiles f32 does not hold, or whose
    /// variance is infinite: what a cap mends.
    fn check_upper(&self) -> Result<()> {
        each!(self, law => law.check_upper())
    }

    /// The parameter that makes the law's quantiles bend, for refusals.
    #[must_use]
    pub fn bend(&self) -> (&'static str, f64) {
        each!(self, law => law.bend())
    }
}

/// The least and the greatest number that f32 holds with its full precision.
const F32: (f64, f64) = (f32::MIN_POSITIVE as f64, f32::MAX as f64);

/// Refuses a scale whose law has its lowest quantile below the range of f32.
fn check_lowest(field: &str, scale: f64, lowest: f64) -> Result<()> {
    if lowest >= F32.0 {
        return Ok(());
    }
    let least = round_up(scale * (F32.0 / lowest));
    let requirement = format!(">= {least:e}, so that f32 holds every quantile");
    Err(Error::domain(field, scale, requirement))
}

/// Refuses a scale whose law has its highest quantile above the range of f32.
fn check_highest(field: &str, scale: f64, highest: f64) -> Result<()> {
    if highest <= F32.1 {
        return Ok(());
    }
    let greatest = round_down(scale / highest * F32.1);
    let requirement = format!("<= {greatest:e}, so that f32 holds every quantile");
    Err(Error::domain(field, scale, requirement))
}

/// The next number above `x` of five digits.
fn round_up(x: f64) -> f64 {
    let nearest = five_digits(x);
    if nearest >= x {
        nearest
    } else {
        five_digits(x * (1.0 + 1e-4))
    }
}

/// The next number below `x` of five digits.
fn round_down(x: f64) -> f64 {
    let nearest = five_digits(x);
    if nearest <= x {
        nearest
    } else {
        five_digits(x * (1.0 - 1e-4))
    }
}

/// The nearest number of five digits; decimal text rounds where powers of ten
/// do not.
fn five_digits(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}

/// Refuses anything but a finite number above zero.
fn check_positive(field: &str, x: f64) -> Result<()> {
    if x > 0.0 && x.is_finite() {
        return Ok(());
    }
    Err(Error::domain(field, x, "finite and > 0"))
}
