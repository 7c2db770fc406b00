//! Uniform law.

use super::distribution::Distribution;
use super::range::{LEAST_F32, check_highest, check_lowest};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Uniform law: every number of an interval is as likely.
///
/// For a phase that nothing ties to the step, such as a timer's.
///
/// # Law
/// `P(X <= x) = (x - low) / (high - low)`. Support `[low, high]`, mean
/// `(low + high) / 2`, variance `(high - low)^2 / 12`.
///
/// # Parameters
/// * `low`: finite and >= 0.
/// * `high`: finite and > `low`.
///
/// # Numerical limits
/// Quantiles are exact to the last digits of f64 on both sides. Where `low` is
/// below 1.18e-38 a table takes a width of 4.34e-19 or more, because the lowest
/// quantile is 2^-65 of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniform {
    low: f64,
    high: f64,
}

impl Uniform {
    /// # Errors
    /// [`Error::Domain`] unless `0 <= low < high` and both are finite.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        if !(low >= 0.0 && low.is_finite()) {
            return Err(Error::domain("low", low, "finite and >= 0"));
        }
        if !(high > low && high.is_finite()) {
            return Err(Error::domain(
                "high",
                high,
                format!("finite and > low ({low})"),
            ));
        }
        Ok(Self { low, high })
    }

    fn width(&self) -> f64 {
        self.high - self.low
    }
}

impl Distribution for Uniform {
    fn cdf(&self, x: f64) -> f64 {
        ((x - self.low) / self.width()).clamp(0.0, 1.0)
    }

    fn sf(&self, x: f64) -> f64 {
        ((self.high - x) / self.width()).clamp(0.0, 1.0)
    }

    fn quantile(&self, p: f64) -> f64 {
        self.low + p * self.width()
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.high - q * self.width()
    }

    fn mean(&self) -> f64 {
        0.5 * (self.low + self.high)
    }

    fn variance(&self) -> f64 {
        self.width() * self.width() / 12.0
    }

    fn check_lower(&self) -> Result<()> {
        if self.low >= LEAST_F32 {
            return Ok(());
        }
        check_lowest("high", self.high, SMALLEST_TAIL * self.width())
    }

    fn check_upper(&self) -> Result<()> {
        check_highest("high", self.high, self.high)
    }

    fn bend(&self) -> (&'static str, f64) {
        ("high", self.high)
    }
}
