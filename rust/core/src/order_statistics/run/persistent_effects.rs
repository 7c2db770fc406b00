//! Persistent effects of consecutive ranks, drawn once.

use std::ops::Range;

use super::persistent_source::PersistentSource;
use crate::draw::{Drawn, Tile, for_each_tile};
use crate::plan::Scope;

/// Persistent effects of consecutive ranks in one run, in units of the pool's noiseless
/// compute time.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistentEffects {
    /// The ranks.
    pub ranks: Range<u32>,
    /// Product of the slowdowns of each rank.
    pub slowdowns: Vec<f32>,
    /// Sum of the stalls of each rank; empty where no rank can have one.
    pub stalls: Vec<f32>,
    /// The greatest slowdown.
    pub greatest: f32,
    /// Sum of the slowdowns.
    pub sum_slowdown: f64,
    /// Sum of the stalls.
    pub sum_stall: f64,
}

impl PersistentEffects {
    /// Draws the effects of `ranks`, which begin and end with units of the scope `block`.
    pub fn draw(source: &PersistentSource, block: Scope, ranks: Range<u32>) -> Self {
        let n = ranks.len();
        let mut effects = Self {
            slowdowns: Vec::with_capacity(n),
            stalls: Vec::with_capacity(if source.stalls() { n } else { 0 }),
            greatest: 0.0,
            sum_slowdown: 0.0,
            sum_stall: 0.0,
            ranks,
        };
        let mut drawn = Drawn::Nothing;
        for_each_tile(source.pool, effects.ranks.clone(), |rank, gpus| {
            let mut tile = Tile::NEUTRAL;
            source.apply(rank, &gpus, &mut drawn, &mut tile);
            let slowdowns = &tile.slowdown.0[0][..gpus.len()];
            let stalls = &tile.stall.0[0][..gpus.len()];
            effects.slowdowns.extend_from_slice(slowdowns);
            effects.greatest = slowdowns.iter().copied().fold(effects.greatest, f32::max);
            if source.stalls() {
                effects.stalls.extend_from_slice(stalls);
            }
            if block == Scope::Gpu {
                effects.sum_slowdown += sum(slowdowns);
                effects.sum_stall += if source.stalls() { sum(stalls) } else { 0.0 };
            }
        });
        if block != Scope::Gpu {
            for unit in source.pool.units_of(block, effects.ranks.clone()) {
                effects.sum_slowdown += sum(effects.slowdowns_of(&unit));
                effects.sum_stall += sum(effects.stalls_of(&unit));
            }
        }
        effects
    }

    /// Slowdowns of some of the ranks.
    pub fn slowdowns_of(&self, ranks: &Range<u32>) -> &[f32] {
        &self.slowdowns[self.places(ranks)]
    }

    /// Stalls of some of the ranks; none where no rank can have one.
    pub fn stalls_of(&self, ranks: &Range<u32>) -> &[f32] {
        if self.stalls.is_empty() {
            return &[];
        }
        &self.stalls[self.places(ranks)]
    }

    /// Whether any of the ranks stalls.
    pub fn has_stall(&self) -> bool {
        self.stalls.iter().any(|&stall| stall > 0.0)
    }

    /// Memory of the effects.
    pub fn n_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<f32>() * (self.slowdowns.len() + self.stalls.len())
    }

    fn places(&self, ranks: &Range<u32>) -> Range<usize> {
        let place = |rank: u32| (rank - self.ranks.start) as usize;
        place(ranks.start)..place(ranks.end)
    }
}

/// Sum of some numbers, as eight partial sums that the compiler vectorizes.
fn sum(numbers: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (eights, rest) = numbers.as_chunks();
    for eight in eights {
        for (sum, &number) in sums.iter_mut().zip::<&[f32; 8]>(eight) {
            *sum += f64::from(number);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}
