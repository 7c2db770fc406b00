//! The slowest where ranks share changing factors and differ in lasting ones:
//! each block has a law of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::grid::{CERTAIN, LogGrid, NEVER, PAD};
use super::members::product;
use super::parts::Level;
use super::pass::Passed;
use crate::control::Control;
use crate::curve::{Curve, exceedances};
use crate::error::Result;
use crate::kernel::tile::Draws;
use crate::plan::{Group, Scope};

/// Steps of ln x in the breadth of a level's law from 16% to 84%, at least.
const STEPS: f64 = 16.0;
/// Points of a law, at most.
const MOST_POINTS: f64 = 2048.0;
/// Blocks of one task.
const TASK: usize = 256;
/// Shares of a law that do not count.
const NOTHING: f64 = 1e-22;

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
    scope: Scope,
    /// From the second level on.
    outer: Vec<Shares>,
    /// First step of the slowest of all above the greatest factor, and how many.
    first: i64,
    n: usize,
}

impl Nested {
    pub(super) fn new(group: &Group, levels: &[Level]) -> Self {
        let n_ranks = f64::from(group.n_ranks());
        let breadth = |curve: &Curve| libm::log(curve.quantile(0.84) / curve.quantile(0.16));
        let reach = |curve: &Curve| {
            libm::log(curve.place(NEVER / n_ranks).x / curve.place(CERTAIN).x)
        };
        let narrow = levels
            .iter()
            .map(|level| breadth(&level.curve) / (2.0 * STEPS))
            .filter(|step| *step > 0.0)
            .fold(f64::INFINITY, f64::min);
        let coarse = levels.iter().map(|level| reach(&level.curve)).fold(0.0, f64::max);
        let step = narrow.min(1.0).max(coarse / MOST_POINTS).max(1e-9);
        let curve = &levels[0].curve;
        // A whole number of steps, so that all laws share a grid.
        let first = libm::floor(libm::log(curve.place(CERTAIN).x) / step);
        let narrowest = LogGrid::with_step(curve, n_ranks, first * step, step);
        let outer: Vec<Shares> = levels[1..]
            .iter()
            .map(|level| Shares::of(level, step))
            .collect();
        let low: i64 = first as i64 + outer.iter().map(|shares| shares.first).sum::<i64>();
        let n_outer: usize = outer.iter().map(|shares| shares.shares.len()).sum();
        Self {
            n: narrowest.exceedances.len() - PAD + n_outer,
            narrowest,
            scope: levels[0].scope,
            outer,
            first: low,
        }
    }

    pub(super) fn step(&self) -> f64 {
        self.narrowest.step
    }

    /// ln x of the first entry above the greatest factor.
    pub(super) fn first(&self) -> f64 {
        self.first as f64 * self.step()
    }

    /// Exceedances of the slowest of all blocks that are not drawn by
    /// themselves.
    pub(super) fn slowest(
        &self,
        group: &Group,
        passed: &Passed,
        lasting: &Draws,
        control: &Control,
    ) -> Result<Vec<f64>> {
        let greatest = f64::from(passed.greatest);
        let blocks = self.blocks(group);
        let mut sums = vec![0.0; self.n];
        for batch in blocks.chunks(64 * TASK) {
            let parts: Vec<Vec<f64>> = batch
                .par_chunks(TASK)
                .map(|blocks| {
                    let mut sums = vec![0.0; self.n];
                    for block in blocks {
                        if passed.apart.binary_search_by_key(&block.start, |b| b.start).is_ok() {
                            continue;
                        }
                        let factors: Vec<f32> = block
                            .clone()
                            .map(|rank| product(lasting, group, group.stretch(rank).0))
                            .collect();
                        let of = self.of_block(group, block, &factors, greatest, 0, self.n);
                        for (sum, exceedances) in sums.iter_mut().zip(of) {
                            *sum += exceedances;
                        }
                        control.advance(u64::from(block.end - block.start))?;
                    }
                    Ok(sums)
                })
                .collect::<Result<_>>()?;
            for part in parts {
                for (sum, more) in sums.iter_mut().zip(part) {
                    *sum += more;
                }
            }
        }
        for place in 1..sums.len() {
            sums[place] = sums[place].min(sums[place - 1]);
        }
        Ok(sums)
    }

    fn blocks(&self, group: &Group) -> Vec<Range<u32>> {
        let scope = self.outer.last().map_or(self.scope, |shares| shares.scope);
        units(group, scope, 0..group.n_ranks()).collect()
    }

    /// Exceedances of one block, at `n` steps from `from` on.
    pub(super) fn of_block(
        &self,
        group: &Group,
        block: &Range<u32>,
        factors: &[f32],
        greatest: f64,
        from: usize,
        n: usize,
    ) -> Vec<f64> {
        let unit = Unit {
            ranks: block.clone(),
            factors,
            greatest,
        };
        let first = self.first + from as i64;
        self.of_unit(group, self.outer.len(), &unit, first..first + n as i64)
    }

