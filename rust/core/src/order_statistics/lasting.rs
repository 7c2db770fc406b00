//! What a run fixes for the ranks or the ports of a group.

use std::ops::Range;

use super::parts::is_inside;
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::plan::Group;

/// Slowdowns and stalls that last a run, by rank: from addresses, so that
/// nothing has to be stored, or as crews were found to have them.
pub(super) struct Lasting<'a> {
    pub(super) group: &'a Group,
    pub(super) slowdowns: Draws<'a>,
    pub(super) stalls: Draws<'a>,
    /// Factor and stall of each crew, in units of the noiseless time.
    pub(super) given: Option<&'a [(f32, f32)]>,
}

impl Lasting<'_> {
    /// Whether nothing lasts.
    pub(super) fn is_ideal(&self) -> bool {
        self.slowdowns.is_empty() && self.stalls.is_empty() && self.given.is_none()
    }

    /// Whether ranks may differ.
    pub(super) fn differs(&self) -> bool {
        let inside = self.slowdowns.causes().any(is_inside);
        inside || !self.stalls.is_empty() || self.given.is_some()
    }

    /// Whether any rank may stall for the whole run.
    pub(super) fn stalls(&self) -> bool {
        !self.stalls.is_empty() || self.given.is_some()
    }

    /// The factor of a rank.
    pub(super) fn factor(&self, rank: u32) -> f32 {
        if let Some(given) = self.given {
            return given[rank as usize].0;
        }
        let gpu = self.group.stretch(rank).0;
        let mut factor = 1.0;
        for cause in 0..self.slowdowns.len() {
            let unit = self.group.unit(self.slowdowns.cause(cause).scope(), gpu).0;
            factor *= self.slowdowns.of_unit(cause, 0, unit)[0];
        }
        factor
    }

    /// The factors of some ranks.
    pub(super) fn factors(&self, ranks: Range<u32>) -> Vec<f32> {
        ranks.map(|rank| self.factor(rank)).collect()
    }

    /// Multiplies `factors` by those of ranks; `units` is room to work in.
    pub(super) fn multiply(&self, ranks: &[u32], units: &mut Vec<u32>, factors: &mut [f32]) {
        if self.given.is_some() {
            for (factor, &rank) in factors.iter_mut().zip(ranks) {
                *factor *= self.factor(rank);
            }
        }
        for cause in 0..self.slowdowns.len() {
            let scope = self.slowdowns.cause(cause).scope();
            let unit = |&rank: &u32| self.group.unit(scope, self.group.stretch(rank).0).0;
            units.clear();
            units.extend(ranks.iter().map(unit));
            self.slowdowns.multiply_units(cause, 0, 0, units, factors);
        }
    }

    /// The stall of a rank.
    pub(super) fn stall(&self, rank: u32) -> f32 {
        if let Some(given) = self.given {
            return given[rank as usize].1;
        }
        let gpu = self.group.stretch(rank).0;
        let mut stall = 0.0;
        for cause in 0..self.stalls.len() {
            let unit = self.group.unit(self.stalls.cause(cause).scope(), gpu).0;
            stall += self.stalls.of_unit(cause, 0, unit)[0] * self.stalls.per_second();
        }
        stall
    }

    /// Fills the first row of a tile of ranks on consecutive GPUs.
    pub(super) fn fill(&self, rank: u32, gpus: &Range<u32>, drawn: &mut Drawn, tile: &mut Tile) {
        if let Some(given) = self.given {
            let given = &given[rank as usize..rank as usize + gpus.len()];
            for (place, &(slowdown, stall)) in given.iter().enumerate() {
                tile.slowdown.0[0][place] = slowdown;
                tile.stall.0[0][place] = stall;
            }
            return;
        }
        self.slowdowns.apply_all(0, gpus, drawn, tile);
        self.stalls.apply_all(0, gpus, drawn, tile);
    }
}
