//! A quantile function given on the grid of tail probabilities.

use super::distribution::Distribution;
use super::range::{check_highest, check_lowest, check_positive};
use super::tail_grid::{
    MAX_BINS, MIN_BINS, OCTAVES, TABLE_LINE_TOLERANCE, straight_line_miss, tail_probability,
};
use crate::error::{Error, Result};

/// Bins per octave of the grid that a law is looked at on to find how many it
/// needs: twice the greatest number, so that each bin has a point inside.
const FINE_BINS: usize = 2 * MAX_BINS;

/// Tabulated law: quantiles of any continuous law on both sides of the median.
///
/// For laws that a user brings along, and for laws of simulated samples.
///
/// # Law
/// The quantile function is linear in the tail probability between the points of
/// the grid of [`tail_probability`], and constant beyond 2^-65. Mean and
/// variance are those of this piecewise-linear function.
///
/// # Parameters
/// * `lower`: quantiles at CDFs of 2^-65 to 1/2, rising.
/// * `upper`: quantiles at survival functions of 2^-65 to 1/2, falling to the
///   same median.
///
/// Both finite and > 0, and as long as a grid with 32, 64, 128, 256 or 512 bins
/// per octave: `64 bins + 1`.
///
/// # Numerical limits
/// A table of it has the same knots, so it follows the given quantiles to the
/// digits of f32. [`Tabulated::fit`] takes as few bins as keep within 1e-5 of
/// them, and refuses a kink or a jump between knots.
#[derive(Debug, Clone, PartialEq)]
pub struct Tabulated {
    bins: usize,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Tabulated {
    /// The coarsest table that follows quantiles given on the grid of 1,024
    /// bins per octave.
    ///
    /// # Errors
    /// As [`Tabulated::new`], and [`Error::Domain`] where even 512 bins miss a
    /// point between them: the law has a kink or a jump.
    pub fn fit(lower: &[f64], upper: &[f64]) -> Result<Self> {
        for (field, side) in [("lower", lower), ("upper", upper)] {
            if side.len() != OCTAVES * FINE_BINS + 1 {
                return Err(Error::domain(
                    field,
                    side.len() as f64,
                    "a list of 65537 quantiles",
                ));
            }
        }
        let every = |side: &[f64], stride| side.iter().copied().step_by(stride).collect();
        // Refuses first what are no quantiles at all.
        Self::new(every(lower, 2), every(upper, 2))?;
        let mut worst = 0.0;
        for bins in [32, 64, 128, 256, 512] {
            let stride = FINE_BINS / bins;
            worst = [lower, upper]
                .map(|side| worst_miss(side, stride))
                .into_iter()
                .fold(0.0, f64::max);
            if worst <= TABLE_LINE_TOLERANCE {
                return Self::new(every(lower, stride), every(upper, stride));
            }
        }
        Err(Error::domain(
            "ppf",
            worst,
            "smooth: straight lines miss it by more than 1e-5",
        ))
    }

    /// `lower[i]` has CDF `tail_probability(bins, i)`, `upper[i]` has that
    /// survival function; `bins` follows from their length, `64 bins + 1`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless both have the length of a grid, all numbers
    /// are finite and positive, `lower` rises, `upper` falls and they meet.
    pub fn new(lower: Vec<f64>, upper: Vec<f64>) -> Result<Self> {
        let bins = lower.len().saturating_sub(1) / OCTAVES;
        let is_grid = bins.is_power_of_two()
            && (MIN_BINS..=MAX_BINS).contains(&bins)
            && lower.len() == OCTAVES * bins + 1;
        if !is_grid {
            return Err(Error::domain(
                "lower",
                lower.len() as f64,
                "a list of 64 bins + 1 quantiles, with 32, 64, 128, 256 or 512 bins",
            ));
        }
        if upper.len() != lower.len() {
            return Err(Error::domain(
                "upper",
                upper.len() as f64,
                format!("a list as long as lower ({})", lower.len()),
            ));
        }
        for (side, quantiles) in [("lower", &lower), ("upper", &upper)] {
            for (index, &quantile) in quantiles.iter().enumerate() {
                check_positive(&format!("{side}.{index}"), quantile)?;
            }
        }
        let last = lower.len() - 1;
        for index in 0..last {
            if lower[index] > lower[index + 1] {
                let field = format!("lower.{}", index + 1);
                return Err(Error::domain(&field, lower[index + 1], ">= the one before"));
            }
            if upper[index] < upper[index + 1] {
                let field = format!("upper.{}", index + 1);
                return Err(Error::domain(&field, upper[index + 1], "<= the one before"));
            }
        }
        if lower[last] != upper[last] {
            let field = format!("upper.{last}");
            return Err(Error::domain(
                &field,
                upper[last],
                format!("the median, {}", lower[last]),
            ));
        }
        Ok(Self { bins, lower, upper })
    }

    /// Quantiles of the lower side.
    #[must_use]
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }

