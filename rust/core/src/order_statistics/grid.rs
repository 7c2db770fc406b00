//! A law's exceedances at even steps of ln x, where factors are shifts.

use super::census::Census;
use crate::curve::{Curve, LEAST};

/// Exceedances beyond this are as good as certain: `exp(-64)` never happens.
pub(super) const CERTAIN: f64 = 64.0;
/// Exceedances below this never happen.
pub(super) const NEVER: f64 = 1e-20;

/// Points of a grid, at least and at most; fewer for more units.
const FEWEST_POINTS: usize = 512;
const MOST_POINTS: usize = 1 << 16;
const MOST_WORK: f64 = 16_777_216.0;
/// What interpolation may miss, as a probability or as a share of it.
const MISS: f64 = 1e-3;
/// What straight lines may miss where cubics are no better.
const ENOUGH: f64 = 5e-3;
/// What they may miss at worst, where nothing finer is to be had.
const MOST_MISS: f64 = 1e-2;
/// Exceedances of the slowest of all below this happen once in a billion steps.
const SELDOM: f64 = 1e-9;
/// Atoms of a law, at most.
const MOST_ATOMS: usize = 16;

/// Entries before the first one that matters, for interpolation.
pub(super) const PAD: usize = 2;

/// Exceedances at even steps of ln x.
#[derive(Debug, Clone)]
pub(super) struct LogGrid {
    /// Step of ln x.
    pub(super) step: f64,
    /// ln x of the entry after the padding.
    pub(super) first: f64,
    /// Falling, from certain to never, without the atoms' jumps.
    pub(super) exceedances: Vec<f64>,
    /// ln x of the atoms, and by how much exceedances fall there.
    pub(super) atoms: Vec<(f64, f64)>,
    /// Whether cubics follow the law between entries.
    pub(super) is_smooth: bool,
    misses: Misses,
}

/// What interpolation misses at worst, as a probability or as a share of it.
#[derive(Debug, Clone, Copy, Default)]
struct Misses {
    /// Cubics; and the same of what happens now and then.
    cubic: f64,
    often: f64,
    /// Straight lines, and lines of logarithms.
    line: f64,
    in_log: f64,
    /// Straight lines at the end of a law, for each unit near it.
    end: f64,
}

impl LogGrid {
    /// The grid of a law of which `n` meet, whose persistent factors have a
    /// standard deviation of `spread` in ln; none where even a fine one misses too
    /// much of it.
    pub(super) fn of(curve: &Curve, n: f64, spread: f64) -> Option<Self> {
        let most = (MOST_WORK / n) as usize;
        let most = most
            .clamp(MOST_POINTS / 16, MOST_POINTS)
            .next_power_of_two();
        let mut points = FEWEST_POINTS;
        loop {
            let mut grid = Self::with_points(curve, n, points);
            // Units that lie within one step of each other.
            let crowd = (n * grid.step / (2.0 * spread)).clamp(1.0, n);
            let end = crowd * grid.misses.end;
            grid.misses.line = grid.misses.line.max(end);
            grid.is_smooth &= end <= MISS;
            if grid.is_smooth || grid.misses.line <= ENOUGH || points >= most {
                let few_atoms = grid.atoms.len() <= MOST_ATOMS;
                return (few_atoms && grid.follows()).then_some(grid);
            }
            points *= 2;
        }
    }

    /// Whether interpolation follows the law well enough.
    fn follows(&self) -> bool {
        self.is_smooth || self.misses.line <= MOST_MISS
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
        let atoms: Vec<(f64, f64)> = curve
            .atoms()
            .map(|knot| {
                let [before, after] = [knot, knot + 1].map(|knot| curve.exceedances_of(knot));
                let after = if after <= 2.0 * LEAST { 0.0 } else { after };
                let jump = before.min(CERTAIN) - after.min(CERTAIN);
                (libm::log(curve.xs()[knot + 1]), jump)
            })
            .collect();
        let both_at = |place: f64| {
            let log = first + (place - PAD as f64) * step;
            let jumps = atoms.iter().filter(|atom| log < atom.0);
            let jumps: f64 = jumps.map(|atom| atom.1).sum();
            let smooth = curve.exceedances(libm::exp(log)).min(CERTAIN) - jumps;
            (smooth.max(0.0), jumps)
        };
        let exceedances: Vec<f64> = (0..n_points).map(|k| both_at(k as f64).0).collect();
        // As a probability, or as a share of a small one.
        let miss = |value: f64, (middle, jumps): (f64, f64)| {
            let gap = libm::exp(-value - jumps) - libm::exp(-middle - jumps);
            gap.abs() / (middle + jumps).min(1.0)
        };
        let mut misses = Misses::default();
        for k in 1..n_points.saturating_sub(2) {
            let four: &[f64] = &exceedances[k - 1..k + 3];
            let middle = both_at(k as f64 + 0.5);
            if middle.0 + middle.1 < 0.1 * NEVER / n {
                continue;
            }
            let cubic = -0.0625 * (four[0] + four[3]) + 0.5625 * (four[1] + four[2]);
            misses.cubic = misses.cubic.max(miss(cubic, middle));
            misses.line = misses.line.max(miss(0.5 * (four[1] + four[2]), middle));
            if middle.0 >= SELDOM / n {
                misses.often = misses.often.max(miss(cubic, middle));
            }
            if four[2] > 0.0 {
                // The slowest's law is straight in the logarithm.
                let in_log = libm::exp(0.5 * (libm::log(four[1]) + libm::log(four[2])));
                misses.in_log = misses.in_log.max(miss(in_log, middle));
            }
        }
        // Beyond the law's end there is nothing, but a straight line to the next
        // entry, which those slower stand out against: by their atom or not.
        for &(log, jump) in &atoms {
            // The entry before it, where it is one itself.
            let entry = libm::ceil((log - first) / step - 1e-6) as usize + PAD - 1;
            let entry = entry.min(n_points - 2);
            let (left, right) = (exceedances[entry], exceedances[entry + 1]);
            // Nobody is as fast as that where those slower are certain.
            let happens = libm::exp(-right);
            misses.end = misses
                .end
                .max(happens * (left - right).max(0.0) / (jump + right));
        }
        for pair in exceedances.windows(2) {
            if pair[1] < 0.01 * pair[0] {
                misses.end = misses.end.max(pair[0] / 8.0);
            }
        }
        Self {
            step,
            first,
            exceedances,
            atoms,
            is_smooth: misses.cubic.max(0.5 * misses.in_log) <= MISS,
            misses,
        }
    }

    /// Whether cubics follow the law well enough for all that happens once in a
    /// billion steps.
    pub(super) fn is_almost_smooth(&self) -> bool {
        self.atoms.is_empty() && self.misses.often <= MOST_MISS
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
            cubic(t)
        } else {
            [0.0, 1.0 - t, t, 0.0]
        };
        (index, weights)
    }
}

/// Weights of the numbers at -1, 0, 1 and 2 in the cubic through them at `t`.
pub(super) fn cubic(t: f64) -> [f64; 4] {
    [
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    ]
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
            let before = if place == 0 {
                CERTAIN * 1e12
            } else {
                sums[place - 1]
            };
            sums[place] = sums[place].clamp(0.0, before);
        }
        sums
    }
}
