//! Log-normal law.

use super::special::{normal_cdf, normal_quantile};
use super::{SMALLEST_TAIL, check_positive};
use crate::error::{Error, Result};

/// Log-normal law, given by its median.
///
/// For causes that multiply: clock drift, power caps, cache luck.
///
/// # Law
/// `ln (X / median) ~ N(0, sigma^2)`; the mean is `median exp(sigma^2 / 2)`,
/// not the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    median: f64,
    sigma: f64,
}

impl LogNormal {
    /// # Errors
    /// [`Error::Domain`] unless `median` is finite and positive and `sigma` is
    /// finite and not negative.
    pub fn new(median: f64, sigma: f64) -> Result<Self> {
        check_positive("median", median)?;
        if !(sigma >= 0.0 && sigma.is_finite()) {
            return Err(Error::domain("sigma", sigma, "finite and >= 0"));
        }
        Ok(Self { median, sigma })
    }

    fn standard(&self, x: f64) -> f64 {
        let deviation = libm::log(x / self.median);
        // With sigma 0 all weight lies on the median.
        if deviation == 0.0 {
            return if self.sigma == 0.0 {
                f64::INFINITY
            } else {
                0.0
            };
        }
        deviation / self.sigma
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        normal_cdf(self.standard(x))
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 1.0;
        }
        normal_cdf(-self.standard(x))
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.median * libm::exp(self.sigma * normal_quantile(p))
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.median * libm::exp(-self.sigma * normal_quantile(q))
    }

    pub(super) fn mean(&self) -> f64 {
        self.median * libm::exp(0.5 * self.sigma * self.sigma)
    }

    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        mean * mean * libm::expm1(self.sigma * self.sigma)
    }

    pub(super) fn check_drawable(&self) -> Result<()> {
        let z = -normal_quantile(SMALLEST_TAIL);
        let below = libm::log(self.median / f64::from(f32::MIN_POSITIVE)) / z;
        let above = libm::log(f64::from(f32::MAX) / self.median) / z;
        let greatest = below.min(above);
        if self.sigma <= greatest {
            return Ok(());
        }
        Err(Error::domain(
            "sigma",
            self.sigma,
            format!("<= {greatest:.4}, so that f32 holds every quantile"),
        ))
    }
}
