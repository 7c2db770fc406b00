//! Products of independent numbers, such as a factor that a unit shares times its
//! slowest rank.

use super::curve::Curve;
use super::quadrature::Quadrature;
use super::quartics::Quartics;
use super::trace::trace;

/// Relative change of exceedances by which straight lines between knots of a
/// product may miss: coarser than that of laws, so that products of products do not
/// grow.
const PRODUCT_LINE_TOLERANCE: f64 = 4e-5;

/// Relative change of exceedances by which the quartics that lines follow may miss
/// before they are halved once more, which leaves a thirtieth of it.
const QUARTIC_TOLERANCE: f64 = 4e-6;

/// Parts of the breadth of a product that are told apart. Without an end to it a
/// jump would be halved down to the last digit.
const PARTS_OF_BREADTH: f64 = 1_048_576.0;

/// Tail probability on either side between which a law's breadth is measured.
const BREADTH_TAIL: f64 = 1e-3;

/// Logarithms of exceedances at which a product is looked at first, in halves:
/// from 1e-36 to 400.
const START_HALVES: std::ops::RangeInclusive<i32> = -166..=12;

/// Every how many of these quartics begin at.
const HALVES_PER_QUARTIC: usize = 4;

/// The last of them that quartics begin at, well before exceedances count as certain.
const LAST_QUARTIC_HALF: i32 = 10;

/// The law of the product of two independent numbers.
///
/// `F(x) = E[F_wide(x / N)]` over numbers N of the narrower law, because the wider
/// one's CDF is smooth between the nodes of a quadrature over the narrower one. Each
/// value is a sum over hundreds of nodes, so the law is summed at few numbers, and the
/// knots follow quartics through these.
#[must_use]
pub fn product(a: &Curve, b: &Curve) -> Curve {
    let (narrow, wide) = if breadth(a) < breadth(b) {
        (a, b)
    } else {
        (b, a)
    };
    if first(narrow) == last(narrow) {
        return wide.scaled(first(narrow));
    }
    let quadrature = Quadrature::new(narrow, wide);
    let start = |half: i32| {
        let e = libm::exp(0.5 * f64::from(half));
        narrow.place(e).x * wide.place(e).x
    };
    let mut starts: Vec<f64> = START_HALVES.map(start).collect();
    let mut ends: Vec<f64> = (*START_HALVES.start()..=LAST_QUARTIC_HALF)
        .step_by(HALVES_PER_QUARTIC)
        .map(start)
        .collect();
    let (high, low) = (ends[0], ends[ends.len() - 1]);
    for (a, b) in corners(narrow).flat_map(|a| corners(wide).map(move |b| (a, b))) {
        let x = a * b;
        let sides = [
            x * (1.0 - 4.0 * f64::EPSILON),
            x * (1.0 + 4.0 * f64::EPSILON),
        ];
        starts.extend(sides);
        // Beyond both ends nothing is smooth.
        ends.extend(sides.into_iter().filter(|&x| low < x && x < high));
    }
    let finest = (breadth(narrow) + breadth(wide)) / PARTS_OF_BREADTH;
    let quartics = Quartics::of(ends, QUARTIC_TOLERANCE, |x| quadrature.exceedances(x));
    let (xs, logs) = trace(starts, PRODUCT_LINE_TOLERANCE, finest, |x| {
        quartics.at(x).unwrap_or_else(|| quadrature.exceedances(x))
    });
    Curve::from_knots(xs, logs)
}

/// The least number of a law.
fn first(curve: &Curve) -> f64 {
    curve.xs()[0]
}

/// The greatest number of a law.
fn last(curve: &Curve) -> f64 {
    curve.xs()[curve.xs().len() - 1]
}

/// How far the middle of a law stretches, as a logarithm.
fn breadth(curve: &Curve) -> f64 {
    libm::log(curve.upper_quantile(BREADTH_TAIL) / curve.quantile(BREADTH_TAIL))
}

/// The ends of a law and its atoms.
fn corners(curve: &Curve) -> impl Iterator<Item = f64> {
    let atoms = curve.atoms().map(|knot| curve.xs()[knot + 1]);
    atoms.chain([first(curve), last(curve)])
}
