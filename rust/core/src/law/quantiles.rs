//! Quantiles at many tail probabilities of the grid at once.

use super::law::Law;
use super::series::Series;
use super::special::Tail;
use super::tail_grid::{OCTAVES, octave_start, tail_probability};

/// What gives a law's quantiles on the grid of
/// [`tail_probability`](super::tail_probability), made once for all of them.
#[derive(Debug)]
pub struct Quantiles<'law> {
    law: &'law Law,
    /// The lower and the upper side of a law whose single quantiles are slow.
    series: Option<[Series; 2]>,
}

impl<'law> Quantiles<'law> {
    /// Of this law.
    #[must_use]
    pub fn of(law: &'law Law) -> Self {
        let series = match law {
            Law::Gamma(law) => Some([Tail::Lower, Tail::Upper].map(|tail| law.series(tail))),
            Law::Weibull(_) | Law::Normal(_) => Some([
                Series::fit(|p| law.quantile(p)),
                Series::fit(|q| law.upper_quantile(q)),
            ]),
            _ => None,
        };
        Self { law, series }
    }

    /// Quantiles of the lower and the upper side at all points of the grid
    /// with `bins` per octave, from 2^-65 to 1/2.
    #[must_use]
    pub fn on_grid(&self, bins: usize) -> [Vec<f64>; 2] {
        let mantissas: Vec<f64> = (0..bins)
            .map(|bin| 1.0 + bin as f64 / bins as f64)
            .collect();
        let mut sides = self.at(&mantissas);
        let half = tail_probability(bins, OCTAVES * bins);
        sides[0].push(self.law.quantile(half));
        sides[1].push(self.law.upper_quantile(half));
        sides
    }

    /// Quantiles halfway between the points of the grid.
    #[must_use]
    pub fn halfway(&self, bins: usize) -> [Vec<f64>; 2] {
        let mantissas: Vec<f64> = (0..bins)
            .map(|bin| 1.0 + (2 * bin + 1) as f64 / (2 * bins) as f64)
            .collect();
        self.at(&mantissas)
    }

    /// Quantiles at these multiples of each octave's start.
    fn at(&self, mantissas: &[f64]) -> [Vec<f64>; 2] {
        if let Some(series) = &self.series {
            return series.each_ref().map(|side| side.at(mantissas));
        }
        let tails = || {
            (0..OCTAVES).flat_map(|octave| mantissas.iter().map(move |m| m * octave_start(octave)))
        };
        match self.law {
            // Both sides are as far from the median.
            Law::LogNormal(law) => {
                let pairs = tails().map(|p| law.both_quantiles(p));
                pairs.unzip::<f64, f64, Vec<f64>, Vec<f64>>().into()
            }
            law => [
                tails().map(|p| law.quantile(p)).collect(),
                tails().map(|q| law.upper_quantile(q)).collect(),
            ],
        }
    }
}
