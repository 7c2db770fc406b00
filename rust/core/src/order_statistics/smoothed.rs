//! Laws of many samples with weights, smoothed, with tails that go on.
//!
//! Quantiles are means over a quarter of an octave of tail probability. The
//! [`FITTED`] samples at either end, as far as their weights count, make a
//! generalised Pareto tail (Pickands 1975), fitted by probability-weighted moments
//! (Hosking and Wallis, Technometrics 1987), up to ten times beyond the samples, and
//! an exponential one from there on.

use crate::law::{Constant, Law, OCTAVES, Tabulated, tail_probability};

/// Samples that a tail is fitted to.
const FITTED: f64 = 256.0;
/// Shapes of such tails, between which theirs is held.
const SHAPES: [f64; 2] = [-0.5, 0.2];
/// How many times rarer than one in all samples numbers of such a tail are.
const REACH: f64 = 10.0;
/// Knots an octave of tail probability.
const KNOTS: f64 = 4.0;
/// Bins an octave of the table.
const BINS: usize = 32;
/// A spread that is none.
const NO_SPREAD: f64 = 1e-9;

/// One number, and how much it counts.
pub(super) type Weighted = (f64, f64);

/// The law of numbers > 0 with weights >= 0, of which some count.
pub(super) fn law_of(mut samples: Vec<Weighted>) -> Law {
    samples.retain(|sample| sample.1 > 0.0);
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sum: f64 = samples.iter().map(|sample| sample.1).sum();
    let squares: f64 = samples.iter().map(|sample| sample.1 * sample.1).sum();
    let n = sum * sum / squares;
    let lower = tails(samples.iter(), sum);
    let upper = tails(samples.iter().rev(), sum);
    let median = quantile(&lower, 0.5);
    let spread = upper[0].x - lower[0].x;
    if spread <= NO_SPREAD * median {
        return Constant::new(median).map_or_else(|error| unreachable!("{error}"), Law::Constant);
    }
    let mut sides = [(&lower, -1.0), (&upper, 1.0)]
        .map(|(tails, outwards)| Side::new(tails, n, median).on_grid(outwards));
    // The lower side is not to reach zero.
    let least = 0.5 * samples[0].0;
    for quantile in &mut sides[0] {
        *quantile = quantile.max(least);
    }
    let [lower, upper] = sides;
    Tabulated::new(lower, upper).map_or_else(|error| unreachable!("{error}"), Law::Tabulated)
}

/// A sample, seen from one end.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The share of samples beyond it, half of its own included.
    p: f64,
    x: f64,
    /// Its own share.
    share: f64,
}

/// Samples from one end on.
fn tails<'s>(from_the_end: impl Iterator<Item = &'s Weighted>, sum: f64) -> Vec<Tail> {
    let mut before = 0.0;
    from_the_end
        .map(|&(x, weight)| {
            let share = weight / sum;
            let p = before + 0.5 * share;
            before += share;
            Tail { p, x, share }
        })
        .collect()
}

/// The number at a tail probability, between samples.
fn quantile(tails: &[Tail], p: f64) -> f64 {
    let next = tails.partition_point(|tail| tail.p < p);
    let before = next.checked_sub(1).map(|before| tails[before]);
    match (before, tails.get(next)) {
        (Some(a), Some(b)) => a.x + (b.x - a.x) * (p - a.p) / (b.p - a.p),
        (Some(end), None) => end.x,
        (None, Some(end)) => end.x,
        (None, None) => unreachable!("there are samples"),
    }
}

/// One side of a law.
struct Side {
    /// ln of tail probabilities from 1/2 on down, and their numbers.
    knots: Vec<(f64, f64)>,
    /// Where the tail begins.
    begins: f64,
    /// The tail beyond: scale with its sign, and shape.
    scale: f64,
    shape: f64,
    /// The tail probability at which it ends.
    ends: f64,
}

impl Side {
    fn new(tails: &[Tail], n: f64, median: f64) -> Self {
        let begins = (FITTED.min(n / 8.0) / n).min(0.25);
        let step = core::f64::consts::LN_2 / KNOTS;
        // None too near to where the tail begins.
        let n_knots = (libm::log(0.5 / begins) / step - 0.5).max(0.0) as usize;
        let mut knots = vec![(libm::log(0.5), median)];
        for knot in 1..=n_knots {
            let middle = libm::log(0.5) - step * knot as f64;
            let ends = [-0.5, 0.5].map(|half| libm::exp(middle + half * step));
            let [from, to] = ends.map(|end| tails.partition_point(|tail| tail.p < end));
            let around = &tails[from..to];
            let share: f64 = around.iter().map(|tail| tail.share).sum();
            let x = match around {
                [] => quantile(tails, libm::exp(middle)),
                some => some.iter().map(|tail| tail.share * tail.x).sum::<f64>() / share,
            };
            knots.push((middle, x));
        }
        let threshold = quantile(tails, begins);
        knots.push((libm::log(begins), threshold));
        // Moments of how far beyond the threshold samples lie.
        let beyond = &tails[..tails.partition_point(|tail| tail.p < begins).max(1)];
        let mut moments = [0.0; 2];
        for tail in beyond {
            let part = tail.share * (tail.x - threshold);
            moments[0] += part;
            moments[1] += part * tail.p / begins;
        }
        let share: f64 = beyond.iter().map(|tail| tail.share).sum();
        let [mean, lesser] = moments.map(|moment| moment / share);
        let width = mean - 2.0 * lesser;
        let (scale, shape) = if width.abs() > NO_SPREAD * median && mean / width > 0.0 {
            let shape = (mean / width - 2.0).clamp(SHAPES[0], SHAPES[1]);
            (mean * (1.0 + shape), shape)
        } else {
            (mean, 0.0)
        };
        Self {
            knots,
            begins,
            scale,
            shape,
            ends: 1.0 / (REACH * n),
        }
    }

