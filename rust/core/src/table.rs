//! Laws compiled into tables of f32 knots, which turn random words into values.
//!
//! # From a word to a value
//! A word orders its value, so that a greater word has no smaller value, and
//! needs no conversion to a uniform number:
//!
//! | words | side | magnitude m |
//! |---|---|---|
//! | below 2^31 | lower | the word |
//! | 2^31 and above | upper | the complement of the word |
//!
//! The tail probability of the side is `(m + 1/2) / 2^32`. A magnitude below
//! 2^16 has too few bits for its place in the tail and takes 32 more, the refine
//! word b: `(m 2^32 + b + 1/2) / 2^64`, down to 2^-65. The value is the side's
//! quantile at that tail probability, by one linear interpolation in f32 between
//! two knots.
//!
//! # Contract
//! For a tail probability p in `[2^-65, 1/2]` on either side the value lies
//! between the quantiles at `p (1 - 1e-5)` and `p (1 + 1e-5)`, give or take 1e-5
//! of itself. Values never fall as words rise, bit by bit, which searches for
//! the slowest rank rely on. Every step of [`Table::value`] is an operation that
//! IEEE 754 rounds correctly, and no product is fused with a sum, so that all
//! instruction sets give the same bits.

use std::sync::LazyLock;

use crate::error::{Error, Result};
use crate::law::{
    Distribution, Empirical, Exponential, Law, MAX_BINS, MIN_BINS, Quantiles, TABLE_LINE_TOLERANCE,
    straight_line_miss,
};

/// Magnitudes below this take 32 more bits. From here on each bin of the finest
/// table, 1/512 octave, has 128 words or more.
pub const REFINED_BELOW: u32 = 1 << 16;

/// Tail probability of one unit of magnitude, 2^-32.
const MAGNITUDE_UNIT: f64 = 1.0 / 4_294_967_296.0;
/// One unit of a refined magnitude in units of a plain one, 2^-32.
const REFINED_UNIT: f32 = 1.0 / 4_294_967_296.0;

/// How tail probabilities map to knots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grid {
    /// Log-spaced: the exponent and the `bits` leading mantissa bits of the tail
    /// probability as an f32 are the index, the other mantissa bits the place
    /// between two knots. So no logarithm and no search is needed.
    Octaves { bits: u32 },
    /// Evenly spaced, for samples: `gaps` knots to one unit of magnitude. The
    /// law's median may lie between two knots, so both sides stop at it.
    Even { gaps: f32, median: f32 },
}

/// A law as f32 knots over both tails; see the [module](self) for its contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    grid: Grid,
    /// The lower side's knots, then the upper side's.
    knots: Vec<f32>,
    /// Knots of one side. A tail of 2^-33 to 2^31 units falls on one of the
    /// first `side - 1` of them, so that there is always a next one: with
    /// octaves on 0 to 64 bins of 64 bins + 2, with samples on 0 to half of
    /// the gaps, rounded down, of that + 2. Both sides together are fewer
    /// than 2^31. Vector kernels read knots without a check of bounds and rest
    /// on this.
    side: usize,
    /// Greatest value, infinite without a cap. Values are capped rather than
    /// knots, so that the kink at the cap is exact.
    cap: f32,
}

impl Table {
    /// Compiles a law that is no mixture; a mixture's components have tables
    /// of their own.
    ///
    /// # Errors
    /// [`Error::Domain`] if f32 does not hold the law
    /// ([`Distribution::check_drawable`]), or if it bends more than 512 bins per
    /// octave can follow.
    pub fn compile(law: &Law) -> Result<Self> {
        law.check_drawable()?;
        match law {
            Law::Capped(capped) => {
                let table = Self::compile_uncapped(capped.law())?;
                let cap = capped.cap() as f32;
                Ok(Self { cap, ..table })
            }
            law => Self::compile_uncapped(law),
        }
    }

