//! How a replica's stages work, and who waits for whom inside of a step.

use super::{Affects, Cause, Effect, Group, Scope, Span};
use crate::error::{Error, Result};
use crate::schedule::recursion::{Detail, PassTimes};
use crate::schedule::{Kind, Schedule, Shape};

/// Indices that a random address has room for.
pub const MAX_INDICES: u64 = 1 << 18;

/// Ranks of a crew, at most.
pub const MAX_CREW_RANKS: u64 = 1 << 20;

/// Where the stages of a replica are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Side by side in one pool.
    Aligned,
    /// Spread over all pools: the first stage of all replicas, then the second.
    Mixed,
}

/// Seconds of a group's passes, without any cause.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTimes {
    /// One microbatch's forward pass, by virtual stage.
    pub forward_s: Vec<f64>,
    /// One microbatch's backward pass, by virtual stage.
    pub backward_s: Vec<f64>,
    /// Gradients of weights, by virtual stage; empty where they have no pass.
    pub weight_s: Vec<f64>,
    /// What a stage does once a step, after its last pass.
    pub overhead_s: f64,
    /// Until a result has reached the next stage.
    pub transfer_s: f64,
}

/// A pipeline in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// Kind of schedule.
    pub kind: Kind,
    /// Stages, chunks and microbatches.
    pub shape: Shape,
    /// Tensor groups that share the sequences of one stage.
    pub context_groups: u32,
    /// Replicas that wait for each other inside of a step, because each holds a
    /// part of what all of them need for every layer. 1 with several stages.
    pub crew_replicas: u32,
    /// Where the stages are.
    pub placement: Placement,
    /// Layers of each virtual stage.
    pub layers: Vec<u32>,
    /// Seconds, by group.
    pub times: Vec<StageTimes>,
}

/// What a replica is.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplicaSpec {
    /// Ranks that wait for each other at the end of a step only.
    Barrier {
        /// Tensor groups of a replica.
        tensor_groups: u32,
    },
    /// Ranks that wait for each other inside of a step.
    Pipeline(PipelineSpec),
}

/// A pipeline whose schedule is one list of passes.
///
/// A *crew* is who waits for each other inside of a step: the ranks of a
/// replica, or those of a shard group.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub(super) spec: PipelineSpec,
    schedule: Schedule,
    detail: Detail,
}

