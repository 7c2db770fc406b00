//! The engine that draws the slowest rank of all without drawing the others.
//!
//! Where a step is a tree of maxima, the law of a pool's slowest rank follows from the
//! laws of its ranks. [`law`] compiles what is the same in all runs, [`run`] makes of
//! it the law of one run, given that run's persistent effects, and [`draw`] draws
//! steps: the bulk of ranks with one random number, and those that rare causes hit
//! one by one. [`replica_law`] reduces replicas with stages to ranks of a single
//! barrier.

mod descent;
mod draw;
mod law;
mod order_statistics;
mod reason;
mod replica_law;
mod run;

pub use law::LawMemory;
pub use order_statistics::{OrderStatistics, Remembering};
pub use reason::Reason;
pub use run::RunMemory;
