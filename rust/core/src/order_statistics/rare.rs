//! Rare causes: the units in which they occur, one after another.

use std::ops::Range;

use super::words;
use crate::kernel::STEPS;
use crate::kernel::tile::Draws;
use crate::plan::{Effect, Group};
use crate::random::{Random, run_word};

/// One occurrence of a rare cause in one unit and one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Event {
    /// Number of the cause.
    pub(super) rare: usize,
    pub(super) unit: u32,
    pub(super) size: f32,
}

/// What occurs in four steps.
#[derive(Debug, Default)]
pub(super) struct Events {
    by_step: [Vec<Event>; STEPS],
    /// Causes drawn so far.
    causes: usize,
}

impl Events {
    pub(super) fn clear(&mut self) {
        self.by_step.iter_mut().for_each(Vec::clear);
        self.causes = 0;
    }

    pub(super) fn of(&self, step: usize) -> &[Event] {
        &self.by_step[step]
    }
}

/// A cause that occurs in few units.
pub(super) struct Rare<'a> {
    draws: Draws<'a>,
    /// -1 / ln(1 - probability): units from one occurrence to the next.
    gap: f64,
}

impl<'a> Rare<'a> {
    /// `draws` has the one cause, which must have a chance.
    pub(super) fn new(draws: Draws<'a>) -> Self {
        let gap = -1.0 / libm::log1p(-draws.cause(0).probability());
        Self { draws, gap }
    }

    /// Whether it occurs in all units.
    pub(super) fn is_certain(&self) -> bool {
        self.draws.cause(0).is_certain()
    }

    /// Factor and stall of an occurrence.
    pub(super) fn effect(&self, size: f32) -> (f64, f64) {
        match self.draws.cause(0).effect() {
            Effect::Slowdown => (f64::from(size), 0.0),
            Effect::Stall => (1.0, f64::from(size * self.draws.per_second())),
        }
    }

    /// The ranks of a unit.
    pub(super) fn ranks(&self, group: &Group, unit: u32) -> Range<u32> {
        let scope = self.draws.cause(0).scope();
        let (first, next) = (group.first_gpu(scope, unit), group.first_gpu(scope, unit + 1));
        group.rank_from(first)..group.rank_from(next)
    }

    /// Adds what occurs in four steps.
    pub(super) fn draw(
        &self,
        group: &Group,
        random: &Random,
        run: u32,
        block: u32,
        events: &mut Events,
    ) {
        let rare = events.causes;
        events.causes += 1;
        let scope = self.draws.cause(0).scope();
        let last_gpu = group.stretch(group.n_ranks() - 1).0;
        let n_units = f64::from(group.unit(scope, last_gpu).0 + 1);
        let stream = self.draws.streams(0).slowest;
        // The last unit that is known not to come next, by step.
        let mut reached = [-1.0_f64; STEPS];
        let mut number = 0;
        while reached.iter().any(|&unit| unit < n_units) {
            let words = random.block(stream, number, block, run_word(run, 0));
            for step in 0..STEPS {
                if reached[step] >= n_units {
                    continue;
                }
                let refine = || random.block(stream, number, block, run_word(run, 1))[step];
                // Failures before the next success are geometric.
                let waits = words::exceedances(words[step], refine) * self.gap;
                reached[step] += 1.0 + if self.gap == 0.0 { 0.0 } else { libm::floor(waits) };
                if reached[step] < n_units {
                    let unit = reached[step] as u32;
                    let size = self.draws.size_of_unit(0, block, unit, step);
                    events.by_step[step].push(Event { rare, unit, size });
                }
            }
            number += 1;
        }
    }
}
