//! The sampler: a job whose ranks are all drawn.

use super::worst_ports::worst_ports;
use crate::control::Control;
use crate::draw::Draws;
use crate::error::Result;
use crate::pipeline::Gangs;
use crate::plan::{Affects, Plan, SlowestPort, Span};
use crate::random::Random;
use crate::search::{Best, Persistent, PoolSearch, SlowestRank, SlowestReplicas};
use crate::simd::QUAD_STEPS;
use crate::step::{Columns, Engine, ExpectedTime, ReplicaTime, Run, Slowest, simulate};

/// Samples `steps` steps of each of `runs` runs on the current rayon pool.
///
/// The rows depend on the plan and the seed only, not on the number of threads.
///
/// # Errors
/// [`Error::Domain`](crate::Error::Domain) for no runs or steps or more runs than
/// addresses; [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn sample(plan: &Plan, seed: u64, runs: u32, steps: u32, control: &Control) -> Result<Columns> {
    simulate(&Sampler { plan }, seed, runs, steps, control)
}

/// The engine that draws every rank of every step.
pub struct Sampler<'p> {
    plan: &'p Plan,
}

impl<'p> Sampler<'p> {
    /// The sampler of a plan.
    #[must_use]
    pub fn new(plan: &'p Plan) -> Self {
        Self { plan }
    }
}

impl Engine for Sampler<'_> {
    type Run<'a>
        = SampledRun<'a>
    where
        Self: 'a;

    const STEPS_PER_TASK: usize = QUAD_STEPS;
    const RUNS_IN_PARALLEL: bool = false;
    const COUNTS_STEPS: bool = false;

    fn plan(&self) -> &Plan {
        self.plan
    }

    fn begin<'a>(
        &'a self,
        random: &'a Random,
        run: u32,
        control: &Control,
    ) -> Result<SampledRun<'a>> {
        SampledRun::new(self.plan, random, run, control)
    }
}

/// A job in one run.
pub struct SampledRun<'a> {
    plan: &'a Plan,
    ranks: Ranks<'a>,
    /// By pool; empty where nothing goes through the network.
    ports: Vec<PoolSearch<'a>>,
}

/// The ranks of all pools, by what a step is.
enum Ranks<'a> {
    /// One barrier of all ranks.
    Barrier(Vec<PoolSearch<'a>>),
    /// Gangs that wait within a step.
    Gangs(Gangs<'a>),
}

impl<'a> SampledRun<'a> {
    /// Draws all that lasts longer than a step.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn new(
        plan: &'a Plan,
        random: &'a Random,
        run: u32,
        control: &Control,
    ) -> Result<Self> {
        let ranks = match plan.pipeline() {
            None => Ranks::Barrier(searches(plan, Affects::Compute, random, run, control)?),
            Some(pipeline) => Ranks::Gangs(Gangs::new(plan, pipeline, random, run, control)?),
        };
        let ports = if plan.communication().terms.is_empty() {
            Vec::new()
        } else {
            searches(plan, Affects::Network, random, run, control)?
        };
        Ok(Self { plan, ranks, ports })
    }

    /// The `k` slowest replicas in each of the first `n_steps` steps of a quad, the
    /// slowest first; of equally slow ones the first.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn slowest_replicas(
        &self,
        k: usize,
        quad: u32,
        n_steps: usize,
        control: &Control,
    ) -> Result<[Vec<ReplicaTime>; QUAD_STEPS]> {
        let mut slowest: [Vec<ReplicaTime>; QUAD_STEPS] = std::array::from_fn(|_| Vec::new());
        let pools = match &self.ranks {
            Ranks::Barrier(pools) => pools,
            Ranks::Gangs(gangs) => {
                gangs.for_each_time(quad, n_steps, control, |step, gang| {
                    insert(&mut slowest[step], gang, k);
                })?;
                return Ok(slowest);
            }
        };
        for (index, (pool, ranks)) in self.plan.pools().iter().zip(pools).enumerate() {
            let replica_ranks = pool.n_ranks() / pool.n_replicas();
            let nobody = SlowestReplicas::new(k, replica_ranks);
            let found = ranks.search(nobody, quad, control)?;
            for (slowest, found) in slowest.iter_mut().zip(found) {
                for rank in found.ranks.iter().filter(|rank| rank.rank != u32::MAX) {
                    let replica = ReplicaTime {
                        pool: index as u32,
                        replica: rank.rank / replica_ranks,
                        compute_s: pool.compute_s() * f64::from(rank.time_rel),
                        stall_s: pool.compute_s() * f64::from(rank.stall_rel),
                    };
                    insert(slowest, replica, k);
                }
            }
        }
        Ok(slowest)
    }
}

impl Run for SampledRun<'_> {
    type Scratch = ();

    fn expected(&self) -> Vec<ExpectedTime> {
        match &self.ranks {
            Ranks::Barrier(pools) => {
                let of = |(index, ranks): (usize, &PoolSearch)| {
                    let persistent = ranks.persistent();
                    let slowdown = persistent.mean_slowdown();
                    ExpectedTime::of_pool(self.plan, index, slowdown, persistent.mean_stall())
                };
                pools.iter().enumerate().map(of).collect()
            }
            Ranks::Gangs(gangs) => gangs.expected(),
        }
    }

    fn slowest(
        &self,
        quad: u32,
        n_steps: usize,
        (): &mut (),
        control: &Control,
    ) -> Result<[Slowest; QUAD_STEPS]> {
        match &self.ranks {
            Ranks::Barrier(pools) => Slowest::of_pools(self.plan, |index| {
                pools[index].search(SlowestRank::NONE, quad, control)
            }),
            Ranks::Gangs(gangs) => gangs.slowest(quad, n_steps, control),
        }
    }

    fn slowest_ports(
        &self,
        quad: u32,
        (): &mut (),
        control: &Control,
    ) -> Result<Vec<[SlowestPort; QUAD_STEPS]>> {
        let ports = self.ports.iter();
        ports
            .map(|ports| worst_ports(ports, quad, control))
            .collect()
    }
}

/// The ranks or ports of all pools, ready to be searched.
pub(super) fn searches<'a>(
    plan: &'a Plan,
    affects: Affects,
    random: &'a Random,
    run: u32,
    control: &Control,
) -> Result<Vec<PoolSearch<'a>>> {
    (0..plan.pools().len())
        .map(|pool| {
            let of_run = Draws::new(plan, pool, affects, Span::Run, random, run);
            let of_steps = Draws::new(plan, pool, affects, Span::Step, random, run);
            let persistent = Persistent::draw(&of_run, control)?;
            Ok(PoolSearch::new(of_steps, persistent))
        })
        .collect()
}

/// Inserts a replica among the `k` slowest; equally slow ones stay before it.
fn insert(slowest: &mut Vec<ReplicaTime>, new: ReplicaTime, k: usize) {
    let place = slowest.partition_point(|known| known.compute_s >= new.compute_s);
    if place < k {
        slowest.insert(place, new);
        slowest.truncate(k);
    }
}
