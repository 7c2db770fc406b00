//! Normal law, truncated at zero.

use super::distribution::Distribution;
use super::gauss::integral_to;
use super::range::{GREATEST_F32, LEAST_F32, check_highest, check_positive, round_down, round_up};
use super::series::Series;
use super::special::{normal_cdf, normal_quantile};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Standard normal density at zero, `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// Share of the mean from which on the greatest sigma that works is sought: a
/// law so narrow lies within a per cent of its mean.
const NARROW_SIGMA: f64 = 1e-3;

/// Halvings of the interval in which a border of f32 is sought; they leave no
/// digit of f64 open.
const BORDER_BISECTIONS: usize = 60;

/// Normal law, truncated at zero: a normal number that is known to be positive.
///
/// For sums of many small causes.
///
/// # Law
/// `X ~ N(mean, sigma^2)` given `X > 0`. Support `x > 0`. With `r = mean / sigma`
/// and `d = phi(r) / Phi(r)` the expected number is `mean + sigma d`, the
/// variance `sigma^2 (1 - d (r + d))`.
///
/// # Parameters
/// Those before the truncation; where `mean` is many `sigma`, they are the law's
/// own.
/// * `mean`: finite and > 0, so that at most half of the normal law is cut off.
/// * `sigma`: finite and > 0.
///
/// # Numerical limits
/// Quantiles are exact to the last digits of f64 on both sides, next to zero
/// too, where differences of the normal CDF would have none left. The lowest
/// quantile is about `2^-65 / density(0)` where zero is near, the highest one
/// `mean + 9.155 sigma` or a little more; both have to fit f32. 64 bins per
/// octave follow any of these laws.
///
/// # Source
/// Normal quantiles: Wichura, algorithm AS 241
/// ([`normal_quantile`](crate::law::special::normal_quantile)); next to zero,
/// Newton's method on the integral of the density. Normal CDF: `erfc` of libm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    mean: f64,
    sigma: f64,
    /// `mean / sigma`
    ratio: f64,
    /// Normal probability of a number of at most zero.
    below: f64,
    /// Normal probability of a number above zero.
    kept: f64,
}

impl Normal {
    /// # Errors
    /// [`Error::Domain`] unless `mean` and `sigma` are finite and positive.
    pub fn new(mean: f64, sigma: f64) -> Result<Self> {
        check_positive("mean", mean)?;
        check_positive("sigma", sigma)?;
        let ratio = mean / sigma;
        let (below, kept) = (normal_cdf(-ratio), normal_cdf(ratio));
        Ok(Self {
            mean,
            sigma,
            ratio,
            below,
            kept,
        })
    }

    /// Density at zero times `sigma`: `phi(r) / Phi(r)`.
    fn density(&self) -> f64 {
        DENSITY_AT_0 * libm::exp(-0.5 * self.ratio * self.ratio) / self.kept
    }

    /// Density `t` sigmas above zero over that at zero.
    fn rise(&self, t: f64) -> f64 {
        libm::exp(t * (self.ratio - 0.5 * t))
    }

    /// Whether the density within `t` sigmas of zero is close to a polynomial, so
    /// that quadrature is exact; beyond, differences of the normal CDF keep their
    /// digits.
    fn is_near_zero(&self, t: f64) -> bool {
        t * (self.ratio + t) <= 1.0
    }

    /// The greatest sigma below this one that fits, if any does with this mean.
    fn greatest_sigma(&self, fits: impl Fn(&Self) -> bool) -> Option<f64> {
        let fits = |sigma| Self::new(self.mean, sigma).is_ok_and(|law| fits(&law));
        let narrow = NARROW_SIGMA * self.mean;
        (narrow < self.sigma && fits(narrow)).then(|| border(narrow, self.sigma, fits))
    }

    /// The refusal of this sigma, with the greatest one that works.
    fn refused_sigma(&self, greatest: f64) -> Error {
        let greatest = round_down(greatest);
        let requirement = format!("<= {greatest:e}, so that f32 holds every quantile");
        Error::domain("sigma", self.sigma, requirement)
    }
}

impl Distribution for Normal {
    fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        let t = x / self.sigma;
        if self.is_near_zero(t) {
            return self.density() * integral_to(t, |t| self.rise(t));
        }
        let z = (x - self.mean) / self.sigma;
        if z <= 0.0 {
            return (normal_cdf(z) - self.below) / self.kept;
        }
        1.0 - normal_cdf(-z) / self.kept
    }

    fn sf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 1.0;
        }
        normal_cdf(-(x - self.mean) / self.sigma) / self.kept
    }

    fn quantile(&self, p: f64) -> f64 {
        // Solves integral of rise = share. A density that rose like exp(ratio t)
        // would have this quantile; the true one rises a little less.
        let share = p / self.density();
        let mut t = libm::log1p(self.ratio * share) / self.ratio;
        if !self.is_near_zero(t) {
            return self.mean + self.sigma * normal_quantile(self.below + p * self.kept);
        }
        // Newton's method. The guess is off by less than t^2 of itself, and each
        // next value by less than the square of the relative step to it.
        let mut miss = t * t;
        while miss > f64::EPSILON {
            let step = (integral_to(t, |t| self.rise(t)) - share) / self.rise(t);
            t -= step;
            miss = (step / t) * (step / t);
        }
        self.sigma * t
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.mean - self.sigma * normal_quantile(q * self.kept)
    }

    fn mean(&self) -> f64 {
        self.mean + self.sigma * self.density()
    }

    fn variance(&self) -> f64 {
        let density = self.density();
        if density == 0.0 {
            return self.sigma * self.sigma;
        }
        self.sigma * self.sigma * (1.0 - density * (self.ratio + density))
    }

    fn check_lower(&self) -> Result<()> {
        let fits = |law: &Self| law.quantile(SMALLEST_TAIL) >= LEAST_F32;
        if fits(self) {
            return Ok(());
        }
        if let Some(greatest) = self.greatest_sigma(fits) {
            return Err(self.refused_sigma(greatest));
        }
        // The lowest quantile rises with the mean.
        let fits = |mean| Self::new(mean, self.sigma).is_ok_and(|law| fits(&law));
        let mut high = self.mean.max(LEAST_F32);
        while !fits(high) {
            high *= 2.0;
        }
        let least = round_up(border(high, self.mean, fits));
        let requirement = format!(">= {least:e}, so that f32 holds every quantile");
        Err(Error::domain("mean", self.mean, requirement))
    }

    fn check_upper(&self) -> Result<()> {
        let fits = |law: &Self| law.upper_quantile(SMALLEST_TAIL) <= GREATEST_F32;
        if fits(self) {
            return Ok(());
        }
        match self.greatest_sigma(fits) {
            Some(greatest) => Err(self.refused_sigma(greatest)),
            None => check_highest("mean", self.mean, self.upper_quantile(SMALLEST_TAIL)),
        }
    }

    fn bend(&self) -> (&'static str, f64) {
        ("sigma", self.sigma)
    }

    fn series(&self) -> Option<[Series; 2]> {
        Some([
            Series::fit(|p| self.quantile(p)),
            Series::fit(|q| self.upper_quantile(q)),
        ])
    }
}

/// The last number that fits on the way from one that does to one that does
/// not, by halving their ratio.
fn border(mut good: f64, mut bad: f64, fits: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BORDER_BISECTIONS {
        let middle = libm::sqrt(good) * libm::sqrt(bad);
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}
