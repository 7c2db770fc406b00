//! The slowest rank or port of a pool, found without drawing all of them.
//!
//! A tile in which nobody can be the slowest is skipped: without drawing anything
//! where even the greatest values of all laws would not do, and without looking
//! values up where the tile's own greatest words would not. Rounding is monotone,
//! so a product and sum of upper bounds, made by the same operations in the same
//! order, bounds the product and sum of the values. What is found is therefore
//! exactly what drawing everything finds, ties included.

use std::ops::Range;

use super::best::Best;
use super::persistent::Persistent;
use crate::control::{Control, DRAWS_BETWEEN_LOOKS};
use crate::draw::{Drawn, Draws, Episodes, SlowRanks, Tile, When, for_each_tile};
use crate::error::Result;
use crate::plan::{Cause, Effect};
use crate::simd::{Kernel, QUAD_STEPS};

/// Tiles after which it is decided anew whether skipping pays.
const TILES_BETWEEN_DECISIONS: usize = 64;
/// Skipping ends for a quad once fewer than one tile in this many was skipped:
/// the bounds would cost more than they save.
const FEWEST_SKIPPED: usize = 8;

/// A tile of ranks on consecutive GPUs, with its greatest persistent effects.
#[derive(Debug, Clone, Copy)]
struct SearchTile {
    rank: u32,
    gpu: u32,
    n: u32,
    slowdown: f32,
    stall: f32,
}

impl SearchTile {
    fn gpus(&self) -> Range<u32> {
        self.gpu..self.gpu + self.n
    }

    fn ranks(&self) -> Range<usize> {
        self.rank as usize..(self.rank + self.n) as usize
    }

    fn all_ranks(&self) -> Range<u32> {
        self.rank..self.rank + self.n
    }
}

/// Some consecutive tiles of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRange {
    tiles: Range<usize>,
    /// The first of their ranks.
    pub first_rank: usize,
    /// Ranks of these tiles.
    pub n_ranks: usize,
}

/// The ranks or ports of a pool in one run, ready to be searched quad by quad.
pub struct PoolSearch<'a> {
    draws: Draws<'a>,
    persistent: Persistent,
    episodes: Episodes,
    tiles: Vec<SearchTile>,
    /// The tile with the greatest persistent effects, which is visited first: a
    /// high bar from the start lets most others be skipped.
    first: usize,
    /// The greatest value of each cause.
    limits: Vec<f32>,
    /// Causes in the order in which a tile draws them: rare ones first, because
    /// knowing that they do not occur lowers the bound most.
    order: Vec<usize>,
    kernel: Kernel,
    /// Whether anything stalls; if not, the stalls of tiles stay zero.
    stalls: bool,
}

impl<'a> PoolSearch<'a> {
    /// A pool whose causes of span step are `draws`, with its persistent effects and its episodes.
    #[must_use]
    pub fn new(draws: Draws<'a>, persistent: Persistent, episodes: Episodes) -> Self {
        let greatest = |column: &[f32], ranks: Range<usize>, neutral: f32| {
            column
                .get(ranks)
                .map_or(neutral, |part| part.iter().copied().fold(0.0, f32::max))
        };
        let mut tiles = Vec::new();
        let pool = draws.pool();
        for_each_tile(pool, 0..pool.n_ranks(), |rank, gpus| {
            let ranks = rank as usize..rank as usize + gpus.len();
            tiles.push(SearchTile {
                rank,
                gpu: gpus.start,
                n: gpus.len() as u32,
                slowdown: greatest(&persistent.slowdown, ranks.clone(), 1.0),
                stall: greatest(&persistent.stall, ranks, 0.0),
            });
        });
        let promise = |tile: &SearchTile| tile.slowdown + tile.stall;
        // Of equals `max_by` returns the last, which is the first from behind.
        let first = (0..tiles.len())
            .rev()
            .max_by(|&a, &b| promise(&tiles[a]).total_cmp(&promise(&tiles[b])))
            .unwrap_or(0);
        let mut order: Vec<usize> = (0..draws.len()).collect();
        let rare: Vec<bool> = draws.causes().map(|cause| !cause.is_certain()).collect();
        order.sort_by_key(|&cause| !rare[cause]);
        Self {
            limits: draws.causes().map(Cause::greatest).collect(),
            first,
            order,
            tiles,
            stalls: !persistent.stall.is_empty()
                || draws.causes().any(|cause| cause.effect() == Effect::Stall),
            persistent,
            episodes,
            kernel: draws.kernel(),
            draws,
        }
    }

