//! Effects on a tile: up to 64 ranks on consecutive GPUs, four steps.

use std::ops::Range;

use crate::plan::Pool;
use crate::simd::{QUAD_STEPS, TILE_UNITS, TileArray};

/// Slowdowns and stalls of up to 64 ranks or ports over the four steps of a quad.
///
/// Slowdowns multiply and stalls add in document order, in f32: the order is part
/// of the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// Product of the slowdowns.
    pub slowdown: TileArray<f32>,
    /// Sum of the stalls, in units of the pool's noiseless compute time
    /// (seconds for ports).
    pub stall: TileArray<f32>,
}

impl Tile {
    /// No effect on anybody.
    pub const NEUTRAL: Self = Self {
        slowdown: TileArray([[1.0; TILE_UNITS]; QUAD_STEPS]),
        stall: TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]),
    };
}

/// Calls `f` with the first rank and the GPUs of each tile of `ranks`.
///
/// A tile ends where GPUs of ranks stop being consecutive (at spares) or after 64
/// of them.
pub fn for_each_tile(pool: &Pool, ranks: Range<u32>, mut f: impl FnMut(u32, Range<u32>)) {
    let mut rank = ranks.start;
    while rank < ranks.end {
        let (gpu, n_consecutive) = pool.stretch(rank);
        let n = n_consecutive.min(TILE_UNITS as u32).min(ranks.end - rank);
        f(rank, gpu..gpu + n);
        rank += n;
    }
}
