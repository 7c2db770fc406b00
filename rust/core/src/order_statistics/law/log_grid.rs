//! A law at even steps of ln x, on which persistent factors are shifts.

use crate::curve::{Curve, MIN_EXCEEDANCES};

/// Exceedances above this count as certain to occur: their absence has probability
/// `exp(-64)`.
pub const CERTAIN_EXCEEDANCES: f64 = 64.0;
/// Exceedances of the slowest of all below this are left out of grids.
pub(super) const NEGLIGIBLE_EXCEEDANCES: f64 = 1e-20;

/// Points of the coarsest grid that is tried.
const MIN_GRID_POINTS: usize = 512;
/// Points of the finest grid.
const MAX_GRID_POINTS: usize = 1 << 16;
/// Points times units of a pool, at most, down to a sixteenth of the finest grid.
const MAX_POINTS_TIMES_UNITS: f64 = 16_777_216.0;
/// Error of interpolation, as a probability or as a share of a small one, below which
/// cubics do.
const CUBIC_TOLERANCE: f64 = 1e-3;
/// That error below which straight lines do where cubics are no better.
const LINE_TOLERANCE: f64 = 5e-3;
/// That error of straight lines above which a law is refused on the finest grid.
const MAX_LINE_ERROR: f64 = 1e-2;
/// That error of cubics, as far as a law is exceeded once in a billion steps, above which
/// it cannot be one of nested levels.
pub(super) const MAX_FREQUENT_ERROR: f64 = 1e-2;
/// Exceedances of the slowest of all that occur once in a billion steps.
const BILLIONTH_EXCEEDANCES: f64 = 1e-9;
/// Atoms of a law, at most.
const MAX_ATOMS: usize = 16;

/// Entries before the first one that matters, so that interpolation has neighbours.
pub const PADDING: usize = 2;

/// Exceedances of a law at even steps of ln x.
#[derive(Debug, Clone)]
pub struct LogGrid {
    /// Step of ln x.
    pub step: f64,
    /// ln x of the entry after the padding.
    pub first: f64,
    /// Falling from certain to negligible; the jumps at atoms are taken out.
    pub exceedances: Vec<f64>,
    /// The atoms, where exceedances jump.
    pub atoms: Vec<GridAtom>,
    /// Whether cubics, rather than straight lines, interpolate between entries.
    pub is_smooth: bool,
    errors: Errors,
}

/// An atom of a law on a grid.
#[derive(Debug, Clone, Copy)]
pub struct GridAtom {
    /// ln x.
    pub log: f64,
    /// By how much exceedances fall there.
    pub jump: f64,
}

/// Greatest errors of interpolation halfway between entries, as a probability or as a
/// share of a small one.
#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    /// Of cubics.
    cubic: f64,
    /// Of cubics where the law is exceeded at least once in a billion steps.
    frequent: f64,
    /// Of straight lines.
    line: f64,
    /// Of straight lines through the logarithms of exceedances.
    log_line: f64,
    /// Of straight lines where the law ends or jumps, for each unit near it.
    end: f64,
}

impl Errors {
    /// Whether cubics are accurate enough.
    fn let_cubics_do(&self) -> bool {
        self.cubic.max(0.5 * self.log_line) <= CUBIC_TOLERANCE
    }

    /// Whether neither cubics nor straight lines are accurate enough, which no further error
    /// changes.
    fn are_too_large(&self) -> bool {
        !self.let_cubics_do() && self.line > LINE_TOLERANCE
    }
}

/// A law at even steps of ln x and halfway between them: exceedances without the jumps at atoms,
/// and the jumps beyond.
struct Samples {
    step: f64,
    first: f64,
    atoms: Vec<GridAtom>,
    entries: Vec<(f64, f64)>,
    /// After each entry.
    halfway: Vec<(f64, f64)>,
}

impl Samples {
    /// Of so many steps between where a law is certain and where it is negligible.
    fn of_points(curve: &Curve, n: f64, points: usize) -> Self {
        let (low, high) = (
            curve.place(CERTAIN_EXCEEDANCES).x,
            curve.place(NEGLIGIBLE_EXCEEDANCES / n).x,
        );
        let first = libm::log(low);
        let step = (libm::log(high) - first).max(1e-9) / points as f64;
        Self::of(curve, n, first, step)
    }

