//! Gamma law.

use super::special::{Tail, gamma_cdf, gamma_log_tail, gamma_quantile};
use super::{F32, SMALLEST_TAIL, check_highest, check_lowest, check_positive, round_up};
use crate::error::{Error, Result};

/// Shapes above this are normal for all purposes, and slow to invert.
const GREATEST_SHAPE: f64 = 1e4;

/// A sum of `shape` waiting times of mean `scale`.
///
/// For times made of several pauses.
///
/// # Law
/// Density `x^(shape - 1) exp(-x / scale) / (Gamma(shape) scale^shape)`; the
/// expected number is `shape scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gamma {
    shape: f64,
    scale: f64,
}

impl Gamma {
    /// # Errors
    /// [`Error::Domain`] unless `scale` is finite and positive and `shape` is
    /// positive and at most 10,000.
    pub fn new(shape: f64, scale: f64) -> Result<Self> {
        if !(shape > 0.0 && shape <= GREATEST_SHAPE) {
            return Err(Error::domain(
                "shape",
                shape,
                "> 0 and <= 10000; above, use a lognormal law with sigma = 1 / sqrt(shape)",
            ));
        }
        check_positive("scale", scale)?;
        Ok(Self { shape, scale })
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        gamma_cdf(self.shape, x / self.scale, Tail::Lower)
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        gamma_cdf(self.shape, x / self.scale, Tail::Upper)
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.scale * gamma_quantile(self.shape, p, Tail::Lower)
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.scale * gamma_quantile(self.shape, q, Tail::Upper)
    }

    pub(super) fn mean(&self) -> f64 {
        self.shape * self.scale
    }

    pub(super) fn variance(&self) -> f64 {
        self.shape * self.scale * self.scale
    }

    pub(super) fn check_lower(&self) -> Result<()> {
        // The lowest quantile rises with the shape: the least shape is the one
        // whose CDF at the least f32 is the smallest tail.
        let least_x = F32.0 / self.scale;
        let fits =
            |shape: f64| gamma_log_tail(shape, least_x, Tail::Lower) <= libm::log(SMALLEST_TAIL);
        if fits(self.shape) {
            return Ok(());
        }
        if !fits(GREATEST_SHAPE) {
            return check_lowest("scale", self.scale, self.quantile(SMALLEST_TAIL));
        }
        let (mut low, mut high) = (self.shape, GREATEST_SHAPE);
        for _ in 0..60 {
            let middle = libm::sqrt(low * high);
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        let least = round_up(high);
        let requirement = format!(">= {least}, so that f32 holds every quantile");
        Err(Error::domain("shape", self.shape, requirement))
    }

    pub(super) fn check_upper(&self) -> Result<()> {
        check_highest("scale", self.scale, self.upper_quantile(SMALLEST_TAIL))
    }

    pub(super) fn bend(&self) -> (&'static str, f64) {
        ("shape", self.shape)
    }
}
