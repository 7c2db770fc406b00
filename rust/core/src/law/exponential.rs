//! Exponential law, shifted.

use super::distribution::Distribution;
use super::range::{
    GREATEST_F32, LEAST_F32, check_highest, check_lowest, check_positive, round_down,
};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Exponential law, shifted: a waiting time without memory after a fixed time.
///
/// For pauses and repairs whose end does not depend on their age.
///
/// # Law
/// `P(X > x) = exp(-(x - shift) / mean)`. Support `x >= shift`, expected number
/// `shift + mean`, variance `mean^2`.
///
/// # Parameters
/// * `mean`: mean of what exceeds the shift, finite and > 0.
/// * `shift`: least number, finite and >= 0.
///
/// # Numerical limits
/// Quantiles are closed forms, exact to the last digits of f64 on both sides.
/// The highest quantile is `shift + 45.05 mean`, so a table holds `mean` up to
/// `(3.40e38 - shift) / 45.05`; without a shift the lowest one is `2^-65 mean`,
/// which takes a `mean` of 4.34e-19 or more.
///
/// # Examples
/// ```
/// use hindmost_core::law::{Distribution, Exponential};
///
/// let pause_s = Exponential::new(2.0, 0.5)?;
/// assert_eq!((pause_s.mean(), pause_s.variance()), (2.5, 4.0));
/// # Ok::<(), hindmost_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    mean: f64,
    shift: f64,
}

impl Exponential {
    /// # Errors
    /// [`Error::Domain`] unless `mean` is finite and positive and `shift` is
    /// finite and not negative.
    pub fn new(mean: f64, shift: f64) -> Result<Self> {
        check_positive("mean", mean)?;
        if !(shift >= 0.0 && shift.is_finite()) {
            return Err(Error::domain("shift", shift, "finite and >= 0"));
        }
        Ok(Self { mean, shift })
    }
}

impl Distribution for Exponential {
    fn cdf(&self, x: f64) -> f64 {
        if x <= self.shift {
            return 0.0;
        }
        -libm::expm1(-(x - self.shift) / self.mean)
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= self.shift {
            return 1.0;
        }
        libm::exp(-(x - self.shift) / self.mean)
    }

    fn quantile(&self, p: f64) -> f64 {
        self.shift - self.mean * libm::log1p(-p)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.shift - self.mean * libm::log(q)
    }

    fn mean(&self) -> f64 {
        self.shift + self.mean
    }

    fn variance(&self) -> f64 {
        self.mean * self.mean
    }

    fn check_lower(&self) -> Result<()> {
        if self.shift >= LEAST_F32 {
            return Ok(());
        }
        check_lowest("mean", self.mean, self.quantile(SMALLEST_TAIL) - self.shift)
    }

    fn check_upper(&self) -> Result<()> {
        check_highest("shift", self.shift, self.shift)?;
        let above = self.upper_quantile(SMALLEST_TAIL) - self.shift;
        if self.shift + above <= GREATEST_F32 {
            return Ok(());
        }
        let greatest = round_down(self.mean / above * (GREATEST_F32 - self.shift));
        let requirement = format!("<= {greatest:e}, so that f32 holds every quantile");
        Err(Error::domain("mean", self.mean, requirement))
    }

    fn bend(&self) -> (&'static str, f64) {
        ("mean", self.mean)
    }
}