    /// The persistent effects.
    #[must_use]
    pub fn persistent(&self) -> &Persistent {
        &self.persistent
    }

    /// Draws of a rank in one step.
    #[must_use]
    pub fn draws_per_rank(&self) -> u64 {
        // Without a cause there is still a rank to look at.
        self.draws.len().max(1) as u64
    }

    /// Whether nothing acts on the pool.
    #[must_use]
    pub fn is_ideal(&self) -> bool {
        self.draws.is_empty()
            && self.persistent.slowdown.is_empty()
            && self.persistent.stall.is_empty()
            && self.episodes.is_empty()
    }

    /// Whether a rank is in an episode in one step of a quad.
    #[must_use]
    pub fn in_episode(&self, quad: u32, step: usize, rank: u32) -> bool {
        let step = quad * QUAD_STEPS as u32 + step as u32;
        self.episodes
            .in_step(step)
            .any(|slow| slow.ranks.contains(&rank))
    }

    /// What the search keeps in each of the four steps of a quad, starting from
    /// `nothing` in each of them.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn search<B: Best>(
        &self,
        nothing: [B; QUAD_STEPS],
        quad: u32,
        control: &Control,
    ) -> Result<[B; QUAD_STEPS]> {
        let mut search = QuadSearch::new(self, nothing, quad);
        let mut draws = 0;
        for index in self.in_order() {
            let tile = &self.tiles[index];
            search.visit(index, tile);
            draws += u64::from(tile.n) * QUAD_STEPS as u64 * self.draws_per_rank();
            if draws > DRAWS_BETWEEN_LOOKS / 4 {
                control.advance(std::mem::take(&mut draws))?;
            }
        }
        control.advance(draws)?;
        Ok(search.best)
    }

    /// The pool cut into ranges of up to `most` tiles.
    #[must_use]
    pub fn tile_ranges(&self, most: usize) -> Vec<TileRange> {
        let of_chunk = |(index, chunk): (usize, &[SearchTile])| TileRange {
            tiles: index * most..index * most + chunk.len(),
            first_rank: chunk.first().map_or(0, |tile| tile.rank as usize),
            n_ranks: chunk.iter().map(|tile| tile.n as usize).sum(),
        };
        self.tiles.chunks(most).enumerate().map(of_chunk).collect()
    }

    /// Calls `f` with the number of ranks and the effects of each tile of a range,
    /// in order, without skipping any.
    pub fn for_each_drawn(&self, quad: u32, range: &TileRange, mut f: impl FnMut(usize, &Tile)) {
        let mut effects = Tile::NEUTRAL;
        let when = When::quad(quad);
        let mut drawn = self.pool_wide(when);
        let episodes = self.tiles_of_episodes(quad);
        for (index, tile) in range.tiles.clone().zip(&self.tiles[range.tiles.clone()]) {
            self.load(tile, &mut effects);
            for slow in self.slow_in(&episodes, index) {
                slow.apply(quad, &tile.all_ranks(), &mut effects);
            }
            for (cause, drawn) in drawn.iter_mut().enumerate() {
                if !matches!(drawn, Drawn::Common(_)) {
                    self.draws.draw(cause, when, &tile.gpus(), drawn);
                }
                self.draws
                    .apply(cause, when, &tile.gpus(), drawn, &mut effects);
            }
            f(tile.n as usize, &effects);
        }
    }

    /// What is drawn of each cause before any tile is: the values of those that all GPUs share,
    /// which are drawn once.
    fn pool_wide(&self, when: When) -> Vec<Drawn> {
        let mut drawn = vec![Drawn::Nothing; self.draws.len()];
        for (index, cause) in self.draws.causes().enumerate() {
            if cause.scope().is_pool_wide() {
                self.draws.draw(index, when, &(0..1), &mut drawn[index]);
            }
        }
        drawn
    }

    /// Tiles with ranks that are slow in any step of a quad, each with the place of these among all
    /// episodes; by tile.
    fn tiles_of_episodes(&self, quad: u32) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for (place, slow) in self.episodes.in_quad(quad) {
            let first = self
                .tiles
                .partition_point(|tile| tile.rank + tile.n <= slow.ranks.start);
            for (index, tile) in self.tiles.iter().enumerate().skip(first) {
                if tile.rank >= slow.ranks.end {
                    break;
                }
                found.push((index as u32, place as u32));
            }
        }
        found.sort_unstable();
        found
    }

    /// The slow ranks of a tile, among those of [`PoolSearch::tiles_of_episodes`].
    fn slow_in(&self, found: &[(u32, u32)], tile: usize) -> impl Iterator<Item = &SlowRanks> {
        let first = found.partition_point(|&(index, _)| index < tile as u32);
        found[first..]
            .iter()
            .take_while(move |&&(index, _)| index == tile as u32)
            .map(|&(_, place)| &self.episodes.all()[place as usize])
    }

    /// The most promising tile, then the others by rank.
    fn in_order(&self) -> impl Iterator<Item = usize> {
        let first = self.first;
        let others = (0..self.tiles.len()).filter(move |&index| index != first);
        (0..self.tiles.len())
            .filter(move |&index| index == first)
            .take(1)
            .chain(others)
    }

    /// Sets the effects of a tile to the persistent ones.
    fn load(&self, tile: &SearchTile, effects: &mut Tile) {
        self.persistent.load(tile.ranks(), self.stalls, effects);
    }
}

