//! Quantiles of one side as power series in the logarithm of the tail
//! probability.

use std::f64::consts::{LN_2, PI};

use super::tail_grid::OCTAVES;

/// Parts that an octave of tail probability is cut into, each with a series of
/// its own.
pub const PARTS_PER_OCTAVE: usize = 2;

/// How far a series reaches to either side of its middle, in ln p.
pub const HALF_WIDTH: f64 = 0.5 * LN_2 / PARTS_PER_OCTAVE as f64;

/// Points that a series is fitted through. The nearest singularity of a quantile
/// function that is smooth inside lies at probability one, five half-widths from
/// the last middle; terms beyond these are below a digit of f64.
const FIT_POINTS: usize = 16;

/// Terms below this share of the first one change no digit of a quantile.
const MIN_TERM: f64 = 1e-18;

/// Quantiles of one side of a law, each in the time of a few multiplications.
///
/// A power series in ln p around the middle of each half octave of the tail
/// probability p, because laws are smooth in ln p over all octaves.
#[derive(Debug)]
pub struct Series {
    /// Coefficients around each part's middle, from the far tail on, in units
    /// of [`HALF_WIDTH`].
    parts: Vec<Vec<f64>>,
}

impl Series {
    /// From coefficients around each part's middle.
    pub(super) fn new(mut parts: Vec<Vec<f64>>) -> Self {
        parts.iter_mut().for_each(drop_small);
        Self { parts }
    }

    /// Through quantiles at Chebyshev's points of each part, whose polynomial is
    /// close to the best one; turned into powers, which are faster to evaluate.
    pub(super) fn fit(quantile: impl Fn(f64) -> f64) -> Self {
        let angle = |point: usize| PI * (point as f64 + 0.5) / FIT_POINTS as f64;
        let points: [f64; FIT_POINTS] = std::array::from_fn(|point| libm::cos(angle(point)));
        let polynomials = chebyshev_polynomials();
        let cosines: [[f64; FIT_POINTS]; FIT_POINTS] = std::array::from_fn(|n| {
            std::array::from_fn(|point| {
                libm::cos(n as f64 * angle(point)) * 2.0 / FIT_POINTS as f64
            })
        });
        let fit_part = |part| {
            let middle = middle(part);
            let quantiles = points.map(|at| quantile(libm::exp(middle + at * HALF_WIDTH)));
            let mut terms = vec![0.0; FIT_POINTS];
            for (n, (cosines, polynomial)) in cosines.iter().zip(&polynomials).enumerate() {
                let share: f64 = cosines.iter().zip(&quantiles).map(|(c, x)| c * x).sum();
                let share = if n == 0 { 0.5 * share } else { share };
                for (term, coefficient) in terms.iter_mut().zip(polynomial) {
                    *term += share * coefficient;
                }
            }
            terms
        };
        Self::new((0..OCTAVES * PARTS_PER_OCTAVE).map(fit_part).collect())
    }

    /// Quantiles at these multiples of each octave's start, which rise from 1
    /// to 2.
    pub(super) fn at(&self, mantissas: &[f64]) -> Vec<f64> {
        let logs: Vec<f64> = mantissas.iter().map(|&m| libm::log(m)).collect();
        let mut quantiles = Vec::with_capacity(OCTAVES * logs.len());
        let (first, second) = logs.split_at(logs.partition_point(|&log| log < 2.0 * HALF_WIDTH));
        for octave in self.parts.chunks(PARTS_PER_OCTAVE) {
            for (part, logs) in [first, second].into_iter().enumerate() {
                let middle = (2 * part + 1) as f64;
                let quantile = |log: &f64| value_at(&octave[part], log / HALF_WIDTH - middle);
                quantiles.extend(logs.iter().map(quantile));
            }
        }
        quantiles
    }
}

/// Logarithm of the tail probability in the middle of a part.
pub fn middle(part: usize) -> f64 {
    (2 * part + 1) as f64 * HALF_WIDTH - 65.0 * LN_2
}

/// Value of a series, by Horner's rule.
pub fn value_at(terms: &[f64], at: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * at + term)
}

/// Coefficients of Chebyshev's polynomials, the constant term first.
fn chebyshev_polynomials() -> [[f64; FIT_POINTS]; FIT_POINTS] {
    let mut polynomials = [[0.0; FIT_POINTS]; FIT_POINTS];
    (polynomials[0][0], polynomials[1][1]) = (1.0, 1.0);
    for n in 2..FIT_POINTS {
        for power in 0..FIT_POINTS {
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

/// Drops last terms as long as they change no digit of the value.
fn drop_small(terms: &mut Vec<f64>) {
    let least = MIN_TERM * terms[0].abs();
    while terms.len() > 1 && terms[terms.len() - 1].abs() < least {
        terms.pop();
    }
}
