//! A step of a whole job in plain numbers, validated and compiled once.

use std::collections::HashMap;

use super::cause::{Cause, CauseSpec};
use super::communication::Communication;
use super::episode::Episode;
use super::hops::{self, Hops};
use super::kinds::{Affects, Effect, Scope, Span};
use super::period::Period;
use super::pipeline::{Pipeline, Placement, ReplicaSpec};
use super::pool::{Pool, PoolSpec, Replicas};
use super::rank_order::RankOrder;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::random::{Stream, Use};
use crate::simd::InstructionSet;

/// A step of a whole job, ready for an engine.
#[derive(Debug, Clone)]
pub struct Plan {
    pools: Vec<Pool>,
    causes: Vec<Cause>,
    communication: Communication,
    hops: Hops,
    pipeline: Option<Pipeline>,
    instructions: InstructionSet,
}

impl Plan {
    /// Validates and compiles a plan without stages: GPUs by pool, causes of variation,
    /// and what replicas send each other.
    ///
    /// # Errors
    /// Any number out of its domain, under the path of its pool, cause or
    /// term; [`Error::Streams`] where two causes would share random words.
    pub fn new(
        pools: Vec<PoolSpec>,
        causes: Vec<CauseSpec>,
        communication: Communication,
    ) -> Result<Self> {
        let replica = ReplicaSpec::Barrier {
            context: 1,
            order: RankOrder::BY_REPLICA,
        };
        Self::of_replicas(pools, causes, communication, replica)
    }

    /// Validates and compiles a plan whose replicas have more than one tensor group, or
    /// whose ranks wait for each other within a step.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and what is wrong with the replicas.
    pub fn of_replicas(
        pools: Vec<PoolSpec>,
        causes: Vec<CauseSpec>,
        communication: Communication,
        replica: ReplicaSpec,
    ) -> Result<Self> {
        Self::compile(pools, causes, communication, replica, &Control::default())
    }

    /// As [`Plan::of_replicas`], until a stop is asked for.
    ///
    /// # Errors
    /// Those of [`Plan::of_replicas`]; [`Error::Stopped`] once `control` asks for it.
    pub fn compile(
        pools: Vec<PoolSpec>,
        causes: Vec<CauseSpec>,
        mut communication: Communication,
        replica: ReplicaSpec,
        control: &Control,
    ) -> Result<Self> {
        if pools.is_empty() {
            return Err(Error::domain("pools", 0.0, "at least one pool"));
        }
        let (replicas, mut pipeline) = match replica {
            ReplicaSpec::Barrier { context, order } => {
                let replicas = Replicas {
                    context: context.max(1),
                    stages: 1,
                    order,
                };
                (replicas, None)
            }
            ReplicaSpec::Pipeline(spec) => {
                let pipeline = Pipeline::new(spec)?;
                (pipeline.replicas(), Some(pipeline))
            }
        };
        let mut pools = pools
            .into_iter()
            .map(|pool| Pool::new(pool, replicas))
            .collect::<Result<Vec<_>>>()?;
        fill_replicas(&mut pools, replicas.tensor_groups(), pipeline.as_ref())?;
        let causes = causes
            .into_iter()
            .map(|cause| {
                control.advance(0)?;
                Cause::compile(cause, &pools)
            })
            .collect::<Result<Vec<_>>>()?;
        match &mut pipeline {
            Some(pipeline) => pipeline.check(&pools, &causes)?,
            None => check_spans(&causes)?,
        }
        communication.check(pools.len())?;
        if pipeline
            .as_ref()
            .is_some_and(|pipeline| pipeline.spec().placement == Placement::Mixed)
        {
            communication.share_windows();
        }
        let plan = Self {
            pools,
            causes,
            hops: Hops::compile(&communication)?,
            communication,
            pipeline,
            instructions: InstructionSet::best(),
        };
        plan.check_streams(control)?;
        plan.check_range(control)?;
        Ok(plan)
    }

    /// The pools, in document order.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Replicas of the job, whether they lie in one pool each or spread over several.
    #[must_use]
    pub fn n_replicas(&self) -> u32 {
        let spread = |pipeline: &&Pipeline| pipeline.spec().placement == Placement::Mixed;
        match self.pipeline.as_ref().filter(spread) {
            None => self.pools.iter().map(Pool::n_replicas).sum(),
            Some(pipeline) => {
                let tensor_groups: u32 = self.pools.iter().map(Pool::n_tensor_groups).sum();
                tensor_groups / pipeline.replica_tensor_groups()
            }
        }
    }

    /// What replicas send each other in a step.
    #[must_use]
    pub fn communication(&self) -> &Communication {
        &self.communication
    }

    /// Factors on its latencies where hops take random times.
    #[must_use]
    pub fn hops(&self) -> &Hops {
        &self.hops
    }

    /// The stages of a replica, where a step is more than one barrier.
    #[must_use]
    pub fn pipeline(&self) -> Option<&Pipeline> {
        self.pipeline.as_ref()
    }

