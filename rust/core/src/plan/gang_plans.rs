//! Plans in which each gang is one rank, for engines that know one barrier a
//! step.

use super::cause::{Cause, CauseSpec};
use super::kinds::{Affects, Effect, Scope, Span};
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::pool::{Pool, PoolSpec, Replicas};
use crate::error::Result;
use crate::law::Law;

/// A random effect on the time of gangs, drawn anew in each step.
#[derive(Debug, Clone, PartialEq)]
pub struct GangLaw {
    /// Who shares a draw: [`Scope::Gpu`] for each gang by itself,
    /// [`Scope::Pool`] or [`Scope::Cluster`] for all of them.
    pub scope: Scope,
    /// Indices of the pools.
    pub pools: Vec<usize>,
    /// A factor on the gang's time, or a stall.
    pub effect: Effect,
    /// Probability that it occurs in a step.
    pub probability: f64,
    /// Its law where it occurs; seconds for a stall.
    pub law: Law,
}

/// The plan in which each gang is one rank of a single barrier, with all causes
/// that act on compute.
///
/// Units of a scope keep their gangs: a domain of 72 GPUs with nine gangs
/// becomes a domain of nine ranks. A scope whose units hold no whole gangs
/// becomes one of single ranks, so callers must know that causes of it are
/// not shared between gangs.
///
/// # Errors
/// Those of a pool.
pub fn one_rank_per_gang(plan: &Plan, pipeline: &Pipeline) -> Result<Plan> {
    let pools = plan
        .pools()
        .iter()
        .map(|pool| gangs_as_ranks(pool, pipeline))
        .collect::<Result<Vec<_>>>()?;
    let on_compute = |cause: &&Cause| cause.affects() == Affects::Compute;
    let causes = plan.all_causes().iter().filter(on_compute);
    let causes = causes.map(Cause::with_gangs_as_ranks).collect();
    Ok(plan.as_single_barrier(pools, causes))
}

/// The plan in which each gang is one rank that takes a random time by `laws`.
///
/// Of the plan's own causes those remain that persist through a run and those
/// that all ranks of a pool share for a whole step.
///
/// # Errors
/// Those of a pool or of a cause.
pub fn with_random_gangs(plan: &Plan, pipeline: &Pipeline, laws: Vec<GangLaw>) -> Result<Plan> {
    let mut derived = one_rank_per_gang(plan, pipeline)?.keeping(|cause| {
        cause.span() == Span::Run || (cause.span() == Span::Step && cause.scope().is_pool_wide())
    });
    // Longer than any other name, so that no cause of the plan has the same
    // random words.
    let longest = plan.all_causes().iter().map(|cause| cause.name().len());
    let prefix = "c".repeat(longest.max().unwrap_or(0) + 1);
    for (number, law) in laws.into_iter().enumerate() {
        derived.add_cause(CauseSpec {
            name: format!("{prefix}-{number}"),
            affects: Affects::Compute,
            effect: law.effect,
            scope: law.scope,
            span: Span::Step,
            probability: law.probability,
            law: law.law.into(),
            pools: law.pools,
            units: None,
            period: None,
            correlation_steps: None,
            trend_per_step: 0.0,
            episode: None,
        })?;
    }
    Ok(derived)
}

/// The pool whose ranks are the gangs of `pool`.
fn gangs_as_ranks(pool: &Pool, pipeline: &Pipeline) -> Result<Pool> {
    let gang_gpus = pipeline.gang_gpus(pool);
    let of_domain = pool.used_gpus() / gang_gpus;
    let gangs_of = |scope| {
        if !pipeline.holds_whole_gangs(pool, scope) {
            return 1;
        }
        let (unit, domain) = (pool.scope_gpus(scope), pool.scope_gpus(Scope::Domain));
        if unit.is_multiple_of(domain) {
            unit / domain * of_domain
        } else {
            unit / gang_gpus
        }
    };
    let n_gangs = pool.n_ranks().div_ceil(gang_gpus);
    let domain_gangs = gangs_of(Scope::Domain).min(n_gangs);
    let spec = PoolSpec {
        name: pool.name().to_owned(),
        n_gpus: n_gangs.next_multiple_of(domain_gangs),
        node_gpus: 1,
        domain_gpus: domain_gangs,
        domain_gpus_used: domain_gangs,
        held_back_gpus: 0,
        rack_gpus: pool.has_racks().then(|| gangs_of(Scope::Rack)),
        tensor_gpus: 1,
        compute_s: pool.compute_s(),
    };
    let mut gangs = Pool::new(spec, Replicas::OF_ONE_GROUP)?;
    gangs.keep(n_gangs);
    Ok(gangs)
}
