//! Laws of how long something lasts, and of what is left of it while it is under way.

use std::sync::Arc;

use super::drawn_law::{DrawnLaw, Tables};
use crate::error::Result;
use crate::law::{Distribution, Law};

/// Points at which the law of what is left is known.
const POINTS: usize = 4096;

/// How long something lasts, such as a repair or an episode, and how much is left of one that is
/// under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Duration {
    tables: Arc<Tables>,
    unit_s: f64,
    /// Mean seconds.
    pub mean_s: f64,
    /// Weights of the components of the law, by mean, and what is left of each.
    residuals: Vec<(f64, Vec<[f64; 2]>)>,
}

impl Duration {
    /// That of a law, in units of some seconds.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a law that no table holds.
    pub fn new(law: &DrawnLaw, unit_s: f64) -> Result<Self> {
        let parts = law.law().components();
        let mean: f64 = parts
            .iter()
            .map(|(weight, part)| weight * part.mean())
            .sum();
        Ok(Self {
            tables: law.tables()?,
            unit_s,
            mean_s: unit_s * mean,
            residuals: parts
                .iter()
                .map(|(weight, part)| (weight * part.mean() / mean, residual(part)))
                .collect(),
        })
    }

    /// Seconds of a whole one: of a word for its length, and one for its component, which is asked for
    /// where the law is a mixture.
    #[must_use]
    pub fn seconds(&self, word: u32, component: impl Fn() -> u32) -> f64 {
        // The component's word has bits to spare for the one in 2^15 that needs more.
        let refine = || component().rotate_left(16);
        let table = match self.tables.only() {
            Some(table) => table,
            None => self.tables.chosen(component(), refine),
        };
        self.unit_s * f64::from(table.value(word, refine))
    }

    /// Seconds that are left of one that is met at a random time.
    ///
    /// Its density is `P(longer than x) / mean` (renewal theory's forward recurrence time).
    #[must_use]
    pub fn left_s(&self, mut uniform: f64) -> f64 {
        // Those of a component are met by its share of all time.
        let mut residual = &self.residuals[0].1;
        for (share, points) in &self.residuals {
            residual = points;
            if uniform < *share {
                uniform /= share;
                break;
            }
            uniform -= share;
        }
        let above = residual.partition_point(|point| point[1] < uniform);
        let [high, high_cdf] = residual[above.min(residual.len() - 1)];
        let [low, low_cdf] = residual[above.saturating_sub(1)];
        let share = if high_cdf > low_cdf {
            ((uniform - low_cdf) / (high_cdf - low_cdf)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        self.unit_s * (low + (high - low) * share)
    }
}

/// Times, and the probability that no more than these is left.
fn residual(law: &Law) -> Vec<[f64; 2]> {
    let quantile = |index: usize| {
        // Both tails close up where steps of probability would be coarse.
        let place = index as f64 / POINTS as f64;
        match index {
            0 => 0.0,
            _ if 2 * index <= POINTS => law.quantile(place * place * 2.0),
            _ if index < POINTS => law.upper_quantile((1.0 - place) * (1.0 - place) * 2.0),
            _ => law.upper_quantile(1e-12),
        }
    };
    let mut points = vec![[0.0, 0.0]];
    let mut last = (0.0, 1.0);
    let mut integral = 0.0;
    for index in 1..=POINTS {
        let x = quantile(index).max(last.0);
        // Just below x, because a law may have atoms.
        let sf = if index == POINTS {
            0.0
        } else {
            law.sf(x * (1.0 - 1e-12))
        };
        integral += (x - last.0) * 0.5 * (last.1 + sf);
        points.push([x, integral]);
        last = (x, law.sf(x));
    }
    for point in &mut points {
        point[1] /= integral;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Constant, Exponential, Mixture, Uniform};

    fn largest_miss(law: Law, left_at: impl Fn(f64) -> f64) -> f64 {
        let duration = Duration::new(&law.into(), 1.0).unwrap();
        (1..1000)
            .map(|index| f64::from(index) / 1000.0)
            .map(|p| (duration.left_s(p) / left_at(p) - 1.0).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn of_a_constant_all_of_it_may_be_left_alike() {
        let law = Law::Constant(Constant::new(7.0).unwrap());
        assert!(largest_miss(law, |p| 7.0 * p) < 1e-9);
    }

    #[test]
    fn of_an_exponential_time_as_much_is_left_as_it_took() {
        let law = Law::Exponential(Exponential::new(3.0, 0.0).unwrap());
        assert!(largest_miss(law, |p| -3.0 * libm::log1p(-p)) < 1e-3);
    }

    #[test]
    fn of_two_times_the_longer_one_is_met_more_often() {
        let short = Law::Constant(Constant::new(1.0).unwrap());
        let long = Law::Constant(Constant::new(9.0).unwrap());
        let law = Mixture::new(vec![(0.9, short), (0.1, long)]).unwrap();
        // Half of all time is of either.
        let left_at = |p: f64| {
            if p < 0.5 {
                2.0 * p
            } else {
                9.0 * (2.0 * p - 1.0)
            }
        };
        let duration = Duration::new(&Law::Mixture(law).into(), 1.0).unwrap();
        assert!((duration.mean_s - 1.8).abs() < 1e-12);
        for p in [0.1, 0.3, 0.6, 0.9] {
            assert!((duration.left_s(p) - left_at(p)).abs() < 1e-9);
        }
    }

    #[test]
    fn of_a_uniform_time_the_integral_of_what_survives_is_left() {
        let law = Law::Uniform(Uniform::new(0.0, 1.0).unwrap());
        // P(left <= x) = 2 x - x^2.
        assert!(largest_miss(law, |p| 1.0 - libm::sqrt(1.0 - p)) < 1e-3);
    }
}
