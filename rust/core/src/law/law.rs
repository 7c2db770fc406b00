//! Any one of the laws.

use super::capped::Capped;
use super::constant::Constant;
use super::empirical::Empirical;
use super::exponential::Exponential;
use super::gamma::Gamma;
use super::log_uniform::LogUniform;
use super::lognormal::LogNormal;
use super::mixture::Mixture;
use super::normal::Normal;
use super::pareto::Pareto;
use super::tabulated::Tabulated;
use super::uniform::Uniform;
use super::weibull::Weibull;
use crate::error::Result;

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

    pub(super) fn is_mixture(&self) -> bool {
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
    pub(super) fn check_lower(&self) -> Result<()> {
        each!(self, law => law.check_lower())
    }

    /// Refuses a law whose highest quantiles f32 does not hold, or whose
    /// variance is infinite: what a cap mends.
    pub(super) fn check_upper(&self) -> Result<()> {
        each!(self, law => law.check_upper())
    }

    /// The parameter that makes the law's quantiles bend, for refusals.
    #[must_use]
    pub fn bend(&self) -> (&'static str, f64) {
        each!(self, law => law.bend())
    }
}
