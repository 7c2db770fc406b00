//! The inner loop: the effects of causes on a tile of ranks over four steps.

mod scalar;

pub use scalar::{Draw, STEPS, TILE, Tile};

/// The instructions that the kernel in use is made of.
#[must_use]
pub fn instruction_set() -> &'static str {
    "portable"
}
