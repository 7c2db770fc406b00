//! The engine that draws every rank of every step.

mod rank_times;
mod replicas;
mod sampler;
mod worst_ports;

pub use rank_times::rank_times;
pub use replicas::{Replicas, slowest_replicas};
pub use sampler::{Sampler, sample, sample_networks, sample_with_terms};
