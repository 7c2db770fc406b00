//! Gamma law.

use super::distribution::Distribution;
use super::range::{LEAST_F32, check_highest, check_lowest, check_positive, round_up};
use super::series::{HALF_WIDTH, PARTS_PER_OCTAVE, Series, middle, value_at};
use super::special::{Tail, gamma_cdf, gamma_log_tail, gamma_quantile};
use super::tail_grid::{OCTAVES, SMALLEST_TAIL};
use crate::error::{Error, Result};

/// Greatest shape. Beyond it the law is normal for all purposes, and slow to
/// invert.
const MAX_SHAPE: f64 = 1e4;

/// Halvings of the interval in which the least shape that f32 holds is sought;
/// they leave no digit of f64 open.
const SHAPE_BISECTIONS: usize = 60;

/// Most terms of a power series: those of the part that ends at probability 1/2.
const MAX_TERMS: usize = 28;

/// Gamma law: a sum of `shape` waiting times of mean `scale`.
///
/// For times made of several pauses.
///
/// # Law
/// Density `x^(shape - 1) exp(-x / scale) / (Gamma(shape) scale^shape)`. Support
/// `x > 0`, mean `shape scale`, variance `shape scale^2`.
///
/// # Parameters
/// * `shape`: > 0 and <= 10,000; beyond, the law is close to a log-normal one
///   with `sigma = 1 / sqrt(shape)`.
/// * `scale`: finite and > 0.
///
/// # Numerical limits
/// The CDF loses digits in `shape ln x - x - ln Gamma(shape)`: the probability of
/// a quantile comes back within 4e-13 of itself up to a shape of 40, and within
/// 2e-11 at 10,000. The lowest quantile falls fast as the shape does: a table
/// holds shapes from 0.5173 on with a scale of 1, and from 0.6144 on with a scale
/// of 1e-6.
///
/// # Source
/// CDF: Abramowitz and Stegun 6.5.29 (series) and 6.5.31 (continued fraction, by
/// Lentz's method). Single quantiles: Newton's method on logarithms, started by
/// Wilson and Hilferty's cube. Quantiles of a whole grid: power series of the
/// differential equation of the quantile function.
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
        if !(shape > 0.0 && shape <= MAX_SHAPE) {
            return Err(Error::domain(
                "shape",
                shape,
                "> 0 and <= 10000; above, use a lognormal law with sigma = 1 / sqrt(shape)",
            ));
        }
        check_positive("scale", scale)?;
        Ok(Self { shape, scale })
    }

    /// One side's quantiles as power series, because single ones are slow.
    ///
    /// With u the logarithm of the tail probability P and f the density at unit
    /// scale, the quantile x and its slope `s = d ln x / du = +- P / (x f)` obey
    ///
    /// ```text
    /// dx/du = x s        ds/du = s (1 - shape s + x s)
    /// ```
    ///
    /// whose power series follow term by term. The first part starts from the
    /// quantile at 2^-65, each further part where the last one ends. Errors do
    /// not build up: the absolute error of P stays what it is from part to part,
    /// while P itself doubles with every octave.
    fn side(&self, tail: Tail) -> Series {
        let log_gamma = libm::lgamma(self.shape);
        let sign = if tail == Tail::Lower { 1.0 } else { -1.0 };
        let around = |u: f64, x: f64| {
            let log_x_density = self.shape * libm::log(x) - x - log_gamma;
            expand(self.shape, u, x, sign * libm::exp(u - log_x_density))
        };
        let mut x = gamma_quantile(self.shape, SMALLEST_TAIL, tail);
        let part = |part| {
            let middle = middle(part);
            x = value_at(&around(middle - HALF_WIDTH, x), 1.0);
            let terms = around(middle, x);
            x = value_at(&terms, 1.0);
            terms.into_iter().map(|term| self.scale * term).collect()
        };
        Series::new((0..OCTAVES * PARTS_PER_OCTAVE).map(part).collect())
    }
}

impl Distribution for Gamma {
    fn cdf(&self, x: f64) -> f64 {
        gamma_cdf(self.shape, x / self.scale, Tail::Lower)
    }

    fn sf(&self, x: f64) -> f64 {
        gamma_cdf(self.shape, x / self.scale, Tail::Upper)
    }

    fn quantile(&self, p: f64) -> f64 {
        self.scale * gamma_quantile(self.shape, p, Tail::Lower)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.scale * gamma_quantile(self.shape, q, Tail::Upper)
    }

    fn mean(&self) -> f64 {
        self.shape * self.scale
    }

    fn variance(&self) -> f64 {
        self.shape * self.scale * self.scale
    }

    fn check_lower(&self) -> Result<()> {
        // The lowest quantile rises with the shape: the least shape is the one
        // whose CDF at the least f32 is the smallest tail.
        let least_x = LEAST_F32 / self.scale;
        let fits =
            |shape: f64| gamma_log_tail(shape, least_x, Tail::Lower) <= libm::log(SMALLEST_TAIL);
        if fits(self.shape) {
            return Ok(());
        }
        if !fits(MAX_SHAPE) {
            return check_lowest("scale", self.scale, self.quantile(SMALLEST_TAIL));
        }
        let (mut low, mut high) = (self.shape, MAX_SHAPE);
        for _ in 0..SHAPE_BISECTIONS {
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

    fn check_upper(&self) -> Result<()> {
        check_highest("scale", self.scale, self.upper_quantile(SMALLEST_TAIL))
    }

    fn bend(&self) -> (&'static str, f64) {
        ("shape", self.shape)
    }

    fn series(&self) -> Option<[Series; 2]> {
        Some([Tail::Lower, Tail::Upper].map(|tail| self.side(tail)))
    }
}

/// Power series of the quantile around u, in units of [`HALF_WIDTH`], from its
/// value and its slope there.
fn expand(shape: f64, u: f64, x: f64, slope: f64) -> Vec<f64> {
    let n_terms = n_terms(u);
    let mut quantile = [0.0; MAX_TERMS];
    let mut slopes = [0.0; MAX_TERMS];
    // 1 - shape s + x s
    let mut growth = [0.0; MAX_TERMS];
    (quantile[0], slopes[0]) = (x, slope);
    for n in 0..n_terms - 1 {
        let product = |a: &[f64], b: &[f64]| -> f64 {
            let pairs = a[..=n].iter().zip(b[..=n].iter().rev());
            pairs.map(|(a, b)| a * b).sum()
        };
        let next = HALF_WIDTH / (n + 1) as f64;
        let rise = product(&quantile, &slopes);
        growth[n] = rise - shape * slopes[n] + if n == 0 { 1.0 } else { 0.0 };
        quantile[n + 1] = rise * next;
        slopes[n + 1] = product(&slopes, &growth) * next;
    }
    quantile[..n_terms].to_vec()
}

/// Terms after which those of the series around u change no digit of f64.
fn n_terms(u: f64) -> usize {
    // The nearest singularity lies at probability one, u = 0, so terms shrink by
    // HALF_WIDTH / |u| each. Far from it the growth of x itself decides,
    // which is like a radius of 3.
    let radius = u.abs().min(3.0);
    let terms = -libm::log(f64::EPSILON) / libm::log(radius / HALF_WIDTH);
    (terms as usize + 4).min(MAX_TERMS)
}