    /// Numbers at the grid's tail probabilities, away from the median: downwards on
    /// the lower side, whose `outwards` is -1, upwards on the upper one.
    fn on_grid(&self, outwards: f64) -> Vec<f64> {
        let mut numbers: Vec<f64> = (0..=OCTAVES * BINS)
            .map(|index| self.at(tail_probability(BINS, index)))
            .collect();
        for index in (0..numbers.len() - 1).rev() {
            let (inner, here) = (numbers[index + 1], numbers[index]);
            numbers[index] = if outwards * (here - inner) < 0.0 {
                inner
            } else {
                here
            };
        }
        numbers
    }

    fn at(&self, p: f64) -> f64 {
        let log = libm::log(p);
        let next = self.knots.partition_point(|knot| knot.0 > log);
        if next == 0 {
            return self.knots[0].1;
        }
        let (from, a) = self.knots[next - 1];
        if let Some(&(to, b)) = self.knots.get(next) {
            return a + (b - a) * (from - log) / (from - to);
        }
        let far = (p / self.begins).max(self.ends / self.begins);
        let beyond = if self.shape.abs() < 1e-6 {
            -libm::log(far)
        } else {
            (1.0 - libm::pow(far, self.shape)) / self.shape
        };
        let rest = libm::log((self.ends / p).max(1.0)) * libm::pow(far, self.shape);
        a + self.scale * (beyond + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Distribution, LogNormal, Weibull};
    use crate::random::{Random, Stream};

    /// So many numbers of a law.
    fn drawn(law: &Law, n: u32) -> Vec<f64> {
        let random = Random::new(11);
        let words = (0..n / 4).flat_map(|unit| random.block(Stream(5), unit, 0, 0));
        words
            .map(|word| law.quantile((f64::from(word) + 0.5) * libm::ldexp(1.0, -32)))
            .collect()
    }

    #[test]
    fn laws_of_samples_are_those_they_were_drawn_from() {
        let n = 1 << 18;
        let laws = [
            (Law::LogNormal(LogNormal::new(1.0, 0.01).unwrap()), 0.01),
            (Law::Weibull(Weibull::new(2.0, 1.0).unwrap()), 0.5),
        ];
        for (law, spread) in laws {
            let samples = drawn(&law, n).into_iter().map(|x| (x, 1.0)).collect();
            let found = law_of(samples);
            for octave in 1..=16 {
                let q = libm::ldexp(1.0, -octave);
                let miss = found.upper_quantile(q) - law.upper_quantile(q);
                // 5 standard errors of a sample's quantile, or of a fitted tail's.
                let few = 1.0 / (f64::from(n) * q).sqrt();
                let allowed = 5.0 * spread * few.clamp(0.004, 0.06);
                assert!(
                    miss.abs() < allowed,
                    "{law:?} 2^-{octave}: {miss} of {allowed}"
                );
            }
        }
    }

    #[test]
    fn weights_count_like_repetitions() {
        let law = Law::LogNormal(LogNormal::new(1.0, 0.1).unwrap());
        let all = drawn(&law, 1 << 14);
        let twice = all.iter().chain(&all).map(|&x| (x, 1.0)).collect();
        let weighted = all.iter().map(|&x| (x, 0.25)).collect();
        let (twice, weighted) = (law_of(twice), law_of(weighted));
        for p in [0.1, 0.5, 0.9, 0.99] {
            let ratio = twice.quantile(p) / weighted.quantile(p);
            assert!((ratio - 1.0).abs() < 3e-3, "{p}: {ratio}");
        }
    }

    #[test]
    fn numbers_of_which_many_are_equal_keep_their_order_and_shares() {
        // A third on the least, a third on the greatest number, and equal ones but for rounding.
        for few in [0.1, 0.34, 0.5] {
            let n = 3000;
            let least = (few * f64::from(n)) as u32;
            let samples = (0..n).map(|k| match k {
                k if k < least => (1.0 + f64::EPSILON * f64::from(k % 3), 1.0),
                k if k < 2 * least => (1.5, 1.0),
                k => (1.0 + f64::from(k) / f64::from(n), 1.0),
            });
            let law = law_of(samples.collect());
            assert!(law.quantile(0.6 * few) < 1.001, "{few}");
            assert!(law.upper_quantile(1e-3) > 1.4, "{few}");
        }
    }

    #[test]
    fn equal_numbers_are_a_constant() {
        let law = law_of(vec![(1.25, 1.0); 1000]);
        assert_eq!(law, Law::Constant(Constant::new(1.25).unwrap()));
    }
}
