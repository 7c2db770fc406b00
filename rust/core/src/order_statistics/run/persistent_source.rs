//! Where the persistent effects of single ranks come from in one run.

use std::ops::Range;
use std::sync::Arc;

use crate::draw::{Drawn, Draws, Tile, When};
use crate::plan::{Affects, Cause, Effect, Plan, Pool, Span};
use crate::random::Random;

/// Persistent effects of one rank, in units of the pool's noiseless compute time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankEffects {
    /// Product of its slowdowns.
    pub slowdown: f32,
    /// Sum of its stalls.
    pub stall: f32,
}

/// Persistent effects of the ranks or the ports of a pool in one run: drawn from their
/// addresses when they are needed, so that nothing has to be stored; or given, where a
/// rank stands for a gang that has walked through its schedule.
pub struct PersistentSource<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// Slowdowns of span run.
    pub slowdowns: Draws<'a>,
    /// Stalls of span run, but for those that are the same for all ranks.
    pub stalls: Draws<'a>,
    /// Effects by rank, instead of the draws.
    pub given: Option<Arc<[RankEffects]>>,
}

impl PersistentSource<'_> {
    /// Whether no rank has a persistent effect.
    pub fn is_ideal(&self) -> bool {
        self.slowdowns.is_empty() && self.stalls.is_empty() && self.given.is_none()
    }

    /// Whether ranks may differ from each other.
    pub fn differs(&self) -> bool {
        let mut causes = self.slowdowns.causes();
        let within_pool = causes.any(|cause| !cause.scope().is_pool_wide());
        within_pool || self.stalls()
    }

    /// Whether any rank may stall all through the run.
    pub fn stalls(&self) -> bool {
        !self.stalls.is_empty() || self.given.is_some()
    }

    /// The slowdown of a rank.
    pub fn factor(&self, rank: u32) -> f32 {
        if let Some(given) = &self.given {
            return given[rank as usize].slowdown;
        }
        let gpu = self.pool.stretch(rank).0;
        let mut factor = 1.0;
        for cause in 0..self.slowdowns.len() {
            let unit = self.pool.unit(self.slowdowns.cause(cause).scope(), gpu).0;
            factor *= self.slowdowns.unit_value(cause, When::RUN, unit, 0);
        }
        factor
    }

    /// The slowdowns of some ranks.
    pub fn factors(&self, ranks: Range<u32>) -> Vec<f32> {
        ranks.map(|rank| self.factor(rank)).collect()
    }

    /// Multiplies each factor by the slowdown of its rank; `units` is a scratch buffer.
    pub fn multiply(&self, ranks: &[u32], units: &mut Vec<u32>, factors: &mut [f32]) {
        if self.given.is_some() {
            for (factor, &rank) in factors.iter_mut().zip(ranks) {
                *factor *= self.factor(rank);
            }
        }
        for cause in 0..self.slowdowns.len() {
            let scope = self.slowdowns.cause(cause).scope();
            let unit = |&rank: &u32| self.pool.unit(scope, self.pool.stretch(rank).0).0;
            units.clear();
            units.extend(ranks.iter().map(unit));
            self.slowdowns
                .multiply_units(cause, When::RUN, 0, units, factors);
        }
    }

    /// The stall of a rank.
    pub fn stall(&self, rank: u32) -> f32 {
        if let Some(given) = &self.given {
            return given[rank as usize].stall;
        }
        let gpu = self.pool.stretch(rank).0;
        let mut stall = 0.0;
        for cause in 0..self.stalls.len() {
            let unit = self.pool.unit(self.stalls.cause(cause).scope(), gpu).0;
            let value = self.stalls.unit_value(cause, When::RUN, unit, 0);
            stall += value * self.stalls.stall_scale();
        }
        stall
    }

    /// Applies the effects of the ranks on `gpus`, from `rank` on, to row 0 of a neutral
    /// tile.
    pub fn apply(&self, rank: u32, gpus: &Range<u32>, drawn: &mut Drawn, tile: &mut Tile) {
        if let Some(given) = &self.given {
            let given = &given[rank as usize..rank as usize + gpus.len()];
            for (place, effects) in given.iter().enumerate() {
                tile.slowdown.0[0][place] = effects.slowdown;
                tile.stall.0[0][place] = effects.stall;
            }
            return;
        }
        self.slowdowns.apply_all(When::RUN, gpus, drawn, tile);
        self.stalls.apply_all(When::RUN, gpus, drawn, tile);
    }
}

/// Causes of span run that act on the ranks or the ports of a pool.
pub struct Persistent<'a> {
    /// Those whose effects differ by rank.
    pub by_rank: PersistentSource<'a>,
    /// Stalls that are the same for all ranks.
    pub common_stalls: Draws<'a>,
}

impl<'a> Persistent<'a> {
    /// Those of pool number `index` of a plan; none where effects are `given`.
    pub fn new(
        plan: &'a Plan,
        affects: Affects,
        index: usize,
        random: &'a Random,
        run: u32,
        given: Option<Arc<[RankEffects]>>,
    ) -> Self {
        let draws = |span| Draws::new(plan, index, affects, span, random, run);
        let slows = |cause: &Cause| cause.effect() == Effect::Slowdown;
        let steps = draws(Span::Step);
        // Where no step differs from another, all persistent stalls are kept by rank.
        let by_rank =
            |cause: &Cause| !slows(cause) && (steps.is_empty() || !cause.scope().is_pool_wide());
        let of_run = |keeps: &dyn Fn(&Cause) -> bool| {
            draws(Span::Run).only(|cause| given.is_none() && keeps(cause))
        };
        Self {
            common_stalls: of_run(&|cause| !slows(cause) && !by_rank(cause)),
            by_rank: PersistentSource {
                pool: &plan.pools()[index],
                slowdowns: of_run(&slows),
                stalls: of_run(&by_rank),
                given,
            },
        }
    }
}
