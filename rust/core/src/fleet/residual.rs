//! What is left of a time that is under way.

use std::sync::Arc;

use crate::error::Result;
use crate::law::{Distribution, Law};
use crate::plan::{DrawnLaw, Tables};

/// Points at which the law of what is left is known.
const POINTS: usize = 4096;

/// Repairs of one kind: how long they take, and how much is left of one that is under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Repair {
    tables: Arc<Tables>,
    unit_s: f64,
    pub mean_s: f64,
    /// Weights of the components of the law, by mean, and what is left of each.
    residuals: Vec<(f64, Vec<[f64; 2]>)>,
}

impl Repair {
    /// Repairs whose time has a law, in units of some seconds.
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

    /// Seconds of a whole repair: of a word for its component, and one for its length.
    pub fn seconds(&self, component: u32, word: u32) -> f64 {
        // The component's word has bits to spare for the one repair in 2^15 that needs more.
        let refine = || component.rotate_left(16);
        let table = self.tables.chosen(component, refine);
        self.unit_s * f64::from(table.value(word, refine))
    }

    /// Seconds that are left of a repair that somebody meets at a random time.
    ///
    /// Its density is `P(repair longer than x) / mean` (renewal theory's forward recurrence time).
    pub fn left_s(&self, mut uniform: f64) -> f64 {
        // Those of a component are met by its share of all time in repair.
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

/// Times, and the probability that no more of a repair than these is left.
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
        let repair = Repair::new(&law.into(), 1.0).unwrap();
        (1..1000)
            .map(|index| f64::from(index) / 1000.0)
            .map(|p| (repair.left_s(p) / left_at(p) - 1.0).abs())
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
        // Half of all time in repair is of either.
        let left_at = |p: f64| {
            if p < 0.5 {
                2.0 * p
            } else {
                9.0 * (2.0 * p - 1.0)
            }
        };
        let repair = Repair::new(&Law::Mixture(law).into(), 1.0).unwrap();
        assert!((repair.mean_s - 1.8).abs() < 1e-12);
        for p in [0.1, 0.3, 0.6, 0.9] {
            assert!((repair.left_s(p) - left_at(p)).abs() < 1e-9);
        }
    }

    #[test]
    fn of_a_uniform_time_the_integral_of_what_survives_is_left() {
        let law = Law::Uniform(Uniform::new(0.0, 1.0).unwrap());
        // P(left <= x) = 2 x - x^2.
        assert!(largest_miss(law, |p| 1.0 - libm::sqrt(1.0 - p)) < 1e-3);
    }
}
