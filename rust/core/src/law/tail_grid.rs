//! The grid of tail probabilities that tables and tabulated laws have their
//! knots on, and how well straight lines between its points follow a law.
//!
//! Each side of the median has [`OCTAVES`] octaves of tail probability, 2^-65
//! to 1/2, cut into equal bins whose number is a power of two. So the exponent
//! and the leading mantissa bits of a probability are the index of its bin.

/// Octaves of tail probability on each side: 2^-65 to 2^-1.
pub const OCTAVES: usize = 64;

/// The smallest tail probability that a draw can have: 2^-65, half of the
/// smallest step of a word with its 32 more bits.
pub const SMALLEST_TAIL: f64 = 1.0 / (1_u128 << 65) as f64;

/// Fewest bins per octave of a table or of a tabulated law.
pub const MIN_BINS: usize = 32;
/// Most bins per octave; a law that bends more than these follow is refused.
pub const MAX_BINS: usize = 512;

/// Greatest [`straight_line_miss`] between two knots of a table: nine tenths of
/// the 1e-5 that tables promise, because rounding to f32 takes the rest.
pub const TABLE_LINE_TOLERANCE: f64 = 0.9e-5;

/// Tail probability of point `index` of the grid with `bins` per octave, from
/// 2^-65 (index 0) to 1/2 (index `64 bins`).
#[must_use]
pub fn tail_probability(bins: usize, index: usize) -> f64 {
    let mantissa = 1.0 + (index % bins) as f64 / bins as f64;
    mantissa * octave_start(index / bins)
}

/// Tail probability at which an octave begins: 2^-65 for the first one.
#[must_use]
pub(super) fn octave_start(octave: usize) -> f64 {
    // Put together from its bits: exact, and cheaper than a power.
    f64::from_bits((1023 - 65 + octave as u64) << 52)
}

/// How far a straight line between the quantiles `a` at tail probability `low`
/// and `b` at `high` misses the quantile `x` at `p`.
///
/// In units of `x` plus what a relative change of `p` by one moves it by: the
/// contract of tables allows for the same relative error in the value and in
/// its probability.
#[must_use]
pub fn straight_line_miss((low, a): (f64, f64), (high, b): (f64, f64), (p, x): (f64, f64)) -> f64 {
    let slope = (b - a) / (high - low);
    let line = a + slope * (p - low);
    (line - x).abs() / (x + p * slope.abs())
}