    /// Quantiles of the upper side.
    #[must_use]
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// Bins per octave.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Quantile at a tail probability of at most 1/2.
    fn at(&self, quantiles: &[f64], tail: f64) -> f64 {
        let (fraction, exponent) = libm::frexp(tail);
        if exponent < -64 {
            return quantiles[0];
        }
        let place = ((exponent + 64) as f64 + (2.0 * fraction - 1.0)) * self.bins as f64;
        let index = (place as usize).min(quantiles.len() - 2);
        let (a, b) = (quantiles[index], quantiles[index + 1]);
        a + (b - a) * (place - index as f64)
    }

    /// Tail probability of `x`, which lies between points `index - 1` and `index`
    /// of a side.
    fn tail(&self, quantiles: &[f64], index: usize, x: f64) -> f64 {
        let (a, b) = (quantiles[index - 1], quantiles[index]);
        let (p, r) = (
            tail_probability(self.bins, index - 1),
            tail_probability(self.bins, index),
        );
        if a == b {
            r
        } else {
            p + (r - p) * (x - a) / (b - a)
        }
    }

    /// Integral over all probability of what `of_bin` makes of a bin's ends.
    fn integrate(&self, of_bin: impl Fn(f64, f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for quantiles in [&self.lower, &self.upper] {
            let end = tail_probability(self.bins, 0);
            sum += end * of_bin(quantiles[0], quantiles[0]);
            for index in 1..quantiles.len() {
                let width =
                    tail_probability(self.bins, index) - tail_probability(self.bins, index - 1);
                sum += width * of_bin(quantiles[index - 1], quantiles[index]);
            }
        }
        sum
    }
}

impl Distribution for Tabulated {
    fn cdf(&self, x: f64) -> f64 {
        if x >= self.lower[self.lower.len() - 1] {
            return 1.0 - self.sf(x);
        }
        match self.lower.partition_point(|&quantile| quantile <= x) {
            0 => 0.0,
            index => self.tail(&self.lower, index, x),
        }
    }

    fn sf(&self, x: f64) -> f64 {
        if x < self.lower[self.lower.len() - 1] {
            return 1.0 - self.cdf(x);
        }
        match self.upper.partition_point(|&quantile| quantile > x) {
            0 => 0.0,
            index if index == self.upper.len() => 0.5,
            index => self.tail(&self.upper, index, x),
        }
    }

    fn quantile(&self, p: f64) -> f64 {
        if p <= 0.5 {
            self.at(&self.lower, p)
        } else {
            self.at(&self.upper, 1.0 - p)
        }
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        if q <= 0.5 {
            self.at(&self.upper, q)
        } else {
            self.at(&self.lower, 1.0 - q)
        }
    }

    fn mean(&self) -> f64 {
        self.integrate(|a, b| 0.5 * (a + b))
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        self.integrate(|a, b| {
            let (a, b) = (a - mean, b - mean);
            (a * a + a * b + b * b) / 3.0
        })
    }

    fn check_lower(&self) -> Result<()> {
        check_lowest("lower.0", self.lower[0], self.lower[0])
    }

    fn check_upper(&self) -> Result<()> {
        check_highest("upper.0", self.upper[0], self.upper[0])
    }

    fn bend(&self) -> (&'static str, f64) {
        ("upper", self.upper[0])
    }
}

/// The worst miss of straight lines between every `stride`-th quantile of one
/// side of the fine grid.
fn worst_miss(side: &[f64], stride: usize) -> f64 {
    let point = |index| (tail_probability(FINE_BINS, index), side[index]);
    let mut worst: f64 = 0.0;
    for first in (0..side.len() - 1).step_by(stride) {
        let (start, end) = (point(first), point(first + stride));
        for between in first + 1..first + stride {
            worst = worst.max(straight_line_miss(start, end, point(between)));
        }
    }
    worst
}
