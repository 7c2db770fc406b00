//! The law of weighted samples, smoothed, with tails that go on beyond them.

use super::constant::Constant;
use super::law::Law;
use super::range::check_positive;
use super::tabulated::Tabulated;
use super::tail_grid::{OCTAVES, tail_probability};
use crate::error::{Error, Result};

/// Samples at either end that a tail is fitted to, counted by weight.
const TAIL_SAMPLES: f64 = 256.0;
/// Greatest share of all samples that a tail is fitted to.
const MAX_TAIL_SHARE: f64 = 0.125;
/// Range of a fitted tail's shape k: from a power-law tail at the edge of an
/// infinite variance to one that ends five scales beyond its threshold. What a
/// few hundred samples say beyond that is noise.
const SHAPE_RANGE: [f64; 2] = [-0.5, 0.2];
/// Shapes closer to zero than this are an exponential tail.
const MIN_SHAPE: f64 = 1e-6;
/// How many times rarer than one in all samples a fitted tail is followed.
const EXTRAPOLATION: f64 = 10.0;
/// Knots per octave of tail probability between the median and a tail.
const KNOTS_PER_OCTAVE: f64 = 4.0;
/// Bins per octave of the tabulated law.
const BINS_PER_OCTAVE: usize = 32;
/// Spread relative to the median below which samples differ by rounding alone.
const MIN_SPREAD: f64 = 1e-9;

/// A sample and how much it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted {
    /// The number, > 0.
    pub value: f64,
    /// Its weight, >= 0; only ratios of weights matter.
    pub weight: f64,
}

impl Weighted {
    /// A sample that counts once.
    #[must_use]
    pub fn once(value: f64) -> Self {
        Self { value, weight: 1.0 }
    }
}

/// The law of weighted samples, with smoothed quantiles and fitted tails.
///
/// For numbers that come from a simulation or a trace, of which the order
/// statistics of very many are asked: far beyond the rarest sample.
///
/// # Law
/// With `n = (sum w)^2 / sum w^2` effective samples:
///
/// * between the tails, the quantile at a tail probability is the weighted mean
///   of the samples within an eighth of an octave of it, linear between four
///   such knots per octave;
/// * the outermost 256 samples at either end (at most an eighth of all) make a
///   generalised Pareto tail, `x = threshold + scale (1 - r^k) / k` at `r` times
///   the tail probability of the threshold, fitted by probability-weighted
///   moments with k held within [-0.5, 0.2];
/// * beyond a tail probability of `1 / (10 n)` the tail goes on as an
///   exponential one of the same slope.
///
/// The lower side does not fall below half of the least sample. Samples that
/// are equal but for rounding are a [`Constant`], others a [`Tabulated`] law.
///
/// # Source
/// Generalised Pareto tails: Pickands, "Statistical inference using extreme
/// order statistics", Annals of Statistics 3, 1975. Their fit: Hosking and
/// Wallis, "Parameter and quantile estimation for the generalized Pareto
/// distribution", Technometrics 29, 1987.
///
/// # Errors
/// [`Error::Domain`] unless every value is finite and positive, every weight is
/// finite and not negative, one weight is positive, and f64 holds the sum of
/// their squares.
///
/// # Examples
/// ```
/// use hindmost_core::law::{Distribution, Weighted, fit_weighted};
///
/// let samples = (1..=1000).map(|k| Weighted::once(1.0 + f64::from(k) / 1000.0));
/// let law = fit_weighted(samples.collect())?;
/// assert!((law.quantile(0.5) - 1.5).abs() < 1e-3);
/// # Ok::<(), hindmost_core::Error>(())
/// ```
pub fn fit_weighted(mut samples: Vec<Weighted>) -> Result<Law> {
    check(&samples)?;
    samples.retain(|sample| sample.weight > 0.0);
    samples.sort_by(|a, b| a.value.total_cmp(&b.value));
    let sum: f64 = samples.iter().map(|sample| sample.weight).sum();
    let squares: f64 = samples
        .iter()
        .map(|sample| sample.weight * sample.weight)
        .sum();
    let n = sum * sum / squares;
    if !(n > 0.0 && n.is_finite()) {
        let requirement = "numbers with weights whose squares f64 holds";
        return Err(Error::domain("samples", sum, requirement));
    }
    let lower = ranked(samples.iter(), sum);
    let upper = ranked(samples.iter().rev(), sum);
    let median = quantile(&lower, 0.5);
    let spread = upper[0].x - lower[0].x;
    if spread <= MIN_SPREAD * median {
        return Constant::new(median).map(Law::Constant);
    }
    let mut sides = [(&lower, -1.0), (&upper, 1.0)]
        .map(|(samples, outwards)| Side::new(samples, n, median).on_grid(outwards));
    // A fitted lower tail could reach zero.
    let least = 0.5 * samples[0].value;
    for quantile in &mut sides[0] {
        *quantile = quantile.max(least);
    }
    let [lower, upper] = sides;
    Tabulated::new(lower, upper).map(Law::Tabulated)
}

