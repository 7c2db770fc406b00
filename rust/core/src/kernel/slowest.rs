//! The slowest rank and the slowest port of a group, without drawing all.
//!
//! A tile whose ranks cannot be the slowest is skipped: not drawn at all where
//! even the greatest numbers of its laws would not do, and not looked up where
//! its own greatest words would not. Products and sums of upper bounds bound
//! those of the numbers themselves, because rounding is monotone, so what is
//! found is what drawing everything finds, ties included.

use std::ops::Range;

use super::best::Best;
use super::tile::{Drawn, Draws, Tile};
use super::{Kernel, STEPS, UNITS};
use crate::error::Result;
use crate::plan::{Cause, Effect, Group, Scope};

/// Tiles of four steps after which skipping is judged, and again after as many.
const TRIAL: usize = 64;
/// Skipping ends for these steps once fewer than one tile in this many was
/// skipped.
const WORTHWHILE: usize = 8;

/// Factors and stalls of a group that last a whole run, by rank; empty where
/// nothing lasts that long.
#[derive(Debug, Default)]
pub struct Lasting {
    /// Products of the slowdowns.
    pub slowdown: Vec<f32>,
    /// Sums of the stalls.
    pub stall: Vec<f32>,
}

/// Up to 64 ranks on consecutive GPUs, with bounds of what lasts.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    rank: u32,
    gpu: u32,
    n: u32,
    slowdown: f32,
    stall: f32,
}

impl Stretch {
    fn gpus(&self) -> Range<u32> {
        self.gpu..self.gpu + self.n
    }

    fn ranks(&self) -> Range<usize> {
        self.rank as usize..(self.rank + self.n) as usize
    }
}

/// Some consecutive tiles of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    stretches: Range<usize>,
    /// The first of their ranks.
    pub first_rank: usize,
    /// Ranks of these tiles.
    pub n_ranks: usize,
}

/// A group in one run, ready to be searched.
pub struct Searched<'a> {
    draws: Draws<'a>,
    lasting: Lasting,
    stretches: Vec<Stretch>,
    /// The tile to begin with: the one whose lasting effects are the greatest.
    first: usize,
    /// The greatest number of each cause.
    limits: Vec<f32>,
    /// The causes in the order of drawing: rare ones first, which bound most.
    order: Vec<usize>,
    kernel: Kernel,
    /// Whether anything stalls; if not, a tile's stalls stay as they are.
    stalls: bool,
}

impl<'a> Searched<'a> {
    /// A group whose step-span causes are `draws`, with what its run fixed.
    #[must_use]
    pub fn new(draws: Draws<'a>, lasting: Lasting, kernel: Kernel) -> Self {
        let greatest = |column: &[f32], ranks: Range<usize>, neutral: f32| {
            column
                .get(ranks)
                .map_or(neutral, |part| part.iter().copied().fold(0.0, f32::max))
        };
        let mut stretches = Vec::new();
        let group = draws.group();
        for_each_stretch(group, 0..group.n_ranks(), |rank, gpus| {
            let ranks = rank as usize..rank as usize + gpus.len();
            stretches.push(Stretch {
                rank,
                gpu: gpus.start,
                n: gpus.len() as u32,
                slowdown: greatest(&lasting.slowdown, ranks.clone(), 1.0),
                stall: greatest(&lasting.stall, ranks, 0.0),
            });
        });
        let promise = |stretch: &Stretch| stretch.slowdown + stretch.stall;
        // Of several, the first: the last one that is met from behind.
        let first = (0..stretches.len())
            .rev()
            .max_by(|&a, &b| promise(&stretches[a]).total_cmp(&promise(&stretches[b])))
            .unwrap_or(0);
        let mut order: Vec<usize> = (0..draws.len()).collect();
        let rare: Vec<bool> = draws.causes().map(|cause| !cause.is_certain()).collect();
        order.sort_by_key(|&cause| !rare[cause]);
        Self {
            limits: draws.causes().map(Cause::greatest).collect(),
            first,
            order,
            stretches,
            stalls: !lasting.stall.is_empty()
                || draws.causes().any(|cause| cause.effect() == Effect::Stall),
            lasting,
            draws,
            kernel,
        }
    }

    /// What the run fixed.
    #[must_use]
    pub fn lasting(&self) -> &Lasting {
        &self.lasting
    }

    /// How many causes are drawn anew in each step.
    #[must_use]
    pub fn n_causes(&self) -> usize {
        self.draws.len()
    }

