//! Which causes gangs share, and which they do not.

use crate::plan::{Affects, Cause, Effect, Pipeline, Plan, Pool, Scope, Span};

/// Slowdowns that change within a step and that all gangs of some pools share.
pub(super) struct SharedWithinStep<'a> {
    /// Pool or cluster.
    pub(super) scope: Scope,
    /// Indices of the pools that share each draw.
    pub(super) pools: Vec<usize>,
    /// Names of the causes.
    pub(super) names: Vec<&'a str>,
}

/// The plan with causes of span run alone.
pub(super) fn persistent_only(plan: &Plan) -> Plan {
    plan.keeping(|cause| cause.span() == Span::Run)
}

/// Whether any cause of span run acts on compute.
pub(super) fn has_persistent_causes(plan: &Plan) -> bool {
    let mut causes = plan.all_causes().iter();
    causes.any(|cause| cause.affects() == Affects::Compute && cause.span() == Span::Run)
}

/// The plan without pool-wide causes that change, but for those of `kept` names.
pub(super) fn without_pool_wide(plan: &Plan, kept: &[&str]) -> Plan {
    plan.keeping(|cause| {
        cause.span() == Span::Run || !cause.scope().is_pool_wide() || kept.contains(&cause.name())
    })
}

/// The pool-wide causes that change within a step, by who shares their draws.
pub(super) fn shared_within_step(plan: &Plan) -> Vec<SharedWithinStep<'_>> {
    let mut all: Vec<SharedWithinStep> = Vec::new();
    let causes = plan.all_causes().iter();
    for cause in causes.filter(|cause| is_shared_within_step(cause)) {
        let acts = |&index: &usize| cause.streams(index).is_some();
        let pools: Vec<usize> = (0..plan.pools().len()).filter(acts).collect();
        let together = match cause.scope() {
            Scope::Cluster => vec![pools],
            _ => pools.into_iter().map(|index| vec![index]).collect(),
        };
        for pools in together {
            let is_same = |other: &&mut SharedWithinStep| {
                (other.scope, &other.pools) == (cause.scope(), &pools)
            };
            match all.iter_mut().find(is_same) {
                Some(shared) => shared.names.push(cause.name()),
                None => all.push(SharedWithinStep {
                    scope: cause.scope(),
                    pools,
                    names: vec![cause.name()],
                }),
            }
        }
    }
    all
}

/// A stall that all gangs of a pool share within a step.
pub(super) fn stall_shared_within_step(plan: &Plan) -> Option<&Cause> {
    let mut causes = plan.all_causes().iter();
    causes.find(|cause| is_shared_within_step(cause) && cause.effect() == Effect::Stall)
}

/// A cause that changes, and whose units hold several gangs but not all of their pool.
pub(super) fn shared_by_several_gangs<'a>(
    plan: &'a Plan,
    pipeline: &Pipeline,
) -> Option<&'a Cause> {
    plan.all_causes().iter().find(|cause| {
        let holds_several = |(index, pool): (usize, &Pool)| {
            cause.streams(index).is_some()
                && pipeline.unit_reaches_several_gangs(pool, index, cause.scope())
        };
        cause.affects() == Affects::Compute
            && cause.span() != Span::Run
            && !cause.scope().is_pool_wide()
            && cause.scope() != Scope::Replica
            && plan.pools().iter().enumerate().any(holds_several)
    })
}

/// A cause by which the time of a gang is not its persistent time with shared factors
/// and stalls of the step: it changes and whole gangs do not share it, it changes within
/// a step, or transfers between stages do not follow its slowdown.
pub(super) fn changes_within_gangs<'a>(plan: &'a Plan, pipeline: &Pipeline) -> Option<&'a Cause> {
    let causes = plan.all_causes();
    let is_changing_slowdown = |cause: &Cause| {
        cause.affects() == Affects::Compute
            && cause.effect() == Effect::Slowdown
            && cause.span() != Span::Run
    };
    let spec = pipeline.spec();
    let has_transfers =
        spec.shape.stages > 1 && spec.times.iter().any(|times| times.has_transfers());
    // A persistent stall is part of a gang's time, which slowdowns of steps would multiply.
    let is_multiplied_stall =
        |cause: &Cause| cause.effect() == Effect::Stall && causes.iter().any(is_changing_slowdown);
    let is_shared = |cause: &Cause| {
        let pools = plan.pools().iter().enumerate();
        let mut acted_on = pools.filter(|&(index, _)| cause.streams(index).is_some());
        acted_on.all(|(_, pool)| {
            pipeline.is_shared(cause) || pipeline.holds_whole_gangs(pool, cause.scope())
        })
    };
    causes.iter().find(|cause| {
        cause.affects() == Affects::Compute
            && match cause.span() {
                Span::Run => is_multiplied_stall(cause),
                Span::Step => !is_shared(cause) || (has_transfers && is_changing_slowdown(cause)),
                Span::Episode | Span::Microbatch | Span::Layer => true,
            }
    })
}

fn is_shared_within_step(cause: &Cause) -> bool {
    cause.scope().is_pool_wide()
        && cause.span().is_within_step()
        && cause.affects() == Affects::Compute
}
