//! Exponential law, shifted.

use super::distribution::Distribution;
use super::range::{
    GREATEST_F32, LEAST_F32, check_highest, check_lowest, check_positive, round_down,
};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// A waiting time without memory, after a fixed shift.
///
/// For pauses and repairs whose end does not depend on their age.
///
/// # Law
/// `P(X > x) = exp(-(x - shift) / mean)` for `x >= shift`; the expected number
/// is `shift + mean`.
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