    /// Whether nothing acts on the group.
    #[must_use]
    pub fn is_ideal(&self) -> bool {
        self.draws.is_empty() && self.lasting.slowdown.is_empty() && self.lasting.stall.is_empty()
    }

    /// The best of each of the four steps of `block`; `looked` is told now and
    /// then how many ranks have been dealt with.
    ///
    /// # Errors
    /// Those of `looked`.
    pub fn search<B: Best>(
        &self,
        block: u32,
        looked: impl FnMut(u32) -> Result<()>,
    ) -> Result<[B; STEPS]> {
        self.search_from(B::NONE, block, looked)
    }

    /// The same, where nothing seen yet is `none`.
    ///
    /// # Errors
    /// Those of `looked`.
    pub fn search_from<B: Best>(
        &self,
        none: B,
        block: u32,
        mut looked: impl FnMut(u32) -> Result<()>,
    ) -> Result<[B; STEPS]> {
        let mut search = Search::new(self, none, block);
        for index in self.in_order() {
            let stretch = &self.stretches[index];
            search.visit(stretch);
            looked(stretch.n)?;
        }
        Ok(search.best)
    }

    /// The group cut into pieces of up to `most` tiles, with the ranks of each.
    #[must_use]
    pub fn pieces(&self, most: usize) -> Vec<Piece> {
        let of_chunk = |(index, chunk): (usize, &[Stretch])| Piece {
            stretches: index * most..index * most + chunk.len(),
            first_rank: chunk.first().map_or(0, |stretch| stretch.rank as usize),
            n_ranks: chunk.iter().map(|stretch| stretch.n as usize).sum(),
        };
        self.stretches
            .chunks(most)
            .enumerate()
            .map(of_chunk)
            .collect()
    }

    /// Calls `f` with the number of ranks and the effects of each tile of a
    /// piece, in order.
    pub fn each_tile(&self, block: u32, piece: &Piece, mut f: impl FnMut(usize, &Tile)) {
        let mut tile = Tile::NEUTRAL;
        let mut drawn = Drawn::Nothing;
        for stretch in &self.stretches[piece.stretches.clone()] {
            self.load(stretch, &mut tile);
            self.draws
                .apply_all(block, &stretch.gpus(), &mut drawn, &mut tile);
            f(stretch.n as usize, &tile);
        }
    }

    /// The most promising tile, then the others by rank.
    fn in_order(&self) -> impl Iterator<Item = usize> {
        let first = self.first;
        let others = (0..self.stretches.len()).filter(move |&index| index != first);
        (0..self.stretches.len())
            .filter(move |&index| index == first)
            .take(1)
            .chain(others)
    }
    /// Fills a tile with what lasts.
    fn load(&self, stretch: &Stretch, tile: &mut Tile) {
        self.lasting.load(stretch.ranks(), self.stalls, tile);
    }
}

impl Lasting {
    /// Fills a tile with what lasts for some ranks; its stalls only where there
    /// may be any.
    pub fn load(&self, ranks: Range<usize>, stalls: bool, tile: &mut Tile) {
        for (block, column, neutral) in [
            (&mut tile.slowdown, &self.slowdown, 1.0),
            (&mut tile.stall, &self.stall, 0.0),
        ] {
            match column.get(ranks.clone()) {
                None if neutral == 0.0 && !stalls => {}
                Some(lasting) => {
                    for row in &mut block.0 {
                        let (ranks, rest) = row.split_at_mut(lasting.len());
                        ranks.copy_from_slice(lasting);
                        rest.fill(neutral);
                    }
                }
                None => block.0 = [[neutral; UNITS]; STEPS],
            }
        }
    }
}

/// Calls `f` with the first rank and the GPUs of each tile of `ranks`.
pub fn for_each_stretch(group: &Group, ranks: Range<u32>, mut f: impl FnMut(u32, Range<u32>)) {
    let mut rank = ranks.start;
    while rank < ranks.end {
        let (gpu, n_consecutive) = group.stretch(rank);
        let n = n_consecutive.min(UNITS as u32).min(ranks.end - rank);
        f(rank, gpu..gpu + n);
        rank += n;
    }
}

