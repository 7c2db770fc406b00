//! Quantiles at many tail probabilities of the grid at once.

use super::distribution::Distribution;
use super::series::Series;
use super::tail_grid::{OCTAVES, octave_start, tail_probability};

/// Quantiles of a law at all points of the grid of [`tail_probability`], for less
/// than those one by one cost: what they share is computed once.
#[derive(Debug)]
pub struct Quantiles<'law, L> {
    law: &'law L,
    /// The lower and the upper side of a law whose single quantiles are slow.
    series: Option<[Series; 2]>,
}

impl<'law, L: Distribution> Quantiles<'law, L> {
    /// Of this law.
    #[must_use]
    pub fn of(law: &'law L) -> Self {
        let series = law.series();
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
        let pairs = tails().map(|p| self.law.both_quantiles(p));
        pairs.unzip::<f64, f64, Vec<f64>, Vec<f64>>().into()
    }
}
