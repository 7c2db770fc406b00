//! The slowest of many without drawing all of them, and what persists in a run.

mod best;
mod frontier;
mod persistent;
mod pool_search;

pub use best::{Best, MOST_REPLICAS, RankDuration, SlowestRank, SlowestReplicas, WorstPorts};
pub use frontier::{Frontier, FrontierPoint};
pub use persistent::Persistent;
pub use pool_search::{PoolSearch, TileRange};
