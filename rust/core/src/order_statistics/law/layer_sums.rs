//! Gangs whose ranks wait for each other in every layer: sums of maxima.

use std::collections::HashMap;

use super::curve_cache::CurveCache;
use super::pool_law::{BlockLaw, BlockLaws, PoolLaw};
use crate::control::Control;
use crate::curve::Curve;
use crate::error::Result;
use crate::plan::{Affects, Cause, Effect, Pipeline, Placement, Plan, Scope, Span};

/// Whether ranks of a gang differ by causes of span layer alone, so that the slowest
/// ranks of different layers are independent of each other.
pub fn is_sum_of_maxima(plan: &Plan, pipeline: &Pipeline) -> bool {
    let spec = pipeline.spec();
    let one_stage = spec.shape.stages == 1
        && spec.shape.chunks == 1
        && spec.placement == Placement::Aligned
        && spec.times.iter().all(|times| times.weight_s.is_empty());
    let pools = 0..plan.pools().len();
    let has_layers = pools.clone().any(|index| {
        plan.causes(index, Affects::Compute, Span::Layer)
            .next()
            .is_some()
    });
    let shared = |cause: &Cause| match cause.span() {
        Span::Layer => cause.scope() == Scope::Gpu && cause.effect() == Effect::Slowdown,
        Span::Run | Span::Step => cause.scope().is_pool_wide(),
        Span::Episode | Span::Microbatch => false,
    };
    let all_shared = pools.into_iter().all(|index| {
        let spans = Span::ALL.into_iter();
        let mut causes = spans.flat_map(|span| plan.causes(index, Affects::Compute, span));
        causes.all(shared)
    });
    one_stage && has_layers && all_shared
}

/// What the law of a pool whose gangs are sums of maxima depends on, beside its sizes and its causes
/// of span layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerSizes {
    gang_gpus: u32,
    /// Passes through a layer in one direction.
    n_passes: u32,
    /// Times of a forward and of a backward pass through a layer, and of what a stage does after the
    /// last one, in units of the pool's noiseless compute time.
    passes: [f64; 2],
    overhead: f64,
}

impl LayerSizes {
    /// Those of pool number `index`.
    pub fn of(plan: &Plan, pipeline: &Pipeline, index: usize) -> Self {
        let (spec, pool) = (pipeline.spec(), &plan.pools()[index]);
        let times = &spec.times[index];
        let n_layers = pipeline.n_layers();
        let layer = |pass_s: f64| pass_s / (f64::from(n_layers) * pool.compute_s());
        Self {
            gang_gpus: pipeline.gang_gpus(pool),
            n_passes: n_layers * spec.shape.microbatches,
            passes: [layer(times.forward_s[0]), layer(times.backward_s[0])],
            overhead: times.overhead_s / pool.compute_s(),
        }
    }
}

/// The law of a pool whose gangs are sums of maxima; none where a tail is too heavy
/// to be added up.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn gangs_as_sums_of_maxima(
    plan: &Plan,
    index: usize,
    sizes: &LayerSizes,
    curves: &mut CurveCache,
    control: &Control,
) -> Result<Option<PoolLaw>> {
    let pool = &plan.pools()[index];
    let gang_gpus = sizes.gang_gpus;
    let n_gangs = pool.n_ranks().div_ceil(gang_gpus);
    let last_gpus = pool.n_ranks() - (n_gangs - 1) * gang_gpus;
    let mut law = |n_ranks| time_rel(plan, index, sizes, n_ranks, curves, control);
    let Some(curve) = law(gang_gpus.min(pool.n_ranks()))? else {
        return Ok(None);
    };
    let mut laws = vec![BlockLaw {
        n_blocks: f64::from(n_gangs),
        curve,
    }];
    if n_gangs > 1 && last_gpus < gang_gpus {
        let Some(curve) = law(last_gpus)? else {
            return Ok(None);
        };
        laws[0].n_blocks -= 1.0;
        laws.push(BlockLaw {
            n_blocks: 1.0,
            curve,
        });
    }
    let last = (n_gangs - 1, laws.len() - 1);
    // All gangs but the last one have the first law.
    let by_shape = HashMap::new();
    let blocks = BlockLaws::new(laws, by_shape, last);
    Ok(Some(PoolLaw::of_blocks(blocks)))
}

/// The law of a gang's time in units of the pool's noiseless compute time.
fn time_rel(
    plan: &Plan,
    index: usize,
    sizes: &LayerSizes,
    n_ranks: u32,
    curves: &mut CurveCache,
    control: &Control,
) -> Result<Option<Curve>> {
    let causes: Vec<&Cause> = plan.causes(index, Affects::Compute, Span::Layer).collect();
    if causes.is_empty() || sizes.n_passes == 0 {
        return Ok(Some(Curve::constant(1.0)));
    }
    let of_rank = curves.product_of(&causes, control)?;
    let slowest = of_rank.slowest_of(f64::from(n_ranks));
    control.advance(0)?;
    let both = curves.scaled_sums(&slowest, sizes.n_passes, sizes.passes);
    Ok(both.map(|both| both.shifted(sizes.overhead)))
}
