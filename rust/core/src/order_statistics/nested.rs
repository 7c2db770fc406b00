//! The slowest where ranks share changing factors and differ in lasting ones:
//! each block has a law of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::grid::{CERTAIN, LogGrid, NEVER, PAD, cubic};
use super::lasting::Lasting;
use super::parts::Level;
use super::pass::Passed;
use crate::control::Control;
use crate::curve::{Curve, exceedances};
use crate::error::Result;
use crate::plan::{Group, Scope};

/// Steps of ln x in a standard deviation of the narrowest law, or what is like
/// one.
const STEPS: f64 = 10.0;
/// Points of a law, at most.
const MOST_POINTS: f64 = 2048.0;
/// Blocks of one task.
const TASK: usize = 64;
/// Steps that are added to the law of the slowest at once, from the top down.
const CHUNK: usize = 64;
/// Exceedances of the slowest beyond this are as good as certain.
const ENOUGH: f64 = 40.0;
/// Shares of a level's law that do not count: below, and above.
const NO_LOWER: f64 = 1e-10;
const NO_UPPER: f64 = 1e-20;
/// Points between steps in the end, by cubics.
pub(super) const FINER: usize = 4;

/// A level's law as shares of even steps of ln x.
#[derive(Debug, Clone)]
struct Shares {
    scope: Scope,
    /// The first share's step.
    first: i64,
    shares: Vec<f64>,
}

/// Laws of all levels on one grid.
#[derive(Debug, Clone)]
pub(super) struct Nested {
    narrowest: LogGrid,
    /// Step of the grid's first entry after the padding.
    start: i64,
    scope: Scope,
    /// From the second level on.
    outer: Vec<Shares>,
    /// The last step above the greatest factor at which anything happens.
    top: i64,
}

/// Exceedances of the slowest of all blocks.
pub(super) struct Slowest {
    /// Step of the first one above the greatest factor.
    pub(super) first: i64,
    /// At whole steps.
    pub(super) exceedances: Vec<f64>,
}

impl Nested {
    /// Laws of levels; none where they jump or bend too much.
    pub(super) fn new(group: &Group, levels: &[Level]) -> Option<Self> {
        let n_ranks = f64::from(group.n_ranks());
        let breadth = |curve: &Curve| libm::log(curve.quantile(0.84) / curve.quantile(0.16));
        let reach =
            |curve: &Curve| libm::log(curve.place(NEVER / n_ranks).x / curve.place(ENOUGH).x);
        let widest = levels
            .iter()
            .map(|level| reach(&level.curve))
            .fold(0.0, f64::max);
        let narrowest = levels
            .iter()
            .map(|level| breadth(&level.curve))
            .fold(1.0, f64::min);
        let mut step = 0.5 * narrowest / STEPS;
        // Finer until all levels are followed; where they jump, none is.
        let follows = |step: f64| {
            let of = |level: &Level| {
                let first = libm::log(level.curve.place(ENOUGH).x);
                LogGrid::with_step(&level.curve, n_ranks, first, step)
            };
            let grids = levels.iter().map(of);
            grids.into_iter().all(|grid| grid.is_almost_smooth())
        };
        while step > 0.0 && widest / step <= MOST_POINTS && !follows(step) {
            step *= 0.5;
        }
        if !(step > 0.0 && widest / step <= MOST_POINTS) {
            return None;
        }
        let curve = &levels[0].curve;
        // A whole number of steps, so that all laws share a grid.
        let start = libm::floor(libm::log(curve.place(ENOUGH).x) / step);
        let narrowest = LogGrid::with_step(curve, n_ranks, start * step, step);
        let outer: Vec<Shares> = levels[1..]
            .iter()
            .map(|level| Shares::of(level, step))
            .collect();
        let last = |shares: &Shares| shares.first + shares.shares.len() as i64;
        let top = start as i64
            + (narrowest.exceedances.len() - PAD) as i64
            + outer.iter().map(last).sum::<i64>();
        Some(Self {
            narrowest,
            start: start as i64,
            scope: levels[0].scope,
            outer,
            top,
        })
    }

    pub(super) fn step(&self) -> f64 {
        self.narrowest.step
    }