/// One search through the four steps of a quad.
struct QuadSearch<'a, 's, B> {
    pool: &'s PoolSearch<'a>,
    quad: u32,
    when: When,
    /// Tiles with slow ranks, as [`PoolSearch::tiles_of_episodes`] gives them.
    episodes: Vec<(u32, u32)>,
    /// By step, what the factors of the episodes in the tile at hand do not exceed.
    slow: [f32; QUAD_STEPS],
    best: [B; QUAD_STEPS],
    /// Upper bound of each cause in the tile at hand, by step.
    upper: Vec<[f32; QUAD_STEPS]>,
    /// Those bounds before anything of a tile is drawn.
    limits: Vec<[f32; QUAD_STEPS]>,
    drawn: Vec<Drawn>,
    /// Scratch buffer, reused between tiles to avoid allocation.
    effects: Tile,
    is_skipping: bool,
    n_visited: usize,
    n_skipped: usize,
}

impl<'a, 's, B: Best> QuadSearch<'a, 's, B> {
    fn new(pool: &'s PoolSearch<'a>, nothing: [B; QUAD_STEPS], quad: u32) -> Self {
        let when = When::quad(quad);
        let drawn = pool.pool_wide(when);
        let mut limits: Vec<[f32; QUAD_STEPS]> = pool
            .limits
            .iter()
            .map(|&limit| [limit; QUAD_STEPS])
            .collect();
        // Pool-wide values are their own bounds.
        for (limit, drawn) in limits.iter_mut().zip(&drawn) {
            if let Drawn::Common(values) = *drawn {
                *limit = values;
            }
        }
        Self {
            pool,
            quad,
            when,
            episodes: pool.tiles_of_episodes(quad),
            slow: [1.0; QUAD_STEPS],
            best: nothing,
            upper: limits.clone(),
            limits,
            drawn,
            effects: Tile::NEUTRAL,
            is_skipping: true,
            n_visited: 0,
            n_skipped: 0,
        }
    }

