//! Exponential law, shifted.

use super::check_positive;
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

    pub(super) fn cdf(&self, x: f64) -> f64 {
        if x <= self.shift {
            return 0.0;
        }
        -libm::expm1(-(x - self.shift) / self.mean)
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        if x <= self.shift {
            return 1.0;
        }
        libm::exp(-(x - self.shift) / self.mean)
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.shift - self.mean * libm::log1p(-p)
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.shift - self.mean * libm::log(q)
    }

    pub(super) fn mean(&self) -> f64 {
        self.shift + self.mean
    }

    pub(super) fn variance(&self) -> f64 {
        self.mean * self.mean
    }
}
