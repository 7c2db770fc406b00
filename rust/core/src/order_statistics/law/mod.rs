//! What is compiled once for all runs: the laws of units, blocks and pools.

mod alone;
mod curve_cache;
mod law_memory;
mod layer_sums;
mod levels;
mod log_grid;
mod nested;
mod pool_law;

pub use alone::AloneLaw;
pub use law_memory::LawMemory;
pub use layer_sums::is_sum_of_maxima;
pub use levels::{Handling, handling};
pub use log_grid::{CERTAIN_EXCEEDANCES, LogGrid, PADDING};
pub use nested::{CERTAIN_OF_ALL_BLOCKS, KNOTS_PER_STEP, Member, NestedLaw, refined};
pub use pool_law::{BlockLaws, BulkKind, PoolLaw};