impl Pipeline {
    /// # Errors
    /// [`Error::Domain`] for anything out of its domain.
    pub(super) fn new(spec: PipelineSpec) -> Result<Self> {
        let within = |error: Error| error.within("pipeline");
        let schedule = Schedule::new(spec.kind, spec.shape).map_err(within)?;
        for (field, count) in [
            ("context_groups", spec.context_groups),
            ("crew_replicas", spec.crew_replicas),
        ] {
            if count == 0 {
                return Err(within(Error::domain(field, 0.0, ">= 1")));
            }
        }
        if spec.crew_replicas > 1 && spec.shape.stages > 1 {
            let value = f64::from(spec.crew_replicas);
            return Err(within(Error::domain(
                "crew_replicas",
                value,
                "1 with stages",
            )));
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
        })
    }

    /// Judges what takes groups and causes to see.
    pub(super) fn check(&mut self, groups: &[Group], causes: &[Cause]) -> Result<()> {
        if self.spec.times.len() != groups.len() {
            let requirement = format!("of {} groups", groups.len());
            let value = self.spec.times.len() as f64;
            return Err(Error::domain("times", value, requirement).within("pipeline"));
        }
        for (index, group) in groups.iter().enumerate() {
            let crew = u64::from(self.spec.shape.stages)
                * u64::from(self.stage_groups())
                * u64::from(group.tensor_gpus());
            let ranks = crew.min(u64::from(group.n_ranks()));
            if ranks > MAX_CREW_RANKS {
                let requirement = format!("such that a crew has at most {MAX_CREW_RANKS} ranks");
                let error = Error::domain("crew_replicas", ranks as f64, requirement);
                return Err(error.within("pipeline"));
            }
            self.noiseless_s(index)
                .map_err(|error| error.within("pipeline"))?;
        }
        for cause in causes {
            let path = format!("causes.{}", cause.name());
            self.check_cause(cause, groups)
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

    fn check_cause(&self, cause: &Cause, groups: &[Group]) -> Result<()> {
        let indices = match cause.span() {
            Span::Run | Span::Step => 0,
            Span::Microbatch => u64::from(self.spec.shape.microbatches),
            Span::Layer => 2 * u64::from(self.spec.shape.microbatches) * u64::from(self.n_layers()),
        };
        if indices > MAX_INDICES {
            let requirement = format!("such that a step has at most {MAX_INDICES} draws of a GPU");
            return Err(Error::domain("span", indices as f64, requirement));
        }
        let inside_of_a_step = indices > 0;
        if inside_of_a_step && cause.affects() == Affects::Network {
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
        let unfit = |(index, group): (usize, &Group)| {
            cause.streams(index).is_some() && self.is_wide(cause, group) && !self.is_shared(cause)
        };
        if inside_of_a_step
            && cause.effect() == Effect::Stall
            && groups.iter().enumerate().any(unfit)
        {
            let requirement = "gpu, replica, pool or cluster where it holds several stages";
            return Err(Error::domain("scope", 0.0, requirement));
        }
        Ok(())
    }

    /// What it was made of.
    #[must_use]
    pub fn spec(&self) -> &PipelineSpec {
        &self.spec
    }

    /// The order of all passes.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How finely the plan's causes tell passes apart.
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

    /// Tensor groups of a replica.
    #[must_use]
    pub fn replica_groups(&self) -> u32 {
        self.spec
            .shape
            .stages
            .saturating_mul(self.spec.context_groups)
    }

    /// Tensor groups of one stage of a crew.
    #[must_use]
    pub fn stage_groups(&self) -> u32 {
        self.spec
            .context_groups
            .saturating_mul(self.spec.crew_replicas)
    }

    /// Whether a whole crew shares each draw of a cause.
    #[must_use]
    pub fn is_shared(&self, cause: &Cause) -> bool {
        let mixed = self.spec.placement == Placement::Mixed;
        match cause.scope() {
            Scope::Pool => !mixed,
            // Of a crew in several pools it may reach some stages only.
            Scope::Cluster => !mixed || cause.acts_everywhere(),
            Scope::Replica => self.spec.crew_replicas == 1,
            _ => false,
        }
    }

    /// Whether one draw of a cause can reach several stages of a replica, so
    /// that a stall stops them at once.
    #[must_use]
    pub fn is_wide(&self, cause: &Cause, group: &Group) -> bool {
        let stage_gpus = self.stage_groups().saturating_mul(group.tensor_gpus());
        self.spec.shape.stages > 1 && group.scope_gpus(cause.scope()) > stage_gpus
    }

    /// Seconds that a replica of a group takes without any cause.
    ///
    /// # Errors
    /// [`Error::Domain`] and [`Error::Field`] for times that are wrong.
    pub fn noiseless_s(&self, group: usize) -> Result<f64> {
        let times = &self.spec.times[group];
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
        Ok(passes.step_seconds(&self.schedule, times.transfer_s)? + times.overhead_s)
    }

    /// Seconds that a stage of a group works in a step without any cause.
    #[must_use]
    pub fn busy_s(&self, group: usize, stage: u32) -> f64 {
        let times = &self.spec.times[group];
        let chunks =
            (0..self.spec.shape.chunks).map(|c| (c * self.spec.shape.stages + stage) as usize);
        let of = |by_stage: &[f64], k: usize| by_stage.get(k).copied().unwrap_or(0.0);
        let one: f64 = chunks
            .map(|k| of(&times.forward_s, k) + of(&times.backward_s, k) + of(&times.weight_s, k))
            .sum();
        f64::from(self.spec.shape.microbatches) * one + times.overhead_s
    }
}