/// One search through four steps.
struct Search<'a, 's, B> {
    group: &'s Searched<'a>,
    block: u32,
    best: [B; STEPS],
    /// What each cause does at most, in the tile at hand.
    upper: Vec<[f32; STEPS]>,
    /// The same before a tile is drawn.
    limits: Vec<[f32; STEPS]>,
    drawn: Vec<Drawn>,
    /// Room to work in.
    tile: Tile,
    skipping: bool,
    seen: usize,
    skipped: usize,
}

impl<'a, 's, B: Best> Search<'a, 's, B> {
    fn new(group: &'s Searched<'a>, none: B, block: u32) -> Self {
        let mut drawn = vec![Drawn::Nothing; group.draws.len()];
        let mut limits: Vec<[f32; STEPS]> =
            group.limits.iter().map(|&limit| [limit; STEPS]).collect();
        // What all share is drawn once, and known from the start.
        for (index, cause) in group.draws.causes().enumerate() {
            if matches!(cause.scope(), Scope::Pool | Scope::Cluster) {
                group.draws.draw(index, block, &(0..1), &mut drawn[index]);
                if let Drawn::Common(values) = drawn[index] {
                    limits[index] = values;
                }
            }
        }
        Self {
            group,
            block,
            best: [none; STEPS],
            upper: limits.clone(),
            limits,
            drawn,
            tile: Tile::NEUTRAL,
            skipping: true,
            seen: 0,
            skipped: 0,
        }
    }

    fn visit(&mut self, stretch: &Stretch) {
        if self.is_beaten(stretch) {
            return;
        }
        let group = self.group;
        let tile = &mut self.tile;
        group.load(stretch, tile);
        for (index, drawn) in self.drawn.iter().enumerate() {
            group
                .draws
                .apply(index, self.block, &stretch.gpus(), drawn, tile);
        }
        let n = stretch.n as usize;
        for (step, best) in self.best.iter_mut().enumerate() {
            let (slowdown, stall) = (&tile.slowdown.0[step][..n], &tile.stall.0[step][..n]);
            for ((&slowdown, &stall), rank) in slowdown.iter().zip(stall).zip(stretch.rank..) {
                if best.yields_to(slowdown, stall, rank) {
                    best.take(slowdown, stall, rank);
                }
            }
        }
    }

    /// Draws the causes of a tile, as long as it may change the best; says
    /// whether it cannot.
    fn is_beaten(&mut self, stretch: &Stretch) -> bool {
        self.seen += 1;
        if self.seen.is_multiple_of(TRIAL) {
            self.skipping = self.skipped * WORTHWHILE >= self.seen;
        }
        self.upper.copy_from_slice(&self.limits);
        if self.skipping && self.cannot_change(stretch) {
            self.skipped += 1;
            return true;
        }
        let group = self.group;
        for &index in &group.order {
            if matches!(self.drawn[index], Drawn::Common(_)) {
                continue;
            }
            group
                .draws
                .draw(index, self.block, &stretch.gpus(), &mut self.drawn[index]);
            if self.skipping {
                self.upper[index] = self.greatest(index, stretch);
                if self.cannot_change(stretch) {
                    self.skipped += 1;
                    return true;
                }
            }
        }
        false
    }

    /// What a cause does at most in a tile, now that it is drawn.
    fn greatest(&self, index: usize, stretch: &Stretch) -> [f32; STEPS] {
        let cause = self.group.draws.cause(index);
        match &self.drawn[index] {
            Drawn::Nothing => [cause.effect().neutral(); STEPS],
            Drawn::Common(values) => *values,
            Drawn::Words(words) => {
                let greatest = self.group.kernel.extremes(words).greatest;
                cause.only_table().map_or(self.limits[index], |table| {
                    greatest.map(|word| table.bound(word))
                })
            }
            Drawn::Values(values) => std::array::from_fn(|step| {
                let row = &values.0[step][..stretch.n as usize];
                row.iter().copied().fold(0.0, f32::max)
            }),
        }
    }

    /// Whether no rank of a tile can change the best of any step, by the same
    /// operations in the same order as on the numbers themselves.
    fn cannot_change(&self, stretch: &Stretch) -> bool {
        (0..STEPS).all(|step| {
            let (mut slowdown, mut stall) = (stretch.slowdown, stretch.stall);
            for (cause, upper) in self.group.draws.causes().zip(&self.upper) {
                match cause.effect() {
                    Effect::Slowdown => slowdown *= upper[step],
                    Effect::Stall => stall += upper[step] * self.group.draws.per_second(),
                }
            }
            !self.best[step].yields_to(slowdown, stall, stretch.rank)
        })
    }
}