    /// The plan, to be run in another instruction set than the fastest one; in the
    /// portable one where the processor lacks it.
    #[must_use]
    pub fn with_instructions(self, instructions: InstructionSet) -> Self {
        let instructions = if instructions.is_available() {
            instructions
        } else {
            InstructionSet::Portable
        };
        Self {
            instructions,
            ..self
        }
    }

    /// The instruction set that the plan is run in.
    #[must_use]
    pub fn instructions(&self) -> InstructionSet {
        self.instructions
    }

    /// The causes of one kind that act in a pool, in document order.
    pub fn causes(
        &self,
        pool: usize,
        affects: Affects,
        span: Span,
    ) -> impl Iterator<Item = &Cause> {
        self.causes.iter().filter(move |cause| {
            cause.affects() == affects && cause.span() == span && cause.streams(pool).is_some()
        })
    }

    /// Whether any pool's computing or ports are slow in episodes.
    #[must_use]
    pub fn has_episodes(&self, affects: Affects) -> bool {
        let begins = |episode: &Episode| episode.per_s() > 0.0;
        let is_one =
            |cause: &Cause| cause.affects() == affects && cause.episode().is_some_and(begins);
        self.causes.iter().any(is_one)
    }

    /// All causes, in document order.
    #[must_use]
    pub fn all_causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The plan with only those causes for which `keep` returns true.
    #[must_use]
    pub fn keeping(&self, keep: impl Fn(&Cause) -> bool) -> Self {
        let mut plan = self.clone();
        plan.causes.retain(keep);
        plan
    }

    /// The plan with other pools and causes, without stages: a step is one
    /// barrier.
    pub(super) fn as_single_barrier(&self, pools: Vec<Pool>, causes: Vec<Cause>) -> Self {
        Self {
            pools,
            causes,
            pipeline: None,
            ..self.clone()
        }
    }

    /// Compiles one more cause.
    ///
    /// # Errors
    /// Those of the cause.
    pub(super) fn add_cause(&mut self, spec: CauseSpec) -> Result<()> {
        self.causes.push(Cause::compile(spec, &self.pools)?);
        Ok(())
    }

    /// Effects on ranks and ports in one step by causes that change, as a measure of
    /// work: a draw that several ranks share counts for each of them.
    #[must_use]
    pub fn draws_per_step(&self) -> u64 {
        self.causes.iter().map(|cause| self.draws_of(cause)).sum()
    }

    /// Cost of sampling one step, in draws of a certain cause with a single law: what
    /// occurs now and then, and mixtures, are looked up one value at a time.
    #[must_use]
    pub fn cost_per_step(&self) -> u64 {
        const SINGLE_LOOK_UP: f64 = 64.0;
        let cost = |cause: &Cause| {
            let times = match cause.only_table() {
                Some(_) if cause.is_certain() => 1.0,
                _ => {
                    let steps = cause.period().map_or(1, Period::steps);
                    1.0 + SINGLE_LOOK_UP * cause.probability() / f64::from(steps)
                }
            };
            (self.draws_of(cause) as f64 * times) as u64
        };
        self.causes.iter().map(cost).sum()
    }

    fn draws_of(&self, cause: &Cause) -> u64 {
        let per_rank = match (cause.span(), &self.pipeline) {
            (Span::Run | Span::Episode, _) => 0,
            (Span::Step, _) | (_, None) => 1,
            (Span::Microbatch, Some(pipeline)) => u64::from(pipeline.spec().shape.microbatches),
            (Span::Layer, Some(pipeline)) => {
                2 * u64::from(pipeline.spec().shape.microbatches) * u64::from(pipeline.n_layers())
            }
        };
        let here = |&(index, _): &(usize, &Pool)| cause.streams(index).is_some();
        let pools = self.pools.iter().enumerate().filter(here);
        per_rank
            * pools
                .map(|(_, pool)| u64::from(pool.n_ranks()))
                .sum::<u64>()
    }

    /// Refuses causes whose factors or stalls together may leave the range of f32.
    fn check_range(&self, control: &Control) -> Result<()> {
        const GREATEST_EFFECT: f64 = f32::MAX as f64 / 4.0;
        const LEAST_EFFECT: f64 = f32::MIN_POSITIVE as f64;
        for (index, pool) in self.pools.iter().enumerate() {
            control.advance(0)?;
            for affects in [Affects::Compute, Affects::Network] {
                let causes = || {
                    Span::ALL
                        .into_iter()
                        .flat_map(move |span| self.causes(index, affects, span))
                };
                let slowdowns = || causes().filter(|cause| cause.effect() == Effect::Slowdown);
                let stalls = causes().filter(|cause| cause.effect() == Effect::Stall);
                let greatest: f64 = slowdowns()
                    .map(|cause| f64::from(cause.greatest()))
                    .product();
                let least: f64 = slowdowns().map(|cause| f64::from(cause.least())).product();
                let longest_s: f64 = stalls.map(|cause| f64::from(cause.greatest())).sum();
                // The scale of stalls must be finite itself.
                if affects == Affects::Compute && (1.0 / pool.compute_s()) > GREATEST_EFFECT {
                    let requirement = format!(">= {:e}", 1.0 / GREATEST_EFFECT);
                    let error = Error::domain("compute_s", pool.compute_s(), requirement);
                    return Err(error.within(&format!("pools.{}", pool.name())));
                }
                let longest = match affects {
                    Affects::Compute => longest_s / pool.compute_s(),
                    Affects::Network => longest_s,
                };
                if !(0.0..=GREATEST_EFFECT).contains(&(greatest + longest)) {
                    let requirement =
                        "less extreme together: their greatest effects are beyond f32";
                    return Err(Error::domain("causes", greatest + longest, requirement));
                }
                if !(LEAST_EFFECT..).contains(&least) {
                    let requirement = "less extreme together: their least effects are beyond f32";
                    return Err(Error::domain("causes", least, requirement));
                }
            }
        }
        Ok(())
    }

