//! The law of a pool: what is compiled once for its ranks or its ports.

use std::collections::HashMap;
use std::ops::Range;

use super::curve_cache::CurveCache;
use super::levels::{Handling, Level, handling, levels};
use super::log_grid::LogGrid;
use super::nested::NestedLaw;
use crate::curve::Curve;
use crate::law::Distribution;
use crate::order_statistics::reason::Reason;
use crate::plan::{Affects, Cause, Effect, Plan, Pool, Scope, Span};

/// How the slowest of the bulk, the ranks that no rare cause hits, is found.
#[derive(Debug, Clone)]
pub enum BulkKind {
    /// Nothing changes from step to step.
    Fixed,
    /// Ranks differ by nothing persistent: the laws of blocks do for all runs.
    Alike(BlockLaws),
    /// Persistent factors differ between the narrowest units, and within these units
    /// all that changes is shared: the law of a unit is one curve, shifted in ln x.
    Shifted {
        /// The law of a unit with persistent factor 1.
        curve: Curve,
        /// The law again, at even steps of ln x.
        grid: LogGrid,
    },
    /// Persistent factors differ within blocks.
    Nested(NestedLaw),
}

/// So many blocks of one law.
#[derive(Debug, Clone)]
pub struct BlockLaw {
    /// How many blocks have the law.
    pub n_blocks: f64,
    /// The law of a block's slowest rank.
    pub curve: Curve,
}

/// The laws of all blocks of a pool; blocks that are made of the same units have one
/// law.
#[derive(Debug, Clone)]
pub struct BlockLaws {
    /// The different laws.
    pub laws: Vec<BlockLaw>,
    /// Index of the law of a block by its number of ranks. Blocks of the same size
    /// hold their ranks in the same units, but for the last block of the pool.
    by_size: HashMap<u32, usize>,
    /// Number of the last block, as a unit of the blocks' scope.
    last_block: u32,
    /// Index of its law.
    last_law: usize,
    /// The law of the slowest of all blocks.
    slowest: Curve,
}

impl BlockLaws {
    /// Blocks of at least one of `laws`; `last` is the number of the pool's last block
    /// and the index of its law.
    pub(super) fn new(
        laws: Vec<BlockLaw>,
        by_size: HashMap<u32, usize>,
        last: (u32, usize),
    ) -> Self {
        let counted: Vec<(f64, &Curve)> =
            laws.iter().map(|law| (law.n_blocks, &law.curve)).collect();
        Self {
            slowest: Curve::slowest_of_all(&counted),
            laws,
            by_size,
            last_block: last.0,
            last_law: last.1,
        }
    }

    /// The law of the slowest of all blocks but those of `without`, given by number and
    /// number of ranks; none if no block is left.
    pub fn slowest_without(&self, without: impl Iterator<Item = (u32, u32)>) -> Option<Curve> {
        let mut counts: Vec<f64> = self.laws.iter().map(|law| law.n_blocks).collect();
        let mut is_whole = true;
        for (unit, n_ranks) in without {
            counts[self.index_of(unit, n_ranks)] -= 1.0;
            is_whole = false;
        }
        if is_whole {
            return Some(self.slowest.clone());
        }
        let left: Vec<(f64, &Curve)> = counts
            .iter()
            .zip(&self.laws)
            .filter(|(n, _)| **n > 0.0)
            .map(|(n, law)| (*n, &law.curve))
            .collect();
        (!left.is_empty()).then(|| Curve::slowest_of_all(&left))
    }

    /// Index of the law of block number `unit` with so many ranks.
    pub fn index_of(&self, unit: u32, n_ranks: u32) -> usize {
        if self.laws.len() == 1 {
            return 0;
        }
        if unit == self.last_block {
            return self.last_law;
        }
        let known = self.by_size.get(&n_ranks).copied();
        known.unwrap_or(self.last_law)
    }
}

