//! The engine that draws steps from the laws of their slowest ranks.

use std::sync::Arc;

use super::draw::{Members, Origin, Scratch};
use super::law::{LawMemory, PoolLaw};
use super::reason::{Halt, Reason};
use super::replica_law::{GangLaws, RunGangs, SimulationSize};
use super::run::{Persistent, PoolMemory, RunMemory};
use crate::control::Control;
use crate::curve::Curve;
use crate::error::Result;
use crate::plan::{Affects, Cause, Pipeline, Placement, Plan, Scope, SlowestPort};
use crate::random::Random;
use crate::search::WorstPorts;
use crate::simd::QUAD_STEPS;
use crate::step::{
    Columns, Durations, Engine, ExpectedTime, OtherNetwork, Run, Runs, Slowest,
    SlowestAndFrontiers, Terms, simulate, simulate_networks, simulate_seconds, simulate_with_terms,
};

/// A plan whose slowest ranks are compiled into laws.
pub struct OrderStatistics {
    plan: Arc<Plan>,
    /// Where ranks wait for each other within a step.
    gangs: Option<GangLaws>,
    ranks: Vec<Arc<PoolLaw>>,
    ports: Vec<Arc<PoolLaw>>,
}

/// Refuses causes that make ranks of a pool, or steps of a run, unlike all others.
fn unlike_others(plan: &Plan) -> std::result::Result<(), Reason> {
    for cause in plan.all_causes() {
        let cause_name = || cause.name().to_owned();
        if cause.names_units() {
            return Err(Reason::Named {
                cause: cause_name(),
            });
        }
        // Each step would be exact by itself, and steps would not follow each other.
        if cause.drift().is_some() && !cause.scope().is_pool_wide() {
            return Err(Reason::Drifting {
                cause: cause_name(),
            });
        }
        if cause.period().is_some() {
            return Err(Reason::Periodic {
                cause: cause_name(),
            });
        }
        let within_replicas = plan.pipeline().is_some() && cause.affects() == Affects::Compute;
        if within_replicas && cause.episode().is_some() {
            return Err(Reason::Episodes {
                cause: cause_name(),
            });
        }
    }
    Ok(())
}

impl OrderStatistics {
    /// Compiles a plan exactly.
    ///
    /// # Errors
    /// Why the law of the slowest rank is not exact.
    pub fn new(plan: Arc<Plan>) -> std::result::Result<Self, Reason> {
        let (mut memory, control) = (LawMemory::default(), Control::default());
        Self::compile(plan, &mut memory, &control)
            .unwrap_or_else(|error| unreachable!("nobody asks for a stop: {error}"))
    }

    /// Compiles a plan exactly, with the laws that `memory` keeps; it keeps the others, too.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it; within it why the law
    /// of the slowest rank is not exact.
    pub fn compile(
        plan: Arc<Plan>,
        memory: &mut LawMemory,
        control: &Control,
    ) -> Result<std::result::Result<Self, Reason>> {
        let engine = || {
            unlike_others(&plan)?;
            let gangs = GangLaws::exact(&plan)?;
            let ranks = match &gangs {
                Some(gangs) => gangs.compile(&plan, memory, control)?,
                None => pool_laws(&plan, Affects::Compute, memory, control)?,
            };
            let ports = pool_laws(&plan, Affects::Network, memory, control)?;
            Ok(Self {
                plan,
                gangs,
                ranks,
                ports,
            })
        };
        Halt::split(engine())
    }

    /// Compiles a plan whose replicas wait within a step, with the law of a replica's time
    /// from replicas that are sampled under `seed`. How far that is off is to be seen by
    /// comparing with sampled steps.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it; within it why
    /// the slowest replica cannot be drawn from such a law.
    pub fn simulated(
        plan: Arc<Plan>,
        seed: u64,
        control: &Control,
    ) -> Result<std::result::Result<Self, Reason>> {
        // Where stages are mixed, a pool may have no rank or port at all.
        let is_mixed = |pipeline: &Pipeline| pipeline.spec().placement == Placement::Mixed;
        if plan.pipeline().is_some_and(is_mixed) {
            return Ok(Err(Reason::Spread));
        }
        if let Err(reason) = unlike_others(&plan) {
            return Ok(Err(reason));
        }
        // Ports that cannot be compiled refuse before anything is sampled.
        let mut memory = LawMemory::default();
        let ports = pool_laws(&plan, Affects::Network, &mut memory, control);
        let ports = match Halt::split(ports)? {
            Ok(ports) => ports,
            Err(reason) => return Ok(Err(reason)),
        };
        let gangs = match GangLaws::simulated(&plan, seed, control)? {
            Ok(gangs) => gangs,
            Err(reason) => return Ok(Err(reason)),
        };
        let ranks = gangs.compile(&plan, &mut LawMemory::default(), control);
        let ranks = Halt::split(ranks)?;
        Ok(ranks.map_err(Reason::of_sampled_gangs).map(|ranks| Self {
            plan,
            gangs: Some(gangs),
            ranks,
            ports,
        }))
    }

