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
/// `ln(X / median) ~ N(0, sigma^2)`, so `P(X <= x) = Phi(ln(x / median) / sigma)`.
/// Support `x > 0`, mean `median exp(sigma^2 / 2)`, variance
/// `mean^2 (exp(sigma^2) - 1)`.
///
/// # Parameters
/// * `median`: finite and > 0. It is less than the mean.
/// * `sigma`: standard deviation of the logarithm, finite and >= 0; at 0 all
///   probability lies on the median.
///
/// # Numerical limits
/// Quantiles are exact to the last digits of f64 on both sides. The quantiles
/// at 2^-65 lie `9.155 sigma` from the median in ln, so a table holds `sigma` up
/// to `ln(median / 1.18e-38) / 9.155` and `ln(3.40e38 / median) / 9.155`: 9.538
/// for a median of 1.
///
/// # Source
/// Normal quantiles: Wichura, algorithm AS 241
/// ([`normal_quantile`](crate::law::special::normal_quantile)); normal CDF:
/// `erfc` of libm.
///
/// # Examples
/// ```
/// use hindmost_core::law::{Distribution, LogNormal};
///
/// let jitter = LogNormal::new(1.0, 0.004)?;
/// assert_eq!(jitter.quantile(0.5), 1.0);
/// assert!(LogNormal::new(1.0, 10.0)?.check_drawable().is_err());
/// # Ok::<(), hindmost_core::Error>(())
/// ```
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

    /// The law of the product with an independent number: medians multiply, and variances of the
    /// logarithms add up.
    #[must_use]
    pub fn product(self, other: Self) -> Self {
        Self {
            median: self.median * other.median,
            sigma: libm::sqrt(self.sigma * self.sigma + other.sigma * other.sigma),
        }
    }

    /// Standard deviations of ln x from the median.
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

    /// The sigma whose lowest quantile is the least number of f32.
    fn greatest_below(&self) -> f64 {
        libm::log(self.median / LEAST_F32) / -normal_quantile(SMALLEST_TAIL)
    }

    /// The sigma whose highest quantile is the greatest number of f32.
    fn greatest_above(&self) -> f64 {
        libm::log(GREATEST_F32 / self.median) / -normal_quantile(SMALLEST_TAIL)
    }

    /// Refuses a sigma above the greatest one that works, if any does with this
    /// median; if none does, the median is to be refused.
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
