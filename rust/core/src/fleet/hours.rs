//! What a run of a job on a cluster ends with: where all seconds of all GPUs went.

use super::work::Stretch;

/// What a second of a GPU is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// In steps whose result was kept.
    Kept,
    /// In steps that had to be done again.
    Redone,
    /// Stopped by a checkpoint.
    Checkpoint,
    /// Waiting for a failure to be noticed.
    Detection,
    /// In a restart, or stopped while a replica recovers.
    Restart,
    /// Waiting for a repair, because there is no spare.
    Waiting,
    /// A spare.
    Spare,
    /// In no replica, and no spare.
    Leftover,
    /// Taken out of service on purpose.
    Drained,
    /// In repair.
    Repair,
    /// Up, and of no use: in a node or a replica that is not whole.
    CutOff,
    /// In another job.
    OtherJobs,
}

impl Name {
    /// All names, in the order in which seconds are listed.
    pub const ALL: [Self; 12] = [
        Self::Kept,
        Self::Redone,
        Self::Checkpoint,
        Self::Detection,
        Self::Restart,
        Self::Waiting,
        Self::Spare,
        Self::Leftover,
        Self::Drained,
        Self::Repair,
        Self::CutOff,
        Self::OtherJobs,
    ];
}

/// When a run ends: whatever comes first.
#[derive(Debug, Clone, PartialEq)]
pub struct Until {
    /// After so many seconds.
    pub seconds: f64,
    /// Once the job has gone on after so many interruptions.
    pub interruptions: u64,
    /// Once so much work has been done, by run; nothing where it does not count.
    pub work: Vec<f64>,
}

/// One failure of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureEvent {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Index of its kind.
    pub kind: u32,
    /// The unit, counted in its pool.
    pub unit: u32,
    /// Seconds of its repair.
    pub repair_s: f64,
    /// Whether it stopped the job.
    pub interrupts: bool,
}

/// What became of the GPUs in one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunHours {
    /// GPU-seconds by pool and name.
    pub seconds: Vec<[f64; 12]>,
    /// Failures that interrupted the job, and all failures, by kind.
    pub interruptions: Vec<u64>,
    /// All failures by kind.
    pub failures: Vec<u64>,
    /// Restarts to let a replica join.
    pub regrows: u64,
    /// Seconds of the run.
    pub end_s: f64,
    /// Whether it ended because its work was done.
    pub is_done: bool,
    /// Seconds for which so many nodes were down, by pool.
    pub down_seconds: Vec<Vec<f64>>,
}

/// One run, and what was kept of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fates {
    /// Where the time went.
    pub hours: RunHours,
    /// Its failures, if they were asked for.
    pub events: Vec<FailureEvent>,
    /// Its stretches between interruptions, if they were asked for.
    pub stretches: Vec<Stretch>,
}