fn check(samples: &[Weighted]) -> Result<()> {
    for (index, sample) in samples.iter().enumerate() {
        let within = |error: Error| error.within(&format!("samples.{index}"));
        check_positive("value", sample.value).map_err(within)?;
        if !(sample.weight >= 0.0 && sample.weight.is_finite()) {
            let error = Error::domain("weight", sample.weight, "finite and >= 0");
            return Err(within(error));
        }
    }
    if samples.iter().any(|sample| sample.weight > 0.0) {
        return Ok(());
    }
    let requirement = "a list of numbers of which one has a weight above zero";
    Err(Error::domain("samples", samples.len() as f64, requirement))
}

/// A sample and its rank, seen from one end.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    /// The share of all weight beyond it, half of its own included.
    p: f64,
    x: f64,
    /// Its own share of all weight.
    share: f64,
}

/// Samples with their ranks, from one end on.
fn ranked<'s>(from_the_end: impl Iterator<Item = &'s Weighted>, sum: f64) -> Vec<Ranked> {
    let mut beyond = 0.0;
    from_the_end
        .map(|sample| {
            let share = sample.weight / sum;
            let p = beyond + 0.5 * share;
            beyond += share;
            let x = sample.value;
            Ranked { p, x, share }
        })
        .collect()
}

/// The number at a tail probability, linear between samples.
fn quantile(samples: &[Ranked], p: f64) -> f64 {
    let next = samples.partition_point(|sample| sample.p < p);
    let before = next.checked_sub(1).map(|before| samples[before]);
    match (before, samples.get(next)) {
        (Some(a), Some(b)) => a.x + (b.x - a.x) * (p - a.p) / (b.p - a.p),
        (Some(end), None) => end.x,
        (None, Some(end)) => end.x,
        (None, None) => unreachable!("there are samples"),
    }
}

/// One side of the law.
struct Side {
    /// ln of tail probabilities from 1/2 on down, and their numbers; the last
    /// one is the threshold of the tail.
    knots: Vec<(f64, f64)>,
    /// Tail probability of the threshold.
    begins: f64,
    /// Scale of the fitted tail, negative on the lower side.
    scale: f64,
    /// Shape k of the fitted tail.
    shape: f64,
    /// Tail probability at which the fitted tail becomes an exponential one.
    ends: f64,
}

impl Side {
    /// The side of samples that are ranked from its end on, `n` effective ones.
    fn new(samples: &[Ranked], n: f64, median: f64) -> Self {
        let begins = TAIL_SAMPLES.min(MAX_TAIL_SHARE * n) / n;
        let mut knots = smoothed(samples, begins, median);
        let threshold = quantile(samples, begins);
        knots.push((libm::log(begins), threshold));
        // Probability-weighted moments of how far beyond the threshold samples
        // lie: their mean, and their mean weighed by rank.
        let beyond = &samples[..samples.partition_point(|sample| sample.p < begins).max(1)];
        let mut moments = [0.0; 2];
        for sample in beyond {
            let part = sample.share * (sample.x - threshold);
            moments[0] += part;
            moments[1] += part * sample.p / begins;
        }
        let share: f64 = beyond.iter().map(|sample| sample.share).sum();
        let [mean, ranked_mean] = moments.map(|moment| moment / share);
        let width = mean - 2.0 * ranked_mean;
        let (scale, shape) = if width.abs() > MIN_SPREAD * median && mean / width > 0.0 {
            let shape = (mean / width - 2.0).clamp(SHAPE_RANGE[0], SHAPE_RANGE[1]);
            // Whatever the shape is held to, the mean is that of the samples.
            (mean * (1.0 + shape), shape)
        } else {
            (mean, 0.0)
        };
        Self {
            knots,
            begins,
            scale,
            shape,
            ends: 1.0 / (EXTRAPOLATION * n),
        }
    }

