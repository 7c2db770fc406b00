//! Replicas with stages as ranks of a single barrier, exactly or by simulation.

mod gang_causes;
mod gang_laws;
mod simulated;

pub use gang_laws::{GangLaws, RunGangs};
pub use simulated::SimulationSize;
