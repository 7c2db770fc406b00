//! Gamma law.

use super::distribution::Distribution;
use super::range::{LEAST_F32, check_highest, check_lowest, check_positive, round_up};
use super::series::{PARTS, REACH, Series, middle, sum};
use super::special::{Tail, gamma_cdf, gamma_log_tail, gamma_quantile};
use super::tail_grid::{OCTAVES, SMALLEST_TAIL};
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

    /// One side's quantiles, which are slow one by one.
    ///
    /// With u the logarithm of the tail probability P, the quantile x and its
    /// slope `s = d ln x / du = +- P / (x f)` obey
    ///
    /// ```text
    /// dx/du = x s        ds/du = s (1 - shape s + x s)
    /// ```
    ///
    /// whose power series follow term by term. The first one starts from the
    /// quantile at 2^-65, each further one where the last one ends. An error of
    /// the probability stays what it is, so it shrinks against it.
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
            x = sum(&around(middle - REACH, x), 1.0);
            let terms = around(middle, x);
            x = sum(&terms, 1.0);
            terms.into_iter().map(|term| self.scale * term).collect()
        };
        Series::new((0..OCTAVES * PARTS).map(part).collect())
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

/// The most terms that a series takes: the one that ends at probability 1/2.
const MOST_TERMS: usize = 28;

/// Power series of the quantile around u, in units of [`REACH`], from its value
/// and its slope there.
fn expand(shape: f64, u: f64, x: f64, slope: f64) -> Vec<f64> {
    let n_terms = n_terms(u);
    let mut quantile = [0.0; MOST_TERMS];
    let mut slopes = [0.0; MOST_TERMS];
    // 1 - shape s + x s
    let mut growth = [0.0; MOST_TERMS];
    (quantile[0], slopes[0]) = (x, slope);
    for n in 0..n_terms - 1 {
        let product = |a: &[f64], b: &[f64]| -> f64 {
            let pairs = a[..=n].iter().zip(b[..=n].iter().rev());
            pairs.map(|(a, b)| a * b).sum()
        };
        let next = REACH / (n + 1) as f64;
        let rise = product(&quantile, &slopes);
        growth[n] = rise - shape * slopes[n] + if n == 0 { 1.0 } else { 0.0 };
        quantile[n + 1] = rise * next;
        slopes[n + 1] = product(&slopes, &growth) * next;
    }
    quantile[..n_terms].to_vec()
}

/// Terms that leave no digit out of the series around u.
fn n_terms(u: f64) -> usize {
    // The nearest singularity lies at probability one, u = 0. Far from it the
    // growth of x itself counts.
    let radius = u.abs().min(3.0);
    let terms = -libm::log(f64::EPSILON) / libm::log(radius / REACH);
    (terms as usize + 4).min(MOST_TERMS)
}
