//! Words of the slowest of a pool.

use std::sync::LazyLock;

use crate::kernel::STEPS;
use crate::law::{Exponential, Law};
use crate::plan::Affects;
use crate::random::{Random, Stream, Use, run_word};
use crate::table::{Table, is_refined, is_upper, magnitude};

/// The streams of a pool's slowest rank or port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    slowest: Stream,
    member: Stream,
    /// Index beside the run: ranks and ports, words and their further bits.
    index: u32,
}

impl Streams {
    pub(super) fn new(pool: &str, affects: Affects) -> Self {
        Self {
            slowest: Stream::new(pool, "", Use::Slowest),
            member: Stream::new(pool, "", Use::Member),
            index: match affects {
                Affects::Compute => 0,
                Affects::Network => 2,
            },
        }
    }
}

/// The law of exceedances, exponential with mean one.
static WAITS: LazyLock<Table> = LazyLock::new(|| {
    let law = Exponential::new(1.0, 0.0).map(Law::Exponential);
    let table = law.and_then(|law| Table::compile(&law));
    table.unwrap_or_else(|error| unreachable!("{error}"))
});

/// The law of exceedances as a table.
pub(super) fn waits() -> &'static Table {
    &WAITS
}

/// Exceedances of a word's number: `-ln F`, exponential with mean one.
pub(super) fn exceedances(word: u32, refine: impl FnOnce() -> u32) -> f64 {
    let tail = if is_refined(word) {
        let refined = u64::from(magnitude(word)) << 32 | u64::from(refine());
        (refined as f64 + 0.5) * libm::ldexp(1.0, -64)
    } else {
        (f64::from(magnitude(word)) + 0.5) * libm::ldexp(1.0, -32)
    };
    if is_upper(word) {
        -libm::log1p(-tail)
    } else {
        -libm::log(tail)
    }
}

/// Exceedances from the slowest down, in one step: the points of a Poisson
/// process of rate one.
pub(super) struct Descent<'a> {
    random: &'a Random,
    streams: &'a Streams,
    waits: &'static Table,
    block: u32,
    step: usize,
    run: u32,
    rank: u32,
    sum: f64,
    /// The first words of all four steps, and those that go with them once they
    /// have been asked for.
    first: [u32; STEPS],
    first_shares: Option<[u32; STEPS]>,
}

impl<'a> Descent<'a> {
    /// Of the first of four steps.
    pub(super) fn new(random: &'a Random, streams: &'a Streams, block: u32, run: u32) -> Self {
        let c2 = run_word(run, streams.index);
        Self {
            random,
            streams,
            waits: waits(),
            block,
            step: 0,
            run,
            rank: 0,
            sum: 0.0,
            first: random.block(streams.slowest, 0, block, c2),
            first_shares: None,
        }
    }

    /// Begins anew in another step.
    pub(super) fn turn_to(&mut self, step: usize) {
        self.step = step;
        self.rank = 0;
        self.sum = 0.0;
    }

    /// Exceedances of the next point.
    pub(super) fn next(&mut self) -> f64 {
        let words = |index| {
            let c2 = run_word(self.run, self.streams.index + index);
            self.random
                .block(self.streams.slowest, self.rank, self.block, c2)
        };
        let word = if self.rank == 0 { self.first } else { words(0) }[self.step];
        let wait = self.waits.value(word, || words(1)[self.step]);
        self.sum += f64::from(wait);
        self.rank += 1;
        self.sum
    }

    /// A number between 0 and 1 that goes with the last point.
    pub(super) fn share(&mut self) -> f64 {
        let c2 = run_word(self.run, self.streams.index);
        let (random, stream, c1) = (self.random, self.streams.member, self.block);
        let words = match self.rank - 1 {
            0 => *self
                .first_shares
                .get_or_insert_with(|| random.block(stream, 0, c1, c2)),
            rank => random.block(stream, rank, c1, c2),
        };
        (f64::from(words[self.step]) + 0.5) * libm::ldexp(1.0, -32)
    }
}
