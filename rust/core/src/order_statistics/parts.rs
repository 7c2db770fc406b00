//! The causes that act on the ranks or the ports of a group, by how they are
//! drawn.

use super::laws::Laws;
use super::reason::Reason;
use crate::curve::{Curve, product};
use crate::law::Law;
use crate::plan::{Affects, Cause, Effect, Group, Plan, Scope, Span};

/// Ranks that stalls may hit in a step, on average: these are drawn one by one.
const MOST_STALLED: f64 = 1e4;
/// Ranks up to which slowdowns that occur now and then are drawn one by one.
const MOST_SLOWED: f64 = 2048.0;

/// How a cause that changes in each step is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Once for the whole group, or not at all: all units have the same.
    Common,
    /// One by one, where it occurs.
    Rare,
    /// Not at all: it is part of the law of the slowest.
    Compiled,
}

/// How a step-span cause of a group is drawn.
pub(super) fn way(group: &Group, cause: &Cause) -> Way {
    let n_hit = f64::from(group.n_ranks()) * cause.probability();
    if cause.is_certain() && matches!(cause.law(), Law::Constant(_)) {
        return Way::Common;
    }
    match (cause.scope(), cause.effect()) {
        (Scope::Pool | Scope::Cluster, _) => Way::Common,
        (_, Effect::Stall) => Way::Rare,
        (_, Effect::Slowdown) if !cause.is_certain() && n_hit <= MOST_SLOWED => Way::Rare,
        (_, Effect::Slowdown) => Way::Compiled,
    }
}

/// Whether a scope is that of single units rather than of the whole group.
pub(super) fn is_inside(cause: &Cause) -> bool {
    !matches!(cause.scope(), Scope::Pool | Scope::Cluster)
}

/// Compiled causes whose units are the same.
#[derive(Debug, Clone)]
pub(super) struct Level {
    /// A scope with these units.
    pub(super) scope: Scope,
    /// The law of their product.
    pub(super) curve: Curve,
    /// The greatest product that a draw gives.
    pub(super) greatest: f64,
}

/// The compiled causes of a group: by unit, from the narrowest to the widest.
pub(super) fn levels(
    plan: &Plan,
    index: usize,
    affects: Affects,
    laws: &mut Laws,
) -> Result<Vec<Level>, Reason> {
    let group = &plan.groups()[index];
    let steps = || plan.causes(index, affects, Span::Step);
    // Stalls that last a run are drawn one by one, too, where steps differ.
    let lasting = plan
        .causes(index, affects, Span::Run)
        .filter(|_| steps().next().is_some());
    for cause in steps().chain(lasting) {
        let n_ranks = f64::from(group.n_ranks()) * cause.probability();
        let is_common = cause.span() == Span::Step && way(group, cause) == Way::Common;
        let is_stall = cause.effect() == Effect::Stall && is_inside(cause) && !is_common;
        if is_stall && n_ranks > MOST_STALLED {
            return Err(Reason::Stalls {
                pool: group.name().to_owned(),
                cause: cause.name().to_owned(),
                n_ranks,
            });
        }
    }
    let mut left: Vec<&Cause> = steps()
        .filter(|cause| way(group, cause) == Way::Compiled)
        .collect();
    let mut levels: Vec<Level> = Vec::new();
    while !left.is_empty() {
        let narrowest = left.iter().position(|cause| {
            let nests = |other: &&Cause| group.nests(cause.scope(), other.scope());
            left.iter().all(nests)
        });
        let Some(narrowest) = narrowest else {
            return Err(overlap(group, &left));
        };
        let cause = left.remove(narrowest);
        let curve = laws.curve(cause);
        let greatest = f64::from(cause.greatest());
        match levels.last_mut() {
            Some(level) if group.nests(cause.scope(), level.scope) => {
                level.curve = product(&level.curve, &curve);
                level.greatest *= greatest;
            }
            _ => levels.push(Level {
                scope: cause.scope(),
                curve,
                greatest,
            }),
        }
    }
    Ok(levels)
}

/// Two causes whose units do not nest.
fn overlap(group: &Group, causes: &[&Cause]) -> Reason {
    let pair = causes.iter().find_map(|a| {
        let apart =
            |b: &&&Cause| !group.nests(a.scope(), b.scope()) && !group.nests(b.scope(), a.scope());
        causes.iter().find(apart).map(|b| [a, b])
    });
    let [a, b] = pair.unwrap_or([&causes[0], &causes[causes.len() - 1]]);
    Reason::Nesting {
        pool: group.name().to_owned(),
        causes: [a.name().to_owned(), b.name().to_owned()],
    }
}
