//! Gangs as ranks of a single barrier.

use std::sync::Arc;

use super::gang_causes::{
    changes_within_gangs, has_persistent_causes, persistent_only, shared_by_several_gangs,
    stall_shared_within_step,
};
use super::simulated::SimulatedLaws;
use crate::control::Control;
use crate::error::Result;
use crate::order_statistics::law::{LawMemory, PoolLaw, is_sum_of_maxima};
use crate::order_statistics::reason::{Halt, Reason};
use crate::order_statistics::run::RankEffects;
use crate::pipeline::{GangTime, RunGangTimes};
use crate::plan::{Affects, Placement, Plan, Pool, Span, one_rank_per_gang, with_random_gangs};
use crate::random::Random;
use crate::step::ExpectedTime;

/// How gangs of one pool differ from each other.
enum Differ {
    /// By causes of span layer alone: each is a sum of maxima.
    Layers,
    /// By what is drawn anew in each step alone.
    Steps,
    /// By persistent causes, too: the plan with these and the stages.
    Runs(Box<Plan>),
}

/// A plan with stages, reduced to gangs that meet at a single barrier.
pub struct GangLaws {
    differ: Differ,
    /// The plan in which each gang is one rank.
    plan: Plan,
    /// By pool: how much gangs differ by persistent causes, as a standard deviation in ln;
    /// empty where that is not known beforehand.
    spreads: Vec<f64>,
}

/// What a run fixes for gangs.
pub struct RunGangs {
    /// Persistent effects by pool and gang.
    pub effects: Vec<Arc<[RankEffects]>>,
    /// Expected times of the average rank, by pool.
    pub expected: Vec<ExpectedTime>,
}

impl GangLaws {
    /// The exact reduction of a plan; none for a plan without stages.
    ///
    /// # Errors
    /// What changes within a gang, so that its time has no closed form.
    pub fn exact(plan: &Plan) -> std::result::Result<Option<Self>, Reason> {
        let Some(pipeline) = plan.pipeline() else {
            return Ok(None);
        };
        if is_sum_of_maxima(plan, pipeline) {
            let gangs = one_rank_per_gang(plan, pipeline).ok();
            return Ok(gangs.map(|gangs| Self {
                differ: Differ::Layers,
                plan: gangs.keeping(|cause| cause.span() != Span::Layer),
                spreads: Vec::new(),
            }));
        }
        if let Some(cause) = changes_within_gangs(plan, pipeline) {
            return Err(Reason::Pipeline {
                cause: Some(cause.name().to_owned()),
            });
        }
        // Gangs of mixed stages lie in no pool, which may even have no rank at all.
        if pipeline.spec().placement == Placement::Mixed {
            return Err(Reason::Pipeline { cause: None });
        }
        match one_rank_per_gang(plan, pipeline) {
            Ok(gangs) => Ok(Some(Self {
                differ: Differ::Runs(Box::new(persistent_only(plan))),
                plan: gangs,
                spreads: Vec::new(),
            })),
            _ => Err(Reason::Pipeline { cause: None }),
        }
    }

    /// The approximate reduction of a plan with stages that are not mixed, by laws of gangs that
    /// are sampled under `seed`.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it; within it why
    /// gangs are not alike and independent.
    pub fn simulated(
        plan: &Plan,
        seed: u64,
        control: &Control,
    ) -> Result<std::result::Result<Self, Reason>> {
        let Some(pipeline) = plan.pipeline() else {
            return Ok(Err(Reason::Pipeline { cause: None }));
        };
        if let Some(cause) = shared_by_several_gangs(plan, pipeline) {
            let cause = cause.name().to_owned();
            return Ok(Err(Reason::Shared { cause }));
        }
        if let Some(cause) = stall_shared_within_step(plan) {
            let cause = cause.name().to_owned();
            return Ok(Err(Reason::Stopped { cause }));
        }
        let SimulatedLaws { laws, spreads } = SimulatedLaws::new(plan, pipeline, seed, control)?;
        Ok(Ok(Self {
            differ: if has_persistent_causes(plan) {
                Differ::Runs(Box::new(persistent_only(plan)))
            } else {
                Differ::Steps
            },
            plan: with_random_gangs(plan, pipeline, laws)?,
            spreads,
        }))
    }

    /// The plan in which each gang is one rank.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The laws of all pools; `plan` is the one with the stages.
    ///
    /// # Errors
    /// Why the slowest gang cannot be drawn from a law; [`Error::Stopped`](crate::Error::Stopped)
    /// once `control` asks for it.
    pub fn compile(
        &self,
        plan: &Plan,
        memory: &mut LawMemory,
        control: &Control,
    ) -> std::result::Result<Vec<Arc<PoolLaw>>, Halt> {
        let pools = 0..self.plan.pools().len();
        let of_pool = |index| match (&self.differ, plan.pipeline()) {
            (Differ::Layers, Some(pipeline)) => memory.of_layers(plan, pipeline, index, control),
            (Differ::Runs(_), _) => {
                let spread = self.spreads.get(index).copied().unwrap_or(0.0);
                memory.of_gangs(&self.plan, index, spread, control)
            }
            _ => memory.of_pool(&self.plan, index, Affects::Compute, control),
        };
        pools.map(of_pool).collect()
    }

    /// What a run fixes: each gang walks through its schedule once. None where gangs do
    /// not differ by anything persistent.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn begin(
        &self,
        plan: &Plan,
        random: &Random,
        run: u32,
        control: &Control,
    ) -> Result<Option<RunGangs>> {
        let Differ::Runs(persistent) = &self.differ else {
            return Ok(None);
        };
        let Some(gangs) = RunGangTimes::of_run(plan, persistent, random, run, control)? else {
            return Ok(None);
        };
        let by_pool = gangs.times.into_iter().zip(plan.pools());
        Ok(Some(RunGangs {
            effects: by_pool
                .map(|(times, pool)| relative(&times, pool))
                .collect(),
            expected: gangs.expected,
        }))
    }
}

/// Times of gangs in units of the pool's noiseless compute time.
fn relative(times: &[GangTime], pool: &Pool) -> Arc<[RankEffects]> {
    let unit_s = pool.compute_s();
    let of = |time: &GangTime| RankEffects {
        slowdown: ((time.step_s - time.stall_s) / unit_s) as f32,
        stall: (time.stall_s / unit_s) as f32,
    };
    times.iter().map(of).collect()
}
