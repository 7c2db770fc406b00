//! Log-uniform law.

use super::distribution::Distribution;
use super::range::{check_highest, check_lowest, check_positive};
use crate::error::{Error, Result};

/// Log-uniform law: every order of magnitude of an interval is as likely.
///
/// For a rate or a count of which only the range is known.
///
/// # Law
/// `ln X` is uniform on `[ln low, ln high]`, so
/// `P(X <= x) = ln(x / low) / ln(high / low)`. Support `[low, high]`, mean
/// `(high - low) / ln(high / low)`, variance `mean ((low + high) / 2 - mean)`.
///
/// # Parameters
/// * `low`: finite and > 0.
/// * `high`: finite and > `low`; f64 has to hold `high / low`.
///
/// # Numerical limits
/// Quantiles are exact to the last digits of f64 on both sides. 512 bins per
/// octave follow a ratio of up to 3e34.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogUniform {
    low: f64,
    high: f64,
    /// `ln(high / low)`
    span: f64,
}

impl LogUniform {
    /// # Errors
    /// [`Error::Domain`] unless `0 < low < high` and both are finite.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        check_positive("low", low)?;
        if !(high > low && high.is_finite()) {
            return Err(Error::domain(
                "high",
                high,
                format!("finite and > low ({low})"),
            ));
        }
        let span = libm::log(high / low);
        if !span.is_finite() {
            return Err(Error::domain(
                "high",
                high,
                format!("< 1e308 times low ({low})"),
            ));
        }
        Ok(Self { low, high, span })
    }
}

impl Distribution for LogUniform {
    fn cdf(&self, x: f64) -> f64 {
        if x <= self.low {
            return 0.0;
        }
        (libm::log(x / self.low) / self.span).min(1.0)
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= self.low {
            return 1.0;
        }
        (libm::log(self.high / x) / self.span).max(0.0)
    }

    fn quantile(&self, p: f64) -> f64 {
        self.low * libm::exp(p * self.span)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.high * libm::exp(-q * self.span)
    }

    fn mean(&self) -> f64 {
        (self.high - self.low) / self.span
    }

    fn variance(&self) -> f64 {
        // E X^2 - (E X)^2 = mean ((low + high) / 2 - mean)
        let mean = self.mean();
        mean * (0.5 * (self.low + self.high) - mean)
    }

    fn check_lower(&self) -> Result<()> {
        check_lowest("low", self.low, self.low)
    }

    fn check_upper(&self) -> Result<()> {
        check_highest("high", self.high, self.high)
    }

    fn bend(&self) -> (&'static str, f64) {
        ("high", self.high)
    }
}
