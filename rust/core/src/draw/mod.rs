//! Effects of causes on tiles of ranks or ports.

mod draws;
mod tile;

pub use draws::{Drawn, Draws, When};
pub use tile::{Tile, for_each_tile};
