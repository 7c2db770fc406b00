//! Quantiles of one side as power series in the logarithm of the tail
//! probability.

use std::f64::consts::{LN_2, PI};

use super::tail_grid::OCTAVES;

/// Series to an octave; each reaches half of the way to the next.
pub const PARTS: usize = 2;
/// How far a series reaches to either side.
pub const REACH: f64 = 0.5 * LN_2 / PARTS as f64;

/// Points of a fit; a smooth quantile function leaves its terms beyond them no
/// digit. The nearest singularity lies at probability one, five reaches away.
const POINTS: usize = 16;

/// One side's quantiles, each in the time of a few multiplications.
#[derive(Debug)]
pub struct Series {
    /// Coefficients around each part's middle, from the far tail on, in units
    /// of [`REACH`].
    parts: Vec<Vec<f64>>,
}

impl Series {
    /// Of series around each part's middle.
    pub(super) fn new(mut parts: Vec<Vec<f64>>) -> Self {
        parts.iter_mut().for_each(drop_small);
        Self { parts }
    }

    /// Through a law's quantiles at a few points of each part: Chebyshev's,
    /// where the series is the best one but for a little.
    pub(super) fn fit(quantile: impl Fn(f64) -> f64) -> Self {
        let angle = |point: usize| PI * (point as f64 + 0.5) / POINTS as f64;
        let points: [f64; POINTS] = std::array::from_fn(|point| libm::cos(angle(point)));
        let polynomials = chebyshev_polynomials();
        let cosines: [[f64; POINTS]; POINTS] = std::array::from_fn(|n| {
            std::array::from_fn(|point| libm::cos(n as f64 * angle(point)) * 2.0 / POINTS as f64)
        });
        let fit_part = |part| {
            let middle = middle(part);
            let quantiles = points.map(|at| quantile(libm::exp(middle + at * REACH)));
            let mut terms = vec![0.0; POINTS];
            for (n, (cosines, polynomial)) in cosines.iter().zip(&polynomials).enumerate() {
                let share: f64 = cosines.iter().zip(&quantiles).map(|(c, x)| c * x).sum();
                let share = if n == 0 { 0.5 * share } else { share };
                for (term, coefficient) in terms.iter_mut().zip(polynomial) {
                    *term += share * coefficient;
                }
            }
            terms
        };
        Self::new((0..OCTAVES * PARTS).map(fit_part).collect())
    }

    /// Quantiles at these multiples, rising from 1 to 2, of each octave's
    /// start.
    pub(super) fn at(&self, mantissas: &[f64]) -> Vec<f64> {
        let logs: Vec<f64> = mantissas.iter().map(|&m| libm::log(m)).collect();
        let mut quantiles = Vec::with_capacity(OCTAVES * logs.len());
        let (first, second) = logs.split_at(logs.partition_point(|&log| log < 2.0 * REACH));
        for octave in self.parts.chunks(PARTS) {
            for (part, logs) in [first, second].into_iter().enumerate() {
                let middle = (2 * part + 1) as f64;
                let quantile = |log: &f64| sum(&octave[part], log / REACH - middle);
                quantiles.extend(logs.iter().map(quantile));
            }
        }
        quantiles
    }
}

/// Logarithm of the tail probability in the middle of a part.
pub fn middle(part: usize) -> f64 {
    (2 * part + 1) as f64 * REACH - 65.0 * LN_2
}

/// Value of a series.
pub fn sum(terms: &[f64], at: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * at + term)
}

/// Coefficients of Chebyshev's polynomials, the constant term first.
fn chebyshev_polynomials() -> [[f64; POINTS]; POINTS] {
    let mut polynomials = [[0.0; POINTS]; POINTS];
    (polynomials[0][0], polynomials[1][1]) = (1.0, 1.0);
    for n in 2..POINTS {
        for power in 0..POINTS {
            let raised = if power == 0 {
                0.0
            } else {
                polynomials[n - 1][power - 1]
            };
            polynomials[n][power] = 2.0 * raised - polynomials[n - 2][power];
        }
    }
    polynomials
}

/// Drops the last terms as long as none of them changes a digit.
fn drop_small(terms: &mut Vec<f64>) {
    let least = 1e-18 * terms[0].abs();
    while terms.len() > 1 && terms[terms.len() - 1].abs() < least {
        terms.pop();
    }
}
