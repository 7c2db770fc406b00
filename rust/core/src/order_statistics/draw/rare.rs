//! Rare causes: the units in which they occur, drawn one after another.

use std::ops::Range;

use crate::draw::{Draws, When};
use crate::order_statistics::descent::unit_exponential_f64;
use crate::plan::{Effect, Pool};
use crate::random::{Random, run_word};
use crate::simd::{QUAD_STEPS, SCATTERED_UNITS, TileAddress};
use crate::table::unit_exponential;

/// Units up to which the 24 bits of a table's f32 tell all gaps between occurrences
/// apart.
const MAX_UNITS_BY_TABLE: f64 = 1e6;

/// A rank that is drawn by itself in a step, with what rare causes do to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) rank: u32,
    /// Product of the slowdowns.
    pub(super) slowdown: f64,
    /// Sum of the stalls, in units of the pool's noiseless compute time.
    pub(super) stall: f64,
}

impl Hit {
    /// A rank that no rare cause hits.
    pub(super) fn untouched(rank: u32) -> Self {
        Self {
            rank,
            slowdown: 1.0,
            stall: 0.0,
        }
    }
}

/// One occurrence of a rare cause in one unit and one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Event {
    /// Number of the cause among the rare ones.
    pub(super) cause: usize,
    pub(super) unit: u32,
    pub(super) size: f32,
}

/// The occurrences of all rare causes in the steps of a quad.
#[derive(Debug, Default)]
pub(super) struct Events {
    by_step: [Vec<Event>; QUAD_STEPS],
    /// Causes drawn so far.
    n_causes: usize,
}

impl Events {
    pub(super) fn clear(&mut self) {
        self.by_step.iter_mut().for_each(Vec::clear);
        self.n_causes = 0;
    }

    pub(super) fn of(&self, step: usize) -> &[Event] {
        &self.by_step[step]
    }
}

/// A cause that occurs in few units.
pub(super) struct Rare<'a> {
    draws: Draws<'a>,
    /// `-1 / ln(1 - probability)`: a unit exponential number times this, rounded down, is
    /// the geometric number of units between two occurrences.
    gap: f64,
}

impl<'a> Rare<'a> {
    /// The only cause of `draws`, whose probability is above 0.
    pub(super) fn new(draws: Draws<'a>) -> Self {
        let gap = -1.0 / libm::log1p(-draws.cause(0).probability());
        Self { draws, gap }
    }

    /// Whether it occurs in all units.
    pub(super) fn is_certain(&self) -> bool {
        self.draws.cause(0).is_certain()
    }

    /// A hit of `rank` by an occurrence of this size.
    pub(super) fn hit(&self, rank: u32, size: f32) -> Hit {
        match self.draws.cause(0).effect() {
            Effect::Slowdown => Hit {
                slowdown: f64::from(size),
                ..Hit::untouched(rank)
            },
            Effect::Stall => Hit {
                stall: f64::from(size * self.draws.stall_scale()),
                ..Hit::untouched(rank)
            },
        }
    }

    /// What it can do to a rank at most.
    pub(super) fn greatest(&self) -> Hit {
        self.hit(0, self.draws.cause(0).greatest())
    }

    /// The ranks of a unit, as units of the cause.
    pub(super) fn ranks(&self, pool: &Pool, unit: u32) -> Range<u32> {
        let scope = self.draws.cause(0).scope();
        let (first, next) = (pool.first_gpu(scope, unit), pool.first_gpu(scope, unit + 1));
        pool.rank_from(first)..pool.rank_from(next)
    }

    /// Adds the occurrences in the steps of a quad to `events`.
    pub(super) fn draw(
        &self,
        pool: &Pool,
        random: &Random,
        run: u32,
        quad: u32,
        events: &mut Events,
    ) {
        let exponential = unit_exponential();
        let number_of_cause = events.n_causes;
        events.n_causes += 1;
        let cause = self.draws.cause(0);
        let last_gpu = pool.stretch(pool.n_ranks() - 1).0;
        let n_units = f64::from(pool.unit(cause.scope(), last_gpu).0) + 1.0;
        let stream = self.draws.streams(0).slowest;
        // The last unit in which it occurred, by step.
        let mut reached = [-1.0_f64; QUAD_STEPS];
        let mut first = 0;
        while reached.iter().any(|&unit| unit < n_units) {
            let numbers: [u32; SCATTERED_UNITS] = std::array::from_fn(|n| first + n as u32);
            let words = |index| {
                let c2 = run_word(run, index);
                let address = TileAddress {
                    stream,
                    first_unit: 0,
                    c1: quad,
                    c2,
                };
                self.draws
                    .kernel()
                    .scattered_words(random, address, &numbers)
            };
            let more = |number: u32, index, step: usize| {
                random.words(stream, number, quad, run_word(run, index))[step]
            };
            let gaps = words(0);
            // A unit chooses its law of a mixture at its own address.
            let sizes = cause.only_table().map(|table| (table, words(2)));
            for (step, reached) in reached.iter_mut().enumerate() {
                for (lane, &number) in numbers.iter().enumerate() {
                    if *reached >= n_units {
                        break;
                    }
                    let (word, refine) = (gaps[step][lane], || more(number, 1, step));
                    let wait = if n_units <= MAX_UNITS_BY_TABLE {
                        f64::from(exponential.value(word, refine))
                    } else {
                        unit_exponential_f64(word, refine)
                    };
                    // Units without an occurrence before the next one.
                    let n_without = if self.is_certain() {
                        0.0
                    } else {
                        wait * self.gap
                    };
                    // What rounds down to more than an i64 holds is beyond all units, too.
                    *reached += 1.0 + (n_without as i64) as f64;
                    if *reached < n_units {
                        let unit = *reached as u32;
                        let size = match &sizes {
                            Some((table, words)) => {
                                table.value(words[step][lane], || more(number, 3, step))
                            }
                            None => self.draws.unit_size(0, When::quad(quad), unit, step),
                        };
                        events.by_step[step].push(Event {
                            cause: number_of_cause,
                            unit,
                            size,
                        });
                    }
                }
            }
            first += SCATTERED_UNITS as u32;
        }
    }
}
