//! Log-normal law.

use super::distribution::Distribution;
use super::range::{
    GREATEST_F32, LEAST_F32, check_highest, check_lowest, check_positive, round_down,
};
use super::special::{normal_cdf, normal_quantile};
use super::tail_grid::SMALLEST_TAIL;
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

    /// The sigma whose lowest quantile is the least f32.
    fn greatest_below(&self) -> f64 {
        libm::log(self.median / LEAST_F32) / -normal_quantile(SMALLEST_TAIL)
    }

    /// The sigma whose highest quantile is the greatest f32.
    fn greatest_above(&self) -> f64 {
        libm::log(GREATEST_F32 / self.median) / -normal_quantile(SMALLEST_TAIL)
    }

    /// Refuses a sigma above what works with the median, if any does.
    fn check_sigma(&self, greatest: f64) -> Result<()> {
        if self.sigma <= greatest || greatest <= 0.0 {
            return Ok(());
        }
        let greatest = round_down(greatest);
        let requirement = format!("<= {greatest}, so that f32 holds every quantile");
        Err(Error::domain("sigma", self.sigma, requirement))
    }
}

impl Distribution for LogNormal {
    fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        normal_cdf(self.standard(x))
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 1.0;
        }
        normal_cdf(-self.standard(x))
    }

    fn quantile(&self, p: f64) -> f64 {
        self.median * libm::exp(self.sigma * normal_quantile(p))
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.median * libm::exp(-self.sigma * normal_quantile(q))
    }

    fn mean(&self) -> f64 {
        self.median * libm::exp(0.5 * self.sigma * self.sigma)
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        mean * mean * libm::expm1(self.sigma * self.sigma)
    }

    fn check_lower(&self) -> Result<()> {
        self.check_sigma(self.greatest_below())?;
        check_lowest("median", self.median, self.quantile(SMALLEST_TAIL))
    }

    fn check_upper(&self) -> Result<()> {
        self.check_sigma(self.greatest_above())?;
        check_highest("median", self.median, self.upper_quantile(SMALLEST_TAIL))
    }

    fn check_drawable(&self) -> Result<()> {
        // The end that leaves less room is the one to name.
        self.check_sigma(self.greatest_below().min(self.greatest_above()))?;
        self.check_lower()?;
        self.check_upper()
    }

    fn bend(&self) -> (&'static str, f64) {
        ("sigma", self.sigma)
    }

    fn both_quantiles(&self, p: f64) -> (f64, f64) {
        let deviation = normal_quantile(p);
        (
            self.median * libm::exp(self.sigma * deviation),
            self.median * libm::exp(-self.sigma * deviation),
        )
    }
}
