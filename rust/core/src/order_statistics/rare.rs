//! Rare causes: the units in which they occur, one after another.

use std::ops::Range;

use super::words;
use crate::kernel::tile::Draws;
use crate::kernel::{Address, SCATTERED, STEPS};
use crate::plan::{Effect, Group};
use crate::random::{Random, run_word};

/// Units up to which the 24 bits of a table's waits tell all of them apart.
const MOST_BY_TABLE: f64 = 1e6;

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
        let (first, next) = (
            group.first_gpu(scope, unit),
            group.first_gpu(scope, unit + 1),
        );
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
        let waits = words::waits();
        let rare = events.causes;
        events.causes += 1;
        let cause = self.draws.cause(0);
        let last_gpu = group.stretch(group.n_ranks() - 1).0;
        let n_units = f64::from(group.unit(cause.scope(), last_gpu).0) + 1.0;
        let stream = self.draws.streams(0).slowest;
        // The unit that occurred last, by step.
        let mut reached = [-1.0_f64; STEPS];
        let mut first = 0;
        while reached.iter().any(|&unit| unit < n_units) {
            let numbers: [u32; SCATTERED] = std::array::from_fn(|n| first + n as u32);
            let words = |index| {
                let c2 = run_word(run, index);
                let address = Address {
                    stream,
                    first_unit: 0,
                    c1: block,
                    c2,
                };
                self.draws.kernel().scattered(random, address, &numbers)
            };
            let more = |number: u32, index, step: usize| {
                random.block(stream, number, block, run_word(run, index))[step]
            };
            let gaps = words(0);
            // Of a mixture each unit chooses its own law.
            let sizes = cause.only_table().map(|table| (table, words(2)));
            for (step, reached) in reached.iter_mut().enumerate() {
                for (lane, &number) in numbers.iter().enumerate() {
                    if *reached >= n_units {
                        break;
                    }
                    let (word, refine) = (gaps[step][lane], || more(number, 1, step));
                    let wait = if n_units <= MOST_BY_TABLE {
                        f64::from(waits.value(word, refine))
                    } else {
                        words::exceedances(word, refine)
                    };
                    // Failures before the next success are geometric.
                    let failures = if self.is_certain() {
                        0.0
                    } else {
                        wait * self.gap
                    };
                    *reached += 1.0 + libm::floor(failures);
                    if *reached < n_units {
                        let unit = *reached as u32;
                        let size = match &sizes {
                            Some((table, words)) => {
                                table.value(words[step][lane], || more(number, 3, step))
                            }
                            None => self.draws.size_of_unit(0, block, unit, step),
                        };
                        events.by_step[step].push(Event { rare, unit, size });
                    }
                }
            }
            first += SCATTERED as u32;
        }
    }
}