    /// Exceedances of the slowest of all blocks that are not drawn by
    /// themselves, from where they are certain to where they never happen.
    pub(super) fn slowest(
        &self,
        group: &Group,
        passed: &Passed,
        lasting: &Lasting,
        control: &Control,
    ) -> Result<Slowest> {
        let greatest = f64::from(passed.greatest);
        let is_apart = |block: &Range<u32>| {
            let apart = passed
                .apart
                .binary_search_by_key(&block.start, |apart| apart.start);
            apart.is_ok()
        };
        let blocks: Vec<Range<u32>> = self
            .blocks(group)
            .filter(|block| !is_apart(block))
            .collect();
        let lowest = self.top - (64 * MOST_POINTS as i64);
        let (mut end, mut falling) = (self.top, Vec::new());
        loop {
            let at = end - CHUNK as i64..end;
            let sums = self.sums(group, &blocks, lasting, greatest, &at, control)?;
            falling.extend(sums.into_iter().rev());
            end = at.start;
            let highest = falling.last().copied().unwrap_or(0.0);
            if highest >= ENOUGH || end <= lowest {
                break;
            }
        }
        // Rounding must not make them fall towards certainty.
        for place in 1..falling.len() {
            falling[place] = falling[place].max(falling[place - 1]);
        }
        falling.reverse();
        Ok(Slowest {
            first: end,
            exceedances: falling,
        })
    }

    /// Exceedances of the slowest of some blocks at whole steps.
    fn sums(
        &self,
        group: &Group,
        blocks: &[Range<u32>],
        lasting: &Lasting,
        greatest: f64,
        at: &Range<i64>,
        control: &Control,
    ) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; CHUNK];
        for batch in blocks.chunks(256 * TASK) {
            let parts: Vec<Vec<f64>> = batch
                .par_chunks(TASK)
                .map(|blocks| {
                    let mut sums = vec![0.0; CHUNK];
                    for block in blocks {
                        let factors = lasting.factors(block.clone());
                        self.add_block(group, block, &factors, greatest, at, &mut sums);
                    }
                    control.advance(0)?;
                    Ok(sums)
                })
                .collect::<Result<_>>()?;
            for part in parts {
                for (sum, more) in sums.iter_mut().zip(part) {
                    *sum += more;
                }
            }
        }
        Ok(sums)
    }

    fn blocks(&self, group: &Group) -> impl Iterator<Item = Range<u32>> {
        let scope = self.outer.last().map_or(self.scope, |shares| shares.scope);
        group.units_of(scope, 0..group.n_ranks())
    }

    /// Adds the exceedances of one block at whole steps.
    pub(super) fn add_block(
        &self,
        group: &Group,
        block: &Range<u32>,
        factors: &[f32],
        greatest: f64,
        at: &Range<i64>,
        sums: &mut [f64],
    ) {
        let unit = Unit {
            ranks: block.clone(),
            factors,
            greatest,
        };
        self.add_unit(group, self.outer.len(), &unit, at, sums);
    }

    /// Adds the exceedances of a unit of some level at whole steps.
    fn add_unit(
        &self,
        group: &Group,
        level: usize,
        unit: &Unit,
        at: &Range<i64>,
        sums: &mut [f64],
    ) {
        let Some(shares) = level.checked_sub(1).map(|outer| &self.outer[outer]) else {
            self.add_narrow(unit, at, sums);
            return;
        };
        let m = shares.shares.len();
        // Of its members where the shared factor is taken out.
        let wider = at.start - shares.first - m as i64 + 1..at.end - shares.first;
        let scope = if level == 1 {
            self.scope
        } else {
            self.outer[level - 2].scope
        };
        let mut members = vec![0.0; (wider.end - wider.start) as usize];
        for ranks in group.units_of(scope, unit.ranks.clone()) {
            let places =
                (ranks.start - unit.ranks.start) as usize..(ranks.end - unit.ranks.start) as usize;
            let member = Unit {
                ranks,
                factors: &unit.factors[places],
                greatest: unit.greatest,
            };
            self.add_unit(group, level - 1, &member, &wider, &mut members);
        }
        for exceedances in &mut members {
            *exceedances = probability(*exceedances);
        }
        let mut above = vec![0.0; sums.len()];
        for (k, share) in shares.shares.iter().enumerate() {
            // A factor of share k shifts by k steps.
            let shifted = &members[m - 1 - k..];
            for (sum, member) in above.iter_mut().zip(shifted) {
                *sum += share * member;
            }
        }
        for (sum, sf) in sums.iter_mut().zip(above) {
            let sf = sf.clamp(0.0, 1.0);
            *sum += exceedances(1.0 - sf, sf).min(CERTAIN);
        }
    }

    /// Adds the exceedances of a unit of the narrowest level.
    fn add_narrow(&self, unit: &Unit, at: &Range<i64>, sums: &mut [f64]) {
        let grid = &self.narrowest;
        let slowest = unit.factors.iter().copied().fold(0.0, f32::max);
        let shift = libm::log(unit.greatest / f64::from(slowest)).max(0.0) / grid.step;
        let whole = libm::floor(shift);
        let (_, weights) = grid.around(shift - whole);
        // The grid's entry of the first of four, for the first step.
        let first = at.start - self.start + PAD as i64 + whole as i64 - 1;
        let n_certain = (-first).clamp(0, sums.len() as i64) as usize;
        let (certain, others) = sums.split_at_mut(n_certain);
        certain.iter_mut().for_each(|sum| *sum += CERTAIN);
        let from = (first + n_certain as i64) as usize;
        let rest = grid.exceedances.get(from..).unwrap_or(&[]);
        for (sum, four) in others.iter_mut().zip(rest.windows(4)) {
            let part = four[0] * weights[0]
                + four[1] * weights[1]
                + four[2] * weights[2]
                + four[3] * weights[3];
            *sum += part.max(0.0);
        }
    }
}

