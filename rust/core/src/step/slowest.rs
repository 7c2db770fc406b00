//! Who a step waits for.

use crate::error::Result;
use crate::plan::Plan;
use crate::search::SlowestRank;
use crate::simd::QUAD_STEPS;

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

    /// The slowest in each step of a quad where a step is one barrier: `find` gives the
    /// slowest rank of each pool, by index.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn of_pools(
        plan: &Plan,
        mut find: impl FnMut(usize) -> Result<[SlowestRank; QUAD_STEPS]>,
    ) -> Result<[Self; QUAD_STEPS]> {
        let mut slowest = [Self::NOBODY; QUAD_STEPS];
        for (index, pool) in plan.pools().iter().enumerate() {
            for (slowest, rank) in slowest.iter_mut().zip(find(index)?) {
                slowest.meet(Self {
                    pool: index as u32,
                    compute_s: pool.compute_s() * f64::from(rank.time_rel),
                    stall_s: pool.compute_s() * f64::from(rank.stall_rel),
                });
            }
        }
        Ok(slowest)
    }

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
