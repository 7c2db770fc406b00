//! The stages of a replica, and who waits for whom within a step.

use std::collections::HashMap;

use super::cause::Cause;
use super::kinds::{Affects, Effect, Scope, Span};
use super::pool::{Pool, Replicas};
use super::rank_order::{Numbering, RankOrder};
use crate::error::{Error, Result};
use crate::schedule::recursion::{Detail, PassTimes};
use crate::schedule::{Kind, Schedule, Shape};

/// Microbatches or layers of a step that random addresses have scratch for.
pub const MAX_INDICES: u64 = 1 << 18;

/// Ranks of a gang, at most.
pub const MAX_GANG_RANKS: u64 = 1 << 20;

/// How the stages of replicas are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// All stages of a replica in one pool, on consecutive tensor groups.
    Aligned,
    /// Over all pools: the first stages of all replicas, then the second ones.
    Mixed,
}

/// Seconds of the passes in one pool, without any cause.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTimes {
    /// One microbatch's forward pass, by virtual stage.
    pub forward_s: Vec<f64>,
    /// One microbatch's backward pass, by virtual stage.
    pub backward_s: Vec<f64>,
    /// One microbatch's weight-gradient pass, by virtual stage; empty where the schedule
    /// has none.
    pub weight_s: Vec<f64>,
    /// What a stage does once a step, after its last pass.
    pub overhead_s: f64,
    /// By link: seconds until a result has reached the other stage. Link s joins stage s and the next
    /// one, and the last link the last stage and the first one.
    pub transfer_s: Vec<f64>,
}

impl StageTimes {
    /// Whether a result takes any time to another stage.
    #[must_use]
    pub fn has_transfers(&self) -> bool {
        self.transfer_s.iter().any(|&seconds| seconds > 0.0)
    }
}

/// A pipeline in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// Kind of schedule.
    pub kind: Kind,
    /// Stages, chunks and microbatches.
    pub shape: Shape,
    /// Context-parallel tensor groups of a stage, which share its sequences.
    pub context: u32,
    /// Replicas of a gang: they wait for each other within a step, because each holds a
    /// part of the weights or experts that all of them need for every layer. 1 with
    /// several stages.
    pub gang_replicas: u32,
    /// Where the stages are.
    pub placement: Placement,
    /// In which order tensor groups are numbered.
    pub order: RankOrder,
    /// Layers of each virtual stage.
    pub layers: Vec<u32>,
    /// Seconds of passes, by pool.
    pub times: Vec<StageTimes>,
}

/// The kind of replica.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplicaSpec {
    /// Ranks that wait for each other at the end of a step only.
    Barrier {
        /// Tensor groups of a replica, which divide each sequence.
        context: u32,
        /// In which order tensor groups are numbered.
        order: RankOrder,
    },
    /// Ranks that wait for each other within a step.
    Pipeline(PipelineSpec),
}

/// A validated pipeline with its compiled schedule.
///
/// A *gang* is the ranks that wait for each other within a step: those of one replica, or
/// of all replicas of a shard or expert group.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    spec: PipelineSpec,
    schedule: Schedule,
    detail: Detail,
    /// Numbers of tensor groups, by pool.
    numberings: Vec<Numbering>,
    /// The number of the first tensor group, by pool.
    first_tensor_groups: Vec<u32>,
    /// Tensor groups of each stage, by pool.
    of_stages: Vec<Vec<u32>>,
}

impl Pipeline {
    /// # Errors
    /// [`Error::Domain`] for anything out of its domain.
    pub(super) fn new(spec: PipelineSpec) -> Result<Self> {
        let within = |error: Error| error.within("pipeline");
        let schedule = Schedule::new(spec.kind, spec.shape).map_err(within)?;
        for (field, count) in [
            ("context", spec.context),
            ("gang_replicas", spec.gang_replicas),
        ] {
            if count == 0 {
                return Err(within(Error::domain(field, 0.0, ">= 1")));
            }
        }
        if spec.gang_replicas > 1 && spec.shape.stages > 1 {
            let value = f64::from(spec.gang_replicas);
            return Err(within(Error::domain(
                "gang_replicas",
                value,
                "1 with stages",
            )));
        }
        // A stage would lie in several pools.
        let is_apart = spec.order.numbering(spec.context, 2, 2).context.stride > 1;
        if spec.placement == Placement::Mixed && spec.context > 1 && is_apart {
            let requirement = "one in which context comes first where stages are mixed";
            return Err(within(Error::domain("order", 0.0, requirement)));
        }
        let n_virtual = spec.shape.virtual_stages() as usize;
        if spec.layers.len() != n_virtual {
            let requirement = format!("{n_virtual} counts, one a virtual stage");
            let value = spec.layers.len() as f64;
            return Err(within(Error::domain("layers", value, requirement)));
        }
        Ok(Self {
            spec,
            schedule,
            detail: Detail::Stage,
            numberings: Vec::new(),
            first_tensor_groups: Vec::new(),
            of_stages: Vec::new(),
        })
    }