    /// Numbers at the grid's tail probabilities, none nearer to the median than
    /// the one before it: `outwards` is -1 on the lower side, 1 on the upper one.
    fn on_grid(&self, outwards: f64) -> Vec<f64> {
        let mut numbers: Vec<f64> = (0..=OCTAVES * BINS_PER_OCTAVE)
            .map(|index| self.at(tail_probability(BINS_PER_OCTAVE, index)))
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

    /// The number at a tail probability.
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
        let fitted = if self.shape.abs() < MIN_SHAPE {
            -libm::log(far)
        } else {
            (1.0 - libm::pow(far, self.shape)) / self.shape
        };
        // Its slope over -ln p where it ends, kept from there on.
        let exponential = libm::log((self.ends / p).max(1.0)) * libm::pow(far, self.shape);
        a + self.scale * (fitted + exponential)
    }
}

/// Knots from the median to where the tail begins, each the mean of the samples
/// within half a knot of its tail probability.
fn smoothed(samples: &[Ranked], begins: f64, median: f64) -> Vec<(f64, f64)> {
    let step = core::f64::consts::LN_2 / KNOTS_PER_OCTAVE;
    // The last knot stays half a knot away from where the tail begins.
    let n_knots = (libm::log(0.5 / begins) / step - 0.5).max(0.0) as usize;
    let mut knots = vec![(libm::log(0.5), median)];
    for knot in 1..=n_knots {
        let middle = libm::log(0.5) - step * knot as f64;
        let ends = [-0.5, 0.5].map(|half| libm::exp(middle + half * step));
        let [from, to] = ends.map(|end| samples.partition_point(|sample| sample.p < end));
        let around = &samples[from..to];
        let share: f64 = around.iter().map(|sample| sample.share).sum();
        let x = match around {
            [] => quantile(samples, libm::exp(middle)),
            some => {
                some.iter()
                    .map(|sample| sample.share * sample.x)
                    .sum::<f64>()
                    / share
            }
        };
        knots.push((middle, x));
    }
    knots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::distribution::Distribution;
    use crate::law::lognormal::LogNormal;
    use crate::law::weibull::Weibull;
    use crate::random::{Random, Stream};

    /// `n` draws of a law.
    fn drawn(law: &Law, n: u32) -> Vec<f64> {
        let random = Random::new(11);
        let words = (0..n / 4).flat_map(|unit| random.words(Stream(5), unit, 0, 0));
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
            let samples = drawn(&law, n).into_iter().map(Weighted::once).collect();
            let found = fit_weighted(samples).unwrap();
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
        let twice = all
            .iter()
            .chain(&all)
            .copied()
            .map(Weighted::once)
            .collect();
        let weighted = all
            .into_iter()
            .map(|value| Weighted {
                value,
                weight: 0.25,
            })
            .collect();
        let (twice, weighted) = (
            fit_weighted(twice).unwrap(),
            fit_weighted(weighted).unwrap(),
        );
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
                k if k < least => Weighted::once(1.0 + f64::EPSILON * f64::from(k % 3)),
                k if k < 2 * least => Weighted::once(1.5),
                k => Weighted::once(1.0 + f64::from(k) / f64::from(n)),
            });
            let law = fit_weighted(samples.collect()).unwrap();
            assert!(law.quantile(0.6 * few) < 1.001, "{few}");
            assert!(law.upper_quantile(1e-3) > 1.4, "{few}");
        }
    }

    #[test]
    fn equal_numbers_are_a_constant() {
        let law = fit_weighted(vec![Weighted::once(1.25); 1000]).unwrap();
        assert_eq!(law, Law::Constant(Constant::new(1.25).unwrap()));
    }

    #[test]
    fn samples_have_positive_values_and_weights_of_which_one_counts() {
        let good = || vec![Weighted::once(1.0), Weighted::once(2.0)];
        let refused = |samples: Vec<Weighted>| match fit_weighted(samples) {
            Err(Error::Domain { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            let mut samples = good();
            samples[1].value = bad;
            assert_eq!(refused(samples), "samples.1.value");
        }
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            let mut samples = good();
            samples[1].weight = bad;
            assert_eq!(refused(samples), "samples.1.weight");
        }
        let weightless = Weighted {
            value: 1.0,
            weight: 0.0,
        };
        let tiny = Weighted {
            value: 1.0,
            weight: 1e-300,
        };
        for samples in [vec![], vec![weightless; 3], vec![tiny; 3]] {
            assert_eq!(refused(samples), "samples");
        }
    }
}
