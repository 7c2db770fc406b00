//! All passes of one gang in one step.

use crate::schedule::Op;

/// A GPU, counted in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GpuPlace {
    /// Index of its pool.
    pub pool: u32,
    /// Its number.
    pub gpu: u32,
}

/// The passes of one gang in one step, and what its stages wait for beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct GangPasses {
    /// All passes, each after what it waits for.
    pub passes: Vec<TimedPass>,
    /// The stages, in the order in which data flow.
    pub stages: Vec<GangStage>,
    /// Seconds for which the gang stops as a whole by causes of the whole step.
    pub step_stall_s: f64,
    /// The GPU whose stall that is.
    pub step_stalled: GpuPlace,
    /// Seconds for which the gang stops as a whole in all microbatches together.
    pub microbatch_stall_s: f64,
}

/// One pass, in seconds from the beginning of the first one on; the gang's own stalls excluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedPass {
    /// What is done.
    pub op: Op,
    /// The stage that does it.
    pub stage: u32,
    /// When the stage is free and its data have arrived.
    pub ready_s: f64,
    /// When it begins, after stalls of the stage.
    pub begins_s: f64,
    /// When it ends.
    pub ends_s: f64,
    /// Slowdown of its slowest ranks.
    pub slowdown: f64,
}

/// One stage of a gang in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GangStage {
    /// The GPU of the rank that works longest in the step, by itself.
    pub slowest: GpuPlace,
    /// Seconds for which causes of the whole step stall it.
    pub stall_s: f64,
    /// The GPU that they stall so long.
    pub stalled: GpuPlace,
    /// Seconds of overhead after its last pass.
    pub overhead_s: f64,
}