    fn of(curve: &Curve, n: f64, first: f64, step: f64) -> Self {
        let atoms = curve.atoms().map(|knot| {
            let [before, after] = [knot, knot + 1].map(|knot| curve.exceedances_of(knot));
            let after = if after <= 2.0 * MIN_EXCEEDANCES {
                0.0
            } else {
                after
            };
            let jump = before.min(CERTAIN_EXCEEDANCES) - after.min(CERTAIN_EXCEEDANCES);
            GridAtom {
                log: libm::log(curve.xs()[knot + 1]),
                jump,
            }
        });
        let empty = Self {
            step,
            first,
            atoms: atoms.collect(),
            entries: Vec::new(),
            halfway: Vec::new(),
        };
        empty.filled(curve, n, |_| None)
    }

    /// With half the step: every other entry is known, and so is what lay halfway.
    fn halved(self, curve: &Curve, n: f64) -> Self {
        let Self {
            entries, halfway, ..
        } = &self;
        let finer = Self {
            step: 0.5 * self.step,
            first: self.first,
            atoms: self.atoms.clone(),
            entries: Vec::new(),
            halfway: Vec::new(),
        };
        // Padding is as many entries of any step. Half of a step is exact, and so are places.
        finer.filled(curve, n, |entry| {
            let place = entry + PADDING;
            let known = if place.is_multiple_of(2) {
                entries
            } else {
                halfway
            };
            known.get(place / 2).copied()
        })
    }

    /// With all entries, those that are not known evaluated.
    fn filled(
        mut self,
        curve: &Curve,
        n: f64,
        known: impl Fn(usize) -> Option<(f64, f64)>,
    ) -> Self {
        let last = libm::log(curve.place(NEGLIGIBLE_EXCEEDANCES / n).x);
        let n_points = ((last - self.first) / self.step) as usize + 2 + 2 * PADDING;
        let entry = |k: usize| known(k).unwrap_or_else(|| self.at(curve, k as f64));
        let entries = (0..n_points).map(entry).collect();
        let halfway = (0..n_points)
            .map(|k| self.at(curve, k as f64 + 0.5))
            .collect();
        self.entries = entries;
        self.halfway = halfway;
        self
    }

    /// The law at a place of the grid.
    fn at(&self, curve: &Curve, place: f64) -> (f64, f64) {
        let log = self.first + (place - PADDING as f64) * self.step;
        let jumps = self.atoms.iter().filter(|atom| log < atom.log);
        let jumps: f64 = jumps.map(|atom| atom.jump).sum();
        let smooth = curve.exceedances(libm::exp(log)).min(CERTAIN_EXCEEDANCES) - jumps;
        (smooth.max(0.0), jumps)
    }
}

impl LogGrid {
    /// The grid of the law of `n` units whose persistent factors have a standard
    /// deviation of `spread` in ln; none where even the finest grid does not follow
    /// the law.
    pub(super) fn of(curve: &Curve, n: f64, spread: f64) -> Option<Self> {
        let most = (MAX_POINTS_TIMES_UNITS / n) as usize;
        let most = most
            .clamp(MAX_GRID_POINTS / 16, MAX_GRID_POINTS)
            .next_power_of_two();
        let mut points = MIN_GRID_POINTS;
        let mut samples = Samples::of_points(curve, n, points);
        loop {
            let mut grid = Self::of_samples(&samples, n, points < most);
            // Units expected within one step of the slowest: at the law's end their
            // interpolation errors add up.
            let crowd = (n * grid.step / (2.0 * spread)).clamp(1.0, n);
            let end = crowd * grid.errors.end;
            grid.errors.line = grid.errors.line.max(end);
            grid.is_smooth &= end <= CUBIC_TOLERANCE;
            if grid.is_smooth || grid.errors.line <= LINE_TOLERANCE || points >= most {
                let few_atoms = grid.atoms.len() <= MAX_ATOMS;
                return (few_atoms && grid.follows()).then_some(grid);
            }
            points *= 2;
            samples = samples.halved(curve, n);
        }
    }

    /// Whether interpolation is accurate enough for the law to be drawn from.
    fn follows(&self) -> bool {
        self.is_smooth || self.errors.line <= MAX_LINE_ERROR
    }

