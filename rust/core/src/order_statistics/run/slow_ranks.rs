//! A survey that looks at the slow ones among the ranks only, for the others do not matter.

use std::ops::Range;

use super::census::Census;
use super::persistent_source::PersistentSource;
use super::shifts::Shifts;
use crate::draw::{Drawn, Tile, When, for_each_tile};
use crate::order_statistics::law::{CERTAIN_EXCEEDANCES, LogGrid, PADDING};
use crate::plan::Scope;
use crate::simd::{QUAD_STEPS, TILE_UNITS, TileArray};
use crate::table::Table;

/// Ranks above which only the slow ones are looked at, whatever is asked for.
const MANY_RANKS: u32 = 1 << 20;
/// Ranks after which it is asked anew which of the next ones matter.
const RANKS_AT_ONCE: u32 = 1 << 12;
/// Words of ranks that are looked at one by one if the greatest of them matters.
const WORDS_AT_ONCE: usize = 16;
/// The word from which on ranks are so few that their factors are sooner found one by one.
const FIRST_WORD_OF_FEW: u32 = 3 << 30;
/// Share of the exceedances that all ranks left out may add together.
const NEGLIGIBLE_SHARE: f64 = 1e-7;

/// Ranks of a pool with one certain persistent slowdown of scope gpu: words order the
/// values, so a rank can be left out without looking its value up.
pub(super) struct SlowRanks<'s> {
    source: &'s PersistentSource<'s>,
    table: &'s Table,
}

impl<'s> SlowRanks<'s> {
    /// The ranks of a pool; none where anything else persists.
    pub(super) fn of(source: &'s PersistentSource<'s>) -> Option<Self> {
        let slowdowns = &source.slowdowns;
        if slowdowns.len() != 1 || source.stalls() {
            return None;
        }
        let cause = slowdowns.cause(0);
        let by_gpu = cause.scope() == Scope::Gpu && cause.is_certain();
        let table = cause.only_table().filter(|_| by_gpu)?;
        Some(Self { source, table })
    }

    /// Whether they are so many that the others are left out even where they matter a little.
    pub(super) fn are_many(&self) -> bool {
        self.source.pool.n_ranks() > MANY_RANKS
    }

    /// Counts those of `ranks` that the census keeps, and returns the greatest factor of them.
    pub(super) fn count(&self, ranks: Range<u32>, census: &mut Census) -> f32 {
        let mut greatest = 0.0;
        for first in ranks.clone().step_by(RANKS_AT_ONCE as usize) {
            let cut = first_word_at_least(self.table, census.least_factor());
            let some = first..ranks.end.min(first.saturating_add(RANKS_AT_ONCE));
            let factors = if cut < FIRST_WORD_OF_FEW {
                self.all_factors(some)
            } else {
                self.factors(some, cut)
            };
            census.add(&factors);
            greatest = factors.iter().copied().fold(greatest, f32::max);
        }
        greatest
    }

    /// Sum of the expected factors of all ranks.
    pub(super) fn expected_sum(&self) -> f64 {
        self.source.slowdowns.cause(0).mean() * f64::from(self.source.pool.n_ranks())
    }

    /// The word from which on a rank's factor matters, given the census of some of the
    /// ranks and its greatest factor: all ranks below it together add a ten-millionth
    /// to the exceedances of the slowest of these, at most.
    pub(super) fn first_word_that_matters(
        &self,
        grid: &LogGrid,
        census: &Census,
        greatest: f32,
    ) -> u32 {
        let top = f64::from(greatest);
        let sums = Shifts::of(census, grid, top).slowest(grid, self.source.slowdowns.kernel());
        let n = f64::from(self.source.pool.n_ranks());
        let of_grid = &grid.exceedances[PADDING..];
        let can_be_left_out = |shift: usize| {
            let pairs = sums.iter().zip(of_grid.iter().skip(shift));
            let mut open = pairs.filter(|(sum, _)| **sum <= CERTAIN_EXCEEDANCES);
            open.all(|(sum, one)| n * one <= NEGLIGIBLE_SHARE * sum)
        };
        let (mut kept, mut left_out) = (0, of_grid.len());
        while left_out - kept > 1 {
            let middle = kept + (left_out - kept) / 2;
            if can_be_left_out(middle) {
                left_out = middle;
            } else {
                kept = middle;
            }
        }
        let least = top * libm::exp(-(left_out as f64) * grid.step);
        first_word_at_least(self.table, least as f32)
    }

    /// Factors of those of `ranks` whose words are at least `cut`. Most tiles are done with once
    /// their greatest word is known.
    pub(super) fn factors(&self, ranks: Range<u32>, cut: u32) -> Vec<f32> {
        let slowdowns = &self.source.slowdowns;
        let kernel = slowdowns.kernel();
        let mut words = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
        let mut factors = Vec::new();
        for_each_tile(self.source.pool, ranks, |_, gpus| {
            let address = slowdowns.address(0, When::RUN, gpus.start);
            kernel.words(slowdowns.random(), address, &mut words);
            // Of all units of the tile, of which some may be no ranks of the pool.
            if kernel.greatest(&words.0[0]) < cut {
                return;
            }
            let row = &words.0[0][..gpus.len()];
            let units = gpus.step_by(WORDS_AT_ONCE);
            for (first, few) in units.zip(row.chunks(WORDS_AT_ONCE)) {
                if !few.iter().fold(false, |any, &word| any | (word >= cut)) {
                    continue;
                }
                for (unit, &word) in (first..).zip(few) {
                    if word >= cut {
                        let refine = || slowdowns.refined(0, When::RUN, unit)[0];
                        factors.push(self.table.value(word, refine));
                    }
                }
            }
        });
        factors
    }

    /// Factors of all of `ranks`.
    fn all_factors(&self, ranks: Range<u32>) -> Vec<f32> {
        let mut factors = Vec::with_capacity(ranks.len());
        let mut drawn = Drawn::Nothing;
        for_each_tile(self.source.pool, ranks, |rank, gpus| {
            let mut tile = Tile::NEUTRAL;
            self.source.apply(rank, &gpus, &mut drawn, &mut tile);
            factors.extend_from_slice(&tile.slowdown.0[0][..gpus.len()]);
        });
        factors
    }
}

/// A word below which no value reaches `least`.
fn first_word_at_least(table: &Table, least: f32) -> u32 {
    let (mut below, mut reached) = (0_u32, u32::MAX);
    while reached - below > 1 {
        let middle = below + (reached - below) / 2;
        if table.bound(middle) < least {
            below = middle;
        } else {
            reached = middle;
        }
    }
    below
}