    /// Steps that [`OrderStatistics::simulated`] samples.
    #[must_use]
    pub fn simulated_steps(plan: &Plan) -> u32 {
        plan.pipeline()
            .map_or(0, |pipeline| SimulationSize::of(plan, pipeline).n_steps())
    }

    /// Draws `steps` steps of each of some runs on the current rayon pool: of the first so many
    /// where `runs` is a number.
    ///
    /// The rows depend on the plan and the seed only, not on the number of threads.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for no runs or steps or more runs than
    /// addresses; [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn run(
        &self,
        seed: u64,
        runs: impl Into<Runs>,
        steps: u32,
        control: &Control,
    ) -> Result<Columns> {
        simulate(self, seed, runs, steps, control)
    }

    /// [`OrderStatistics::run`], and what each step is made of.
    ///
    /// # Errors
    /// As [`OrderStatistics::run`].
    pub fn run_with_terms(
        &self,
        seed: u64,
        runs: impl Into<Runs>,
        steps: u32,
        control: &Control,
    ) -> Result<(Columns, Terms)> {
        simulate_with_terms(self, seed, runs, steps, control)
    }

    /// Seconds of the steps that [`OrderStatistics::run`] draws, and nothing else of them: sooner
    /// where ranks that cannot be the slowest need not be drawn.
    ///
    /// # Errors
    /// As [`OrderStatistics::run`].
    pub fn run_seconds(
        &self,
        seed: u64,
        runs: u32,
        steps: u32,
        control: &Control,
    ) -> Result<Vec<f64>> {
        simulate_seconds(&OfSlowest(self), seed, runs, steps, control)
    }

    /// Seconds of the steps that [`OrderStatistics::run`] draws with each of some other networks.
    ///
    /// # Errors
    /// As [`simulate_networks`].
    pub fn run_networks(
        &self,
        networks: &[OtherNetwork],
        seed: u64,
        runs: impl Into<Runs>,
        steps: u32,
        control: &Control,
    ) -> Result<Vec<Vec<f64>>> {
        simulate_networks(self, networks, seed, runs, steps, control)
    }

    /// The engine with the persistent effects that `memory` keeps of some runs under a seed. What is not there yet is drawn in the runs, and kept for other engines.
    /// Rows are the same as without memory.
    #[must_use]
    pub fn remembering(
        &self,
        seed: u64,
        runs: impl Into<Runs>,
        memory: &mut RunMemory,
    ) -> Remembering<'_> {
        let runs = runs.into();
        let random = Random::new(seed);
        let mut of_pools = |plan: &Plan, laws: &[Arc<PoolLaw>]| {
            let of_pool = |(index, law): (usize, &Arc<PoolLaw>)| {
                let persistent = Persistent::new(plan, law.affects, index, &random, 0, None);
                memory.of_pool(
                    seed,
                    law.affects,
                    law.block,
                    &persistent.by_rank,
                    runs.end(),
                )
            };
            laws.iter().enumerate().map(of_pool).collect()
        };
        Remembering {
            engine: self,
            seed,
            runs,
            ranks: match self.gangs {
                None => of_pools(&self.plan, &self.ranks),
                Some(_) => vec![None; self.ranks.len()],
            },
            ports: of_pools(&self.plan, &self.ports),
        }
    }

    /// Pools of the plan.
    #[must_use]
    pub fn n_pools(&self) -> usize {
        self.ranks.len()
    }

    /// The law of the slowest rank of a pool in one run, among those that no rare cause
    /// hits and without what the whole pool shares in a step, in units of its noiseless
    /// compute time; none where nothing changes from step to step.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn law(
        &self,
        pool: usize,
        seed: u64,
        run: u32,
        control: &Control,
    ) -> Result<Option<Curve>> {
        let random = Random::new(seed);
        let fixed = self.begin_gangs(&random, run, control)?;
        let origin = match fixed {
            Some(gangs) => Origin::Given(gangs.effects[pool].clone()),
            None => Origin::OfSlowest,
        };
        let (plan, law) = (self.plan_of_ranks(), &self.ranks[pool]);
        let members = Members::new(plan, law, pool, &random, (run, &(0..0)), origin, control)?;
        Ok(members.bulk_curve().cloned())
    }

    /// The plan whose ranks, or gangs as ranks, meet at a single barrier.
    fn plan_of_ranks(&self) -> &Plan {
        self.gangs.as_ref().map_or(&self.plan, GangLaws::plan)
    }

    /// What a run fixes for gangs.
    fn begin_gangs(
        &self,
        random: &Random,
        run: u32,
        control: &Control,
    ) -> Result<Option<RunGangs>> {
        match &self.gangs {
            None => Ok(None),
            Some(gangs) => gangs.begin(&self.plan, random, run, control),
        }
    }
}

