//! Probabilities as exact comparisons of 64-bit numbers.

use std::cmp::Ordering;

/// A probability as the share of all 64-bit numbers from 0 up to some last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// The greatest number of the share.
    last: u64,
}

impl Share {
    /// All numbers.
    pub(super) const ALL: Self = Self { last: u64::MAX };

    /// The share that makes up `probability`; none where that is below 2^-64.
    pub(super) fn new(probability: f64) -> Option<Self> {
        let count = libm::ldexp(probability, 64) as u128;
        let last = count.checked_sub(1)?;
        Some(Self { last: last as u64 })
    }

    /// The probability, rounded to what it makes up.
    pub(super) fn probability(self) -> f64 {
        libm::ldexp((u128::from(self.last) + 1) as f64, -64)
    }

    /// Whether a number whose upper half is `word` may be in the share.
    #[inline(always)]
    pub(super) fn may_hold(self, word: u32) -> bool {
        u64::from(word) <= self.last >> 32
    }

    /// Whether the number with upper half `word` and lower half `refine()` is in the share;
    /// the lower half is made only where the upper one ties.
    #[inline(always)]
    pub(super) fn holds(self, word: u32, refine: impl FnOnce() -> u32) -> bool {
        let (upper, lower) = (self.last >> 32, self.last & u64::from(u32::MAX));
        match u64::from(word).cmp(&upper) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => u64::from(refine()) <= lower,
        }
    }
}
