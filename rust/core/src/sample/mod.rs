//! The engine that draws every rank of every step.

mod one_step;
mod rank_times;
mod replicas;
mod sampler;
mod worst_ports;

pub use crate::pipeline::{GangPasses, GpuPlace};
pub use one_step::{GpuEffect, OneStep, gang_passes, gpu_effects, one_step};
pub use rank_times::rank_times;
pub use replicas::{Replicas, slowest_replicas};
pub use sampler::{Sampler, sample, sample_networks, sample_with_terms};
