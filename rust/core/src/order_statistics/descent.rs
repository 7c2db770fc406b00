//! Random numbers of the slowest of a pool: points of a Poisson process, from the highest
//! one down.

use crate::plan::Affects;
use crate::random::{Random, Stream, Use, run_word};
use crate::simd::QUAD_STEPS;
use crate::table::{Table, is_refined, is_upper, magnitude, unit_exponential};

/// The random streams of a pool's slowest rank or port.
#[derive(Debug, Clone, Copy)]
pub struct SlowestStreams {
    slowest: Stream,
    member: Stream,
    /// Index in counter word 2: 0 for ranks and 2 for ports; one more for refining bits.
    index: u32,
}

impl SlowestStreams {
    pub fn new(pool: &str, affects: Affects) -> Self {
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

/// The exponential number with mean one of a word, in f64: for numbers that need more than
/// the 24 bits of a table's f32.
pub fn unit_exponential_f64(word: u32, refine: impl FnOnce() -> u32) -> f64 {
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

/// Exceedances of the points of one step, from the slowest down: the points of a Poisson
/// process of rate one.
pub struct Descent<'a> {
    random: &'a Random,
    streams: &'a SlowestStreams,
    exponential: &'static Table,
    quad: u32,
    step: usize,
    run: u32,
    /// Points so far.
    n_points: u32,
    sum: f64,
    /// Words of the first points of all four steps, because most steps need no other; once one of
    /// them has been asked for.
    first: Option<[u32; QUAD_STEPS]>,
    /// Words of their shares, once one of them has been asked for.
    first_shares: Option<[u32; QUAD_STEPS]>,
}

impl<'a> Descent<'a> {
    /// The descent in the first step of a quad.
    pub fn new(random: &'a Random, streams: &'a SlowestStreams, quad: u32, run: u32) -> Self {
        Self {
            random,
            streams,
            exponential: unit_exponential(),
            quad,
            step: 0,
            run,
            n_points: 0,
            sum: 0.0,
            first: None,
            first_shares: None,
        }
    }

    /// Begins anew in another step of the quad.
    pub fn start_step(&mut self, step: usize) {
        self.step = step;
        self.n_points = 0;
        self.sum = 0.0;
    }

    /// Exceedances of the next point.
    pub fn next(&mut self) -> f64 {
        let words = |index| {
            let c2 = run_word(self.run, self.streams.index + index);
            self.random
                .words(self.streams.slowest, self.n_points, self.quad, c2)
        };
        let word = if self.n_points == 0 {
            *self.first.get_or_insert_with(|| words(0))
        } else {
            words(0)
        }[self.step];
        let wait = self.exponential.value(word, || words(1)[self.step]);
        self.sum += f64::from(wait);
        self.n_points += 1;
        self.sum
    }

    /// A uniform number in (0, 1) that belongs to the last point.
    pub fn share(&mut self) -> f64 {
        let c2 = run_word(self.run, self.streams.index);
        let (random, stream, c1) = (self.random, self.streams.member, self.quad);
        let words = match self.n_points - 1 {
            0 => *self
                .first_shares
                .get_or_insert_with(|| random.words(stream, 0, c1, c2)),
            point => random.words(stream, point, c1, c2),
        };
        (f64::from(words[self.step]) + 0.5) * libm::ldexp(1.0, -32)
    }
}
