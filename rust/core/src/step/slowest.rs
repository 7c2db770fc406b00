//! Who a step waits for.

/// The replica that a step waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slowest {
    /// Index of its pool; of stages in several pools, that of the busiest stage.
    pub pool: u32,
    /// Seconds that it computes, stalls included.
    pub compute_s: f64,
    /// Seconds of these that stalls cost.
    pub stall_s: f64,
}

impl Slowest {
    /// No replica yet.
    pub const NOBODY: Self = Self {
        pool: 0,
        compute_s: 0.0,
        stall_s: 0.0,
    };

    /// Replaces this replica by another one that is slower; of equally slow ones
    /// the first stays.
    pub fn meet(&mut self, other: Self) {
        if other.compute_s > self.compute_s {
            *self = other;
        }
    }
}

/// The time of one replica in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplicaTime {
    /// Index of its pool.
    pub pool: u32,
    /// The replica, counted in its pool; in the job where replicas spread over pools.
    pub replica: u32,
    /// Seconds that it computes, stalls included.
    pub compute_s: f64,
    /// Seconds of these that stalls cost.
    pub stall_s: f64,
}

impl From<ReplicaTime> for Slowest {
    fn from(time: ReplicaTime) -> Self {
        Self {
            pool: time.pool,
            compute_s: time.compute_s,
            stall_s: time.stall_s,
        }
    }
}