/// What is the same in all runs for the ranks or the ports of a pool.
#[derive(Debug, Clone)]
pub struct PoolLaw {
    /// Ranks or ports.
    pub affects: Affects,
    /// How the slowest of the bulk is found.
    pub bulk: BulkKind,
    /// The scope whose units are blocks: all ranks of a block are drawn one by one
    /// where a rare cause hits one of them.
    pub block: Scope,
    /// The greatest product of all compiled factors.
    pub greatest: f64,
    /// Whether rare causes can only make ranks slower.
    pub only_slows: bool,
}

impl PoolLaw {
    /// Compiles the law of pool number `index`.
    ///
    /// # Errors
    /// Why the slowest cannot be drawn from a law.
    pub fn new(
        plan: &Plan,
        index: usize,
        affects: Affects,
        curves: &mut CurveCache,
    ) -> Result<Self, Reason> {
        Self::compile(plan, index, affects, None, curves)
    }

    /// Compiles the law of gangs, each of them one rank, that persistently differ from
    /// each other by `spread`, a standard deviation in ln, as far as that is known.
    ///
    /// # Errors
    /// Why the slowest cannot be drawn from a law.
    pub fn of_gangs(
        plan: &Plan,
        index: usize,
        spread: f64,
        curves: &mut CurveCache,
    ) -> Result<Self, Reason> {
        Self::compile(plan, index, Affects::Compute, Some(spread), curves)
    }

    /// The law of blocks of one rank each, on which nothing else acts.
    pub(super) fn of_blocks(laws: BlockLaws) -> Self {
        Self {
            affects: Affects::Compute,
            bulk: BulkKind::Alike(laws),
            block: Scope::Gpu,
            greatest: 1.0,
            only_slows: true,
        }
    }

    fn compile(
        plan: &Plan,
        index: usize,
        affects: Affects,
        gang_spread: Option<f64>,
        curves: &mut CurveCache,
    ) -> Result<Self, Reason> {
        let pool = &plan.pools()[index];
        let levels = levels(plan, index, affects, curves)?;
        let persistent: Vec<&Cause> = plan
            .causes(index, affects, Span::Run)
            .filter(|cause| cause.effect() == Effect::Slowdown && !cause.scope().is_pool_wide())
            .collect();
        let spread = gang_spread.unwrap_or_else(|| greatest_spread(&persistent));
        let block = levels.last().map_or(Scope::Gpu, |level| level.scope);
        let is_rare = |cause: &&Cause| handling(pool, cause) == Handling::Rare;
        let only_slows = plan
            .causes(index, affects, Span::Step)
            .filter(is_rare)
            .all(|cause| cause.effect() == Effect::Stall || cause.least() >= 1.0);
        let are_gangs = gang_spread.is_some();
        let is_same_in_block = |cause: &&Cause| pool.nests(block, cause.scope());
        let bulk = match levels.as_slice() {
            [] => BulkKind::Fixed,
            [inner @ .., outer] if persistent.is_empty() && !are_gangs => {
                BulkKind::Alike(block_laws(pool, inner, outer, curves))
            }
            [only] => shifted(pool, only.curve.clone(), spread)?,
            [inner @ .., outer] if !are_gangs && persistent.iter().all(is_same_in_block) => {
                let mut laws = block_laws(pool, inner, outer, curves).laws;
                match (laws.pop(), laws.is_empty()) {
                    (Some(law), true) => shifted(pool, law.curve, spread)?,
                    _ => nested(pool, &levels)?,
                }
            }
            all => nested(pool, all)?,
        };
        Ok(Self {
            affects,
            greatest: levels.iter().map(|level| level.greatest).product(),
            bulk,
            block,
            only_slows,
        })
    }
}

/// The greatest of the standard deviations in ln of causes that always act: half of
/// what lies between the quantiles at one sigma, which is right for a lognormal law.
fn greatest_spread(causes: &[&Cause]) -> f64 {
    let spread = |cause: &&Cause| {
        let ends = [0.84, 0.16].map(|p| cause.law().quantile(p));
        0.5 * libm::log(ends[0] / ends[1])
    };
    let certain = causes.iter().filter(|cause| cause.is_certain());
    certain.map(spread).fold(0.0, f64::max)
}