    /// Validates what depends on pools and causes, and notes in how much detail these
    /// tell passes apart.
    pub(super) fn check(&mut self, pools: &[Pool], causes: &[Cause]) -> Result<()> {
        if self.spec.times.len() != pools.len() {
            let requirement = format!("of {} pools", pools.len());
            let value = self.spec.times.len() as f64;
            return Err(Error::domain("times", value, requirement).within("pipeline"));
        }
        self.number_tensor_groups(pools);
        for (index, pool) in pools.iter().enumerate() {
            let gang = u64::from(self.spec.shape.stages)
                * u64::from(self.stage_tensor_groups())
                * u64::from(pool.tensor_gpus());
            let ranks = gang.min(u64::from(pool.n_ranks()));
            if ranks > MAX_GANG_RANKS {
                let requirement = format!("such that a gang has at most {MAX_GANG_RANKS} ranks");
                let error = Error::domain("gang_replicas", ranks as f64, requirement);
                return Err(error.within("pipeline"));
            }
            self.noiseless_s(index)
                .map_err(|error| error.within("pipeline"))?;
        }
        for cause in causes {
            let path = format!("causes.{}", cause.name());
            self.check_cause(cause, pools)
                .map_err(|error| error.within(&path))?;
            match cause.span() {
                Span::Layer => self.detail = Detail::Pass,
                Span::Microbatch if self.detail == Detail::Stage => {
                    self.detail = Detail::Microbatch;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_cause(&self, cause: &Cause, pools: &[Pool]) -> Result<()> {
        let indices = match cause.span() {
            Span::Run | Span::Episode | Span::Step => 0,
            Span::Microbatch => u64::from(self.spec.shape.microbatches),
            Span::Layer => 2 * u64::from(self.spec.shape.microbatches) * u64::from(self.n_layers()),
        };
        if indices > MAX_INDICES {
            let requirement = format!("such that a step has at most {MAX_INDICES} draws of a GPU");
            return Err(Error::domain("span", indices as f64, requirement));
        }
        let is_within_step = indices > 0;
        if is_within_step && cause.affects() == Affects::Network {
            return Err(Error::domain(
                "span",
                indices as f64,
                "run or step for a network",
            ));
        }
        if cause.span() == Span::Layer && cause.effect() == Effect::Stall {
            return Err(Error::domain(
                "span",
                indices as f64,
                "microbatch for a stall",
            ));
        }
        let mixed = self.spec.placement == Placement::Mixed;
        if mixed && cause.scope() == Scope::Replica {
            let of_microbatch = cause.span() == Span::Microbatch;
            if !(of_microbatch && cause.acts_everywhere()) {
                let requirement = "of span microbatch and act in all pools where replicas spread";
                return Err(Error::domain("scope", 0.0, requirement));
            }
        }
        let unfit = |(index, pool): (usize, &Pool)| {
            cause.streams(index).is_some()
                && self.reaches_several_stages(cause, index, pool)
                && !self.is_shared(cause)
        };
        if is_within_step && cause.effect() == Effect::Stall && pools.iter().enumerate().any(unfit)
        {
            let requirement = "gpu, replica, pool or cluster where it holds several stages";
            return Err(Error::domain("scope", 0.0, requirement));
        }
        Ok(())
    }

    /// Numbers the tensor groups of all pools, and counts those of each stage.
    fn number_tensor_groups(&mut self, pools: &[Pool]) {
        let mut before = 0;
        for pool in pools {
            let n = pool.n_tensor_groups();
            let (numbering, first) = match self.spec.placement {
                Placement::Aligned => (pool.numbering(), 0),
                Placement::Mixed => {
                    let all = pools.iter().map(Pool::n_tensor_groups).sum();
                    (self.replicas().numbering(all), before)
                }
            };
            before += n;
            self.of_stages.push(numbering.of_stages(first..first + n));
            self.first_tensor_groups.push(first);
            self.numberings.push(numbering);
        }
    }

    /// The numbers that it was made of.
    #[must_use]
    pub fn spec(&self) -> &PipelineSpec {
        &self.spec
    }

    /// The schedule of a gang.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// In how much detail the plan's causes tell passes apart.
    #[must_use]
    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// Layers of the model.
    #[must_use]
    pub fn n_layers(&self) -> u32 {
        self.spec.layers.iter().sum()
    }

    /// The virtual stage of each layer.
    #[must_use]
    pub fn stages_of_layers(&self) -> Vec<usize> {
        let of_stage = |(k, &n): (usize, &u32)| std::iter::repeat_n(k, n as usize);
        self.spec
            .layers
            .iter()
            .enumerate()
            .flat_map(of_stage)
            .collect()
    }

    /// Replicas by their tensor groups.
    #[must_use]
    pub fn replicas(&self) -> Replicas {
        Replicas {
            context: self.spec.context,
            stages: self.spec.shape.stages,
            order: self.spec.order,
        }
    }

    /// Tensor groups of a replica.
    #[must_use]
    pub fn replica_tensor_groups(&self) -> u32 {
        self.replicas().tensor_groups()
    }

    /// Tensor groups of one stage of a gang.
    #[must_use]
    pub fn stage_tensor_groups(&self) -> u32 {
        self.spec.context.saturating_mul(self.spec.gang_replicas)
    }

    /// Whether a whole gang shares each draw of a cause.
    #[must_use]
    pub fn is_shared(&self, cause: &Cause) -> bool {
        let mixed = self.spec.placement == Placement::Mixed;
        match cause.scope() {
            Scope::Pool => !mixed,
            // In some pools only, it reaches some stages of a mixed gang only.
            Scope::Cluster => !mixed || cause.acts_everywhere(),
            Scope::Replica => self.spec.gang_replicas == 1,
            _ => false,
        }
    }

    /// Whether one draw of a cause can reach several stages of a replica, so
    /// that a stall stops them at once.
    #[must_use]
    pub fn reaches_several_stages(&self, cause: &Cause, index: usize, pool: &Pool) -> bool {
        match self.numberings[index].distance_between_stages() {
            None => false,
            Some(_) if matches!(cause.scope(), Scope::Replica | Scope::Pool | Scope::Cluster) => {
                true
            }
            Some(distance) => {
                pool.tensor_groups_of_unit(cause.scope()) > distance
                    && self.some_unit_holds_several_stages(cause.scope(), index, pool)
            }
        }
    }

    /// Whether any unit of a scope holds several stages of one replica.
    fn some_unit_holds_several_stages(&self, scope: Scope, index: usize, pool: &Pool) -> bool {
        let (numbering, first) = (self.numberings[index], self.first_tensor_groups[index]);
        let mut stages = HashMap::new();
        pool.units_of(scope, 0..pool.n_ranks()).any(|ranks| {
            stages.clear();
            let groups = ranks.start / pool.tensor_gpus()..ranks.end.div_ceil(pool.tensor_gpus());
            groups.map(|group| first + group).any(|group| {
                let stage = numbering.stage.index(group);
                let known = stages.insert(numbering.data.index(group), stage);
                known.is_some_and(|known| known != stage)
            })
        })
    }

    /// Whether a unit of a scope may hold ranks of several gangs of a pool in which gangs are
    /// aligned.
    #[must_use]
    pub fn unit_reaches_several_gangs(&self, pool: &Pool, index: usize, scope: Scope) -> bool {
        let data = self.numberings[index].data;
        let gang = |tensor_group: u32| data.index(tensor_group) / self.spec.gang_replicas;
        let n_runs = pool.n_tensor_groups() / data.stride;
        // How runs lie in units repeats long before.
        (1..n_runs.min(1 << 16))
            .map(|run| run * data.stride)
            .any(|first| gang(first - 1) != gang(first) && pool.unit_reaches_across(scope, first))
    }

    /// The numbers of the tensor groups of pool number `index`: counted in the pool where replicas
    /// are aligned, and over all pools where they are not.
    #[must_use]
    pub fn numbering(&self, index: usize) -> Numbering {
        self.numberings[index]
    }

    /// The number of the first tensor group of pool number `index`.
    #[must_use]
    pub fn first_tensor_group(&self, index: usize) -> u32 {
        self.first_tensor_groups[index]
    }

    /// Whether any rank of pool number `index` is in a stage.
    #[must_use]
    pub fn holds_stage(&self, index: usize, stage: u32) -> bool {
        self.of_stages[index][stage as usize] > 0
    }

    /// Seconds that the average rank of a pool works in a step, bubbles excluded, without any
    /// cause: the mean over the stages that lie there.
    #[must_use]
    pub fn mean_busy_s(&self, pool: usize) -> f64 {
        let of_stages = &self.of_stages[pool];
        let all: u32 = of_stages.iter().sum();
        let of_stage = |(stage, &n): (u32, &u32)| f64::from(n) * self.busy_s(pool, stage);
        let sum_s: f64 = (0..).zip(of_stages).map(of_stage).sum();
        sum_s / f64::from(all.max(1))
    }

    /// Seconds of a step of a replica in a pool, without any cause.
    ///
    /// # Errors
    /// [`Error::Domain`] and [`Error::Field`] for times that are wrong.
    pub fn noiseless_s(&self, pool: usize) -> Result<f64> {
        let times = &self.spec.times[pool];
        let each = |by_stage: &Vec<f64>| -> Vec<f64> {
            let microbatches = self.spec.shape.microbatches as usize;
            let repeated = by_stage
                .iter()
                .map(|&s| std::iter::repeat_n(s, microbatches));
            repeated.flatten().collect()
        };
        let passes = PassTimes {
            forward_s: each(&times.forward_s),
            backward_s: each(&times.backward_s),
            weight_s: each(&times.weight_s),
        };
        if !(times.overhead_s >= 0.0 && times.overhead_s.is_finite()) {
            return Err(Error::domain(
                "overhead_s",
                times.overhead_s,
                "finite and >= 0",
            ));
        }
        Ok(passes.step_seconds(&self.schedule, &times.transfer_s)? + times.overhead_s)
    }

    /// Seconds that a stage in a pool works in a step, bubbles excluded, without any
    /// cause.
    #[must_use]
    pub fn busy_s(&self, pool: usize, stage: u32) -> f64 {
        let times = &self.spec.times[pool];
        let chunks =
            (0..self.spec.shape.chunks).map(|c| (c * self.spec.shape.stages + stage) as usize);
        let of = |by_stage: &[f64], k: usize| by_stage.get(k).copied().unwrap_or(0.0);
        let one: f64 = chunks
            .map(|k| of(&times.forward_s, k) + of(&times.backward_s, k) + of(&times.weight_s, k))
            .sum();
        f64::from(self.spec.shape.microbatches) * one + times.overhead_s
    }

    /// GPUs of a gang in a pool; the last one may have fewer.
    #[must_use]
    pub fn gang_gpus(&self, pool: &Pool) -> u32 {
        (self
            .spec
            .shape
            .stages
            .saturating_mul(self.stage_tensor_groups()))
        .saturating_mul(pool.tensor_gpus())
    }

    /// Whether each unit of a scope (domain or rack) holds whole gangs and no
    /// spares, so that a cause of that scope is one that whole gangs share.
    #[must_use]
    pub fn holds_whole_gangs(&self, pool: &Pool, scope: Scope) -> bool {
        let unit_gpus = match scope {
            Scope::Domain | Scope::Rack => pool.scope_gpus(scope),
            _ => return false,
        };
        let gang_gpus = self.gang_gpus(pool);
        let domain_gpus = pool.scope_gpus(Scope::Domain);
        let holds_whole_domains = unit_gpus.is_multiple_of(domain_gpus);
        let divides_domains = domain_gpus.is_multiple_of(unit_gpus);
        self.spec.placement == Placement::Aligned
            && pool.has_whole_replicas()
            && pool.used_gpus().is_multiple_of(gang_gpus)
            && (holds_whole_domains || (divides_domains && unit_gpus.is_multiple_of(gang_gpus)))
    }
}
