//! Effects of causes on tiles of ranks or ports.

mod draws;
mod drift_words;
mod episodes;
mod tile;

pub use draws::{Drawn, Draws, DriftPaths, When};
pub use episodes::{Episodes, SlowRanks, episode_factor};
pub use tile::{Tile, for_each_tile};