    /// The table of a law whose cap does not count: as few bins as follow it,
    /// doubled until they do.
    fn compile_uncapped(law: &Law) -> Result<Self> {
        if let Law::Empirical(empirical) = law {
            return Ok(Self::even(empirical));
        }
        let fewest = match law {
            Law::Tabulated(tabulated) => tabulated.bins(),
            _ => MIN_BINS,
        };
        let quantiles = Quantiles::of(law);
        let mut sides = quantiles.on_grid(fewest);
        let mut bins = fewest;
        loop {
            // The points halfway between knots judge this grid, and are the
            // knots that the next one adds.
            let halfway = quantiles.halfway(bins);
            let straight = sides
                .iter()
                .zip(&halfway)
                .all(|(knots, halfway)| is_straight(bins, knots, halfway));
            if straight {
                return Ok(Self::octaves(bins, &sides));
            }
            if bins == MAX_BINS {
                let (field, value) = law.bend();
                return Err(Error::domain(
                    field,
                    value,
                    "less extreme: a table of 512 bins per octave cannot follow the law",
                ));
            }
            for (knots, halfway) in sides.iter_mut().zip(&halfway) {
                *knots = interleave(knots, halfway);
            }
            bins *= 2;
        }
    }

    /// Log-spaced table. The tail probability 1/2 itself begins a bin, whose end
    /// is an extra knot with the median's value.
    fn octaves(bins: usize, [lower, upper]: &[Vec<f64>; 2]) -> Self {
        let mut knots = Vec::with_capacity(2 * (lower.len() + 1));
        // Both sides meet in one number, and knots never fall: where a law is
        // narrow, the last digits of its quantiles may be in disorder.
        let middle = to_f32(lower[lower.len() - 1]);
        let mut last = 0.0_f32;
        for &knot in lower {
            last = last.max(to_f32(knot).min(middle));
            knots.push(last);
        }
        knots.push(middle);
        last = f32::MAX;
        for &knot in upper {
            last = last.min(to_f32(knot).max(middle));
            knots.push(last);
        }
        let end = knots.len();
        knots[end - 1] = middle;
        knots.push(middle);
        Self {
            grid: Grid::Octaves {
                bits: bins.trailing_zeros(),
            },
            side: lower.len() + 1,
            knots,
            cap: f32::INFINITY,
        }
    }

    /// Evenly spaced table whose knots are the samples themselves, because the
    /// quantile function bends at samples and nowhere else.
    fn even(law: &Empirical) -> Self {
        let samples = law.samples();
        let gaps = samples.len() - 1;
        // Each side reaches half of the gaps, and one knot beyond.
        let side = gaps / 2 + 2;
        let lower = (0..side).map(|index| samples[index.min(gaps)]);
        let upper = (0..side).map(|index| samples[gaps - index.min(gaps)]);
        Self {
            grid: Grid::Even {
                gaps: (as_f64(gaps) * MAGNITUDE_UNIT) as f32,
                median: to_f32(law.quantile(0.5)),
            },
            knots: lower.chain(upper).map(to_f32).collect(),
            side,
            cap: f32::INFINITY,
        }
    }

    /// Value of `word`; `refine` is called for the 32 more bits of one word in
    /// 2^15.
    #[must_use]
    #[inline]
    pub fn value(&self, word: u32, refine: impl FnOnce() -> u32) -> f32 {
        let magnitude = magnitude(word);
        if magnitude >= REFINED_BELOW {
            return self.coarse_value(word);
        }
        let refined = u64::from(magnitude) << 32 | u64::from(refine());
        self.at(is_upper(word), (refined as f32 + 0.5) * REFINED_UNIT)
    }

    /// Value of a word whose magnitude needs no more bits.
    #[must_use]
    #[inline(always)]
    pub fn coarse_value(&self, word: u32) -> f32 {
        self.at(is_upper(word), magnitude(word) as i32 as f32 + 0.5)
    }

    /// Value at a tail probability in units of 2^-32, the same arithmetic that
    /// vector kernels do.
    #[inline(always)]
    fn at(&self, upper: bool, tail: f32) -> f32 {
        let first = if upper { self.side } else { 0 };
        match self.grid {
            Grid::Octaves { bits } => {
                let tail = tail.to_bits();
                let shift = 23 - bits;
                // 94 is the biased exponent of 2^-33 units, that is 2^-65, where
                // the first octave begins.
                let index = (tail >> shift) - (94 << bits);
                // The mantissa bits below the index times 2^-shift, both exact.
                // Signed, because AVX2 converts no unsigned integers.
                let rest = tail & ((1 << shift) - 1);
                let place = rest as i32 as f32 * f32::from_bits((127 - shift) << 23);
                let (a, b) = self.bin(first + index as usize);
                let value = a + (b - a) * place;
                // Rounding may carry a value over its bin's end, beyond the least
                // value of the next bin.
                (if upper { value.max(b) } else { value.min(b) }).min(self.cap)
            }
            Grid::Even { gaps, median } => {
                let place = tail * gaps;
                let index = place as i32;
                let (a, b) = self.bin(first + index as usize);
                let value = a + (b - a) * (place - index as f32);
                let value = if upper {
                    value.max(b).max(median)
                } else {
                    value.min(b).min(median)
                };
                value.min(self.cap)
            }
        }
    }

