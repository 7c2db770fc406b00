//! Laws of pools that engines have compiled, kept for engines of similar plans.

use std::collections::VecDeque;
use std::sync::Arc;

use super::curve_cache::CurveCache;
use super::layer_sums::{LayerSizes, gangs_as_sums_of_maxima};
use super::pool_law::PoolLaw;
use crate::control::Control;
use crate::order_statistics::reason::{Halt, Reason};
use crate::plan::{Affects, Cause, DrawnLaw, Effect, Pipeline, Plan, Pool, Scope, Span};

/// Laws of pools that are kept, at most: some tens of megabytes. Those of two plans are kept
/// whatever their number.
const MAX_LAWS: usize = 64;

/// Laws of pools by all that they depend on, and the curves that they are made of.
#[derive(Default)]
pub struct LawMemory {
    curves: CurveCache,
    /// The one that was used last comes first.
    laws: VecDeque<(Key, Arc<PoolLaw>)>,
}

/// What the law of a pool depends on: not on names, so that pools alike have one law.
#[derive(PartialEq)]
struct Key {
    /// By its sizes.
    pool: Pool,
    affects: Affects,
    causes: Vec<Factor>,
    kind: Kind,
}

/// What a pool's ranks are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Ranks or ports.
    Ranks,
    /// Gangs, which persistently differ by a spread.
    Gangs(f64),
    /// Gangs, each of them a sum of maxima.
    Layers(LayerSizes),
}

impl Kind {
    /// Spans of the causes that its law depends on.
    fn spans(self) -> &'static [Span] {
        match self {
            Self::Ranks | Self::Gangs(_) => &[Span::Step, Span::Episode, Span::Run],
            Self::Layers(_) => &[Span::Layer],
        }
    }
}

/// What the law of a pool depends on of a cause.
#[derive(PartialEq)]
struct Factor {
    effect: Effect,
    scope: Scope,
    span: Span,
    probability: f64,
    law: DrawnLaw,
}

impl Factor {
    fn of(cause: &Cause) -> Self {
        Self {
            effect: cause.effect(),
            scope: cause.scope(),
            span: cause.span(),
            probability: cause.probability(),
            law: cause.drawn_law().clone(),
        }
    }
}

impl LawMemory {
    /// The curves.
    pub fn curves(&mut self) -> &mut CurveCache {
        &mut self.curves
    }

    /// The law of pool number `index` of a plan.
    ///
    /// # Errors
    /// As [`PoolLaw::new`].
    pub fn of_pool(
        &mut self,
        plan: &Plan,
        index: usize,
        affects: Affects,
        control: &Control,
    ) -> Result<Arc<PoolLaw>, Halt> {
        self.get(plan, index, affects, Kind::Ranks, |curves| {
            PoolLaw::new(plan, index, affects, curves, control)
        })
    }

    /// The law of gangs, as [`PoolLaw::of_gangs`].
    ///
    /// # Errors
    /// As [`PoolLaw::new`].
    pub fn of_gangs(
        &mut self,
        plan: &Plan,
        index: usize,
        spread: f64,
        control: &Control,
    ) -> Result<Arc<PoolLaw>, Halt> {
        self.get(
            plan,
            index,
            Affects::Compute,
            Kind::Gangs(spread),
            |curves| PoolLaw::of_gangs(plan, index, spread, curves, control),
        )
    }

    /// The law of gangs that are sums of maxima, as [`gangs_as_sums_of_maxima`].
    ///
    /// # Errors
    /// As [`PoolLaw::new`], also where a tail is too heavy to be added up.
    pub fn of_layers(
        &mut self,
        plan: &Plan,
        pipeline: &Pipeline,
        index: usize,
        control: &Control,
    ) -> Result<Arc<PoolLaw>, Halt> {
        let sizes = LayerSizes::of(plan, pipeline, index);
        let kind = Kind::Layers(sizes);
        self.get(plan, index, Affects::Compute, kind, |curves| {
            let law = gangs_as_sums_of_maxima(plan, index, &sizes, curves, control)?;
            Ok(law.ok_or(Reason::Pipeline { cause: None })?)
        })
    }

