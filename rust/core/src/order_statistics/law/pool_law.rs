//! The law of a pool: what is compiled once for its ranks or its ports.

use std::collections::HashMap;
use std::ops::Range;

use super::curve_cache::CurveCache;
use super::levels::{Handling, Level, handling, levels};
use super::log_grid::LogGrid;
use super::nested::NestedLaw;
use crate::control::Control;
use crate::curve::Curve;
use crate::law::Distribution;
use crate::order_statistics::reason::{Halt, Reason};
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

/// What a block holds: blocks of one shape hold as many ranks in the same units, because
/// narrower units and the spares at the ends of domains follow the GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockShape {
    /// Where in a domain the block begins.
    first_gpu: u32,
    n_ranks: u32,
}

impl BlockShape {
    /// The shape of block number `unit` of a scope with so many ranks.
    fn of(pool: &Pool, scope: Scope, unit: u32, n_ranks: u32) -> Self {
        Self {
            first_gpu: pool.first_gpu(scope, unit) % pool.scope_gpus(Scope::Domain),
            n_ranks,
        }
    }
}

/// The laws of all blocks of a pool; blocks that are made of the same units have one
/// law.
#[derive(Debug, Clone)]
pub struct BlockLaws {
    /// The different laws.
    pub laws: Vec<BlockLaw>,
    /// Index of the law of a block by its shape; the first law is that of all shapes that
    /// are not listed.
    by_shape: HashMap<BlockShape, usize>,
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
        by_shape: HashMap<BlockShape, usize>,
        last: (u32, usize),
    ) -> Self {
        let counted: Vec<(f64, &Curve)> =
            laws.iter().map(|law| (law.n_blocks, &law.curve)).collect();
        Self {
            slowest: Curve::slowest_of_all(&counted),
            laws,
            by_shape,
            last_block: last.0,
            last_law: last.1,
        }
    }

    /// The law of the slowest of all blocks of a pool, units of a scope, but those of
    /// `without`; none if no block is left.
    pub fn slowest_without(
        &self,
        pool: &Pool,
        scope: Scope,
        without: &[Range<u32>],
    ) -> Option<Curve> {
        let mut counts: Vec<f64> = self.laws.iter().map(|law| law.n_blocks).collect();
        if without.is_empty() {
            return Some(self.slowest.clone());
        }
        for block in without {
            counts[self.index_of(pool, scope, block)] -= 1.0;
        }
        let left: Vec<(f64, &Curve)> = counts
            .iter()
            .zip(&self.laws)
            .filter(|(n, _)| **n > 0.0)
            .map(|(n, law)| (*n, &law.curve))
            .collect();
        (!left.is_empty()).then(|| Curve::slowest_of_all(&left))
    }

    /// Index of the law of a block of a pool, a unit of a scope.
    pub fn index_of(&self, pool: &Pool, scope: Scope, block: &Range<u32>) -> usize {
        if self.laws.len() == 1 {
            return 0;
        }
        let unit = pool.unit(scope, pool.stretch(block.start).0).0;
        if unit == self.last_block {
            return self.last_law;
        }
        let shape = BlockShape::of(pool, scope, unit, block.len() as u32);
        self.by_shape.get(&shape).copied().unwrap_or(0)
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
    /// Whether rare causes and episodes can only make ranks slower.
    pub only_slows: bool,
}

impl PoolLaw {
    /// Compiles the law of pool number `index`.
    ///
    /// # Errors
    /// Why the slowest cannot be drawn from a law; [`Error::Stopped`](crate::Error::Stopped) once
    /// `control` asks for it.
    pub fn new(
        plan: &Plan,
        index: usize,
        affects: Affects,
        curves: &mut CurveCache,
        control: &Control,
    ) -> Result<Self, Halt> {
        Self::compile(plan, index, affects, None, curves, control)
    }

