//! Which members of blocks can be the slowest, from counts of all.
//!
//! Ranks that share factors are positively associated: a set of them is below x at least as
//! often as if they were independent of each other. So the exceedances of all blocks lie
//! between those of the slowest member of each block and those of all members, each alone.

use std::ops::Range;

use crate::order_statistics::law::{AloneLaw, CERTAIN_OF_ALL_BLOCKS, Member};

/// Share of all exceedances by which members that are left out may change them.
const NEGLIGIBLE_SHARE: f64 = 1e-7;

/// Members of blocks by how far they lie below the greatest factor.
pub(super) struct NestedCounts {
    /// The slowest member of each block, by whole steps rounded up.
    slowest: Vec<f64>,
    /// All members, by whole steps rounded down.
    all: Vec<f64>,
}

/// What matters for the slowest of all blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Relevant {
    /// A step at which some block is certain to exceed.
    pub(super) first: i64,
    /// Members that lie at least so many steps below the greatest factor do not matter.
    pub(super) reach: f64,
}

impl NestedCounts {
    /// None so far, of blocks with this law of one member.
    pub(super) fn new(alone: &AloneLaw) -> Self {
        let steps = alone.steps();
        // Of what lies further down not even the last step of the law is reached.
        let n = (steps.end - steps.start) as usize + 1;
        Self {
            slowest: vec![0.0; n],
            all: vec![0.0; n],
        }
    }

    /// Counts the members of one block.
    pub(super) fn add(&mut self, members: impl Iterator<Item = Member>) {
        let mut least = f64::INFINITY;
        for member in members {
            if let Some(count) = self.all.get_mut(member.shift as usize) {
                *count += 1.0;
            }
            least = least.min(member.shift);
        }
        if let Some(count) = self.slowest.get_mut(libm::ceil(least) as usize) {
            *count += 1.0;
        }
    }

    /// Adds the counts of other blocks.
    pub(super) fn merge(&mut self, other: &Self) {
        for (counts, more) in [
            (&mut self.slowest, &other.slowest),
            (&mut self.all, &other.all),
        ] {
            for (count, more) in counts.iter_mut().zip(more) {
                *count += more;
            }
        }
    }

    /// What matters of these blocks, with this law of one member.
    pub(super) fn relevant(&self, alone: &AloneLaw) -> Relevant {
        let steps = alone.steps();
        let at_least = |step: i64| -> f64 {
            let counts = self.slowest.iter().zip(step..steps.end);
            counts.map(|(n, step)| n * alone.at(step)).sum()
        };
        let mut falling = Vec::new();
        let mut first = steps.end;
        while first > steps.start - self.slowest.len() as i64 {
            first -= 1;
            falling.push(at_least(first));
            if falling.last().is_some_and(|&e| e >= CERTAIN_OF_ALL_BLOCKS) {
                break;
            }
        }
        let at_least: Vec<f64> = falling.into_iter().rev().collect();
        let mut left_out = vec![0.0; at_least.len()];
        let mut reach = self.all.len();
        while reach > 0 {
            let n = self.all[reach - 1];
            let is_negligible = n == 0.0
                || add(
                    alone,
                    first + reach as i64 - 1..steps.end,
                    n,
                    &mut left_out,
                    &at_least,
                );
            if !is_negligible {
                break;
            }
            reach -= 1;
        }
        Relevant {
            first,
            reach: reach as f64,
        }
    }
}

/// Adds n times the exceedances of one member at some steps to `left_out`; returns whether
/// all are still negligible against `of_all`.
fn add(alone: &AloneLaw, steps: Range<i64>, n: f64, left_out: &mut [f64], of_all: &[f64]) -> bool {
    let mut is_negligible = true;
    for ((sum, all), step) in left_out.iter_mut().zip(of_all).zip(steps) {
        *sum += n * alone.at(step);
        is_negligible &= *sum <= NEGLIGIBLE_SHARE * all;
    }
    is_negligible
}
