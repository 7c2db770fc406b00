//! A pass over so many ranks that only the slow ones are looked at.

use std::ops::Range;

use super::census::Census;
use super::compiled::Rest;
use super::grid::{CERTAIN, PAD, Shifts};
use super::pass::{Pass, Passed};
use crate::kernel::slowest::for_each_stretch;
use crate::kernel::{Block, STEPS, UNITS};
use crate::plan::Scope;
use crate::table::Table;

/// Ranks from which on only the slow ones are looked at.
const MANY: u32 = 1 << 20;

impl Pass<'_, '_> {
    /// The table of all that lasts, where ranks are so many that only the slow
    /// ones are looked at: the mean of all the others is that of their law.
    pub(super) fn only_table(&self) -> Option<&Table> {
        let many = self.group.n_ranks() > MANY && self.compiled.block == Scope::Gpu;
        let slowdowns = &self.lasting.slowdowns;
        let alone = slowdowns.len() == 1 && !self.lasting.stalls();
        if !(many && alone) {
            return None;
        }
        let cause = slowdowns.cause(0);
        let by_gpu = cause.scope() == Scope::Gpu && cause.is_certain();
        cause.only_table().filter(|_| by_gpu)
    }

    /// The word from which on a rank's factor matters: all of the others together
    /// would add a ten-millionth at most to what is known of the slowest.
    pub(super) fn first_that_matters(&self, known: &Passed, table: &Table) -> u32 {
        let (Rest::Shifted { grid, .. }, Some(census)) = (&self.compiled.rest, &known.census)
        else {
            return 0;
        };
        let top = f64::from(known.greatest);
        let sums = Shifts::of(census, grid, top).slowest(grid);
        let n = f64::from(self.group.n_ranks());
        let of_grid = &grid.exceedances[PAD..];
        let may_be_left_out = |shift: usize| {
            let pairs = sums.iter().zip(of_grid.iter().skip(shift));
            let mut open = pairs.filter(|(sum, _)| **sum <= CERTAIN);
            open.all(|(sum, one)| n * one <= 1e-7 * sum)
        };
        let (mut kept, mut left_out) = (0, of_grid.len());
        while left_out - kept > 1 {
            let middle = kept + (left_out - kept) / 2;
            if may_be_left_out(middle) {
                left_out = middle;
            } else {
                kept = middle;
            }
        }
        let least = top * libm::exp(-(left_out as f64) * grid.step);
        first_word(table, least as f32)
    }

    /// Counts the slow ranks among some: words order values, so most tiles are
    /// done with once their greatest word is known.
    pub(super) fn look_for_greatest(
        &self,
        ranks: Range<u32>,
        table: &Table,
        census: &mut Census,
        cut: u32,
    ) -> f32 {
        let slowdowns = &self.lasting.slowdowns;
        let kernel = slowdowns.kernel();
        let mut words = Block([[0; UNITS]; STEPS]);
        let mut factors = Vec::with_capacity(UNITS);
        let mut greatest = 0.0_f32;
        for_each_stretch(self.group, ranks, |_, gpus| {
            kernel.words(
                slowdowns.random(),
                slowdowns.address(0, 0, gpus.start),
                &mut words,
            );
            let row = &words.0[0][..gpus.len()];
            if row.iter().copied().fold(0, u32::max) < cut {
                return;
            }
            factors.clear();
            for (unit, &word) in gpus.zip(row) {
                if word >= cut {
                    factors.push(table.value(word, || slowdowns.refined(0, 0, unit)[0]));
                }
            }
            census.add(&factors);
            greatest = factors.iter().copied().fold(greatest, f32::max);
        });
        greatest
    }
}

/// A word below which no value reaches `least`.
fn first_word(table: &Table, least: f32) -> u32 {
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
