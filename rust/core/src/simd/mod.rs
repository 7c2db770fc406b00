//! The inner loops in each instruction set, all with equal bits.
//!
//! [`Kernel`] fills a [`TileArray`]: numbers of 64 units over the four steps of a
//! quad. The loops in plain Rust (`scalar`) define what is computed; those in AVX2
//! and AVX-512 give the same bytes, faster. Nothing here knows a plan, and nowhere
//! else is there unsafe code.

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod autovectorized;
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "vector instructions; each block says why it is sound"
)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "vector instructions; each block says why it is sound"
)]
mod avx512;
mod instruction_set;
mod kernel;
mod scalar;
mod tile_array;

pub use instruction_set::InstructionSet;
pub use kernel::Kernel;
pub use tile_array::{
    Extremes, QUAD_STEPS, SCATTERED_UNITS, ScatteredWords, TILE_UNITS, TileAddress, TileArray,
    WALK_LANES,
};