    /// The grid of a law of `n` units with a given step, from ln x = `first` on.
    pub(super) fn with_step(curve: &Curve, n: f64, first: f64, step: f64) -> Self {
        Self::of_samples(&Samples::of(curve, n, first, step), n, false)
    }

    /// The grid of a sampled law of `n` units. Where one that is too coarse will not be used
    /// (`may_stop`), its errors are looked at until it is known to be.
    fn of_samples(samples: &Samples, n: f64, may_stop: bool) -> Self {
        let Samples {
            first,
            step,
            ref atoms,
            ..
        } = *samples;
        let n_points = samples.entries.len();
        let exceedances: Vec<f64> = samples.entries.iter().map(|entry| entry.0).collect();
        let logs: Vec<f64> = exceedances.iter().map(|&each| libm::log(each)).collect();
        let mut errors = Errors::default();
        for k in 1..n_points.saturating_sub(2) {
            if may_stop && errors.are_too_large() {
                break;
            }
            let four: &[f64] = &exceedances[k - 1..k + 3];
            let (middle, jumps) = samples.halfway[k];
            if middle + jumps < 0.1 * NEGLIGIBLE_EXCEEDANCES / n {
                continue;
            }
            let absence = libm::exp(-middle - jumps);
            let error = |value: f64| {
                let gap = libm::exp(-value - jumps) - absence;
                gap.abs() / (middle + jumps).min(1.0)
            };
            let cubic = error(-0.0625 * (four[0] + four[3]) + 0.5625 * (four[1] + four[2]));
            errors.cubic = errors.cubic.max(cubic);
            errors.line = errors.line.max(error(0.5 * (four[1] + four[2])));
            if middle >= BILLIONTH_EXCEEDANCES / n {
                errors.frequent = errors.frequent.max(cubic);
            }
            if four[2] > 0.0 {
                // The exceedances of many units are nearly straight in the logarithm.
                let in_log = error(libm::exp(0.5 * (logs[k] + logs[k + 1])));
                errors.log_line = errors.log_line.max(in_log);
            }
        }
        // Where the law ends, a straight line to the next entry puts exceedances beyond
        // the end. They count against what slower units have there: an atom's jump, or
        // the exceedances of the next entry.
        for &GridAtom { log, jump } in atoms {
            // The entry before the atom, also where the atom lies on an entry.
            let entry = libm::ceil((log - first) / step - 1e-6) as usize + PADDING - 1;
            let entry = entry.min(n_points - 2);
            let (left, right) = (exceedances[entry], exceedances[entry + 1]);
            // It does not matter where slower units are certain.
            let happens = libm::exp(-right);
            errors.end = errors
                .end
                .max(happens * (left - right).max(0.0) / (jump + right));
        }
        for pair in exceedances.windows(2) {
            if pair[1] < 0.01 * pair[0] {
                errors.end = errors.end.max(pair[0] / 8.0);
            }
        }
        Self {
            step,
            first,
            exceedances,
            atoms: atoms.clone(),
            is_smooth: errors.let_cubics_do(),
            errors,
        }
    }

    /// Whether cubics follow the law as far as it is exceeded at least once in a
    /// billion steps.
    pub(super) fn is_almost_smooth(&self) -> bool {
        self.atoms.is_empty() && self.errors.frequent <= MAX_FREQUENT_ERROR
    }

    /// How far the grid reaches in ln x, from certain to negligible.
    pub fn reach(&self) -> f64 {
        self.step * self.exceedances.len() as f64
    }

