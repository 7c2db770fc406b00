//! Laws of the slowest of many: `-ln F` on knots, accurate in the far tail.
//!
//! A maximum of independent numbers with CDF F is at most x with probability
//! `F(x)^n`, so what is stored is `-ln F(x)`: n of them add up, and where `1 - F`
//! is small it is `1 - F` itself to full relative precision. It is also the
//! mean number of points above x of the Poisson process whose highest point is
//! the maximum, hence its name here, *exceedances*.

mod product;
mod sum;
mod trace;

use crate::law::{Distribution, Law};
use trace::trace;

/// Exceedances beyond this are as good as certain.
pub const MOST: f64 = 750.0;
/// Exceedances below this never happen, not even with 10^12 ranks.
pub const LEAST: f64 = 1e-36;

/// Relative change of exceedances that straight lines between knots may miss.
const STRAIGHT: f64 = 1e-5;

/// Weight of a number that makes it an atom.
const HAIR: f64 = 1e-12;

/// Exceedances of what has this CDF and this survival function.
#[must_use]
pub fn exceedances(cdf: f64, sf: f64) -> f64 {
    if sf < 0.5 {
        -libm::log1p(-sf)
    } else {
        -libm::log(cdf)
    }
}

/// The law of a positive random number, continuous or not.
///
/// Between knots the logarithm of the exceedances is a straight line in x. Where
/// the law has an atom two knots (almost) share their x.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Rising.
    xs: Vec<f64>,
    /// Logarithms of the exceedances, falling.
    logs: Vec<f64>,
    /// For evenly spaced logarithms, the last knot that is not below.
    guide: Vec<u32>,
}

/// A point between two knots of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The knot before it.
    pub knot: usize,
    /// The number.
    pub x: f64,
}

impl Curve {
    /// The law of a factor or of seconds.
    #[must_use]
    pub fn of(law: &Law) -> Self {
        Self::of_choice(&[(1.0, law.clone())], None)
    }

    /// A choice between laws, by weight; what the weights leave of 1 lies on
    /// `neutral`.
    #[must_use]
    pub fn of_choice(choice: &[(f64, Law)], neutral: Option<f64>) -> Self {
        let parts: Vec<(f64, Law)> = choice
            .iter()
            .flat_map(|(weight, law)| {
                let components = law.components().into_iter();
                components.map(move |(share, part)| (weight * share, part))
            })
            .collect();
        let certain: f64 = choice.iter().map(|(weight, _)| weight).sum();
        let left = neutral.map_or(0.0, |_| (1.0 - certain).max(0.0));
        let at = |x: f64| {
            let below = neutral.is_some_and(|neutral| x < neutral);
            let sum = |of: fn(&Law, f64) -> f64| -> f64 {
                parts.iter().map(|(weight, law)| weight * of(law, x)).sum()
            };
            let sf = if below { left } else { 0.0 } + sum(Law::sf);
            if sf < 0.5 {
                return exceedances(1.0 - sf, sf);
            }
            let cdf = if below { 0.0 } else { left } + sum(Law::cdf);
            exceedances(cdf, sf)
        };
        let mut starts: Vec<f64> = parts
            .iter()
            .flat_map(|(_, law)| trace::starts(law))
            .collect();
        starts.extend(neutral.into_iter().flat_map(|x| [x.next_down(), x]));
        trace(starts, STRAIGHT, 0.0, at)
    }

    /// The law of a number that is known.
    #[must_use]
    pub fn constant(x: f64) -> Self {
        Self::from_knots(vec![x, x], vec![libm::log(MOST), libm::log(LEAST)])
    }

    /// A curve through knots: `xs` rise, logarithms of exceedances fall.
    ///
    /// # Panics
    /// If there are fewer than two knots, or not as many of one as of the other.
    #[must_use]
    pub fn from_knots(xs: Vec<f64>, logs: Vec<f64>) -> Self {
        assert!(xs.len() >= 2 && xs.len() == logs.len(), "two knots or more");
        let n = logs.len();
        let (top, bottom) = (logs[0], logs[n - 1]);
        let cells = 2 * n;
        let mut guide = Vec::with_capacity(cells + 1);
        let mut knot = 0;
        for cell in 0..=cells {
            let level = top - (top - bottom) * cell as f64 / cells as f64;
            while knot + 2 < n && logs[knot + 1] >= level {
                knot += 1;
            }
            guide.push(knot as u32);
        }
        Self { xs, logs, guide }
    }

    /// The knots.
    #[must_use]
    pub fn xs(&self) -> &[f64] {
        &self.xs
    }

