//! Empirical law: the piecewise-linear quantile function of samples.

use super::distribution::Distribution;
use super::range::{check_highest, check_lowest, check_positive};
use crate::error::{Error, Result};

/// Most samples. More say nothing more, and their table would not stay in a
/// cache.
const MAX_SAMPLES: usize = 1 << 20;

/// Empirical law: the piecewise-linear quantile function of samples.
///
/// For what was measured and follows no named law. Nothing above the greatest
/// sample is ever drawn; [`with_pareto_tail`](crate::law::with_pareto_tail)
/// goes on beyond it.
///
/// # Law
/// With m samples in order, `Q(i / (m - 1))` is sample `i` from 0 on, linear
/// between (the default of `numpy.quantile`). So the law is uniform between
/// neighbours, with probability `1 / (m - 1)` each; equal samples are an atom.
/// Mean and variance are those of this law, not of the samples.
///
/// # Parameters
/// `samples`: 2 to 1,048,576 finite numbers > 0, in any order.
///
/// # Numerical limits
/// A table has the samples themselves as knots, instead of a grid of tail
/// probabilities, so it is as exact as f32 wherever the law bends.
///
/// # Examples
/// ```
/// use hindmost_core::law::{Distribution, Empirical};
///
/// let law = Empirical::new(vec![4.0, 1.0, 2.0])?;
/// assert_eq!((law.quantile(0.25), law.quantile(0.75)), (1.5, 3.0));
/// # Ok::<(), hindmost_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Empirical {
    samples: Vec<f64>,
}

impl Empirical {
    /// # Errors
    /// [`Error::Domain`] unless there are 2 to 1,048,576 samples, all finite
    /// and positive.
    pub fn new(mut samples: Vec<f64>) -> Result<Self> {
        if !(2..=MAX_SAMPLES).contains(&samples.len()) {
            return Err(Error::domain(
                "samples",
                samples.len() as f64,
                "a list of 2 to 1048576 numbers",
            ));
        }
        for (index, &sample) in samples.iter().enumerate() {
            check_positive(&format!("samples.{index}"), sample)?;
        }
        samples.sort_by(f64::total_cmp);
        Ok(Self { samples })
    }

    /// The samples, in order.
    #[must_use]
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// Gaps between neighbours, m - 1.
    fn gaps(&self) -> f64 {
        (self.samples.len() - 1) as f64
    }

    /// Number `place` gaps beyond the first sample of `ordered`, which counts
    /// from either end.
    fn at<'a>(place: f64, ordered: impl Fn(usize) -> &'a f64, gaps: f64) -> f64 {
        let place = place.clamp(0.0, gaps);
        let index = (place as usize).min(gaps as usize - 1);
        let (a, b) = (*ordered(index), *ordered(index + 1));
        a + (b - a) * (place - index as f64)
    }
}

impl Distribution for Empirical {
    fn cdf(&self, x: f64) -> f64 {
        let index = self.samples.partition_point(|&sample| sample <= x);
        if index == 0 {
            return 0.0;
        }
        if index == self.samples.len() {
            return 1.0;
        }
        let (a, b) = (self.samples[index - 1], self.samples[index]);
        ((index - 1) as f64 + (x - a) / (b - a)) / self.gaps()
    }

    fn sf(&self, x: f64) -> f64 {
        let index = self.samples.partition_point(|&sample| sample <= x);
        if index == 0 {
            return 1.0;
        }
        if index == self.samples.len() {
            return 0.0;
        }
        let (a, b) = (self.samples[index - 1], self.samples[index]);
        let above = (self.samples.len() - 1 - index) as f64;
        (above + (b - x) / (b - a)) / self.gaps()
    }

    fn quantile(&self, p: f64) -> f64 {
        let gaps = self.gaps();
        Self::at(p * gaps, |index| &self.samples[index], gaps)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        let gaps = self.gaps();
        let last = self.samples.len() - 1;
        Self::at(q * gaps, |index| &self.samples[last - index], gaps)
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self
            .samples
            .windows(2)
            .map(|gap| 0.5 * (gap[0] + gap[1]))
            .sum();
        sum / self.gaps()
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        // Uniform from a to b within a gap, whose mean square is this.
        let sum: f64 = self
            .samples
            .windows(2)
            .map(|gap| {
                let (a, b) = (gap[0] - mean, gap[1] - mean);
                (a * a + a * b + b * b) / 3.0
            })
            .sum();
        sum / self.gaps()
    }

    fn check_lower(&self) -> Result<()> {
        check_lowest("samples.0", self.samples[0], self.samples[0])
    }

    fn check_upper(&self) -> Result<()> {
        let last = self.samples.len() - 1;
        check_highest(
            &format!("samples.{last}"),
            self.samples[last],
            self.samples[last],
        )
    }

    fn bend(&self) -> (&'static str, f64) {
        ("samples", self.samples[self.samples.len() - 1])
    }

    /// Exact for polynomials up to the third degree: Simpson's rule on each gap,
    /// which the cap may cut.
    fn expect_capped(&self, cap: f64, f: &dyn Fn(f64) -> f64) -> f64 {
        let simpson = |a: f64, b: f64| (f(a) + 4.0 * f(0.5 * (a + b)) + f(b)) / 6.0;
        let of_gap = |gap: &[f64]| {
            let (a, b) = (gap[0], gap[1]);
            if b <= cap {
                return simpson(a, b);
            }
            let below = ((cap - a) / (b - a)).max(0.0);
            below * simpson(a.min(cap), cap) + (1.0 - below) * f(cap)
        };
        let sum: f64 = self.samples.windows(2).map(of_gap).sum();
        sum / self.gaps()
    }
}
