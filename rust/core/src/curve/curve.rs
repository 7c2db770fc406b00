//! A law of exceedances on knots.

use super::exceedances::{LOWER_OCTAVES, UPPER_OCTAVES, exceedances};
use super::trace::{constant, trace};
use crate::error::{Error, Result};
use crate::law::{Distribution, Law};

/// Relative change of exceedances by which straight lines between knots of a law,
/// or of a maximum of several, may miss.
const CURVE_LINE_TOLERANCE: f64 = 1e-5;

/// Least probability of an atom; a jump with less is a steep line.
const MIN_ATOM_PROBABILITY: f64 = 1e-12;

/// Relative distance of two knots below which the law jumps between them.
const ATOM_WIDTH: f64 = 4.0 * f64::EPSILON;

/// Cells of the guide table to a knot.
const CELLS_PER_KNOT: usize = 2;

/// The law of a positive random number, continuous or not, by its exceedances
/// `-ln F`.
///
/// Between knots the logarithm of the exceedances is a straight line in x, so that
/// a tolerance of the line is a relative one of exceedances anywhere from 750 down
/// to 1e-36, and the maximum of n numbers only shifts the logarithms by ln n. An
/// atom is two knots that share their x up to rounding: exceedances jump between
/// them.
///
/// A number is found from its exceedances by a guide table (Chen and Asau, AIIE
/// Transactions 6, 1974): the range of logarithms is cut into even cells, two to a
/// knot, each of which knows the knot where a search begins. So a draw costs a few
/// comparisons, however many knots there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Numbers of the knots, rising.
    xs: Vec<f64>,
    /// Logarithms of the exceedances of knots, falling.
    logs: Vec<f64>,
    /// For evenly spaced logarithms from the first one down, the last knot whose
    /// logarithm is not below.
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
    /// The curve of a law.
    #[must_use]
    pub fn of(law: &Law) -> Self {
        Self::of_choice(&[(1.0, law.clone())], None)
    }

    /// A choice between laws, by probability; what the probabilities leave of 1
    /// lies on `neutral`: a cause that does not always occur.
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
        let mut starts: Vec<f64> = parts.iter().flat_map(|(_, law)| starts(law)).collect();
        starts.extend(neutral.into_iter().flat_map(|x| [x.next_down(), x]));
        let (xs, logs) = trace(starts, CURVE_LINE_TOLERANCE, 0.0, at);
        Self::from_knots(xs, logs)
    }

    /// The law of a number that is known.
    #[must_use]
    pub fn constant(x: f64) -> Self {
        let (xs, logs) = constant(x);
        Self::from_knots(xs, logs)
    }

    /// A curve through knots that a caller gives: numbers that do not fall, and the logarithms
    /// of their exceedances, which do not rise.
    ///
    /// # Errors
    /// [`Error::Domain`] for fewer than two knots, not as many of one as of the other, numbers
    /// or logarithms out of order, or any that is not finite.
    pub fn new(xs: Vec<f64>, logs: Vec<f64>) -> Result<Self> {
        if xs.len() < 2 {
            return Err(Error::domain("xs", xs.len() as f64, "two knots or more"));
        }
        if logs.len() != xs.len() {
            let requirement = format!("as many as the {} knots", xs.len());
            return Err(Error::domain("logs", logs.len() as f64, requirement));
        }
        for (field, values, sign) in [("xs", &xs, 1.0), ("logs", &logs, -1.0)] {
            for (index, &value) in values.iter().enumerate() {
                let before = values[index.saturating_sub(1)];
                if !(value.is_finite() && sign * value >= sign * before) {
                    let field = format!("{field}.{index}");
                    return Err(Error::domain(&field, value, "finite and in order"));
                }
            }
        }
        Ok(Self::from_knots(xs, logs))
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
        let cells = CELLS_PER_KNOT * n;
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

    /// Numbers of the knots, rising.
    #[must_use]
    pub fn xs(&self) -> &[f64] {
        &self.xs
    }

    /// Logarithms of the exceedances of knots, falling.
    #[must_use]
    pub fn logs(&self) -> &[f64] {
        &self.logs
    }

    /// Exceedances of a knot; of the second one of an atom, those beyond it.
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

    /// The number with this many exceedances. Exceedances that are exponential with
    /// mean one make it a draw of the law.
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
        // By rounding, the cell may be the next one after the true one.
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

    /// The slowest of `n` independent ones, `F^n`; `n` need not be a whole number.
    #[must_use]
    pub fn slowest_of(&self, n: f64) -> Self {
        let shift = libm::log(n);
        let logs = self.logs.iter().map(|log| log + shift).collect();
        Self::from_knots(self.xs.clone(), logs)
    }

    /// The slowest of all of several sets: n of each law, whose exceedances add up.
    ///
    /// # Panics
    /// Without any set.
    #[must_use]
    pub fn slowest_of_all(sets: &[(f64, &Curve)]) -> Self {
        if let [(n, curve)] = sets {
            return curve.slowest_of(*n);
        }
        let mut xs: Vec<f64> = sets
            .iter()
            .flat_map(|(_, curve)| &curve.xs)
            .copied()
            .collect();
        // The slowest is at least as slow as each set can be at best.
        let least = sets
            .iter()
            .map(|(_, curve)| curve.xs[0])
            .fold(0.0, f64::max);
        xs.retain(|&x| x >= least);
        let at = |x: f64| -> f64 { sets.iter().map(|(n, curve)| n * curve.exceedances(x)).sum() };
        let (xs, logs) = trace(xs, CURVE_LINE_TOLERANCE, 0.0, at);
        Self::from_knots(xs, logs)
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

    /// Atoms of the law: the first knot of each.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = usize> {
        (0..self.xs.len() - 1).filter(|&knot| {
            let (a, b) = (self.xs[knot], self.xs[knot + 1]);
            if b - a > ATOM_WIDTH * b {
                return false;
            }
            let (from, to) = (self.exceedances_of(knot), self.exceedances_of(knot + 1));
            -libm::exp(-to) * libm::expm1(to - from) > MIN_ATOM_PROBABILITY
        })
    }
}

/// Numbers from which on a law is traced: quantiles, octave by octave, and both
/// sides of where an atom or an end may be.
fn starts(law: &Law) -> Vec<f64> {
    let mut starts: Vec<f64> = (1..=LOWER_OCTAVES)
        .map(|octave| law.quantile(libm::ldexp(1.0, -octave)))
        .chain((1..=UPPER_OCTAVES).map(|octave| law.upper_quantile(libm::ldexp(1.0, -octave))))
        .collect();
    let least = starts.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = starts.iter().copied().fold(0.0, f64::max);
    starts.extend([least.next_down(), greatest.next_down(), greatest]);
    if let Law::Capped(capped) = law {
        starts.extend([capped.cap().next_down(), capped.cap()]);
    }
    starts
}