    fn get(
        &mut self,
        plan: &Plan,
        index: usize,
        affects: Affects,
        kind: Kind,
        compile: impl FnOnce(&mut CurveCache) -> Result<PoolLaw, Halt>,
    ) -> Result<Arc<PoolLaw>, Halt> {
        let spans = kind.spans().iter();
        let key = Key {
            // Laws are in units of the time that a pool computes.
            pool: plan.pools()[index].by_sizes(),
            affects,
            causes: spans
                .flat_map(|span| plan.causes(index, affects, *span))
                .map(Factor::of)
                .collect(),
            kind,
        };
        let place = self.laws.iter().position(|(known, _)| *known == key);
        let law = match place.and_then(|place| self.laws.remove(place)) {
            Some((_, law)) => law,
            None => Arc::new(compile(&mut self.curves)?),
        };
        self.laws.push_front((key, law.clone()));
        // Ranks and ports of each pool.
        self.laws.truncate(MAX_LAWS.max(4 * plan.pools().len()));
        Ok(law)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::run::fixture::{plan, slowdown};
    use super::*;
    use crate::plan::{CauseSpec, Communication, PoolSpec};

    fn residual(sigma: f64) -> CauseSpec {
        slowdown("residual", sigma, Scope::Gpu, Span::Step)
    }

    fn speed() -> CauseSpec {
        slowdown("speed", 0.01, Scope::Gpu, Span::Run)
    }

    fn of(memory: &mut LawMemory, plan: &Plan) -> Arc<PoolLaw> {
        memory
            .of_pool(plan, 0, Affects::Compute, &Control::default())
            .unwrap()
    }

    #[test]
    fn a_law_is_known_again_by_the_pool_and_its_causes() {
        let mut memory = LawMemory::default();
        let first = of(&mut memory, &plan(800, vec![residual(0.1), speed()]));
        let same = of(&mut memory, &plan(800, vec![residual(0.1), speed()]));
        assert!(Arc::ptr_eq(&first, &same));
        for (n_gpus, causes) in [
            (808, vec![residual(0.1), speed()]),
            (800, vec![residual(0.2), speed()]),
            (800, vec![residual(0.1)]),
        ] {
            let other = of(&mut memory, &plan(n_gpus, causes));
            assert!(!Arc::ptr_eq(&first, &other));
        }
        let ports = plan(800, vec![residual(0.1), speed()]);
        let ports = memory
            .of_pool(&ports, 0, Affects::Network, &Control::default())
            .unwrap();
        assert_eq!(ports.affects, Affects::Network);
    }

    #[test]
    fn pools_alike_share_a_law_whatever_their_names() {
        let pool = |name: &str, compute_s| PoolSpec {
            name: name.to_owned(),
            n_gpus: 64,
            node_gpus: 8,
            domain_gpus: 8,
            domain_gpus_used: 8,
            held_back_gpus: 0,
            rack_gpus: None,
            tensor_gpus: 1,
            compute_s,
        };
        let causes = [0, 1].map(|index| CauseSpec {
            name: format!("residual-{index}"),
            pools: vec![index],
            ..residual(0.1)
        });
        let pools = vec![pool("a", 1.0), pool("b", 2.0)];
        let plan = Plan::new(pools, causes.to_vec(), Communication::default()).unwrap();
        let (mut memory, control) = (LawMemory::default(), Control::default());
        let [a, b] = [0, 1].map(|index| {
            memory
                .of_pool(&plan, index, Affects::Compute, &control)
                .unwrap()
        });
        assert!(Arc::ptr_eq(&a, &b));
    }

    #[test]
    fn laws_that_were_used_last_are_kept() {
        let mut memory = LawMemory::default();
        let often = plan(16, vec![residual(0.1)]);
        let first = of(&mut memory, &often);
        for place in 0..2 * MAX_LAWS {
            of(
                &mut memory,
                &plan(16, vec![residual(0.2 + 1e-3 * place as f64)]),
            );
            assert!(Arc::ptr_eq(&first, &of(&mut memory, &often)));
        }
        assert_eq!(memory.laws.len(), MAX_LAWS);
    }
}
