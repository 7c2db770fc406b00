//! What one run fixes: its persistent effects, and the law of the bulk given them.

mod bulk_law;
mod census;
#[cfg(test)]
pub mod fixture;
mod grid_curve;
mod memory;
mod nested_bulk;
mod nested_counts;
mod persistent_effects;
mod persistent_source;
mod separate;
mod shifts;
mod slow_ranks;
mod slow_set;
mod survey;

pub use bulk_law::{BulkDraw, BulkLaw, SlowBlocks};
pub use memory::{PoolMemory, RunMemory};
pub use persistent_source::{Persistent, PersistentSource, RankEffects};
pub use survey::{Survey, Surveyed};