    /// Exceedances just beyond a knot.
    #[must_use]
    pub fn exceedances_of(&self, knot: usize) -> f64 {
        libm::exp(self.logs[knot])
    }

    /// Mean number of exceedances of `x`: infinite below the law, 0 above it.
    #[must_use]
    pub fn exceedances(&self, x: f64) -> f64 {
        let above = self.xs.partition_point(|&knot| knot <= x);
        if above == 0 {
            return f64::INFINITY;
        }
        if above == self.xs.len() {
            return 0.0;
        }
        let (a, b) = (self.xs[above - 1], self.xs[above]);
        let share = (x - a) / (b - a);
        libm::exp(self.logs[above - 1] + (self.logs[above] - self.logs[above - 1]) * share)
    }

    /// Probability of a number of at most `x`.
    #[must_use]
    pub fn cdf(&self, x: f64) -> f64 {
        libm::exp(-self.exceedances(x))
    }

    /// Probability of a number above `x`, accurate where it is small.
    #[must_use]
    pub fn sf(&self, x: f64) -> f64 {
        -libm::expm1(-self.exceedances(x))
    }

    /// The number with so many exceedances: the law itself where they are
    /// exponential with mean one.
    #[must_use]
    pub fn place(&self, exceedances: f64) -> Place {
        let n = self.logs.len();
        let log = libm::log(exceedances);
        let (top, bottom) = (self.logs[0], self.logs[n - 1]);
        if log >= top {
            return Place {
                knot: 0,
                x: self.xs[0],
            };
        }
        if log <= bottom {
            return Place {
                knot: n - 2,
                x: self.xs[n - 1],
            };
        }
        let cells = (self.guide.len() - 1) as f64;
        let cell = ((top - log) / (top - bottom) * cells) as usize;
        let mut knot = self.guide[cell] as usize;
        // The cell's upper end may lie before this one by rounding.
        while knot > 0 && self.logs[knot] < log {
            knot -= 1;
        }
        while self.logs[knot + 1] >= log {
            knot += 1;
        }
        let (a, b) = (self.logs[knot], self.logs[knot + 1]);
        let x = self.xs[knot] + (self.xs[knot + 1] - self.xs[knot]) * ((a - log) / (a - b));
        Place { knot, x }
    }

    /// The number whose CDF is `p`.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        self.place(-libm::log(p)).x
    }

    /// The number whose survival function is `q`, accurate where `q` is small.
    #[must_use]
    pub fn upper_quantile(&self, q: f64) -> f64 {
        self.place(-libm::log1p(-q)).x
    }

    /// The slowest of `n` independent ones; `n` need be no whole number.
    #[must_use]
    pub fn slowest_of(&self, n: f64) -> Self {
        let shift = libm::log(n);
        let logs = self.logs.iter().map(|log| log + shift).collect();
        Self::from_knots(self.xs.clone(), logs)
    }

    /// The slowest of groups: so many of each law.
    ///
    /// # Panics
    /// Without any group.
    #[must_use]
    pub fn slowest_of_all(groups: &[(f64, &Curve)]) -> Self {
        if let [(n, curve)] = groups {
            return curve.slowest_of(*n);
        }
        let mut xs: Vec<f64> = groups
            .iter()
            .flat_map(|(_, curve)| &curve.xs)
            .copied()
            .collect();
        // The slowest is at least as slow as any group can be at best.
        let least = groups
            .iter()
            .map(|(_, curve)| curve.xs[0])
            .fold(0.0, f64::max);
        xs.retain(|&x| x >= least);
        let at = |x: f64| -> f64 {
            groups
                .iter()
                .map(|(n, curve)| n * curve.exceedances(x))
                .sum()
        };
        trace(xs, STRAIGHT, 0.0, at)
    }

    /// The law of `factor` times the number; `factor` > 0.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let xs = self.xs.iter().map(|x| x * factor).collect();
        Self { xs, ..self.clone() }
    }

    /// The law of the number plus `added`.
    #[must_use]
    pub fn shifted(&self, added: f64) -> Self {
        let xs = self.xs.iter().map(|x| x + added).collect();
        Self { xs, ..self.clone() }
    }

    /// Numbers on which the law has more than a hair's weight, each with the
    /// knot before its jump.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = usize> {
        (0..self.xs.len() - 1).filter(|&knot| {
            let (a, b) = (self.xs[knot], self.xs[knot + 1]);
            if b - a > 4.0 * f64::EPSILON * b {
                return false;
            }
            let (from, to) = (self.exceedances_of(knot), self.exceedances_of(knot + 1));
            -libm::exp(-to) * libm::expm1(to - from) > HAIR
        })
    }
}
