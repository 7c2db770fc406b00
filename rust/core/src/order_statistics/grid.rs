//! A law's exceedances at even steps of ln x, where factors are shifts.

use super::census::Census;
use crate::curve::Curve;

/// Exceedances beyond this are as good as certain: `exp(-64)` never happens.
pub(super) const CERTAIN: f64 = 64.0;
/// Exceedances below this never happen.
pub(super) const NEVER: f64 = 1e-20;

/// Points of a grid, at most and at least.
const MOST_POINTS: usize = 4096;
const FEWEST_POINTS: usize = 128;
/// What interpolation may miss, as a probability or as a share of it.
const MISS: f64 = 3e-4;

/// Entries before the first one that matters, for interpolation.
pub(super) const PAD: usize = 2;

/// Exceedances at even steps of ln x.
#[derive(Debug, Clone)]
pub(super) struct LogGrid {
    /// Step of ln x.
    pub(super) step: f64,
    /// ln x of the entry after the padding.
    pub(super) first: f64,
    /// Falling, from certain to never.
    pub(super) exceedances: Vec<f64>,
    /// Whether cubics follow the law between entries.
    pub(super) is_smooth: bool,
}

impl LogGrid {
    /// The grid of a law of which `n` meet; `points` between its ends if they
    /// are not to be found out.
    pub(super) fn of(curve: &Curve, n: f64) -> Self {
        let mut points = FEWEST_POINTS;
        loop {
            let grid = Self::with_points(curve, n, points);
            if grid.is_smooth || points == MOST_POINTS {
                return grid;
            }
            points *= 2;
        }
    }

    fn with_points(curve: &Curve, n: f64, points: usize) -> Self {
        let (low, high) = (curve.place(CERTAIN).x, curve.place(NEVER / n).x);
        let first = libm::log(low);
        let step = (libm::log(high) - first).max(1e-9) / points as f64;
        Self::with_step(curve, n, first, step)
    }

    /// The same with a given step, from ln x = `first` on.
    pub(super) fn with_step(curve: &Curve, n: f64, first: f64, step: f64) -> Self {
        let last = libm::log(curve.place(NEVER / n).x);
        let n_points = ((last - first) / step) as usize + 2 + 2 * PAD;
        let at = |place: f64| {
            let x = libm::exp(first + (place - PAD as f64) * step);
            curve.exceedances(x).min(CERTAIN)
        };
        let exceedances: Vec<f64> = (0..n_points).map(|k| at(k as f64)).collect();
        let is_smooth = (1..n_points.saturating_sub(2)).all(|k| {
            let four: &[f64] = &exceedances[k - 1..k + 3];
            let middle = at(k as f64 + 0.5);
            let cubic = -0.0625 * (four[0] + four[3]) + 0.5625 * (four[1] + four[2]);
            let line = libm::exp(0.5 * (libm::log(four[1]) + libm::log(four[2])));
            let miss = f64::max((cubic - middle).abs(), (line - middle).abs());
            let is_low = middle < 0.1 * NEVER / n;
            is_low || miss * libm::exp(-middle) <= MISS * middle.min(1.0)
        });
        Self {
            step,
            first,
            exceedances,
            is_smooth,
        }
    }

    /// ln x over which the law reaches from certain to never.
    pub(super) fn reach(&self) -> f64 {
        self.step * self.exceedances.len() as f64
    }

    /// Weights of the entries around a place between them: the first entry, and
    /// the weights of four.
    pub(super) fn around(&self, place: f64) -> (usize, [f64; 4]) {
        let index = place as usize;
        let t = place - index as f64;
        let weights = if self.is_smooth {
            [
                -t * (t - 1.0) * (t - 2.0) / 6.0,
                (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
                -(t + 1.0) * t * (t - 2.0) / 2.0,
                (t + 1.0) * t * (t - 1.0) / 6.0,
            ]
        } else {
            [0.0, 1.0 - t, t, 0.0]
        };
        (index, weights)
    }
}

/// Shifts of a grid's law, how often each: units by how much slower than the
/// slowest they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Shifts {
    /// By whole steps, one before zero first.
    weights: Vec<f64>,
}

impl Shifts {
    /// Those of counted units below a factor.
    pub(super) fn of(census: &Census, grid: &LogGrid, top: f64) -> Self {
        let mut shifts = Self::default();
        for (factor, n) in census.factors() {
            let shift = libm::log(top / factor).max(0.0);
            if shift < grid.reach() {
                shifts.add(grid, shift, n);
            }
        }
        shifts
    }

    /// Counts `n` units whose factor is `shift` in ln below the greatest.
    pub(super) fn add(&mut self, grid: &LogGrid, shift: f64, n: f64) {
        let (index, weights) = grid.around(shift / grid.step);
        if self.weights.len() < index + 4 {
            self.weights.resize(index + 4, 0.0);
        }
        for (sum, weight) in self.weights[index..].iter_mut().zip(weights) {
            *sum += n * weight;
        }
    }

    /// Exceedances of the slowest of all units, at the grid's steps from its
    /// first entry on, above the greatest factor.
    pub(super) fn slowest(&self, grid: &LogGrid) -> Vec<f64> {
        let n = grid.exceedances.len() - PAD;
        let mut sums = vec![0.0; n];
        for (index, &weight) in self.weights.iter().enumerate() {
            // Entry 0 of the weights is a shift by minus one.
            let from = (PAD - 1 + index).min(grid.exceedances.len());
            if weight != 0.0 {
                for (sum, exceedances) in sums.iter_mut().zip(&grid.exceedances[from..]) {
                    *sum += weight * exceedances;
                }
            }
        }
        // Cubics may undershoot where nothing happens any more.
        for place in 0..n {
            let before = if place == 0 { CERTAIN * 1e12 } else { sums[place - 1] };
            sums[place] = sums[place].clamp(0.0, before);
        }
        sums
    }
}
