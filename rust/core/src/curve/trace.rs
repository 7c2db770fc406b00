//! Knots through which straight lines follow a function of exceedances.

use super::exceedances::{MAX_EXCEEDANCES, MIN_EXCEEDANCES};

/// Ratio of the ends of an interval beyond which it is halved by ratio.
const MAX_RATIO: f64 = 4.0;

/// Numbers and the logarithms of their exceedances, side by side.
pub(super) type Knots = (Vec<f64>, Vec<f64>);

/// Knots of `exceedances`, a function that falls, from `starts` on.
///
/// Wherever a straight line would miss the logarithm of exceedances in the middle
/// of an interval by more than `tolerance`, the interval is halved, but not below
/// `finest` of its upper end. Starts have to include what a line could jump over:
/// ends of the law and both sides of its atoms.
pub(super) fn trace(
    mut starts: Vec<f64>,
    tolerance: f64,
    finest: f64,
    exceedances: impl Fn(f64) -> f64,
) -> Knots {
    let (top, bottom) = (libm::log(MAX_EXCEEDANCES), libm::log(MIN_EXCEEDANCES));
    starts.retain(|x| x.is_finite() && *x >= 0.0);
    starts.sort_by(f64::total_cmp);
    starts.dedup();
    let log = |x: f64| libm::log(exceedances(x).clamp(MIN_EXCEEDANCES, MAX_EXCEEDANCES));
    let mut knots: Vec<(f64, f64)> = Vec::new();
    let mut points: Vec<(f64, f64)> = Vec::new();
    // Of the starts that are exceeded for certain only the last one matters, of
    // those that are never exceeded only the first one.
    for x in starts {
        points.push((x, log(x)));
        if points.last().is_some_and(|point| point.1 <= bottom) {
            break;
        }
    }
    let first = points.iter().rposition(|point| point.1 >= top).unwrap_or(0);
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
        if (line - between.1).abs() <= tolerance {
            knots.extend([between, high]);
        } else {
            stack.extend([(between, high), (low, between)]);
        }
    }
    if let [only] = knots[..] {
        return constant(only.0);
    }
    let (xs, mut logs): (Vec<f64>, Vec<f64>) = knots.into_iter().unzip();
    // Rounding of the function must not make the curve rise.
    for knot in 1..logs.len() {
        logs[knot] = logs[knot].min(logs[knot - 1]);
    }
    (xs, logs)
}

/// Knots of the law of a number that is known: a jump from certain to never.
pub(super) fn constant(x: f64) -> Knots {
    let logs = vec![libm::log(MAX_EXCEEDANCES), libm::log(MIN_EXCEEDANCES)];
    (vec![x, x], logs)
}

/// Halfway, by ratio where the ends are far apart.
fn middle(low: f64, high: f64) -> f64 {
    if low > 0.0 && high > MAX_RATIO * low {
        libm::sqrt(low) * libm::sqrt(high)
    } else {
        low + 0.5 * (high - low)
    }
}
