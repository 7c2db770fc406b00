//! Pareto law, with or without a maximum.

use super::distribution::Distribution;
use super::gauss::integral_to;
use super::range::{GREATEST_F32, check_highest, check_lowest, check_positive, round_up};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Greatest `ln(maximum / minimum)`, and greatest `alpha` times it, of a law
/// whose moments are integrated: their closed forms would be small differences,
/// while the integrands are close to polynomials.
const MAX_NARROW_SPAN: f64 = 1.0;
const MAX_NARROW_DECAY: f64 = 3.0;

/// Pareto law: a power-law tail above a minimum, up to a maximum where there is
/// one.
///
/// For stalls and slow devices without a typical size.
///
/// # Law
/// `P(X > x) = (minimum / x)^alpha`. Support `x >= minimum`, mean
/// `minimum alpha / (alpha - 1)` for `alpha > 1`, variance
/// `minimum^2 alpha / ((alpha - 1)^2 (alpha - 2))` for `alpha > 2`, infinite
/// otherwise. With a maximum ([`Pareto::bounded`]) it is that law given
/// `X <= maximum`, and has all moments.
///
/// # Parameters
/// * `minimum`: least number, finite and > 0.
/// * `alpha`: exponent of the tail, finite and > 0.
/// * `maximum`: greatest number, finite and > `minimum`.
///
/// # Numerical limits
/// Quantiles are closed forms, exact to the last digits of f64 on both sides.
/// Without a maximum or a cap a table refuses `alpha <= 2`, whose variance is
/// infinite, and `alpha` below `45.05 / ln(3.40e38 / minimum)`, whose highest
/// quantile leaves f32; that is 2 from a minimum of 5.6e28 on. 512 bins per octave
/// follow a capped law down to an `alpha` of 0.053, and a bounded one of any
/// `alpha` up to a ratio of 1e27.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pareto {
    minimum: f64,
    alpha: f64,
    bound: Option<Bound>,
}

/// What a maximum adds to the law.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    maximum: f64,
    /// `ln(maximum / minimum)`
    span: f64,
    /// Probability of the unbounded law below the maximum.
    kept: f64,
    /// Probability of the unbounded law above the maximum.
    cut: f64,
}

impl Pareto {
    /// # Errors
    /// [`Error::Domain`] unless `minimum` and `alpha` are finite and positive.
    pub fn new(minimum: f64, alpha: f64) -> Result<Self> {
        check_positive("minimum", minimum)?;
        check_positive("alpha", alpha)?;
        Ok(Self {
            minimum,
            alpha,
            bound: None,
        })
    }

    /// The law given that the number is at most `maximum`.
    ///
    /// # Errors
    /// As [`Pareto::new`], and [`Error::Domain`] unless `maximum` is finite and
    /// greater than `minimum`.
    pub fn bounded(minimum: f64, alpha: f64, maximum: f64) -> Result<Self> {
        let law = Self::new(minimum, alpha)?;
        let span = libm::log(maximum / minimum);
        let (kept, cut) = (-libm::expm1(-alpha * span), libm::exp(-alpha * span));
        if !(maximum > minimum && maximum.is_finite() && span.is_finite() && kept > 0.0) {
            return Err(Error::domain(
                "maximum",
                maximum,
                format!("finite and > minimum ({minimum})"),
            ));
        }
        let bound = Bound {
            maximum,
            span,
            kept,
            cut,
        };
        Ok(Self {
            bound: Some(bound),
            ..law
        })
    }

    /// `(minimum / x)^alpha`
    fn unbounded_sf(&self, x: f64) -> f64 {
        libm::exp(-self.alpha * libm::log(x / self.minimum))
    }

    fn unbounded_cdf(&self, x: f64) -> f64 {
        -libm::expm1(-self.alpha * libm::log(x / self.minimum))
    }

    /// Mean over minimum, less one, of a bounded law.
    fn excess(&self, bound: Bound) -> f64 {
        if self.is_narrow(bound) {
            return self.expect(bound, libm::expm1);
        }
        self.moment(bound, 1.0) - 1.0
    }

    /// Variance of the number over the minimum, of a bounded law.
    fn bounded_variance(&self, bound: Bound) -> f64 {
        let excess = self.excess(bound);
        if self.is_narrow(bound) {
            return self.expect(bound, |log_x| {
                let deviation = libm::expm1(log_x) - excess;
                deviation * deviation
            });
        }
        self.moment(bound, 2.0) - (1.0 + excess) * (1.0 + excess)
    }

