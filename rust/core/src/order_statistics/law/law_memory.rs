//! Laws of pools that engines have compiled, kept for engines of similar plans.

use std::collections::VecDeque;
use std::sync::Arc;

use super::curve_cache::CurveCache;
use super::pool_law::PoolLaw;
use crate::control::Control;
use crate::order_statistics::reason::Halt;
use crate::plan::{Affects, Cause, Plan, Pool, Span};

/// Laws of pools that are kept, at most: some tens of megabytes.
const MAX_LAWS: usize = 64;

/// Laws of pools by all that they depend on, and the curves that they are made of.
#[derive(Default)]
pub struct LawMemory {
    curves: CurveCache,
    /// The one that was used last comes first.
    laws: VecDeque<(Key, Arc<PoolLaw>)>,
}

/// What the law of a pool depends on.
#[derive(PartialEq)]
struct Key {
    pool: Pool,
    affects: Affects,
    causes: Vec<Cause>,
    gang_spread: Option<f64>,
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
        self.get(plan, index, affects, None, |curves| {
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
        self.get(plan, index, Affects::Compute, Some(spread), |curves| {
            PoolLaw::of_gangs(plan, index, spread, curves, control)
        })
    }

    fn get(
        &mut self,
        plan: &Plan,
        index: usize,
        affects: Affects,
        gang_spread: Option<f64>,
        compile: impl FnOnce(&mut CurveCache) -> Result<PoolLaw, Halt>,
    ) -> Result<Arc<PoolLaw>, Halt> {
        let spans = [Span::Step, Span::Run].into_iter();
        let key = Key {
            // Laws are in units of the time that a pool computes.
            pool: plan.pools()[index].with_compute_s(1.0),
            affects,
            causes: spans
                .flat_map(|span| plan.causes(index, affects, span))
                .cloned()
                .collect(),
            gang_spread,
        };
        let place = self.laws.iter().position(|(known, _)| *known == key);
        let law = match place.and_then(|place| self.laws.remove(place)) {
            Some((_, law)) => law,
            None => Arc::new(compile(&mut self.curves)?),
        };
        self.laws.push_front((key, law.clone()));
        self.laws.truncate(MAX_LAWS);
        Ok(law)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::run::fixture::{plan, slowdown};
    use super::*;
    use crate::plan::{CauseSpec, Scope};

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
