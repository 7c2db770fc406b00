//! Units of a pool by their persistent factors, as shifts of one law.

use super::census::Census;
use crate::order_statistics::law::{CERTAIN_EXCEEDANCES, LogGrid, PADDING};
use crate::simd::Kernel;

/// How many units of a pool have a law shifted by how many steps of its grid: by how
/// much faster than the slowest unit they persistently are.
///
/// A shift between two steps is divided between the steps around it, with the weights
/// of interpolation.
#[derive(Debug, Clone, Default)]
pub struct Shifts {
    /// By whole steps; the first entry is a shift by minus one step.
    weights: Vec<f64>,
}

impl Shifts {
    /// The shifts of counted units relative to the factor `top`.
    pub fn of(census: &Census, grid: &LogGrid, top: f64) -> Self {
        let mut shifts = Self::default();
        for (factor, n) in census.factors() {
            let shift = libm::log(top / factor).max(0.0);
            if shift < grid.reach() {
                shifts.add(grid, shift, n);
            }
        }
        shifts
    }

    /// Counts `n` units whose factor lies `shift` in ln below the greatest.
    pub fn add(&mut self, grid: &LogGrid, shift: f64, n: f64) {
        let (index, weights) = grid.around(shift / grid.step);
        if self.weights.len() < index + 4 {
            self.weights.resize(index + 4, 0.0);
        }
        for (sum, weight) in self.weights[index..].iter_mut().zip(weights) {
            *sum += n * weight;
        }
    }

    /// Exceedances of the slowest of all units at the steps of the grid, for x in units
    /// of the greatest factor.
    pub fn slowest(&self, grid: &LogGrid, kernel: Kernel) -> Vec<f64> {
        let n = grid.exceedances.len() - PADDING;
        let mut sums = vec![0.0; n];
        for (index, &weight) in self.weights.iter().enumerate() {
            let from = (PADDING - 1 + index).min(grid.exceedances.len());
            if weight != 0.0 {
                kernel.add_weighted(&mut sums, &grid.exceedances[from..], weight);
            }
        }
        // Cubics may undershoot in the far tail.
        for place in 0..n {
            let before = if place == 0 {
                CERTAIN_EXCEEDANCES * 1e12
            } else {
                sums[place - 1]
            };
            sums[place] = sums[place].clamp(0.0, before);
        }
        sums
    }
}
