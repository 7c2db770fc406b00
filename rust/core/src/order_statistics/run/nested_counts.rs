//! Which members of blocks can be the slowest, from counts of all.
//!
//! Ranks that share factors are positively associated: a set of them is below x at least as
//! often as if they were independent of each other. So the exceedances of all blocks lie
//! between those of the slowest member of each block and those of all members, each alone.

use std::ops::Range;

use crate::order_statistics::law::{AloneLaw, CERTAIN_OF_ALL_BLOCKS, Member};

/// Share of all exceedances by which members that are left out may change them.
const NEGLIGIBLE_SHARE: f64 = 1e-7;

/// Steps below the greatest factor, at most, that are counted. It may be that of a block that
/// is drawn separately, far above all others.
const MAX_STEPS: usize = 1 << 17;

/// Members of blocks by how far they lie below the greatest factor.
#[derive(Default)]
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
    /// Counts the members of one block.
    pub(super) fn add(&mut self, members: impl Iterator<Item = Member>) {
        let mut least = f64::INFINITY;
        for member in members {
            count(&mut self.all, member.shift);
            least = least.min(member.shift);
        }
        count(&mut self.slowest, libm::ceil(least));
    }

    /// Adds the counts of other blocks.
    pub(super) fn merge(&mut self, other: &Self) {
        for (counts, more) in [
            (&mut self.slowest, &other.slowest),
            (&mut self.all, &other.all),
        ] {
            if counts.len() < more.len() {
                counts.resize(more.len(), 0.0);
            }
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
        // So many steps before the end of the law nothing is exceeded.
        let n_before = self.slowest.iter().position(|&n| n > 0.0).unwrap_or(0);
        let mut falling = vec![0.0; n_before];
        let mut first = steps.end - n_before as i64;
        while first >= steps.start - self.slowest.len() as i64 {
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

/// Counts one more at so many steps, rounded down.
fn count(counts: &mut Vec<f64>, steps: f64) {
    let step = steps as usize;
    if step >= MAX_STEPS {
        return;
    }
    if counts.len() <= step {
        counts.resize(step + 1, 0.0);
    }
    counts[step] += 1.0;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A law that falls by a factor of e with each step, from certain on.
    fn law() -> AloneLaw {
        let exceedances = (0..100).map(|k| 64.0 * libm::exp(-f64::from(k)));
        AloneLaw::new(0, exceedances.collect())
    }

    fn member(shift: f64) -> Member {
        Member { rank: 0, shift }
    }

    #[test]
    fn the_first_step_is_one_at_which_the_slowest_of_all_is_certain() {
        let mut counts = NestedCounts::default();
        for _ in 0..1000 {
            counts.add([member(1.0), member(2.5)].into_iter());
        }
        let relevant = counts.relevant(&law());
        let of_slowest = |step: i64| 1000.0 * law().at(step + 1);
        assert!(of_slowest(relevant.first) >= CERTAIN_OF_ALL_BLOCKS);
        assert!(of_slowest(relevant.first + 1) < CERTAIN_OF_ALL_BLOCKS);
    }

    #[test]
    fn members_are_left_out_that_change_the_sum_by_next_to_nothing() {
        let mut counts = NestedCounts::default();
        counts.add([0.0, 15.0, 20.5, 30.0].map(member).into_iter());
        let mut others = NestedCounts::default();
        // A thousand that lie 25 steps below are as much as one 18 steps below.
        (0..1000).for_each(|_| others.add([member(25.2)].into_iter()));
        counts.merge(&others);
        let relevant = counts.relevant(&law());
        // exp(-20.5) of the sum is too little, and so is what lies below.
        assert_eq!(relevant.reach, 16.0);
        let mut alone = NestedCounts::default();
        alone.add([member(0.0), member(15.0), member(1e9)].into_iter());
        assert_eq!(alone.relevant(&law()).reach, 16.0);
    }

    #[test]
    fn members_without_slower_ones_are_never_left_out() {
        let mut counts = NestedCounts::default();
        // Not even where what is drawn separately is slower than they can ever be.
        (0..50).for_each(|_| counts.add([member(900.0)].into_iter()));
        let relevant = counts.relevant(&law());
        assert_eq!(relevant.reach, 901.0);
        assert!((-900..-800).contains(&relevant.first), "{relevant:?}");
    }
}
