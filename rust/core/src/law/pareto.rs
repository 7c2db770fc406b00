//! Pareto law.

use super::{F32, SMALLEST_TAIL, check_highest, check_lowest, check_positive, round_up};
use crate::error::{Error, Result};

/// A power-law tail above a minimum.
///
/// For stalls and slow devices without a typical size. With `alpha <= 2` the
/// variance is infinite and draws need a cap.
///
/// # Law
/// `P(X > x) = (minimum / x)^alpha` for `x >= minimum`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pareto {
    minimum: f64,
    alpha: f64,
}

impl Pareto {
    /// # Errors
    /// [`Error::Domain`] unless `minimum` and `alpha` are finite and positive.
    pub fn new(minimum: f64, alpha: f64) -> Result<Self> {
        check_positive("minimum", minimum)?;
        check_positive("alpha", alpha)?;
        Ok(Self { minimum, alpha })
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        if x <= self.minimum {
            return 0.0;
        }
        -libm::expm1(-self.alpha * libm::log(x / self.minimum))
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        if x <= self.minimum {
            return 1.0;
        }
        libm::exp(-self.alpha * libm::log(x / self.minimum))
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.minimum * libm::exp(-libm::log1p(-p) / self.alpha)
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.minimum * libm::exp(-libm::log(q) / self.alpha)
    }

    pub(super) fn mean(&self) -> f64 {
        if self.alpha <= 1.0 {
            return f64::INFINITY;
        }
        self.minimum * self.alpha / (self.alpha - 1.0)
    }

    pub(super) fn variance(&self) -> f64 {
        if self.alpha <= 2.0 {
            return f64::INFINITY;
        }
        let excess = self.alpha - 1.0;
        self.minimum * self.minimum * self.alpha / (excess * excess * (self.alpha - 2.0))
    }

    pub(super) fn check_lower(&self) -> Result<()> {
        check_lowest("minimum", self.minimum, self.minimum)
    }

    pub(super) fn check_upper(&self) -> Result<()> {
        if self.alpha <= 2.0 {
            return Err(Error::domain(
                "alpha",
                self.alpha,
                "> 2, or the law must have a cap, because its variance is infinite",
            ));
        }
        let room = libm::log(F32.1 / self.minimum);
        if room <= 0.0 {
            return check_highest("minimum", self.minimum, self.upper_quantile(SMALLEST_TAIL));
        }
        let least = -libm::log(SMALLEST_TAIL) / room;
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

    pub(super) fn bend(&self) -> (&'static str, f64) {
        ("alpha", self.alpha)
    }
}