    /// Exceedances of a unit of some level at whole steps.
    fn of_unit(&self, group: &Group, level: usize, unit: &Unit, at: Range<i64>) -> Vec<f64> {
        let Some(shares) = level.checked_sub(1).map(|outer| &self.outer[outer]) else {
            return self.narrow(unit, at);
        };
        let n = (at.end - at.start) as usize;
        let m = shares.shares.len() as i64;
        // Of its members where the shared factor is taken out.
        let wider = at.start - shares.first - m + 1..at.end - shares.first;
        let scope = if level == 1 { self.scope } else { self.outer[level - 2].scope };
        let mut members = vec![0.0; (wider.end - wider.start) as usize];
        for ranks in units(group, scope, unit.ranks.clone()) {
            let places = (ranks.start - unit.ranks.start) as usize
                ..(ranks.end - unit.ranks.start) as usize;
            let member = Unit {
                ranks,
                factors: &unit.factors[places],
                greatest: unit.greatest,
            };
            let of = self.of_unit(group, level - 1, &member, wider.clone());
            for (sum, exceedances) in members.iter_mut().zip(of) {
                *sum += exceedances;
            }
        }
        let above: Vec<f64> = members.iter().map(|e| -libm::expm1(-e)).collect();
        (0..n)
            .map(|place| {
                let (mut sf, mut all) = (0.0, 0.0);
                // A factor of share k shifts by k steps.
                let shifted = above[place..place + m as usize].iter().rev();
                for (share, above) in shares.shares.iter().zip(shifted) {
                    sf += share * above;
                    all += share;
                }
                let sf = (sf / all).clamp(0.0, 1.0);
                exceedances(1.0 - sf, sf).min(CERTAIN)
            })
            .collect()
    }

    /// Exceedances of a unit of the narrowest level.
    fn narrow(&self, unit: &Unit, at: Range<i64>) -> Vec<f64> {
        let grid = &self.narrowest;
        let slowest = unit.factors.iter().copied().fold(0.0, f32::max);
        let shift = libm::log(unit.greatest / f64::from(slowest)).max(0.0) / grid.step;
        let start = libm::round(grid.first / grid.step) as i64;
        let entry = |index: i64| match index {
            ..0 => CERTAIN,
            index => grid.exceedances.get(index as usize).copied().unwrap_or(0.0),
        };
        let whole = libm::floor(shift);
        let (_, weights) = grid.around(shift - whole);
        at.map(|place| {
            let index = place - start + PAD as i64 + whole as i64 - 1;
            let four = (index..index + 4).map(entry).zip(weights);
            let sum: f64 = four.map(|(exceedances, weight)| exceedances * weight).sum();
            sum.clamp(0.0, CERTAIN)
        })
        .collect()
    }
}

/// A unit with the factors that last of its ranks.
struct Unit<'f> {
    ranks: Range<u32>,
    factors: &'f [f32],
    greatest: f64,
}

/// Units of a scope among some ranks.
fn units(group: &Group, scope: Scope, ranks: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut rank = ranks.start;
    std::iter::from_fn(move || {
        if rank >= ranks.end {
            return None;
        }
        let (_, end) = group.unit(scope, group.stretch(rank).0);
        let unit = rank..group.rank_from(end).max(rank + 1).min(ranks.end);
        rank = unit.end;
        Some(unit)
    })
}

impl Shares {
    /// Shares of a level's law, each number split between the four steps around
    /// it as cubics are.
    fn of(level: &Level, step: f64) -> Self {
        let curve = &level.curve;
        let ends = [curve.place(CERTAIN).x, curve.place(NOTHING).x];
        let [low, high] = ends.map(|x| libm::floor(libm::log(x) / step) as i64);
        let (first, n) = (low - 2, (high - low) as usize + 6);
        let mut shares = vec![0.0; n];
        const FINE: i64 = 8;
        let fine = step / FINE as f64;
        let at = |index: i64| curve.exceedances(libm::exp(index as f64 * fine)).min(CERTAIN);
        let mut before = CERTAIN;
        for index in low * FINE..(high + 1) * FINE + 1 {
            let after = at(index);
            let weight = -libm::exp(-after) * libm::expm1(after - before);
            before = after;
            let place = (index as f64 - 0.5) / FINE as f64 - first as f64;
            let whole = place as usize;
            let t = place - whole as f64;
            let cubic = [
                -t * (t - 1.0) * (t - 2.0) / 6.0,
                (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
                -(t + 1.0) * t * (t - 2.0) / 2.0,
                (t + 1.0) * t * (t - 1.0) / 6.0,
            ];
            for (share, part) in shares[whole - 1..].iter_mut().zip(cubic) {
                *share += weight * part;
            }
        }
        Self {
            scope: level.scope,
            first,
            shares,
        }
    }
}