    /// Interpolation at a place between entries: the first of four entries around it,
    /// and their weights.
    pub fn around(&self, place: f64) -> (usize, [f64; 4]) {
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

/// Weights of the values at -1, 0, 1 and 2 in the cubic through them at `t`
/// (Lagrange).
pub(super) fn cubic(t: f64) -> [f64; 4] {
    [
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::product;
    use crate::law::{Constant, Law, LogNormal, Uniform};

    fn lognormal(sigma: f64) -> Law {
        Law::LogNormal(LogNormal::new(1.0, sigma).unwrap())
    }

    /// Exceedances that a grid interpolates at ln x, jumps at atoms included.
    fn interpolated(grid: &LogGrid, log: f64) -> f64 {
        let place = (log - grid.first) / grid.step + PADDING as f64;
        let (index, weights) = grid.around(place);
        // Beyond the last entry there is nothing.
        let entries = grid.exceedances.iter().skip(index - 1);
        let smooth: f64 = entries.zip(weights).map(|(e, w)| e * w).sum();
        let jumps = grid.atoms.iter().filter(|atom| log < atom.log);
        smooth + jumps.map(|atom| atom.jump).sum::<f64>()
    }

    #[test]
    fn cubics_pass_through_any_polynomial_of_third_degree() {
        let cubic_of = |x: f64| 2.0 - x + 0.5 * x * x - 0.25 * x * x * x;
        for t in [0.0, 0.3, 0.5, 0.99] {
            let values = [-1.0, 0.0, 1.0, 2.0].map(cubic_of);
            let sum: f64 = cubic(t).iter().zip(values).map(|(w, x)| w * x).sum();
            assert!((sum - cubic_of(t)).abs() < 1e-14, "{t}: {sum}");
        }
    }

    #[test]
    fn a_smooth_law_is_followed_by_cubics_within_their_tolerance() {
        let n = 10_000.0;
        let curve = Curve::of(&lognormal(0.003));
        let grid = LogGrid::of(&curve, n, 0.0172).unwrap();
        assert!(grid.is_smooth && grid.atoms.is_empty());
        for k in 0..2000 {
            let exceedances = CERTAIN_EXCEEDANCES * libm::exp(-0.02 * f64::from(k) - 0.01);
            let log = libm::log(curve.place(exceedances).x);
            let error = libm::exp(-interpolated(&grid, log)) - libm::exp(-exceedances);
            let allowed = 1.5 * CUBIC_TOLERANCE * exceedances.min(1.0);
            assert!(error.abs() <= allowed, "{exceedances:e}: {error:e}");
        }
    }

    #[test]
    fn jumps_are_taken_out_of_a_grid_and_put_back_where_they_are() {
        let choice = [(0.01, Law::Constant(Constant::new(1.3).unwrap()))];
        let residual = Curve::of(&lognormal(0.003));
        let curve = product(&residual, &Curve::of_choice(&choice, Some(1.0)));
        assert_eq!(curve.atoms().count(), 0);
        // By itself the choice is nothing but two atoms.
        let curve = Curve::of_choice(&choice, Some(1.0));
        let grid = LogGrid::with_step(&curve, 100.0, libm::log(0.99), 1e-3);
        let logs: Vec<f64> = grid.atoms.iter().map(|atom| libm::exp(atom.log)).collect();
        assert!(
            (logs[0] - 1.0).abs() < 1e-9 && (logs[1] - 1.3).abs() < 1e-9,
            "{logs:?}"
        );
        // Above 1 lies one percent: -ln 0.99 of exceedances, and nothing above 1.3.
        let above_one = interpolated(&grid, libm::log(1.1));
        assert!((above_one + libm::log(0.99)).abs() < 1e-9, "{above_one}");
        assert!(interpolated(&grid, libm::log(1.31)) < 1e-12);
    }

    #[test]
    fn a_law_with_more_atoms_than_a_grid_has_room_for_is_refused() {
        let atoms = |n: u32| -> Vec<(f64, Law)> {
            let atom = |k: u32| Constant::new(1.0 + 0.01 * f64::from(k)).unwrap();
            let share = 1.0 / f64::from(n);
            (0..n).map(|k| (share, Law::Constant(atom(k)))).collect()
        };
        let of = |n| LogGrid::of(&Curve::of_choice(&atoms(n), None), 100.0, 0.01);
        assert!(of(MAX_ATOMS as u32).is_some());
        assert!(of(MAX_ATOMS as u32 + 1).is_none());
    }

    #[test]
    fn the_sharp_end_of_a_law_is_refused_where_it_would_be_smeared_over_many_units() {
        let uniform = Curve::of(&Law::Uniform(Uniform::new(0.9, 1.1).unwrap()));
        // Many units persistently alike crowd at the end, few that differ do not.
        assert!(LogGrid::of(&uniform, 1e6, 1e-6).is_none());
        assert!(LogGrid::of(&uniform, 100.0, 0.1).is_some());
    }
}
