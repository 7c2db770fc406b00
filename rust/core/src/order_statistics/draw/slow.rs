//! Ranks that are slow for a while, and how slow they may be.
//!
//! A step meets some hundred slow units, of which a few matter. They stand in order of what they
//! may reach, so that a step looks at those few alone; and their blocks in order of what their
//! ranks would be without their episodes, because the slowest of the bulk must be in none of them.

use std::ops::Range;
use std::sync::OnceLock;

use crate::draw::Episodes;
use crate::order_statistics::law::PoolLaw;
use crate::order_statistics::run::{PersistentSource, SlowBlocks, Surveyed};
use crate::plan::{Pool, Scope};

/// Consecutive ranks that share a bit of a list. Few bits stay in the cache, and few of them are set.
const RANKS_PER_BIT: u32 = 32;

/// How slow a rank is that an episode's blocks hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RankFactor {
    /// Product of its episode and persistent factors.
    pub(super) product: f32,
    /// That of what lasts for a whole run.
    pub(super) persistent: f32,
    /// That of the episode; none of a rank that is not its own.
    pub(super) own: Option<f32>,
    pub(super) rank: u32,
}

/// The episodes of a pool in one run, with bounds that tell in which steps they may matter.
pub(super) struct Slow {
    episodes: Episodes,
    /// By episode: the ranks of the blocks that hold its own ones.
    blocks: Vec<Range<u32>>,
    /// By episode, once it has mattered: all ranks of these blocks, each with the product of its
    /// episode and persistent factors, the greatest first.
    factors: Vec<OnceLock<Box<[RankFactor]>>>,
    /// Of the steps of each of [`Episodes::lists`].
    lists: Vec<List>,
    /// The greatest persistent factor of the pool.
    greatest: f32,
    /// What the persistent factors of blocks that have no entry of their own do not exceed.
    rest_bound: f32,
    /// Ranks of an episode, at most.
    most_ranks: u32,
}

/// The episodes in some steps.
#[derive(Debug, Default)]
struct List {
    /// By what the products of episode and persistent factors of their blocks' ranks do not exceed,
    /// the greatest first.
    by_reach: Vec<Entry>,
    /// Those of their blocks whose persistent factors are greatest, the greatest first.
    blocks: Vec<Entry>,
    /// Blocks of all of them.
    n_blocks: usize,
    /// Bits of the ranks that are slow in any of the steps.
    bits: Vec<u64>,
    /// The first ranks of these, each with the place of its episode, in order.
    by_rank: Vec<(u32, u32)>,
}

/// An episode in some steps, or one of its blocks, and a number by which it is sorted.
#[derive(Debug, Clone, Copy)]
struct Entry {
    first_step: u32,
    end_step: u32,
    value: f32,
    /// The place of the episode, or the first rank of the block.
    of: u32,
}

impl Entry {
    fn is_in(&self, step: u32) -> bool {
        (self.first_step..self.end_step).contains(&step)
    }
}

/// What there is of episodes where there are none.
static NONE: List = List {
    by_reach: Vec::new(),
    blocks: Vec::new(),
    n_blocks: 0,
    bits: Vec::new(),
    by_rank: Vec::new(),
};

/// The slow ranks of one step.
#[derive(Clone, Copy)]
pub(super) struct SlowInStep<'a> {
    slow: &'a Slow,
    list: &'a List,
    pool: &'a Pool,
    block: Scope,
    step: u32,
}

impl<'a> SlowInStep<'a> {
    /// The episodes of the step, each with what the products of episode and persistent factors of
    /// its blocks' ranks do not exceed, the greatest first.
    pub(super) fn by_reach(self) -> impl Iterator<Item = (u32, f32)> + 'a {
        let here = self
            .list
            .by_reach
            .iter()
            .filter(move |entry| entry.is_in(self.step));
        here.map(|entry| (entry.of, entry.value))
    }

    /// How much further than the pool's greatest persistent factor any episode reaches, as a
    /// factor.
    pub(super) fn lift(self) -> f64 {
        let greatest = self.slow.greatest;
        let reach = self.by_reach().next().map_or(greatest, |(_, reach)| reach);
        f64::from(reach.max(greatest)) / f64::from(greatest)
    }

    /// The factor of a rank, if it is slow.
    #[inline]
    pub(super) fn factor(self, rank: u32) -> Option<f32> {
        if self.may_be_slow(rank) {
            self.factor_of_near(rank)
        } else {
            None
        }
    }

    #[inline]
    fn may_be_slow(self, rank: u32) -> bool {
        let bit = rank / RANKS_PER_BIT;
        let bits = self.list.bits.get((bit / u64::BITS) as usize);
        bits.is_some_and(|bits| bits >> (bit % u64::BITS) & 1 == 1)
    }

    /// The factor of a rank that is slow in this step or in steps near it.
    fn factor_of_near(self, rank: u32) -> Option<f32> {
        let by_rank = &self.list.by_rank;
        let next = by_rank.partition_point(|&(start, _)| start <= rank);
        let before = by_rank[..next].iter().rev();
        let mut near = before
            .take_while(|&&(start, _)| start + self.slow.most_ranks > rank)
            .map(|&(_, place)| &self.slow.episodes.all()[place as usize]);
        let slow = near.find(|slow| slow.ranks.contains(&rank) && slow.steps.contains(&self.step));
        slow.map(|slow| slow.factor(rank))
    }
}

