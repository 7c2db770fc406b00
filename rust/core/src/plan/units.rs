//! Sets of units, by their numbers.

use std::ops::Range;
use std::sync::Arc;

use super::kinds::Scope;
use super::pool::Pool;

/// Numbers of some units of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// First and last numbers, ascending; no two ranges overlap.
    ranges: Arc<[(u32, u32)]>,
}

impl Units {
    /// The units from the first to the last number of each range.
    ///
    /// None where there is no range, or one whose last number is below its first.
    #[must_use]
    pub fn new(ranges: &[(u32, u32)]) -> Option<Self> {
        if ranges.is_empty() || ranges.iter().any(|&(first, last)| last < first) {
            return None;
        }
        let mut sorted = ranges.to_vec();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Some(Self {
            ranges: merged.into(),
        })
    }

    /// Whether a unit is one of them.
    #[must_use]
    pub fn holds(&self, unit: u32) -> bool {
        self.any_in(&(unit..unit.saturating_add(1)))
    }

    /// Whether any of some consecutive units is one of them.
    #[must_use]
    pub fn any_in(&self, units: &Range<u32>) -> bool {
        // The first range that does not end before these units.
        let next = self.ranges.partition_point(|&(_, last)| last < units.start);
        self.ranges
            .get(next)
            .is_some_and(|&(first, _)| !units.is_empty() && first < units.end)
    }

    /// Their share of a pool: of its replicas, or of its ranks.
    #[must_use]
    pub fn share(&self, scope: Scope, pool: &Pool) -> f64 {
        let (before, all): (&dyn Fn(u32) -> u32, u32) = match scope {
            Scope::Replica => (&|unit| unit.min(pool.n_replicas()), pool.n_replicas()),
            _ => (
                &|unit| pool.rank_from(pool.first_gpu(scope, unit)),
                pool.n_ranks(),
            ),
        };
        let sizes = self
            .ranges
            .iter()
            .map(|&(first, last)| u64::from(before(last.saturating_add(1)) - before(first)));
        sizes.sum::<u64>() as f64 / f64::from(all.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_ranges() {
        let ranges = [(17, 17), (3, 5), (5, 9), (18, 20), (100, 100)];
        let units = Units::new(&ranges).unwrap();
        let expected = |unit: u32| ranges.iter().any(|&(a, b)| (a..=b).contains(&unit));
        assert!((0..200).all(|unit| units.holds(unit) == expected(unit)));
        for start in 0..120 {
            for end in start..130 {
                assert_eq!(units.any_in(&(start..end)), (start..end).any(expected));
            }
        }
    }

    #[test]
    fn no_range_and_ranges_that_end_before_they_begin_are_no_units() {
        assert_eq!(Units::new(&[]), None);
        assert_eq!(Units::new(&[(2, 3), (5, 4)]), None);
    }
}
