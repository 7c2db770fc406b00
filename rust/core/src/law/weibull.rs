//! Weibull law.

use super::distribution::Distribution;
use super::range::{
    GREATEST_F32, LEAST_F32, check_highest, check_lowest, check_positive, round_up,
};
use super::series::Series;
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Greatest shape whose variance is the difference of two moments. Those of
/// greater shapes agree in too many digits.
const MAX_SHAPE_BY_MOMENTS: f64 = 20.0;

/// Weibull law: a waiting time whose end depends on its age.
///
/// For lives and repairs: with `shape` below 1 what has lasted goes on to last,
/// above 1 it wears out, at 1 the law is exponential.
///
/// # Law
/// `P(X > x) = exp(-(x / scale)^shape)`. Support `x > 0`, mean
/// `scale Gamma(1 + 1 / shape)`, variance
/// `scale^2 Gamma(1 + 2 / shape) - mean^2`.
///
/// # Parameters
/// * `shape`: finite and > 0.
/// * `scale`: finite and > 0; exceeded with probability 1/e.
///
/// # Numerical limits
/// Quantiles are closed forms, exact to the last digits of f64 on both sides.
/// The lowest one is about `scale 2^(-65 / shape)`, so a table holds shapes from
/// `45.05 / ln(scale / 1.18e-38)` on (0.5159 for a scale of 1), and from
/// `3.808 / ln(3.40e38 / scale)` on for the highest one; there is no greatest
/// shape. Mean and variance are infinite where a gamma function overflows, for
/// shapes below 0.006 and 0.012.
///
/// # Source
/// Variance of shapes above 20: the series of `ln Gamma`, Abramowitz and Stegun
/// 6.1.33.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weibull {
    shape: f64,
    scale: f64,
}

impl Weibull {
    /// # Errors
    /// [`Error::Domain`] unless `shape` and `scale` are finite and positive.
    pub fn new(shape: f64, scale: f64) -> Result<Self> {
        check_positive("shape", shape)?;
        check_positive("scale", scale)?;
        Ok(Self { shape, scale })
    }

    /// Cumulative hazard `(x / scale)^shape`, which is exponential with mean 1.
    fn hazard(&self, x: f64) -> f64 {
        libm::pow(x / self.scale, self.shape)
    }

    /// The number with this cumulative hazard.
    fn at_hazard(&self, hazard: f64) -> f64 {
        self.scale * libm::exp(libm::log(hazard) / self.shape)
    }

    /// The shape whose lowest quantile is the least number of f32.
    fn least_below(&self) -> f64 {
        -libm::log(SMALLEST_TAIL) / libm::log(self.scale / LEAST_F32)
    }

    /// The shape whose highest quantile is the greatest number of f32.
    fn least_above(&self) -> f64 {
        libm::log(-libm::log(SMALLEST_TAIL)) / libm::log(GREATEST_F32 / self.scale)
    }

    /// Refuses a shape below the least one that works, if any does with this
    /// scale; if none does, the scale is to be refused.
    fn check_shape(&self, least: f64) -> Result<()> {
        if self.shape >= least || least == f64::INFINITY {
            return Ok(());
        }
        let least = round_up(least);
        let requirement = format!(">= {least}, so that f32 holds every quantile");
        Err(Error::domain("shape", self.shape, requirement))
    }
}

impl Distribution for Weibull {
    fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        -libm::expm1(-self.hazard(x))
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 1.0;
        }
        libm::exp(-self.hazard(x))
    }

    fn quantile(&self, p: f64) -> f64 {
        self.at_hazard(-libm::log1p(-p))
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.at_hazard(-libm::log(q))
    }

    fn mean(&self) -> f64 {
        self.scale * libm::tgamma(1.0 + 1.0 / self.shape)
    }

    fn variance(&self) -> f64 {
        let part = 1.0 / self.shape;
        if self.shape <= MAX_SHAPE_BY_MOMENTS {
            let (mean, square) = (libm::tgamma(1.0 + part), libm::tgamma(1.0 + 2.0 * part));
            if square == f64::INFINITY {
                return square;
            }
            return self.scale * self.scale * (square - mean * mean);
        }
        let mean = self.mean();
        mean * mean * libm::expm1(log_gamma_difference(part))
    }

    fn check_lower(&self) -> Result<()> {
        self.check_shape(self.least_below())?;
        check_lowest("scale", self.scale, self.quantile(SMALLEST_TAIL))
    }

    fn check_upper(&self) -> Result<()> {
        self.check_shape(self.least_above())?;
        check_highest("scale", self.scale, self.upper_quantile(SMALLEST_TAIL))
    }

    fn check_drawable(&self) -> Result<()> {
        // The end that leaves less room is the one to name.
        self.check_shape(self.least_below().max(self.least_above()))?;
        self.check_lower()?;
        self.check_upper()
    }

    fn bend(&self) -> (&'static str, f64) {
        ("shape", self.shape)
    }

    fn series(&self) -> Option<[Series; 2]> {
        Some([
            Series::fit(|p| self.quantile(p)),
            Series::fit(|q| self.upper_quantile(q)),
        ])
    }
}

/// `ln Gamma(1 + 2 x) - 2 ln Gamma(1 + x)` for small `x`, where the difference
/// would lose its digits: term by term from the series of `ln Gamma(1 + x)`
/// (Abramowitz and Stegun 6.1.33), whose linear terms cancel.
fn log_gamma_difference(x: f64) -> f64 {
    // Riemann's zeta function at 2 to 16 (Abramowitz and Stegun, table 23.3).
    const ZETA: [f64; 15] = [
        1.644_934_066_848_226_4,
        1.202_056_903_159_594_2,
        1.082_323_233_711_138_2,
        1.036_927_755_143_37,
        1.017_343_061_984_449,
        1.008_349_277_381_922_8,
        1.004_077_356_197_944_3,
        1.002_008_392_826_082_2,
        1.000_994_575_127_818_1,
        1.000_494_188_604_119_5,
        1.000_246_086_553_308,
        1.000_122_713_347_578_5,
        1.000_061_248_135_058_7,
        1.000_030_588_236_307,
        1.000_015_282_259_408_7,
    ];
    let mut sum = 0.0;
    let (mut power, mut doubled) = (-x, -2.0 * x);
    for (n, zeta) in (2..).zip(ZETA) {
        power *= -x;
        doubled *= -2.0 * x;
        sum += zeta * (doubled - 2.0 * power) / f64::from(n);
    }
    sum
}