fn shifted(pool: &Pool, curve: Curve, spread: f64) -> Result<BulkKind, Reason> {
    let grid = LogGrid::of(&curve, f64::from(pool.n_ranks()), spread);
    grid.map(|grid| BulkKind::Shifted { curve, grid })
        .ok_or_else(|| too_rough(pool))
}

fn nested(pool: &Pool, levels: &[Level]) -> Result<BulkKind, Reason> {
    NestedLaw::new(pool, levels)
        .map(BulkKind::Nested)
        .ok_or_else(|| too_rough(pool))
}

fn too_rough(pool: &Pool) -> Reason {
    Reason::Rough {
        pool: pool.name().to_owned(),
    }
}

/// The laws of a pool's blocks: units of the level `outer`, which hold units of the
/// levels `inner`.
fn block_laws(pool: &Pool, inner: &[Level], outer: &Level, curves: &mut CurveCache) -> BlockLaws {
    if inner.is_empty() {
        // All blocks have one law, whatever their size.
        let law = BlockLaw {
            n_blocks: f64::from(pool.n_units(outer.scope)),
            curve: outer.curve.clone(),
        };
        return BlockLaws::new(vec![law], HashMap::new(), (0, 0));
    }
    let mut laws: Vec<BlockLaw> = Vec::new();
    let mut known: HashMap<Content, usize> = HashMap::new();
    let mut by_size = HashMap::new();
    let mut last = (0, 0);
    for ranks in pool.units_of(outer.scope, 0..pool.n_ranks()) {
        let unit = pool.unit(outer.scope, pool.stretch(ranks.start).0).0;
        let n = ranks.len() as u32;
        let is_last = ranks.end >= pool.n_ranks();
        let of_same_size = by_size.get(&n).copied().filter(|_| !is_last);
        let law = of_same_size.unwrap_or_else(|| {
            let content = content(pool, inner, ranks);
            *known.entry(content).or_insert_with_key(|content| {
                let slowest = slowest_of(inner, content, curves);
                laws.push(BlockLaw {
                    n_blocks: 0.0,
                    curve: curves.product(&outer.curve, &slowest),
                });
                laws.len() - 1
            })
        });
        if is_last {
            last = (unit, law);
        } else {
            by_size.insert(n, law);
        }
        laws[law].n_blocks += 1.0;
    }
    BlockLaws::new(laws, by_size, last)
}

/// What a unit holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Content {
    /// So many units of the next narrower level, by what these hold.
    Units(Vec<(u32, Content)>),
    /// Nothing narrower: it is a unit of the narrowest level.
    Nothing,
}

/// What some ranks are, as units of the widest of `levels`.
fn content(pool: &Pool, levels: &[Level], ranks: Range<u32>) -> Content {
    let Some((level, narrower)) = levels.split_last() else {
        return Content::Nothing;
    };
    let mut units: Vec<Content> = pool
        .units_of(level.scope, ranks)
        .map(|ranks| content(pool, narrower, ranks))
        .collect();
    units.sort();
    let mut counted: Vec<(u32, Content)> = Vec::new();
    for unit in units {
        match counted.last_mut() {
            Some((n, same)) if *same == unit => *n += 1,
            _ => counted.push((1, unit)),
        }
    }
    Content::Units(counted)
}

/// The law of the slowest of some units of the widest of `levels`.
fn slowest_of(levels: &[Level], content: &Content, curves: &mut CurveCache) -> Curve {
    let (Some((level, narrower)), Content::Units(units)) = (levels.split_last(), content) else {
        return Curve::constant(1.0);
    };
    let laws: Vec<(f64, Curve)> = units
        .iter()
        .map(|(n, unit)| match unit {
            Content::Nothing => (f64::from(*n), level.curve.clone()),
            unit => {
                let slowest = slowest_of(narrower, unit, curves);
                (f64::from(*n), curves.product(&level.curve, &slowest))
            }
        })
        .collect();
    let counted: Vec<(f64, &Curve)> = laws.iter().map(|(n, law)| (*n, law)).collect();
    Curve::slowest_of_all(&counted)
}
