//! What is compiled once for the ranks or the ports of a group.

use std::collections::HashMap;
use std::ops::Range;

use super::grid::LogGrid;
use super::laws::Laws;
use super::nested::Nested;
use super::parts::{Level, Way, is_inside, levels, way};
use super::reason::Reason;
use crate::curve::{Curve, product};
use crate::law::Distribution;
use crate::plan::{Affects, Cause, Effect, Group, Plan, Scope, Span};

/// How the slowest of those whom no rare cause hits is found.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// Nothing changes from step to step.
    Fixed,
    /// All units of a run are as fast as each other: the laws of the blocks,
    /// by what they are made of.
    Alike(Shapes),
    /// Factors that last differ from unit to unit of the narrowest level, or
    /// from block to block, and inside of these units all is one law.
    Shifted {
        /// The law of a unit that is not slowed for the whole run.
        curve: Curve,
        grid: LogGrid,
    },
    /// Factors that last differ inside of blocks.
    Nested(Nested),
}

/// Laws of blocks, by what they are made of.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    /// So many blocks of each law.
    pub(super) laws: Vec<(f64, Curve)>,
    /// The law of a block, by the number of ranks in it; ranks of a block of
    /// the same size are spread alike but for the last block of a group.
    pub(super) by_block: HashMap<u32, usize>,
    /// The number of the last block, and its law.
    pub(super) last: (u32, usize),
}

impl Shapes {
    /// The law of a block with so many ranks.
    pub(super) fn law(&self, unit: u32, n_ranks: u32) -> usize {
        if self.laws.len() == 1 {
            return 0;
        }
        let (last, law) = self.last;
        let known = self.by_block.get(&n_ranks).copied().unwrap_or(law);
        if unit == last { law } else { known }
    }
}

/// What is the same in all runs.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub(super) affects: Affects,
    pub(super) rest: Rest,
    /// The scope of the units that are drawn as a whole where a rare cause hits
    /// one of their ranks.
    pub(super) block: Scope,
    /// Greatest product of all compiled factors.
    pub(super) greatest: f64,
    /// Whether whatever rare causes do makes ranks slower.
    pub(super) only_slows: bool,
}

impl Compiled {
    /// # Errors
    /// What stands against drawing the slowest from a law.
    pub(super) fn new(
        plan: &Plan,
        index: usize,
        affects: Affects,
        laws: &mut Laws,
    ) -> Result<Self, Reason> {
        Self::of(plan, index, affects, None, laws)
    }

    /// The same for crews, each of them one rank, that a run makes differ, as far as
    /// is known by `spread`, a standard deviation in ln.
    pub(super) fn of_crews(
        plan: &Plan,
        index: usize,
        spread: f64,
        laws: &mut Laws,
    ) -> Result<Self, Reason> {
        Self::of(plan, index, Affects::Compute, Some(spread), laws)
    }

    /// Blocks of known laws, and nothing else inside of the group.
    pub(super) fn of_shapes(shapes: Shapes) -> Self {
        Self {
            affects: Affects::Compute,
            rest: Rest::Alike(shapes),
            block: Scope::Gpu,
            greatest: 1.0,
            only_slows: true,
        }
    }

    fn of(
        plan: &Plan,
        index: usize,
        affects: Affects,
        of_crews: Option<f64>,
        laws: &mut Laws,
    ) -> Result<Self, Reason> {
        let differs = of_crews.is_some();
        let group = &plan.groups()[index];
        let levels = levels(plan, index, affects, laws)?;
        let lasts: Vec<&Cause> = plan
            .causes(index, affects, Span::Run)
            .filter(|cause| cause.effect() == Effect::Slowdown && is_inside(cause))
            .collect();
        // Of what always acts.
        let breadth = |cause: &&Cause| {
            let ends = [0.84, 0.16].map(|p| cause.law().quantile(p));
            0.5 * libm::log(ends[0] / ends[1])
        };
        let certain = lasts
            .iter()
            .copied()
            .filter(|cause| cause.is_certain() && !differs);
        let spread = certain.map(|cause| breadth(&cause)).fold(0.0, f64::max);
        let spread = of_crews.unwrap_or(spread);
        let block = levels.last().map_or(Scope::Gpu, |level| level.scope);
        let rare = |cause: &&Cause| way(group, cause) == Way::Rare;
        let only_slows = plan
            .causes(index, affects, Span::Step)
            .filter(rare)
            .all(|cause| cause.effect() == Effect::Stall || cause.least() >= 1.0);
        let same_inside = |cause: &&Cause| group.nests(block, cause.scope());
        let rest = match levels.as_slice() {
            [] => Rest::Fixed,
            all if lasts.is_empty() && !differs => Rest::Alike(shapes(group, all)),
            [only] => shifted(group, only.curve.clone(), spread)?,
            all if !differs && lasts.iter().all(same_inside) => {
                let mut shapes = shapes(group, all);
                match shapes.laws.pop() {
                    Some((_, curve)) if shapes.laws.is_empty() => shifted(group, curve, spread)?,
                    _ => nested(group, all)?,
                }
            }
            all => nested(group, all)?,
        };
        Ok(Self {
            affects,
            greatest: levels.iter().map(|level| level.greatest).product(),
            rest,
            block,
            only_slows,
        })
    }
}

