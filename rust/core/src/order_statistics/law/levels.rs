//! How each cause of a pool is drawn, and the compiled causes by unit.

use super::curve_cache::CurveCache;
use crate::control::Control;
use crate::curve::Curve;
use crate::law::Law;
use crate::order_statistics::reason::{Halt, Reason};
use crate::plan::{Affects, Cause, Effect, Plan, Pool, Scope, Span};

/// Ranks that stalls may hit in a step on average, at most, because they are drawn
/// one by one.
const MAX_STALLED_RANKS: f64 = 1e4;
/// Ranks that a slowdown may hit in a step on average for it to be drawn one by one;
/// one that hits more is compiled into the law.
const MAX_RARELY_SLOWED_RANKS: f64 = 2048.0;

/// How a cause of span step is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Once for the whole pool: it is pool-wide or a constant.
    Common,
    /// Unit by unit where it occurs: a rare cause.
    Rare,
    /// Not at all: it is part of the law of the slowest rank.
    Compiled,
}

/// How a cause of span step is drawn in a pool.
pub fn handling(pool: &Pool, cause: &Cause) -> Handling {
    let n_hit = f64::from(pool.n_ranks()) * cause.probability();
    if cause.is_certain() && matches!(cause.law(), Law::Constant(_)) {
        return Handling::Common;
    }
    match cause.effect() {
        _ if cause.scope().is_pool_wide() => Handling::Common,
        Effect::Stall => Handling::Rare,
        Effect::Slowdown if !cause.is_certain() && n_hit <= MAX_RARELY_SLOWED_RANKS => {
            Handling::Rare
        }
        Effect::Slowdown => Handling::Compiled,
    }
}

/// Compiled causes whose units hold the same ranks.
#[derive(Debug, Clone)]
pub struct Level {
    /// The scope of one of these causes.
    pub scope: Scope,
    /// The law of the product of their factors.
    pub curve: Curve,
    /// The greatest product that draws can give.
    pub greatest: f64,
}

/// The compiled causes of a pool by unit, from the narrowest units to the widest.
///
/// # Errors
/// Stalls that hit too many ranks to be drawn one by one, and causes whose units
/// overlap without nesting; [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn levels(
    plan: &Plan,
    index: usize,
    affects: Affects,
    curves: &mut CurveCache,
    control: &Control,
) -> Result<Vec<Level>, Halt> {
    let pool = &plan.pools()[index];
    let steps = || plan.causes(index, affects, Span::Step);
    // Where steps differ, ranks with persistent stalls are drawn one by one, too.
    let mut of_steps = steps().chain(plan.causes(index, affects, Span::Episode));
    let steps_differ = of_steps.next().is_some();
    let persistent = plan
        .causes(index, affects, Span::Run)
        .filter(|_| steps_differ);
    for cause in steps().chain(persistent) {
        let n_ranks = f64::from(pool.n_ranks()) * cause.probability();
        let is_common = cause.span() == Span::Step && handling(pool, cause) == Handling::Common;
        let is_stall =
            cause.effect() == Effect::Stall && !cause.scope().is_pool_wide() && !is_common;
        if is_stall && n_ranks > MAX_STALLED_RANKS {
            return Err(Reason::Stalls {
                pool: pool.name().to_owned(),
                cause: cause.name().to_owned(),
                n_ranks,
            }
            .into());
        }
    }
    let mut left: Vec<&Cause> = steps()
        .filter(|cause| handling(pool, cause) == Handling::Compiled)
        .collect();
    let mut by_level: Vec<Vec<&Cause>> = Vec::new();
    while !left.is_empty() {
        let narrowest = left.iter().position(|cause| {
            let nests = |other: &&Cause| pool.nests(cause.scope(), other.scope());
            left.iter().all(nests)
        });
        let Some(narrowest) = narrowest else {
            return Err(overlap(pool, &left).into());
        };
        let cause = left.remove(narrowest);
        match by_level.last_mut() {
            Some(level) if pool.nests(cause.scope(), level[0].scope()) => level.push(cause),
            _ => by_level.push(vec![cause]),
        }
    }
    let level = |causes: Vec<&Cause>| {
        Ok(Level {
            scope: causes[0].scope(),
            curve: curves.product_of(&causes, control)?,
            greatest: (causes.iter())
                .map(|cause| f64::from(cause.greatest()))
                .product(),
        })
    };
    by_level.into_iter().map(level).collect()
}

/// The reason that names two causes whose units overlap without nesting.
fn overlap(pool: &Pool, causes: &[&Cause]) -> Reason {
    let pair = causes.iter().find_map(|a| {
        let overlaps =
            |b: &&&Cause| !pool.nests(a.scope(), b.scope()) && !pool.nests(b.scope(), a.scope());
        causes.iter().find(overlaps).map(|b| [a, b])
    });
    let [a, b] = pair.unwrap_or([&causes[0], &causes[causes.len() - 1]]);
    Reason::Nesting {
        pool: pool.name().to_owned(),
        causes: [a.name().to_owned(), b.name().to_owned()],
    }
}
