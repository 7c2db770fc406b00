//! Curves through what a function says, as fine as straight lines need.

use super::{Curve, LEAST, MOST};
use crate::law::{Distribution, Law};

/// Octaves of tail probability at which a law's curve is looked at first.
const LOWER_OCTAVES: i32 = 66;
const UPPER_OCTAVES: i32 = 118;

/// Numbers to begin with: quantiles of a law, octave by octave, and its ends.
pub(super) fn starts(law: &Law) -> Vec<f64> {
    let mut starts: Vec<f64> = (1..=LOWER_OCTAVES)
        .map(|octave| law.quantile(libm::ldexp(1.0, -octave)))
        .chain((1..=UPPER_OCTAVES).map(|octave| law.upper_quantile(libm::ldexp(1.0, -octave))))
        .collect();
    let least = starts.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = starts.iter().copied().fold(0.0, f64::max);
    // Where an atom or the end of the law may be.
    starts.extend([least.next_down(), greatest.next_down(), greatest]);
    if let Law::Capped(capped) = law {
        starts.extend([capped.cap().next_down(), capped.cap()]);
    }
    starts
}

/// The curve of `exceedances`, a function that falls, from `starts` on: where a
/// straight line would miss the middle by more than `straight`, it is halved, but
/// not below `finest` of itself.
pub(super) fn trace(
    mut starts: Vec<f64>,
    straight: f64,
    finest: f64,
    exceedances: impl Fn(f64) -> f64,
) -> Curve {
    starts.retain(|x| x.is_finite() && *x >= 0.0);
    starts.sort_by(f64::total_cmp);
    starts.dedup();
    let log = |x: f64| libm::log(exceedances(x).clamp(LEAST, MOST));
    let mut knots: Vec<(f64, f64)> = Vec::new();
    let mut points: Vec<(f64, f64)> = starts.iter().map(|&x| (x, log(x))).collect();
    // Of all that is certain only the last part matters, of all that never
    // happens the first.
    let (top, bottom) = (libm::log(MOST), libm::log(LEAST));
    let first = points.iter().rposition(|point| point.1 >= top).unwrap_or(0);
    let last = points.iter().position(|point| point.1 <= bottom);
    points.truncate(last.map_or(points.len(), |last| last + 1));
    points.drain(..first.min(points.len().saturating_sub(1)));
    let mut stack: Vec<((f64, f64), (f64, f64))> = points
        .windows(2)
        .rev()
        .map(|pair| (pair[0], pair[1]))
        .collect();
    knots.extend(points.first());
    while let Some((low, high)) = stack.pop() {
        let middle = middle(low.0, high.0);
        let is_narrow = high.0 - low.0 <= finest.max(2.0 * f64::EPSILON) * high.0;
        if is_narrow || low.1 == high.1 || !(middle > low.0 && middle < high.0) {
            knots.push(high);
            continue;
        }
        let between = (middle, log(middle));
        let share = (middle - low.0) / (high.0 - low.0);
        let line = low.1 + (high.1 - low.1) * share;
        if (line - between.1).abs() <= straight {
            knots.extend([between, high]);
        } else {
            stack.extend([(between, high), (low, between)]);
        }
    }
    if let [only] = knots[..] {
        return Curve::constant(only.0);
    }
    let (xs, mut logs): (Vec<f64>, Vec<f64>) = knots.into_iter().unzip();
    // Rounding of the function must not make the curve rise.
    for knot in 1..logs.len() {
        logs[knot] = logs[knot].min(logs[knot - 1]);
    }
    Curve::from_knots(xs, logs)
}

/// Halfway, by ratio where the ends are far apart.
fn middle(low: f64, high: f64) -> f64 {
    if low > 0.0 && high > 4.0 * low {
        libm::sqrt(low) * libm::sqrt(high)
    } else {
        low + 0.5 * (high - low)
    }
}
