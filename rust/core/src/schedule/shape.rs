//! How many stages, chunks and microbatches a schedule has.

/// Passes of a schedule, at most.
pub const MAX_PASSES: u64 = 1 << 21;

/// Stages of a pipeline, at most.
pub const MAX_STAGES: u32 = 4096;

/// How many stages, chunks and microbatches there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Stages of the pipeline.
    pub stages: u32,
    /// Chunks of the model in each stage.
    pub chunks: u32,
    /// Microbatches of a step.
    pub microbatches: u32,
}

impl Shape {
    /// Stages that data flow through: chunk c of stage s is the virtual stage
    /// `c * stages + s`.
    #[must_use]
    pub fn virtual_stages(self) -> u32 {
        self.stages * self.chunks
    }
}