    fn visit(&mut self, index: usize, tile: &SearchTile) {
        self.bound_episodes(index);
        if self.skips(tile) {
            return;
        }
        let pool = self.pool;
        let effects = &mut self.effects;
        pool.load(tile, effects);
        for slow in pool.slow_in(&self.episodes, index) {
            slow.apply(self.quad, &tile.all_ranks(), effects);
        }
        for (index, drawn) in self.drawn.iter().enumerate() {
            pool.draws
                .apply(index, self.when, &tile.gpus(), drawn, effects);
        }
        let n = tile.n as usize;
        for (step, best) in self.best.iter_mut().enumerate() {
            let slowdowns = &effects.slowdown.0[step][..n];
            let stalls = &effects.stall.0[step][..n];
            let mut changed = false;
            for ((&slowdown, &stall), rank) in slowdowns.iter().zip(stalls).zip(tile.rank..) {
                if best.yields_to(slowdown, stall, rank) {
                    best.take(slowdown, stall, rank);
                    changed = true;
                }
            }
            if changed {
                best.settle();
            }
        }
    }

    /// Finds what the factors of the episodes in a tile do not exceed.
    fn bound_episodes(&mut self, index: usize) {
        if self.episodes.is_empty() {
            return;
        }
        self.slow = [1.0; QUAD_STEPS];
        let first = self.quad * QUAD_STEPS as u32;
        for slow in self.pool.slow_in(&self.episodes, index) {
            for (bound, step) in self.slow.iter_mut().zip(first..) {
                if slow.steps.contains(&step) {
                    *bound = bound.max(slow.greatest());
                }
            }
        }
    }

    /// Draws the causes of a tile one after the other as long as one of its ranks
    /// may change the result; returns true once none can.
    fn skips(&mut self, tile: &SearchTile) -> bool {
        self.n_visited += 1;
        if self.n_visited.is_multiple_of(TILES_BETWEEN_DECISIONS) {
            self.is_skipping = self.n_skipped * FEWEST_SKIPPED >= self.n_visited;
        }
        self.upper.copy_from_slice(&self.limits);
        if self.is_skipping && self.cannot_change(tile) {
            self.n_skipped += 1;
            return true;
        }
        let pool = self.pool;
        for &index in &pool.order {
            if matches!(self.drawn[index], Drawn::Common(_)) {
                continue;
            }
            pool.draws
                .draw(index, self.when, &tile.gpus(), &mut self.drawn[index]);
            if self.is_skipping {
                self.upper[index] = self.greatest(index, tile);
                if self.cannot_change(tile) {
                    self.n_skipped += 1;
                    return true;
                }
            }
        }
        false
    }

    /// Upper bounds of a cause in a tile, by step, now that it is drawn.
    fn greatest(&self, index: usize, tile: &SearchTile) -> [f32; QUAD_STEPS] {
        let cause = self.pool.draws.cause(index);
        match &self.drawn[index] {
            Drawn::Nothing => [cause.effect().neutral(); QUAD_STEPS],
            Drawn::Common(values) => *values,
            Drawn::Words(words) => {
                let greatest = self.pool.kernel.extremes(words).greatest;
                cause.only_table().map_or(self.limits[index], |table| {
                    greatest.map(|word| table.bound(word))
                })
            }
            Drawn::Values(values) => std::array::from_fn(|step| {
                let row = &values.0[step][..tile.n as usize];
                row.iter().copied().fold(0.0, f32::max)
            }),
        }
    }

    /// Whether no rank of a tile can change the result of any step.
    ///
    /// The bounds go through the operations of [`Draws::apply`] in the same order,
    /// because only then does rounding keep them above the values.
    fn cannot_change(&self, tile: &SearchTile) -> bool {
        (0..QUAD_STEPS).all(|step| {
            let (mut slowdown, mut stall) = (tile.slowdown * self.slow[step], tile.stall);
            for (cause, upper) in self.pool.draws.causes().zip(&self.upper) {
                match cause.effect() {
                    Effect::Slowdown => slowdown *= upper[step],
                    Effect::Stall => stall += upper[step] * self.pool.draws.stall_scale(),
                }
            }
            !self.best[step].yields_to(slowdown, stall, tile.rank)
        })
    }
}