fn shifted(group: &Group, curve: Curve, spread: f64) -> Result<Rest, Reason> {
    let grid = LogGrid::of(&curve, f64::from(group.n_ranks()), spread);
    grid.map(|grid| Rest::Shifted { curve, grid })
        .ok_or_else(|| rough(group))
}

fn nested(group: &Group, levels: &[Level]) -> Result<Rest, Reason> {
    Nested::new(group, levels)
        .map(Rest::Nested)
        .ok_or_else(|| rough(group))
}

fn rough(group: &Group) -> Reason {
    Reason::Rough {
        pool: group.name().to_owned(),
    }
}

/// The laws of a group's blocks.
fn shapes(group: &Group, levels: &[Level]) -> Shapes {
    let mut laws: Vec<(f64, Curve)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut by_block = HashMap::new();
    let mut last = (0, 0);
    let (outer, inner) = levels
        .split_last()
        .map_or((None, levels), |(o, i)| (Some(o), i));
    let Some(outer) = outer else {
        return Shapes {
            laws,
            by_block,
            last,
        };
    };
    if inner.is_empty() {
        // One law a unit; only the number of units counts.
        let n_units = group.n_units(outer.scope);
        let laws = vec![(f64::from(n_units), outer.curve.clone())];
        return Shapes {
            laws,
            by_block,
            last,
        };
    }
    for ranks in group.units_of(outer.scope, 0..group.n_ranks()) {
        let unit = group.unit(outer.scope, group.stretch(ranks.start).0).0;
        let n = ranks.len() as u32;
        let is_last = ranks.end >= group.n_ranks();
        let known_size = by_block.get(&n).copied().filter(|_| !is_last);
        let law = known_size.unwrap_or_else(|| {
            let made_of = counts(group, inner, ranks);
            let key = format!("{made_of:?}");
            *known.entry(key).or_insert_with(|| {
                let slowest = slowest_of(inner, &made_of);
                laws.push((0.0, product(&outer.curve, &slowest)));
                laws.len() - 1
            })
        });
        if is_last {
            last = (unit, law);
        } else {
            by_block.insert(n, law);
        }
        laws[law].0 += 1.0;
    }
    Shapes {
        laws,
        by_block,
        last,
    }
}

/// What a unit is made of: units of the next level inside, or so many of the
/// narrowest ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    Of(Vec<(u32, Made)>),
    Units,
}

/// What ranks are made of, as units of the widest of `levels`.
fn counts(group: &Group, levels: &[Level], ranks: Range<u32>) -> Made {
    let Some((level, inside)) = levels.split_last() else {
        return Made::Units;
    };
    let mut parts: Vec<Made> = group
        .units_of(level.scope, ranks)
        .map(|ranks| counts(group, inside, ranks))
        .collect();
    parts.sort();
    let mut counted: Vec<(u32, Made)> = Vec::new();
    for part in parts {
        match counted.last_mut() {
            Some((n, same)) if *same == part => *n += 1,
            _ => counted.push((1, part)),
        }
    }
    Made::Of(counted)
}

/// The law of the slowest unit of the widest of `levels`.
fn slowest_of(levels: &[Level], made: &Made) -> Curve {
    let (Some((level, inside)), Made::Of(parts)) = (levels.split_last(), made) else {
        return Curve::constant(1.0);
    };
    let laws: Vec<(f64, Curve)> = parts
        .iter()
        .map(|(n, part)| match part {
            Made::Units => (f64::from(*n), level.curve.clone()),
            part => (
                f64::from(*n),
                product(&level.curve, &slowest_of(inside, part)),
            ),
        })
        .collect();
    let groups: Vec<(f64, &Curve)> = laws.iter().map(|(n, law)| (*n, law)).collect();
    Curve::slowest_of_all(&groups)
}
