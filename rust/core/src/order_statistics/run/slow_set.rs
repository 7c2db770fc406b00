//! Which ranks of a pool are persistently slow.

use std::ops::Range;

/// Ranks whose persistent factors reach a limit.
#[derive(Debug, Clone, Default)]
pub struct SlowSet {
    /// No rank that is not in the set has a greater factor.
    greatest_of_others: f32,
    /// A bit for each rank, from the first one on.
    bits: Vec<u64>,
}

impl SlowSet {
    /// The ranks of some factors that are at least `limit`.
    pub fn of(factors: &[f32], limit: f32) -> Self {
        let bits = factors.chunks(u64::BITS as usize).map(|few| {
            let bits = few.iter().rev();
            bits.fold(0, |bits, &factor| bits << 1 | u64::from(factor >= limit))
        });
        Self {
            greatest_of_others: limit,
            bits: bits.collect(),
        }
    }

    /// Adds the set of the ranks that come next: those before are a multiple of 64.
    pub fn extend(&mut self, next: Self) {
        self.greatest_of_others = self.greatest_of_others.max(next.greatest_of_others);
        self.bits.extend(next.bits);
    }

    /// What the factor of a rank does not exceed, where `greatest` is the greatest of all.
    pub fn bound(&self, rank: u32, greatest: f32) -> f32 {
        let bits = self.bits[(rank / u64::BITS) as usize];
        if bits >> (rank % u64::BITS) & 1 == 1 {
            greatest
        } else {
            self.bound_of_others(greatest)
        }
    }

    /// Whether any of some ranks is in the set.
    pub fn has_any(&self, ranks: &Range<u32>) -> bool {
        let (first, last) = (ranks.start / u64::BITS, ranks.end.div_ceil(u64::BITS));
        (first..last).any(|word| {
            let start = ranks.start.saturating_sub(word * u64::BITS);
            let end = (ranks.end - word * u64::BITS).min(u64::BITS);
            let mask = u64::MAX >> (u64::BITS - (end - start)) << start;
            self.bits[word as usize] & mask != 0
        })
    }

    /// What the factors of ranks that are not in the set do not exceed.
    pub fn bound_of_others(&self, greatest: f32) -> f32 {
        self.greatest_of_others.min(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_the_limit_for_ranks_below_it_only() {
        let factors: Vec<f32> = (0..200)
            .map(|k| 1.0 + ((k * 37) % 100) as f32 / 1e3)
            .collect();
        let mut set = SlowSet::of(&factors[..128], 1.05);
        set.extend(SlowSet::of(&factors[128..], 1.06));
        for (rank, &factor) in factors.iter().enumerate() {
            let limit = if rank < 128 { 1.05 } else { 1.06 };
            let bound = set.bound(rank as u32, 1.099);
            assert_eq!(bound, if factor >= limit { 1.099 } else { 1.06 }, "{rank}");
            assert!(factor <= bound);
        }
        assert_eq!(set.bound(0, 1.02), 1.02);
        for (start, end) in [(0, 3), (60, 70), (100, 200), (127, 129), (5, 6), (6, 7)] {
            let any = (start..end).any(|rank| set.bound(rank, 1.099) == 1.099);
            assert_eq!(set.has_any(&(start..end)), any, "{start}..{end}");
        }
    }
}
