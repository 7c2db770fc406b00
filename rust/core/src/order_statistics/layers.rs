//! Steps in which ranks wait for each other in every layer: sums of maxima.

use std::collections::HashMap;

use super::compiled::{Compiled, Shapes};
use super::laws::Laws;
use super::parts::is_inside;
use crate::curve::{Curve, product, sum, sum_of};
use crate::plan::{Affects, Cause, Effect, Pipeline, Placement, Plan, Scope, Span};

/// Whether crews differ by what changes from layer to layer alone, so that each
/// layer's slowest rank is independent of the others.
pub(super) fn is_sum_of_maxima(plan: &Plan, pipeline: &Pipeline) -> bool {
    let spec = pipeline.spec();
    let one_stage = spec.shape.stages == 1
        && spec.shape.chunks == 1
        && spec.placement == Placement::Aligned
        && spec.times.iter().all(|times| times.weight_s.is_empty());
    let groups = 0..plan.groups().len();
    let has_layers = groups.clone().any(|index| {
        plan.causes(index, Affects::Compute, Span::Layer)
            .next()
            .is_some()
    });
    let shared = |cause: &Cause| match cause.span() {
        Span::Layer => cause.scope() == Scope::Gpu && cause.effect() == Effect::Slowdown,
        Span::Run | Span::Step => !is_inside(cause),
        Span::Microbatch => false,
    };
    let all_shared = groups.into_iter().all(|index| {
        let spans = Span::ALL.into_iter();
        let mut causes = spans.flat_map(|span| plan.causes(index, Affects::Compute, span));
        causes.all(shared)
    });
    one_stage && has_layers && all_shared
}

/// The crews of a group, each a sum of maxima; none where a tail is too heavy to
/// be added up.
pub(super) fn compile(
    plan: &Plan,
    pipeline: &Pipeline,
    index: usize,
    laws: &mut Laws,
) -> Option<Compiled> {
    let group = &plan.groups()[index];
    let crew_gpus = pipeline.crew_gpus(group);
    let n_crews = group.n_ranks().div_ceil(crew_gpus);
    let last_gpus = group.n_ranks() - (n_crews - 1) * crew_gpus;
    let mut law = |n_ranks| time_rel(plan, pipeline, index, n_ranks, laws);
    let mut crews = vec![(f64::from(n_crews), law(crew_gpus.min(group.n_ranks()))?)];
    if n_crews > 1 && last_gpus < crew_gpus {
        crews[0].0 -= 1.0;
        crews.push((1.0, law(last_gpus)?));
    }
    let last = (n_crews - 1, crews.len() - 1);
    let by_block = HashMap::from([(1, 0)]);
    Some(Compiled::of_shapes(Shapes {
        laws: crews,
        by_block,
        last,
    }))
}

/// The law of a crew's time over the noiseless one.
fn time_rel(
    plan: &Plan,
    pipeline: &Pipeline,
    index: usize,
    n_ranks: u32,
    laws: &mut Laws,
) -> Option<Curve> {
    let spec = pipeline.spec();
    let times = &spec.times[index];
    let (n_layers, n_microbatches) = (pipeline.n_layers(), spec.shape.microbatches);
    let compute_s = plan.groups()[index].compute_s();
    let of_rank = plan
        .causes(index, Affects::Compute, Span::Layer)
        .map(|cause| laws.curve(cause))
        .reduce(|all, factor| product(&all, &factor));
    let Some(of_rank) = of_rank.filter(|_| n_layers > 0) else {
        return Some(Curve::constant(1.0));
    };
    let slowest = of_rank.slowest_of(f64::from(n_ranks));
    let passes = sum_of(&slowest, n_layers * n_microbatches)?;
    let layer = |pass_s: f64| pass_s / (f64::from(n_layers) * compute_s);
    let forward = passes.scaled(layer(times.forward_s[0]));
    let backward = passes.scaled(layer(times.backward_s[0]));
    Some(sum(&forward, &backward)?.shifted(times.overhead_s / compute_s))
}
