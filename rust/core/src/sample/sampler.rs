//! The sampler: a job whose ranks are all drawn.

use std::cmp::Ordering;
use std::ops::Range;

use super::worst_ports::worst_ports;
use crate::control::Control;
use crate::draw::{Draws, Episodes};
use crate::error::Result;
use crate::pipeline::Gangs;
use crate::plan::{Affects, Plan, SlowestPort, Span, StepDuration};
use crate::random::Random;
use crate::search::{Persistent, PoolSearch, SlowestReplicas};
use crate::simd::QUAD_STEPS;
use crate::step::{
    Columns, Durations, Engine, ExpectedTime, OtherNetwork, QuadNetwork, ReplicaTime, Run, Runs,
    Slowest, SlowestAndFrontiers, Terms, rank_durations, simulate, simulate_networks,
    simulate_with_terms,
};

/// Samples `steps` steps of each of some runs on the current rayon pool: of the first so many where
/// `runs` is a number.
///
/// The rows depend on the plan and the seed only, not on the number of threads.
///
/// # Errors
/// [`Error::Domain`](crate::Error::Domain) for no runs or steps or more runs than
/// addresses; [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn sample(
    plan: &Plan,
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<Columns> {
    simulate(&Sampler { plan }, seed, runs, steps, control)
}

/// [`sample`], and what each step is made of.
///
/// # Errors
/// As [`sample`].
pub fn sample_with_terms(
    plan: &Plan,
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<(Columns, Terms)> {
    simulate_with_terms(&Sampler { plan }, seed, runs, steps, control)
}

/// Seconds of the steps that [`sample`] draws with each of some other networks.
///
/// # Errors
/// As [`simulate_networks`].
pub fn sample_networks(
    plan: &Plan,
    networks: &[OtherNetwork],
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<Vec<Vec<f64>>> {
    simulate_networks(&Sampler { plan }, networks, seed, runs, steps, control)
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
        n_steps: u32,
        control: &Control,
    ) -> Result<SampledRun<'a>> {
        SampledRun::new(self.plan, random, run, &(0..n_steps), control)
    }
}

