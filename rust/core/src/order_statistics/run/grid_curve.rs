//! Curves of exceedances that are known at even steps of ln x, with the jumps of atoms.

use super::census::Census;
use crate::curve::{Curve, MIN_EXCEEDANCES};
use crate::order_statistics::law::{CERTAIN_EXCEEDANCES, LogGrid, PADDING};

/// Knots of a curve in one step of a grid whose interpolation is by straight lines.
const KNOTS_PER_LINE: usize = 4;

/// The curve of exceedances at even steps of ln x in units of a factor.
pub(super) fn on_even_knots(first: f64, step: f64, factor: f64, sums: &[f64]) -> Curve {
    let n = sums
        .iter()
        .position(|&sum| sum <= MIN_EXCEEDANCES)
        .unwrap_or(sums.len());
    let n = (n + 1).clamp(2, sums.len());
    let xs = (0..n)
        .map(|k| factor * libm::exp(first + step * k as f64))
        .collect();
    let logs = sums[..n]
        .iter()
        .map(|&sum| libm::log(sum.max(MIN_EXCEEDANCES)))
        .collect();
    Curve::from_knots(xs, logs)
}

/// The curve of `sums`, exceedances at even steps of ln x in units of the factor `top`,
/// with the jumps of all units' atoms put where each unit has them; and by knot the most
/// that one unit contributes.
pub(super) fn with_jumps(
    grid: &LogGrid,
    census: &Census,
    top: f64,
    sums: &[f64],
) -> (Curve, Vec<f64>) {
    let smooth = greatest_parts(grid);
    if grid.atoms.is_empty() && grid.is_smooth {
        return (on_even_knots(grid.first, grid.step, top, sums), smooth);
    }
    // The curve is straight in the logarithm between knots, but units were divided between
    // entries by straight lines in exceedances: more knots follow these.
    let parts = if grid.is_smooth { 1 } else { KNOTS_PER_LINE };
    let start = libm::log(top) + grid.first;
    let mut jumps: Vec<Jump> = Vec::new();
    for (factor, n) in census.factors() {
        jumps.extend(grid.atoms.iter().map(|atom| Jump {
            log: libm::log(factor) + atom.log,
            of_all: n * atom.jump,
            of_unit: atom.jump,
        }));
    }
    jumps.retain(|jump| jump.log >= start);
    jumps.sort_by(|a, b| b.log.total_cmp(&a.log));
    // From the greatest x down: exceedances rise by each jump that is passed.
    let (mut knots, mut jumps) = (Vec::new(), jumps.into_iter().peekable());
    let mut above = 0.0;
    for fine in (0..sums.len() * parts).rev() {
        let place = fine / parts;
        let on_line = |log: f64| {
            let share = ((log - start) / grid.step - place as f64).clamp(0.0, 1.0);
            let next = sums.get(place + 1).copied().unwrap_or(0.0);
            sums[place] + (next - sums[place]) * share
        };
        let knot = |log: f64, above: f64, most: f64| Knot {
            log,
            exceedances: on_line(log) + above,
            most,
        };
        let log = start + grid.step * fine as f64 / parts as f64;
        while let Some(jump) = jumps.next_if(|jump| jump.log >= log) {
            knots.push(knot(jump.log, above, smooth[place]));
            above += jump.of_all;
            knots.push(knot(jump.log, above, jump.of_unit));
        }
        knots.push(knot(log, above, smooth[place]));
        if on_line(log) + above > CERTAIN_EXCEEDANCES {
            break;
        }
    }
    knots.reverse();
    let last = knots
        .iter()
        .position(|knot| knot.exceedances <= MIN_EXCEEDANCES)
        .unwrap_or(knots.len());
    knots.truncate((last + 1).max(2));
    let xs = knots.iter().map(|knot| libm::exp(knot.log)).collect();
    let logs = knots
        .iter()
        .map(|knot| libm::log(knot.exceedances.max(MIN_EXCEEDANCES)))
        .collect();
    let most = knots.iter().map(|knot| knot.most).collect();
    (Curve::from_knots(xs, logs), most)
}

/// By knot of a grid, the most that one unit contributes to the fall of exceedances up to
/// the next knot. Units are at most as slow as the slowest one, so a unit contributes what
/// some later step of the grid has.
fn greatest_parts(grid: &LogGrid) -> Vec<f64> {
    let mut most: Vec<f64> = grid.exceedances[PADDING..]
        .windows(2)
        .map(|pair| pair[0] - pair[1])
        .collect();
    most.push(0.0);
    for knot in (0..most.len() - 1).rev() {
        most[knot] = most[knot].max(most[knot + 1]);
    }
    most
}

/// An atom of all units with one persistent factor.
struct Jump {
    /// ln x.
    log: f64,
    /// By how much exceedances fall there, of all these units and of one.
    of_all: f64,
    of_unit: f64,
}

/// A knot of a curve with jumps.
struct Knot {
    /// ln x.
    log: f64,
    exceedances: f64,
    /// The most that one unit contributes up to the next knot.
    most: f64,
}
