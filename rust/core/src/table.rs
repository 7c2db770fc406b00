//! Laws compiled into tables that a kernel reads.
//!
//! A table gives the value of a 32-bit word by one linear interpolation in
//! f32. A word orders its value: the lower half of all words is the lower side
//! of the law, with the word as the magnitude of its tail probability; the
//! upper half is the upper side, with the complement as the magnitude. A tail
//! probability is `(magnitude + 1/2) / 2^32`; a magnitude below 2^16 takes 32
//! more bits.
//!
//! The contract: for a tail probability p in `[2^-65, 1/2]` on either side the
//! value lies between the quantiles at `p (1 - 1e-5)` and `p (1 + 1e-5)`, give
//! or take 1e-5 of itself, and values never fall as words rise, bit by bit.

use crate::error::{Error, Result};
use crate::law::{
    Distribution, Empirical, Law, MAX_BINS, MIN_BINS, Quantiles, TABLE_LINE_TOLERANCE,
    straight_line_miss,
};

/// Magnitudes below this take 32 more bits.
pub const REFINED_BELOW: u32 = 1 << 16;

/// 2^-32, the tail probability of one unit of magnitude.
const UNIT: f64 = 1.0 / 4_294_967_296.0;
/// 2^-32 again, as the size of one refined unit in plain units.
const REFINED_UNIT: f32 = 1.0 / 4_294_967_296.0;

/// How tail probabilities map to knots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grid {
    /// Log-spaced: the exponent and `bits` leading mantissa bits of the tail
    /// probability are the index.
    Octaves { bits: u32 },
    /// Evenly spaced: `gaps` knots to one unit of magnitude. The law's median
    /// lies between two knots, so both sides stop at it.
    Even { gaps: f32, median: f32 },
}

/// A law as f32 knots over both tails.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    grid: Grid,
    /// The lower side's knots, then the upper side's.
    knots: Vec<f32>,
    /// Knots of one side. A tail of 2^-33 to 2^31 units falls on one of the
    /// first `side - 1` of them, so that there is always a next one: with
    /// octaves on 0 to 64 bins of 64 bins + 2, with samples on 0 to half of
    /// the gaps, rounded down, of that + 2. Both sides together are fewer
    /// than 2^31. Kernels rest on this.
    side: usize,
    cap: f32,
}

impl Table {
    /// Compiles a law that is no mixture; a mixture's components have tables
    /// of their own.
    ///
    /// # Errors
    /// [`Error::Domain`] if the law is not drawable
    /// ([`Law::check_drawable`]), or bends more than 512 bins per octave can
    /// follow.
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

    /// Log-spaced table; an extra knot stands for the bin that begins at 1/2.
    fn octaves(bins: usize, [lower, upper]: &[Vec<f64>; 2]) -> Self {
        let mut knots = Vec::with_capacity(2 * (lower.len() + 1));
        // Both sides meet in one number. Where a law is narrow, the last digits
        // of neighbours may be in disorder.
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

    /// Evenly spaced table whose knots are the samples themselves.
    fn even(law: &Empirical) -> Self {
        let samples = law.samples();
        let gaps = samples.len() - 1;
        // Each side reaches half of the gaps, and one knot beyond.
        let side = gaps / 2 + 2;
        let lower = (0..side).map(|index| samples[index.min(gaps)]);
        let upper = (0..side).map(|index| samples[gaps - index.min(gaps)]);
        Self {
            grid: Grid::Even {
                gaps: (as_f64(gaps) * UNIT) as f32,
                median: to_f32(law.quantile(0.5)),
            },
            knots: lower.chain(upper).map(to_f32).collect(),
            side,
            cap: f32::INFINITY,
        }
    }

    /// Value of `word`; `refine` gives the 32 more bits where they are due.
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

    /// Value at a tail probability in units of 2^-32.
    #[inline(always)]
    fn at(&self, upper: bool, tail: f32) -> f32 {
        let first = if upper { self.side } else { 0 };
        match self.grid {
            Grid::Octaves { bits } => {
                let tail = tail.to_bits();
                let shift = 23 - bits;
                // 94 is the biased exponent of 2^-33 units, that is 2^-65.
                let index = (tail >> shift) - (94 << bits);
                let rest = tail & ((1 << shift) - 1);
                let place = rest as i32 as f32 * f32::from_bits((127 - shift) << 23);
                let (a, b) = self.bin(first + index as usize);
                let value = a + (b - a) * place;
                // Rounding may carry a value over its bin's end.
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

    /// A value that no word at or below `word` exceeds, whatever its further
    /// bits.
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

/// Whether a word lies on the upper side.
#[must_use]
#[inline(always)]
pub fn is_upper(word: u32) -> bool {
    word >> 31 == 1
}

/// The magnitude of a word's tail probability, below 2^31.
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

fn interleave(knots: &[f64], halfway: &[f64]) -> Vec<f64> {
    let mut all = Vec::with_capacity(knots.len() + halfway.len());
    for (knot, middle) in knots.iter().zip(halfway) {
        all.extend([*knot, *middle]);
    }
    all.push(knots[knots.len() - 1]);
    all
}

/// Whether no straight line between knots misses the point halfway by too much.
fn is_straight(bins: usize, knots: &[f64], halfway: &[f64]) -> bool {
    // The rule knows no scale of the probability: each octave is like [1, 2].
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
            // Knots above the range of f32 may be infinite; they lie above the
            // cap.
            miss.is_nan() || miss <= TABLE_LINE_TOLERANCE
        })
    })
}

/// Rounds to f32; what lies above a cap may be too great for it.
fn to_f32(x: f64) -> f32 {
    (x as f32).min(f32::MAX)
}

fn as_f64(count: usize) -> f64 {
    count as f64
}