/// The laws of the ranks or the ports of all pools.
fn pool_laws(
    plan: &Plan,
    affects: Affects,
    memory: &mut LawMemory,
    control: &Control,
) -> std::result::Result<Vec<Arc<PoolLaw>>, Halt> {
    let pools = 0..plan.pools().len();
    let of_pool = |index| {
        control.advance(0)?;
        if let Some(cause) = shared_by_scattered_ranks(plan, index, affects) {
            return Err(Halt::Reason(Reason::Scattered {
                pool: plan.pools()[index].name().to_owned(),
                cause: cause.name().to_owned(),
            }));
        }
        memory.of_pool(plan, index, affects, control)
    };
    pools.map(of_pool).collect()
}

/// A cause that each replica of a pool shares, where its ranks do not follow each other.
fn shared_by_scattered_ranks(plan: &Plan, pool: usize, affects: Affects) -> Option<&Cause> {
    let is_shared = |cause: &&Cause| {
        let acts = cause.affects() == affects && cause.streams(pool).is_some();
        acts && cause.scope() == Scope::Replica
    };
    let scattered = !plan.pools()[pool].has_whole_replicas();
    plan.all_causes()
        .iter()
        .filter(|_| scattered)
        .find(is_shared)
}

impl Engine for OrderStatistics {
    type Run<'a> = DrawnRun<'a>;

    const STEPS_PER_TASK: usize = 4096;
    const RUNS_IN_PARALLEL: bool = true;
    const COUNTS_STEPS: bool = true;

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn begin<'a>(
        &'a self,
        random: &'a Random,
        run: u32,
        n_steps: u32,
        control: &Control,
    ) -> Result<DrawnRun<'a>> {
        let drawn = |_: usize| Origin::Drawn;
        DrawnRun::new(self, [&drawn, &drawn], random, run, n_steps, control)
    }
}

/// An engine that draws nothing of ranks that cannot be the slowest, and so knows no expected
/// times.
struct OfSlowest<'e>(&'e OrderStatistics);

impl Engine for OfSlowest<'_> {
    type Run<'a>
        = DrawnRun<'a>
    where
        Self: 'a;

    const STEPS_PER_TASK: usize = OrderStatistics::STEPS_PER_TASK;
    const RUNS_IN_PARALLEL: bool = OrderStatistics::RUNS_IN_PARALLEL;
    const COUNTS_STEPS: bool = OrderStatistics::COUNTS_STEPS;

    fn plan(&self) -> &Plan {
        &self.0.plan
    }

    fn begin<'a>(
        &'a self,
        random: &'a Random,
        run: u32,
        n_steps: u32,
        control: &Control,
    ) -> Result<DrawnRun<'a>> {
        let of_slowest = |_: usize| Origin::OfSlowest;
        DrawnRun::new(
            self.0,
            [&of_slowest, &of_slowest],
            random,
            run,
            n_steps,
            control,
        )
    }
}

/// An engine whose runs know persistent effects from the runs of other engines.
pub struct Remembering<'e> {
    engine: &'e OrderStatistics,
    seed: u64,
    runs: Runs,
    /// By pool; none where nothing is kept.
    ranks: Vec<Option<Arc<PoolMemory>>>,
    ports: Vec<Option<Arc<PoolMemory>>>,
}

impl Remembering<'_> {
    /// Draws `steps` steps of each run on the current rayon pool.
    ///
    /// # Errors
    /// As [`OrderStatistics::run`].
    pub fn run(&self, steps: u32, control: &Control) -> Result<Columns> {
        simulate(self, self.seed, self.runs, steps, control)
    }

    /// [`Remembering::run`], and what each step is made of.
    ///
    /// # Errors
    /// As [`OrderStatistics::run`].
    pub fn run_with_terms(&self, steps: u32, control: &Control) -> Result<(Columns, Terms)> {
        simulate_with_terms(self, self.seed, self.runs, steps, control)
    }

    /// Seconds of the same steps with each of some other networks.
    ///
    /// # Errors
    /// As [`simulate_networks`].
    pub fn run_networks(
        &self,
        networks: &[OtherNetwork],
        steps: u32,
        control: &Control,
    ) -> Result<Vec<Vec<f64>>> {
        simulate_networks(self, networks, self.seed, self.runs, steps, control)
    }
}

