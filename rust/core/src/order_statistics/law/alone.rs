//! The law of a unit with a single member, on which persistent factors are shifts.

use std::ops::Range;

use super::log_grid::{CERTAIN_EXCEEDANCES, LogGrid, PADDING, cubic};

/// Exceedances at whole steps of ln x of a unit with one member, given that member's
/// persistent factor as a shift.
#[derive(Debug, Clone)]
pub struct AloneLaw {
    /// The step of the first entry, before which exceedances are certain.
    first: i64,
    /// Falling; after the last entry there are none.
    exceedances: Vec<f64>,
    /// Whether cubics, rather than straight lines, interpolate between entries.
    is_smooth: bool,
}

impl AloneLaw {
    /// The law of a grid whose entry after the padding is that of the step `start`.
    pub(super) fn of_grid(grid: &LogGrid, start: i64) -> Self {
        Self {
            first: start - PADDING as i64,
            exceedances: grid.exceedances.clone(),
            is_smooth: grid.is_smooth,
        }
    }

    /// The law with these exceedances from the step `first` on.
    pub fn new(first: i64, mut exceedances: Vec<f64>) -> Self {
        // Rounding must not make them rise.
        for place in (1..exceedances.len()).rev() {
            exceedances[place - 1] = exceedances[place - 1].max(exceedances[place]);
        }
        Self {
            first,
            exceedances,
            is_smooth: true,
        }
    }

    /// Steps from certain to none.
    pub fn steps(&self) -> Range<i64> {
        self.first..self.first + self.exceedances.len() as i64
    }

    /// Exceedances at a whole step.
    pub fn at(&self, step: i64) -> f64 {
        match usize::try_from(step - self.first) {
            Err(_) => CERTAIN_EXCEEDANCES,
            Ok(entry) => self.exceedances.get(entry).copied().unwrap_or(0.0),
        }
    }

    /// A shift as whole steps, the first of four, and their weights.
    pub fn around(&self, shift: f64) -> (i64, [f64; 4]) {
        let whole = libm::floor(shift);
        let t = shift - whole;
        let weights = if self.is_smooth {
            cubic(t)
        } else {
            [0.0, 1.0 - t, t, 0.0]
        };
        (whole as i64 - 1, weights)
    }

    /// Adds the exceedances of a unit whose member lies `shift` steps below the greatest
    /// factor, at the whole steps `at`, to `sums`.
    pub fn add(&self, shift: f64, at: &Range<i64>, sums: &mut [f64]) {
        let (whole, weights) = self.around(shift);
        // The first of the four entries around the first step.
        let first = at.start - self.first + whole;
        let n_certain = (-first).clamp(0, sums.len() as i64) as usize;
        let (certain, others) = sums.split_at_mut(n_certain);
        certain
            .iter_mut()
            .for_each(|sum| *sum += CERTAIN_EXCEEDANCES);
        let from = (first + n_certain as i64) as usize;
        let rest = self.exceedances.get(from..).unwrap_or(&[]);
        for (sum, four) in others.iter_mut().zip(rest.windows(4)) {
            let part = four[0] * weights[0]
                + four[1] * weights[1]
                + four[2] * weights[2]
                + four[3] * weights[3];
            *sum += part.max(0.0);
        }
    }
}
