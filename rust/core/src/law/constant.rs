//! Constant: always the same number.

use super::distribution::Distribution;
use super::range::{check_highest, check_lowest, check_positive};
use crate::error::Result;

/// Constant law: all probability on one number.
///
/// For a cause whose size does not vary, such as a fixed pause.
///
/// # Law
/// `P(X <= x) = 1` for `x >= value`, else 0. Support `{value}`, mean `value`,
/// variance 0.
///
/// # Parameters
/// `value`: finite and > 0.
///
/// # Numerical limits
/// A table holds any `value` that is a normal number of f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    value: f64,
}

impl Constant {
    /// # Errors
    /// [`crate::Error::Domain`] unless `value` is finite and positive.
    pub fn new(value: f64) -> Result<Self> {
        check_positive("value", value)?;
        Ok(Self { value })
    }
}

impl Distribution for Constant {
    fn cdf(&self, x: f64) -> f64 {
        if x >= self.value { 1.0 } else { 0.0 }
    }

    fn sf(&self, x: f64) -> f64 {
        1.0 - self.cdf(x)
    }

    fn quantile(&self, _p: f64) -> f64 {
        self.value
    }

    fn upper_quantile(&self, _q: f64) -> f64 {
        self.value
    }

    fn mean(&self) -> f64 {
        self.value
    }

    fn variance(&self) -> f64 {
        0.0
    }

    fn check_lower(&self) -> Result<()> {
        check_lowest("value", self.value, self.value)
    }

    fn check_upper(&self) -> Result<()> {
        check_highest("value", self.value, self.value)
    }

    fn bend(&self) -> (&'static str, f64) {
        ("value", self.value)
    }
}