impl Engine for Remembering<'_> {
    type Run<'a>
        = DrawnRun<'a>
    where
        Self: 'a;

    const STEPS_PER_TASK: usize = OrderStatistics::STEPS_PER_TASK;
    const RUNS_IN_PARALLEL: bool = OrderStatistics::RUNS_IN_PARALLEL;
    const COUNTS_STEPS: bool = OrderStatistics::COUNTS_STEPS;

    fn plan(&self) -> &Plan {
        &self.engine.plan
    }

    fn begin<'a>(
        &'a self,
        random: &'a Random,
        run: u32,
        n_steps: u32,
        control: &Control,
    ) -> Result<DrawnRun<'a>> {
        let ranks = |pool: usize| Origin::of_memory(self.ranks[pool].as_deref());
        let ports = |pool: usize| Origin::of_memory(self.ports[pool].as_deref());
        DrawnRun::new(self.engine, [&ranks, &ports], random, run, n_steps, control)
    }
}

/// Where what persists in a run comes from, by pool.
type OriginOfPool<'f, 'm> = &'f dyn Fn(usize) -> Origin<'m>;

/// A job in one run.
pub struct DrawnRun<'a> {
    plan: &'a Plan,
    ranks: Vec<Members<'a>>,
    /// By pool; empty where nothing goes through the network.
    ports: Vec<Members<'a>>,
    /// Expected times by pool, where gangs have them.
    gangs_expected: Option<Vec<ExpectedTime>>,
}

impl<'a> DrawnRun<'a> {
    /// The origins of what persists, of ranks and of ports, are by pool.
    fn new(
        engine: &'a OrderStatistics,
        [of_ranks, of_ports]: [OriginOfPool<'_, '_>; 2],
        random: &'a Random,
        run: u32,
        n_steps: u32,
        control: &Control,
    ) -> Result<Self> {
        let members = |plan: &'a Plan, laws: &'a [Arc<PoolLaw>], origin: OriginOfPool<'_, '_>| {
            laws.iter()
                .enumerate()
                .map(|(index, law)| {
                    Members::new(
                        plan,
                        law,
                        index,
                        random,
                        (run, &(0..n_steps)),
                        origin(index),
                        control,
                    )
                })
                .collect::<Result<Vec<_>>>()
        };
        let gangs = engine.begin_gangs(random, run, control)?;
        let of_ranks: OriginOfPool<'_, '_> = match &gangs {
            Some(gangs) => &|pool| Origin::Given(gangs.effects[pool].clone()),
            None => of_ranks,
        };
        let has_transfers = !engine.plan.communication().terms.is_empty();
        let plan = engine.plan_of_ranks();
        Ok(Self {
            plan: &engine.plan,
            ranks: members(plan, &engine.ranks, of_ranks)?,
            ports: if has_transfers {
                members(&engine.plan, &engine.ports, of_ports)?
            } else {
                Vec::new()
            },
            gangs_expected: gangs.map(|gangs| gangs.expected),
        })
    }
}

impl Run for DrawnRun<'_> {
    type Scratch = Scratch;

    fn expected(&self) -> Vec<ExpectedTime> {
        if let Some(expected) = &self.gangs_expected {
            return expected.clone();
        }
        let of = |(index, ranks): (usize, &Members)| {
            let (slowdown, stall) = ranks.means();
            ExpectedTime::of_pool(self.plan, index, slowdown, stall)
        };
        self.ranks.iter().enumerate().map(of).collect()
    }

    fn slowest(
        &self,
        quad: u32,
        _: usize,
        durations: &Durations,
        scratch: &mut Scratch,
        _: &Control,
    ) -> Result<[Slowest; QUAD_STEPS]> {
        Slowest::of_pools(
            self.plan,
            durations,
            |index, nobody| Ok(self.ranks[index].best(nobody, quad, scratch)),
            |index, step, rank| self.ranks[index].in_episode(quad, step, rank),
        )
    }

    fn slowest_and_frontiers(
        &self,
        quad: u32,
        _: usize,
        durations: &Durations,
        scratch: &mut Scratch,
        _: &Control,
    ) -> Result<SlowestAndFrontiers> {
        Slowest::of_pools_with_frontiers(
            self.plan,
            durations,
            |index, nobody| Ok(self.ranks[index].best(nobody, quad, scratch)),
            |index, step, rank| self.ranks[index].in_episode(quad, step, rank),
        )
    }

    fn slowest_ports(
        &self,
        quad: u32,
        scratch: &mut Scratch,
        _: &Control,
    ) -> Result<Vec<[SlowestPort; QUAD_STEPS]>> {
        let ports = self.ports.iter().map(|ports| {
            if ports.is_ideal() {
                return [SlowestPort::IDEAL; QUAD_STEPS];
            }
            let worst = ports.best([WorstPorts::NONE; QUAD_STEPS], quad, scratch);
            worst.map(SlowestPort::from)
        });
        Ok(ports.collect())
    }
}