    /// Whether moments are integrated rather than taken as differences.
    fn is_narrow(&self, bound: Bound) -> bool {
        bound.span <= MAX_NARROW_SPAN && self.alpha * bound.span <= MAX_NARROW_DECAY
    }

    /// Expected value of a function of `ln(x / minimum)`.
    fn expect(&self, bound: Bound, f: impl Fn(f64) -> f64) -> f64 {
        let density = |log_x| self.alpha / bound.kept * libm::exp(-self.alpha * log_x);
        integral_to(bound.span, |log_x| density(log_x) * f(log_x))
    }

    /// Expected power of the number over the minimum: the integral of
    /// `exp(-(alpha - power) ln x)` over `ln x`.
    fn moment(&self, bound: Bound, power: f64) -> f64 {
        let rate = self.alpha - power;
        let integral = if rate == 0.0 {
            bound.span
        } else {
            -libm::expm1(-rate * bound.span) / rate
        };
        self.alpha / bound.kept * integral
    }
}

impl Distribution for Pareto {
    fn cdf(&self, x: f64) -> f64 {
        if x <= self.minimum {
            return 0.0;
        }
        match self.bound {
            None => self.unbounded_cdf(x),
            Some(bound) if x >= bound.maximum => 1.0,
            Some(bound) => self.unbounded_cdf(x) / bound.kept,
        }
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= self.minimum {
            return 1.0;
        }
        match self.bound {
            None => self.unbounded_sf(x),
            Some(bound) if x >= bound.maximum => 0.0,
            Some(bound) => {
                let below_maximum = -libm::expm1(self.alpha * libm::log(x / bound.maximum));
                self.unbounded_sf(x) * below_maximum / bound.kept
            }
        }
    }

    fn quantile(&self, p: f64) -> f64 {
        let kept = self.bound.map_or(1.0, |bound| bound.kept);
        self.minimum * libm::exp(-libm::log1p(-p * kept) / self.alpha)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        match self.bound {
            None => self.minimum * libm::exp(-libm::log(q) / self.alpha),
            // From whichever end is nearer, so that no digit is lost next to it.
            Some(bound) if q * bound.kept > bound.cut => {
                let unbounded = bound.cut + q * bound.kept;
                self.minimum * libm::exp(-libm::log(unbounded) / self.alpha)
            }
            Some(bound) => {
                let share = libm::log1p(q * bound.kept / bound.cut);
                bound.maximum * libm::exp(-share / self.alpha)
            }
        }
    }

    fn mean(&self) -> f64 {
        match self.bound {
            Some(bound) => self.minimum * (1.0 + self.excess(bound)),
            None if self.alpha <= 1.0 => f64::INFINITY,
            None => self.minimum * self.alpha / (self.alpha - 1.0),
        }
    }

    fn variance(&self) -> f64 {
        match self.bound {
            Some(bound) => self.minimum * self.minimum * self.bounded_variance(bound),
            None if self.alpha <= 2.0 => f64::INFINITY,
            None => {
                let excess = self.alpha - 1.0;
                self.minimum * self.minimum * self.alpha / (excess * excess * (self.alpha - 2.0))
            }
        }
    }

    fn check_lower(&self) -> Result<()> {
        check_lowest("minimum", self.minimum, self.minimum)
    }

    fn check_upper(&self) -> Result<()> {
        if let Some(bound) = self.bound {
            return check_highest("maximum", bound.maximum, bound.maximum);
        }
        if self.alpha <= 2.0 {
            return Err(Error::domain(
                "alpha",
                self.alpha,
                "> 2, or the law must have a cap, because its variance is infinite",
            ));
        }
        let span = libm::log(GREATEST_F32 / self.minimum);
        if span <= 0.0 {
            return check_highest("minimum", self.minimum, self.upper_quantile(SMALLEST_TAIL));
        }
        let least = -libm::log(SMALLEST_TAIL) / span;
        if self.alpha >= least {
            return Ok(());
        }
        let least = round_up(least);
        Err(Error::domain(
            "alpha",
            self.alpha,
            format!(">= {least}, or the law must have a cap, so that f32 holds every quantile"),
        ))
    }

    fn bend(&self) -> (&'static str, f64) {
        ("alpha", self.alpha)
    }
}