    /// Compiles the law of gangs, each of them one rank, that persistently differ from
    /// each other by `spread`, a standard deviation in ln, as far as that is known.
    ///
    /// # Errors
    /// As [`PoolLaw::new`].
    pub fn of_gangs(
        plan: &Plan,
        index: usize,
        spread: f64,
        curves: &mut CurveCache,
        control: &Control,
    ) -> Result<Self, Halt> {
        Self::compile(plan, index, Affects::Compute, Some(spread), curves, control)
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
        control: &Control,
    ) -> Result<Self, Halt> {
        let pool = &plan.pools()[index];
        let levels = levels(plan, index, affects, curves, control)?;
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
            .chain(plan.causes(index, affects, Span::Episode))
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
    let mut by_shape = HashMap::new();
    let mut last = (0, 0);
    for ranks in pool.units_of(outer.scope, 0..pool.n_ranks()) {
        let unit = pool.unit(outer.scope, pool.stretch(ranks.start).0).0;
        let shape = BlockShape::of(pool, outer.scope, unit, ranks.len() as u32);
        let is_last = ranks.end >= pool.n_ranks();
        let law = by_shape.get(&shape).copied().unwrap_or_else(|| {
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
        by_shape.insert(shape, law);
        if is_last {
            last = (unit, law);
        }
        laws[law].n_blocks += 1.0;
    }
    BlockLaws::new(laws, by_shape, last)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::product;
    use crate::law::{Law, LogNormal};
    use crate::plan::{Communication, PoolSpec};

    fn level(scope: Scope, sigma: f64) -> Level {
        Level {
            scope,
            curve: Curve::of(&Law::LogNormal(LogNormal::new(1.0, sigma).unwrap())),
            greatest: 2.0,
        }
    }

    /// A pool by GPUs of a domain, a tensor group, a node and a rack.
    fn pool([domain, tensor, node, rack]: [u32; 4]) -> Pool {
        let spec = PoolSpec {
            name: "pool".to_owned(),
            n_gpus: 7 * domain * rack + 5 * domain,
            node_gpus: node,
            domain_gpus: domain,
            domain_gpus_used: domain,
            held_back_gpus: 0,
            rack_gpus: Some(rack),
            tensor_gpus: tensor,
            compute_s: 1.0,
        };
        let plan = Plan::new(vec![spec], vec![], Communication::default()).unwrap();
        plan.pools()[0].clone()
    }

    /// The law of a rack whose nodes hold so many ranks each.
    fn law_by_hand([gpu, node, rack]: [&Level; 3], n_ranks: &HashMap<u32, u32>) -> Curve {
        let mut sizes: HashMap<u32, u32> = HashMap::new();
        n_ranks
            .values()
            .for_each(|&n| *sizes.entry(n).or_default() += 1);
        let mut sizes: Vec<(u32, u32)> = sizes.into_iter().collect();
        sizes.sort();
        let of_node = |n: u32| product(&node.curve, &gpu.curve.slowest_of(f64::from(n)));
        let nodes: Vec<(f64, Curve)> = sizes
            .into_iter()
            .map(|(n, count)| (f64::from(count), of_node(n)))
            .collect();
        let nodes: Vec<(f64, &Curve)> = nodes.iter().map(|(n, law)| (*n, law)).collect();
        product(&rack.curve, &Curve::slowest_of_all(&nodes))
    }

    #[test]
    fn each_block_has_the_law_of_the_units_that_its_ranks_are_in() {
        // The third and the fourth have racks of one size that hold different nodes.
        let shapes = [
            [8, 8, 8, 32],
            [8, 3, 4, 12],
            [5, 3, 2, 4],
            [5, 3, 3, 6],
            [72, 7, 4, 144],
        ];
        let [gpu, node, rack] = [(Scope::Gpu, 0.01), (Scope::Node, 0.02), (Scope::Rack, 0.03)]
            .map(|(scope, sigma)| level(scope, sigma));
        for shape in shapes {
            let pool = pool(shape);
            let inner = [gpu.clone(), node.clone()];
            let found = block_laws(&pool, &inner, &rack, &mut CurveCache::default());
            let mut by_hand: HashMap<Vec<(u32, u32)>, Curve> = HashMap::new();
            let mut counts = vec![0.0; found.laws.len()];
            for block in pool.units_of(Scope::Rack, 0..pool.n_ranks()) {
                let mut nodes: HashMap<u32, u32> = HashMap::new();
                for rank in block.clone() {
                    let unit = pool.unit(Scope::Node, pool.stretch(rank).0).0;
                    *nodes.entry(unit).or_default() += 1;
                }
                let first = pool.stretch(block.start).0 / shape[2];
                let mut key: Vec<(u32, u32)> =
                    nodes.iter().map(|(&unit, &n)| (unit - first, n)).collect();
                key.sort();
                let law = by_hand
                    .entry(key)
                    .or_insert_with(|| law_by_hand([&gpu, &node, &rack], &nodes));
                let index = found.index_of(&pool, Scope::Rack, &block);
                assert_eq!(found.laws[index].curve, *law, "{shape:?} {block:?}");
                counts[index] += 1.0;
            }
            let n_blocks: Vec<f64> = found.laws.iter().map(|law| law.n_blocks).collect();
            assert_eq!(counts, n_blocks, "{shape:?}");
        }
    }
}