impl SlowBlocks for SlowInStep<'_> {
    fn n_at_most(self) -> usize {
        self.list.n_blocks
    }

    fn by_bound(self) -> impl Iterator<Item = (Range<u32>, f32)> {
        let here = self
            .list
            .blocks
            .iter()
            .filter(move |entry| entry.is_in(self.step));
        here.map(move |entry| (block_of(self.pool, self.block, entry.of), entry.value))
    }

    fn rest_bound(self) -> f32 {
        self.slow.rest_bound
    }

    fn all(self) -> impl Iterator<Item = Range<u32>> {
        let places = self.slow.episodes.near(self.step).iter();
        let all = places.map(|&place| place as usize);
        let here = all.filter(move |&place| {
            let steps = &self.slow.episodes.all()[place].steps;
            steps.contains(&self.step)
        });
        here.flat_map(move |place| {
            let ranks = self.slow.blocks[place].clone();
            self.pool.units_of(self.block, ranks)
        })
    }
}

impl Slow {
    /// The episodes of a pool.
    pub(super) fn new(
        episodes: Episodes,
        law: &PoolLaw,
        persistent: &PersistentSource,
        surveyed: &Surveyed,
    ) -> Self {
        let (pool, block, all) = (persistent.pool, law.block, episodes.all());
        let blocks: Vec<Range<u32>> = all
            .iter()
            .map(|slow| match block {
                Scope::Gpu => slow.ranks.clone(),
                _ => {
                    let (first, last) = (slow.ranks.start, slow.ranks.end - 1);
                    block_of(pool, block, first).start..block_of(pool, block, last).end
                }
            })
            .collect();
        // Factors of ranks that are known to be small are not drawn.
        let known = surveyed.bound_of_others();
        let is_small = |rank: u32| known.is_some_and(|known| surveyed.bound(rank) <= known);
        let large: Vec<bool> = blocks
            .iter()
            .map(|ranks| surveyed.has_large(ranks))
            .collect();
        let of_large = || blocks.iter().zip(&large).filter(|&(_, &is_large)| is_large);
        let drawn: Vec<u32> = of_large()
            .flat_map(|(ranks, _)| ranks.clone())
            .filter(|&rank| !is_small(rank))
            .collect();
        let mut factors = vec![1.0; drawn.len()];
        persistent.multiply(&drawn, &mut Vec::new(), &mut factors);
        let mut drawn = factors.into_iter();
        let rest_bound = f64::from(surveyed.greatest) / law.greatest.max(1.0);
        let rest_bound = (rest_bound as f32).max(known.unwrap_or(0.0));
        let entry = |place: usize, of: u32, value: f32| Entry {
            first_step: all[place].steps.start,
            end_step: all[place].steps.end,
            value,
            of,
        };
        let mut by_reach = Vec::with_capacity(all.len());
        let mut by_bound: Vec<Entry> = Vec::new();
        for (place, slow) in all.iter().enumerate() {
            // What small ranks reach, if there are any; of those that are none of its own the
            // factor is 1.
            let mut reach = known.map_or(0.0, |known| known * slow.greatest().max(1.0));
            if large[place] {
                let n_before = by_bound.len();
                for rank in blocks[place].clone().filter(|&rank| !is_small(rank)) {
                    let bound = drawn.next().unwrap_or(surveyed.greatest);
                    let factor = if slow.ranks.contains(&rank) {
                        slow.factor(rank)
                    } else {
                        1.0
                    };
                    reach = reach.max(bound * factor);
                    if bound > rest_bound {
                        let start = block_of(pool, block, rank).start;
                        match by_bound[n_before..].last_mut() {
                            Some(last) if last.of == start => last.value = last.value.max(bound),
                            _ => by_bound.push(entry(place, start, bound)),
                        }
                    }
                }
            }
            by_reach.push(entry(place, place as u32, reach));
        }
        let n_bits = pool.n_ranks().div_ceil(RANKS_PER_BIT);
        let of_places = |places: &Vec<u32>| {
            let places = places.iter().map(|&place| place as usize);
            let mut list = List {
                bits: vec![0; n_bits.div_ceil(u64::BITS) as usize],
                by_rank: Vec::with_capacity(places.len()),
                by_reach: Vec::with_capacity(places.len()),
                ..List::default()
            };
            for place in places {
                list.n_blocks += match block {
                    Scope::Gpu => blocks[place].len(),
                    _ => pool.units_of(block, blocks[place].clone()).count(),
                };
                let ranks = &all[place].ranks;
                list.by_rank.push((ranks.start, place as u32));
                for bit in ranks.start / RANKS_PER_BIT..=(ranks.end - 1) / RANKS_PER_BIT {
                    list.bits[(bit / u64::BITS) as usize] |= 1 << (bit % u64::BITS);
                }
            }
            list
        };
        let mut lists: Vec<List> = episodes.lists().iter().map(of_places).collect();
        // Sorted before they are spread over the lists that they are in: this is once for each.
        let mut spread = |entries: Vec<Entry>, into: fn(&mut List) -> &mut Vec<Entry>| {
            // As whole numbers, which sort faster: bits of numbers above 0 are in their order.
            let key = |(place, entry): (usize, &Entry)| {
                u64::from(!entry.value.to_bits()) << 32 | place as u64
            };
            let mut keys: Vec<u64> = entries.iter().enumerate().map(key).collect();
            keys.sort_unstable();
            for key in keys {
                let entry = entries[key as u32 as usize];
                let first = episodes.list_of(entry.first_step).unwrap_or(0);
                let last = episodes.list_of(entry.end_step - 1).unwrap_or(0);
                for list in &mut lists[first..=last] {
                    into(list).push(entry);
                }
            }
        };
        spread(by_reach, |list| &mut list.by_reach);
        spread(by_bound, |list| &mut list.blocks);
        Self {
            lists,
            factors: all.iter().map(|_| OnceLock::new()).collect(),
            greatest: surveyed.greatest,
            rest_bound,
            most_ranks: all
                .iter()
                .map(|slow| slow.ranks.len() as u32)
                .max()
                .unwrap_or(0),
            blocks,
            episodes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.episodes.is_empty()
    }

    /// Those of one step, in a pool whose blocks are units of a scope.
    pub(super) fn in_step<'a>(&'a self, pool: &'a Pool, block: Scope, step: u32) -> SlowInStep<'a> {
        let list = self.episodes.list_of(step);
        SlowInStep {
            slow: self,
            list: list.and_then(|list| self.lists.get(list)).unwrap_or(&NONE),
            pool,
            block,
            step,
        }
    }

    /// The ranks of an episode's blocks.
    pub(super) fn ranks(&self, place: u32) -> Range<u32> {
        self.blocks[place as usize].clone()
    }

    /// The factors of the ranks of an episode's blocks, those with the greatest product first:
    /// `persistent` gives the persistent ones when they are asked for first.
    pub(super) fn factors(
        &self,
        place: u32,
        persistent: impl FnOnce() -> Vec<f32>,
    ) -> &[RankFactor] {
        self.factors[place as usize].get_or_init(|| {
            let slow = &self.episodes.all()[place as usize];
            let ranks = self.ranks(place).zip(persistent());
            let mut factors: Box<[RankFactor]> = ranks
                .map(|(rank, persistent)| {
                    let own = slow.ranks.contains(&rank).then(|| slow.factor(rank));
                    RankFactor {
                        product: own.unwrap_or(1.0) * persistent,
                        persistent,
                        own,
                        rank,
                    }
                })
                .collect();
            factors.sort_by(|a, b| b.product.total_cmp(&a.product));
            factors
        })
    }
}

/// The block of a rank.
fn block_of(pool: &Pool, block: Scope, rank: u32) -> Range<u32> {
    if block == Scope::Gpu {
        return rank..rank + 1;
    }
    let (unit, end) = pool.unit(block, pool.stretch(rank).0);
    pool.rank_from(pool.first_gpu(block, unit))..pool.rank_from(end)
}
