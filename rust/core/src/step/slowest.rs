//! Who a step waits for.

use crate::error::Result;
use crate::plan::{Plan, StepDuration};
use crate::search::{Best, Frontier, RankDuration, SlowestRank};
use crate::simd::QUAD_STEPS;

/// The replica that a step waits for: the one with which it takes longest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slowest {
    /// Index of its pool; of stages in several pools, that of the busiest stage.
    pub pool: u32,
    /// Seconds that it computes, stalls included.
    pub compute_s: f64,
    /// Seconds of these that stalls cost.
    pub stall_s: f64,
    /// Seconds of the step.
    pub duration_s: f64,
    /// Whether its slowest rank or, with stages, any of its ranks is in an episode.
    pub in_episode: bool,
}

/// What a replica computes in one step, and for how long it is stalled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrontierTime {
    /// Index of its pool; of stages in several pools, that of the busiest stage.
    pub pool: u32,
    /// Seconds that it computes, stalls excluded.
    pub compute_s: f64,
    /// Seconds that stalls cost.
    pub stall_s: f64,
    /// Both together, as they are rounded where it is the slowest.
    pub total_s: f64,
}

/// The slowest in each step of a quad, and the times by pool of the replicas of which no other
/// computes and is stalled at least as long.
pub type SlowestAndFrontiers = ([Slowest; QUAD_STEPS], [Vec<FrontierTime>; QUAD_STEPS]);

/// The frontiers of a pool in each step of a quad.
pub type PoolFrontiers = [Frontier<f32>; QUAD_STEPS];

/// Frontiers before anything is visited.
const NOBODIES: PoolFrontiers = [const { Frontier::NOBODY }; QUAD_STEPS];

impl Slowest {
    /// No replica yet.
    pub const NOBODY: Self = Self {
        pool: 0,
        compute_s: 0.0,
        stall_s: 0.0,
        duration_s: 0.0,
        in_episode: false,
    };

    /// The slowest in each step of a quad where a step is one barrier: `find` gives the
    /// slowest rank of each pool, by index, starting from nobody. It may leave out ranks that
    /// are faster than those of the pools before. `in_episode` tells of a pool, a step within the
    /// quad and a rank that was found whether it is in an episode.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn of_pools<'d>(
        plan: &Plan,
        durations: &'d [[StepDuration; QUAD_STEPS]],
        mut find: impl FnMut(
            usize,
            [SlowestRank<'d>; QUAD_STEPS],
        ) -> Result<[SlowestRank<'d>; QUAD_STEPS]>,
        in_episode: impl Fn(usize, usize, u32) -> bool,
    ) -> Result<[Self; QUAD_STEPS]> {
        let mut slowest = [Self::NOBODY; QUAD_STEPS];
        for (index, pool) in plan.pools().iter().enumerate() {
            let steps = rank_durations(plan, index, durations);
            let nobody = std::array::from_fn(|step| {
                SlowestRank::none_below(steps[step], slowest[step].duration_s)
            });
            let found = find(index, nobody)?;
            for (step, (slowest, rank)) in slowest.iter_mut().zip(found).enumerate() {
                let compute_s = pool.compute_s() * f64::from(rank.time_rel());
                if slowest.yields_to(rank.duration_s, compute_s) {
                    *slowest = Self {
                        pool: index as u32,
                        compute_s,
                        stall_s: pool.compute_s() * f64::from(rank.stall_rel),
                        duration_s: rank.duration_s,
                        in_episode: in_episode(index, step, rank.rank),
                    };
                }
            }
        }
        Ok(slowest)
    }

    /// The slowest in each step of a quad where a step is one barrier, and the frontiers of all
    /// pools: `find` gives that of a pool, by index, in the frontiers of nobody that it is given,
    /// and `in_episode` tells as in [`Slowest::of_pools`].
    ///
    /// # Errors
    /// Those of `find`.
    pub fn of_pools_with_frontiers(
        plan: &Plan,
        durations: &[[StepDuration; QUAD_STEPS]],
        mut find: impl FnMut(usize, PoolFrontiers) -> Result<PoolFrontiers>,
        in_episode: impl Fn(usize, usize, u32) -> bool,
    ) -> Result<SlowestAndFrontiers> {
        let mut times_of = std::array::from_fn(|_| Vec::with_capacity(16));
        let mut frontiers = NOBODIES;
        let slowest = Self::of_pools(
            plan,
            durations,
            |index, mut slowest| {
                let unit_s = plan.pools()[index].compute_s();
                // One memory for all pools.
                frontiers.iter_mut().for_each(Frontier::clear);
                frontiers = find(index, std::mem::replace(&mut frontiers, NOBODIES))?;
                let steps = slowest.iter_mut().zip(&mut times_of).zip(&frontiers);
                for ((slowest, times), frontier) in steps {
                    for point in frontier.points() {
                        if slowest.yields_to(point.compute, point.stall, point.rank) {
                            slowest.take(point.compute, point.stall, point.rank);
                        }
                        times.push(FrontierTime {
                            pool: index as u32,
                            compute_s: unit_s * f64::from(point.compute),
                            stall_s: unit_s * f64::from(point.stall),
                            total_s: unit_s * f64::from(point.total),
                        });
                    }
                }
                Ok(slowest)
            },
            in_episode,
        )?;
        Ok((slowest, times_of))
    }

    /// Whether the step waits for another replica instead: one with which it takes longer or,
    /// if it takes as long, one that computes longer. Of equals the first stays.
    #[must_use]
    pub fn yields_to(&self, duration_s: f64, compute_s: f64) -> bool {
        duration_s > self.duration_s
            || (duration_s == self.duration_s && compute_s > self.compute_s)
    }
}

/// How long the ranks of a pool make the steps of a quad.
#[must_use]
pub fn rank_durations<'d>(
    plan: &Plan,
    pool: usize,
    durations: &'d [[StepDuration; QUAD_STEPS]],
) -> [RankDuration<'d>; QUAD_STEPS] {
    let unit_s = plan.pools()[pool].compute_s();
    std::array::from_fn(|step| RankDuration {
        unit_s,
        duration: &durations[pool][step],
    })
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