    #[inline(always)]
    fn bin(&self, index: usize) -> (f32, f32) {
        (self.knots[index], self.knots[index + 1])
    }

    /// How tail probabilities map to knots.
    pub(crate) fn grid(&self) -> Grid {
        self.grid
    }

    /// The lower side's knots, then the upper side's.
    pub(crate) fn knots(&self) -> &[f32] {
        &self.knots
    }

    /// Knots of one side.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// Greatest value.
    pub(crate) fn cap(&self) -> f32 {
        self.cap
    }

    /// A value that no word at or below `word` exceeds, whatever its 32 more bits:
    /// those of the greatest value.
    #[must_use]
    pub fn bound(&self, word: u32) -> f32 {
        self.value(word, || if is_upper(word) { 0 } else { u32::MAX })
    }

    /// Bins per octave, or none where the knots are samples.
    #[must_use]
    pub fn bins(&self) -> Option<u32> {
        match self.grid {
            Grid::Octaves { bits } => Some(1 << bits),
            Grid::Even { .. } => None,
        }
    }
}

/// The exponential law with mean one, of the gaps between points of a Poisson process.
static UNIT_EXPONENTIAL: LazyLock<Table> = LazyLock::new(|| {
    let law = Exponential::new(1.0, 0.0).map(Law::Exponential);
    let table = law.and_then(|law| Table::compile(&law));
    table.unwrap_or_else(|error| unreachable!("{error}"))
});

/// The table of the exponential law with mean one.
#[must_use]
pub fn unit_exponential() -> &'static Table {
    &UNIT_EXPONENTIAL
}

/// Whether a word lies on the upper side.
#[must_use]
#[inline(always)]
pub fn is_upper(word: u32) -> bool {
    word >> 31 == 1
}

/// The magnitude of a word's tail probability, below 2^31: the word, or its
/// complement on the upper side, without a branch.
#[must_use]
#[inline(always)]
pub fn magnitude(word: u32) -> u32 {
    word ^ ((word as i32 >> 31) as u32)
}

/// Whether a word takes 32 more bits.
#[must_use]
#[inline(always)]
pub fn is_refined(word: u32) -> bool {
    magnitude(word) < REFINED_BELOW
}

/// Knots of a grid and the points halfway between them: the grid of twice the
/// bins.
fn interleave(knots: &[f64], halfway: &[f64]) -> Vec<f64> {
    let mut all = Vec::with_capacity(knots.len() + halfway.len());
    for (knot, middle) in knots.iter().zip(halfway) {
        all.extend([*knot, *middle]);
    }
    all.push(knots[knots.len() - 1]);
    all
}

/// Whether straight lines between knots are close enough to the law at the points
/// halfway, where they miss a smooth law most.
fn is_straight(bins: usize, knots: &[f64], halfway: &[f64]) -> bool {
    // The miss has no unit of probability: each octave is judged like [1, 2].
    let mantissa = |half_bin: usize| 1.0 + half_bin as f64 / (2 * bins) as f64;
    let octaves = knots
        .windows(bins + 1)
        .step_by(bins)
        .zip(halfway.chunks(bins));
    octaves.into_iter().all(|(knots, halfway)| {
        (0..bins).all(|bin| {
            let start = (mantissa(2 * bin), knots[bin]);
            let end = (mantissa(2 * bin + 2), knots[bin + 1]);
            let miss = straight_line_miss(start, end, (mantissa(2 * bin + 1), halfway[bin]));
            // Above a cap quantiles may overflow to infinity, whose miss is NaN;
            // no value comes from there.
            miss.is_nan() || miss <= TABLE_LINE_TOLERANCE
        })
    })
}

/// Rounds to f32. What lies above a cap may be too great for it and is held at
/// its greatest number, because an infinite knot would make its line NaN.
fn to_f32(x: f64) -> f32 {
    (x as f32).min(f32::MAX)
}

fn as_f64(count: usize) -> f64 {
    count as f64
}