/// Probability that so many exceedances are any.
fn probability(exceedances: f64) -> f64 {
    if exceedances < 1e-4 {
        return exceedances * (1.0 - exceedances * (0.5 - exceedances / 6.0));
    }
    -libm::expm1(-exceedances)
}

/// A unit with the factors that last of its ranks.
struct Unit<'f> {
    ranks: Range<u32>,
    factors: &'f [f32],
    greatest: f64,
}

impl Shares {
    /// Shares of a level's law, each number split between the four steps around
    /// it as cubics are.
    fn of(level: &Level, step: f64) -> Self {
        let curve = &level.curve;
        let ends = [curve.quantile(NO_LOWER), curve.upper_quantile(NO_UPPER)];
        let [low, high] = ends.map(|x| libm::floor(libm::log(x) / step) as i64);
        let (first, n) = (low - 2, (high - low) as usize + 6);
        let mut shares = vec![0.0; n];
        const FINE: i64 = 8;
        let fine = step / FINE as f64;
        let at = |index: i64| {
            curve
                .exceedances(libm::exp(index as f64 * fine))
                .min(CERTAIN)
        };
        let mut before = CERTAIN;
        for index in low * FINE..(high + 1) * FINE + 1 {
            let after = at(index);
            let weight = -libm::exp(-after) * libm::expm1(after - before);
            before = after;
            let place = (index as f64 - 0.5) / FINE as f64 - first as f64;
            let whole = place as usize;
            let t = place - whole as f64;
            for (share, part) in shares[whole - 1..].iter_mut().zip(cubic(t)) {
                *share += weight * part;
            }
        }
        let all: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= all);
        Self {
            scope: level.scope,
            first,
            shares,
        }
    }
}

/// Numbers at whole steps as cubics go through them, `FINER` to a step.
pub(super) fn finer(numbers: &[f64]) -> Vec<f64> {
    let n = numbers.len();
    let at = |index: i64| numbers[index.clamp(0, n as i64 - 1) as usize];
    let mut fine = Vec::with_capacity(FINER * n);
    for index in 0..n as i64 - 1 {
        let four = [-1, 0, 1, 2].map(|k| at(index + k));
        let [low, high] = [four[1].min(four[2]), four[1].max(four[2])];
        for part in 0..FINER {
            let weights = cubic(part as f64 / FINER as f64);
            let number: f64 = weights.iter().zip(four).map(|(w, x)| w * x).sum();
            // Between its neighbours, whatever cubics do at the ends.
            fine.push(number.clamp(low, high));
        }
    }
    fine.extend(numbers.last());
    fine
}
