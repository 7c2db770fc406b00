//! What kernels read and write: numbers of 64 units over the four steps of a
//! quad.

use crate::random::Stream;

/// Units of a tile.
pub const TILE_UNITS: usize = 64;
/// Steps of a quad: an address has four words, one for each of them.
pub const QUAD_STEPS: usize = 4;

/// Units, not necessarily consecutive, whose words are made in one call.
pub const SCATTERED_UNITS: usize = 16;
/// Words of such units, as `[step][unit]`.
pub type ScatteredWords = [[u32; SCATTERED_UNITS]; QUAD_STEPS];

/// Gangs whose schedules are walked in one call.
pub const WALK_LANES: usize = 16;

/// One number for each of 64 consecutive units in each of four consecutive
/// steps, as `[step][unit]`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct TileArray<T>(pub [[T; TILE_UNITS]; QUAD_STEPS]);

/// `LANES` numbers of a row from `start` on, a multiple of `LANES`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn chunk<const LANES: usize, T>(row: &[T; TILE_UNITS], start: usize) -> &[T; LANES] {
    &row.as_chunks().0[start / LANES]
}

/// `LANES` numbers of a row from `start` on, to be written to.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn chunk_mut<const LANES: usize, T>(
    row: &mut [T; TILE_UNITS],
    start: usize,
) -> &mut [T; LANES] {
    &mut row.as_chunks_mut().0[start / LANES]
}

/// Random address of a tile's words, but for the step within the quad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileAddress {
    /// The stream, counter word 3.
    pub stream: Stream,
    /// The first of the units, counter word 0.
    pub first_unit: u32,
    /// Counter word 1: the quad, or the step for draws within a step.
    pub c1: u32,
    /// Counter word 2: run and index.
    pub c2: u32,
}

/// The least and the greatest word of each step of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extremes {
    /// The least words.
    pub least: [u32; QUAD_STEPS],
    /// The greatest words.
    pub greatest: [u32; QUAD_STEPS],
}