    /// Refuses causes that would share random words.
    fn check_streams(&self, control: &Control) -> Result<()> {
        let mut seen: HashMap<Stream, Owner> = HashMap::new();
        let mut own = |owner: Owner| {
            let stream = owner.stream(self);
            let first = *seen.entry(stream).or_insert(owner);
            if first == owner {
                return Ok(());
            }
            Err(Error::Streams {
                first: first.address(self),
                second: owner.address(self),
            })
        };
        for usage in Use::ALL {
            own(Owner::Hops(usage))?;
        }
        for pool in 0..self.pools.len() {
            for usage in [Use::Slowest, Use::Member] {
                own(Owner::Pool(pool, usage))?;
            }
        }
        for (cause_index, cause) in self.causes.iter().enumerate() {
            control.advance(0)?;
            for pool in 0..self.pools.len() {
                if cause.streams(pool).is_none() {
                    continue;
                }
                // Pools share the words of a cause of scope cluster, and only these.
                let is_shared = cause.scope() == Scope::Cluster;
                let pool = (!is_shared).then_some(pool);
                for usage in Use::ALL {
                    own(Owner::Cause(cause_index, pool, usage))?;
                }
                if is_shared {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whose random words a stream has. Equal owners have equal addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The noise of hops.
    Hops(Use),
    /// The slowest ranks of a pool.
    Pool(usize, Use),
    /// A cause, in one pool or in all of them.
    Cause(usize, Option<usize>, Use),
}

impl Owner {
    /// Names of pool and cause in its address, and the use.
    fn parts(self, plan: &Plan) -> (&str, &str, Use) {
        let name = |pool: usize| plan.pools[pool].name();
        match self {
            Self::Hops(usage) => ("", hops::NAME, usage),
            Self::Pool(pool, usage) => (name(pool), "", usage),
            Self::Cause(cause, pool, usage) => {
                (pool.map_or("", name), plan.causes[cause].name(), usage)
            }
        }
    }

    fn stream(self, plan: &Plan) -> Stream {
        let (pool, cause, usage) = self.parts(plan);
        Stream::new(pool, cause, usage)
    }

    fn address(self, plan: &Plan) -> String {
        let (pool, cause, usage) = self.parts(plan);
        Stream::address(pool, cause, usage)
    }
}

/// Makes spares of tensor groups that fill no replica.
fn fill_replicas(pools: &mut [Pool], replica: u32, pipeline: Option<&Pipeline>) -> Result<()> {
    let refuse = |name: &str, n: u32, unit: u32| {
        let requirement = format!("enough for {unit} tensor groups, those of a replica");
        Err(Error::domain("n_gpus", f64::from(n), requirement).within(&format!("pools.{name}")))
    };
    match pipeline.filter(|pipeline| pipeline.spec().placement == Placement::Mixed) {
        None => {
            for pool in pools {
                let n = pool.n_tensor_groups();
                if n < replica {
                    return refuse(pool.name(), n, replica);
                }
                pool.keep(n - n % replica);
            }
        }
        Some(pipeline) => {
            let stage = pipeline.stage_tensor_groups();
            let mut total = 0;
            for pool in pools.iter_mut() {
                let n = pool.n_tensor_groups();
                pool.keep(n - n % stage);
                total += pool.n_tensor_groups();
            }
            if total < replica {
                return refuse(pools[0].name(), total, replica);
            }
            // The last tensor groups are left over.
            let mut over = total % replica;
            for pool in pools.iter_mut().rev() {
                let given = over.min(pool.n_tensor_groups());
                pool.keep(pool.n_tensor_groups() - given);
                over -= given;
            }
        }
    }
    Ok(())
}

/// Refuses causes that change within a step where a step is one barrier.
fn check_spans(causes: &[Cause]) -> Result<()> {
    let changes_within = |cause: &&Cause| cause.span().is_within_step();
    match causes.iter().find(changes_within) {
        Some(cause) => Err(Error::Field {
            field: "pipeline".to_owned(),
            missing: true,
        }
        .within(&format!("causes.{}", cause.name()))),
        None => Ok(()),
    }
}