/// A job in one run.
pub struct SampledRun<'a> {
    plan: &'a Plan,
    random: &'a Random,
    run: u32,
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
    /// Draws all that lasts longer than a step, for some steps.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn new(
        plan: &'a Plan,
        random: &'a Random,
        run: u32,
        steps: &Range<u32>,
        control: &Control,
    ) -> Result<Self> {
        let ranks = match plan.pipeline() {
            None => Ranks::Barrier(searches(
                plan,
                Affects::Compute,
                random,
                run,
                steps,
                control,
            )?),
            Some(pipeline) => {
                Ranks::Gangs(Gangs::new(plan, pipeline, random, run, steps, control)?)
            }
        };
        let ports = if plan.communication().terms.is_empty() {
            Vec::new()
        } else {
            searches(plan, Affects::Network, random, run, steps, control)?
        };
        Ok(Self {
            plan,
            random,
            run,
            ranks,
            ports,
        })
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
        let durations = self.durations(quad, control)?;
        let mut slowest: [Vec<Placed>; QUAD_STEPS] = std::array::from_fn(|_| Vec::new());
        match &self.ranks {
            Ranks::Gangs(gangs) => {
                gangs.for_each_time(quad, n_steps, control, |step, time, _| {
                    let duration = &durations[time.pool as usize][step];
                    let own_compute_s = time.compute_s - time.stall_s;
                    let duration_s = duration.seconds(own_compute_s, time.stall_s);
                    insert(&mut slowest[step], Placed { time, duration_s }, k);
                })?;
            }
            Ranks::Barrier(pools) => {
                for (index, (pool, ranks)) in self.plan.pools().iter().zip(pools).enumerate() {
                    let nobody = rank_durations(self.plan, index, &durations)
                        .map(|step| SlowestReplicas::new(k, pool, step));
                    let found = ranks.search(nobody, quad, control)?;
                    for (slowest, found) in slowest.iter_mut().zip(found) {
                        for rank in found.ranks.iter().filter(|rank| rank.rank != u32::MAX) {
                            let time = ReplicaTime {
                                pool: index as u32,
                                replica: pool.replica_of(rank.rank),
                                compute_s: pool.compute_s() * f64::from(rank.time_rel()),
                                stall_s: pool.compute_s() * f64::from(rank.stall_rel),
                            };
                            let duration_s = rank.duration_s;
                            insert(slowest, Placed { time, duration_s }, k);
                        }
                    }
                }
            }
        }
        Ok(slowest.map(|placed| placed.into_iter().map(|placed| placed.time).collect()))
    }

    /// The network in the steps of a quad, if anything goes through it.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn network(&self, quad: u32, control: &Control) -> Result<Option<QuadNetwork<'a>>> {
        if self.plan.communication().terms.is_empty() {
            return Ok(None);
        }
        let ports = self.slowest_ports(quad, &mut (), control)?;
        let network = QuadNetwork::new(self.plan, ports, self.random, self.run, quad);
        Ok(Some(network))
    }

    /// The ranks of each pool where a step is one barrier.
    pub(super) fn ranks_of_pools(&self) -> Option<&[PoolSearch<'a>]> {
        match &self.ranks {
            Ranks::Barrier(pools) => Some(pools),
            Ranks::Gangs(_) => None,
        }
    }

    /// Times of all gangs in a row of a quad, pools one after another; none where a step is one
    /// barrier.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn gang_times(
        &self,
        quad: u32,
        row: usize,
        control: &Control,
    ) -> Result<Vec<ReplicaTime>> {
        let mut times = Vec::new();
        if let Ranks::Gangs(gangs) = &self.ranks {
            gangs.for_each_time(quad, row + 1, control, |step, time, _| {
                if step == row {
                    times.push(time);
                }
            })?;
        }
        Ok(times)
    }

    /// Durations of the steps of a quad, by pool.
    fn durations(&self, quad: u32, control: &Control) -> Result<Vec<[StepDuration; QUAD_STEPS]>> {
        let idle = || vec![[StepDuration::COMPUTE_ALONE; QUAD_STEPS]; self.plan.pools().len()];
        let network = self.network(quad, control)?;
        Ok(network.map_or_else(idle, |network| network.durations()))
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
        durations: &Durations,
        (): &mut (),
        control: &Control,
    ) -> Result<[Slowest; QUAD_STEPS]> {
        match &self.ranks {
            Ranks::Barrier(pools) => Slowest::of_pools(
                self.plan,
                durations,
                |index, nobody| pools[index].search(nobody, quad, control),
                |index, step, rank| pools[index].in_episode(quad, step, rank),
            ),
            Ranks::Gangs(gangs) => gangs.slowest(quad, n_steps, durations, control),
        }
    }

    fn slowest_and_frontiers(
        &self,
        quad: u32,
        n_steps: usize,
        durations: &Durations,
        (): &mut (),
        control: &Control,
    ) -> Result<SlowestAndFrontiers> {
        match &self.ranks {
            Ranks::Barrier(pools) => Slowest::of_pools_with_frontiers(
                self.plan,
                durations,
                |index, nobody| pools[index].search(nobody, quad, control),
                |index, step, rank| pools[index].in_episode(quad, step, rank),
            ),
            Ranks::Gangs(gangs) => gangs.slowest_and_frontiers(quad, n_steps, durations, control),
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

/// The ranks or ports of all pools, ready to be searched in some steps.
pub(super) fn searches<'a>(
    plan: &'a Plan,
    affects: Affects,
    random: &'a Random,
    run: u32,
    steps: &Range<u32>,
    control: &Control,
) -> Result<Vec<PoolSearch<'a>>> {
    (0..plan.pools().len())
        .map(|pool| {
            let of_run = Draws::new(plan, pool, affects, Span::Run, random, run);
            let of_steps = Draws::new(plan, pool, affects, Span::Step, random, run);
            let persistent = Persistent::draw(&of_run, control)?;
            let episodes = Episodes::draw(plan, pool, affects, random, run, steps, control)?;
            Ok(PoolSearch::new(of_steps, persistent, episodes))
        })
        .collect()
}

/// A replica among the slowest ones of a step.
struct Placed {
    time: ReplicaTime,
    /// Seconds of the step if it waited for this replica.
    duration_s: f64,
}

/// Inserts a replica among the `k` slowest; those that are no faster stay before it.
fn insert(slowest: &mut Vec<Placed>, new: Placed, k: usize) {
    let place = slowest.partition_point(|known| {
        let order = known.duration_s.total_cmp(&new.duration_s);
        order.then(known.time.compute_s.total_cmp(&new.time.compute_s)) != Ordering::Less
    });
    if place < k {
        slowest.insert(place, new);
        slowest.truncate(k);
    }
}
