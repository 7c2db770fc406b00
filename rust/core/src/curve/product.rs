//! Products of independent numbers, such as a factor that a unit shares times its
//! slowest rank.

use std::f64::consts::LN_2;

use super::curve::Curve;
use super::exceedances::{
    LOWER_OCTAVES, MAX_EXCEEDANCES, MIN_EXCEEDANCES, UPPER_OCTAVES, exceedances,
};
use super::trace::trace;

/// Relative change of exceedances by which straight lines between knots of a
/// product may miss: coarser than that of laws, because each point is a sum over
/// hundreds of nodes.
const PRODUCT_LINE_TOLERANCE: f64 = 4e-5;

/// Parts of the breadth of a product that are told apart. Without an end to it a
/// jump would be halved down to the last digit.
const PARTS_OF_BREADTH: f64 = 1_048_576.0;

/// Tail probability on either side between which a law's breadth is measured.
const BREADTH_TAIL: f64 = 1e-3;

/// Around the median, octaves are cut further: into quarters, over three octaves.
const QUARTERS: i32 = 12;

/// Logarithms of exceedances at which a product is looked at first, in halves:
/// from 1e-36 to 400.
const START_HALVES: std::ops::RangeInclusive<i32> = -166..=12;

/// Nodes and weights of Gauss and Legendre's four-point rule on [-1, 1]
/// (Abramowitz and Stegun, table 25.4).
const FOUR_POINTS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
    (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
];

/// A number and its probability.
type Node = (f64, f64);

/// Part of a law: the numbers with `from` to `to` exceedances.
struct Panel {
    from: f64,
    to: f64,
    /// Its least and its greatest number.
    low: f64,
    high: f64,
    nodes: [Node; 4],
}

/// The law of the product of two independent numbers.
///
/// `F(x) = E[F_wide(x / N)]` over numbers N of the narrower law, by Gauss-Legendre
/// over octaves of its tail probability, so that both tails keep their relative
/// precision. The narrower law is summed over because the wider one's CDF is
/// smooth between its nodes. Atoms of either law are taken apart: they scale the
/// other law as it is.
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
    let panels = panels(narrow);
    let atoms = atom_shares(wide);
    let mut starts = Vec::new();
    for log in START_HALVES.map(|half| 0.5 * f64::from(half)) {
        let e = libm::exp(log);
        starts.push(narrow.place(e).x * wide.place(e).x);
    }
    for (a, b) in corners(narrow).flat_map(|a| corners(wide).map(move |b| (a, b))) {
        let x = a * b;
        starts.extend([
            x * (1.0 - 4.0 * f64::EPSILON),
            x * (1.0 + 4.0 * f64::EPSILON),
        ]);
    }
    let (least, greatest) = (first(wide), last(wide));
    let finest = (breadth(narrow) + breadth(wide)) / PARTS_OF_BREADTH;
    let (xs, logs) = trace(starts, PRODUCT_LINE_TOLERANCE, finest, |x| {
        let (mut cdf, mut sf) = (0.0, 0.0);
        // What of the wide law is no atom.
        let mut add = |(factor, weight): Node| {
            let (y, mut below, mut above) = (x / factor, 0.0, 0.0);
            for &(atom, share) in &atoms {
                if atom <= y {
                    below += share
                } else {
                    above += share
                }
            }
            let of_wide = wide.exceedances(y);
            cdf += weight * (libm::exp(-of_wide) - below).max(0.0);
            sf += weight * (-libm::expm1(-of_wide) - above).max(0.0);
        };
        for panel in &panels {
            // Where the wide law ends within a panel, its CDF has a kink there.
            let inside = |end: f64| panel.low < x / end && x / end < panel.high;
            let ends = [greatest, least];
            match ends.into_iter().find(|&end| inside(end)) {
                Some(end) => cut(narrow, panel, x / end).into_iter().for_each(&mut add),
                None => panel.nodes.into_iter().for_each(&mut add),
            }
        }
        for &(atom, share) in &atoms {
            let of_narrow = narrow.exceedances(x / atom);
            cdf += share * libm::exp(-of_narrow);
            sf -= share * libm::expm1(-of_narrow);
        }
        exceedances(cdf, sf)
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

/// Exceedances before and after the jump of an atom; 0 after the last one.
fn jump(curve: &Curve, knot: usize) -> (f64, f64) {
    let (from, to) = (curve.exceedances_of(knot), curve.exceedances_of(knot + 1));
    let to = if to <= 2.0 * MIN_EXCEEDANCES { 0.0 } else { to };
    (from, to)
}

/// Probability of the numbers with `from` to `to` exceedances.
fn probability(from: f64, to: f64) -> f64 {
    -libm::exp(-to) * libm::expm1(to - from)
}

/// Atoms with their probabilities.
fn atom_shares(curve: &Curve) -> Vec<Node> {
    let share = |knot: usize| {
        let (from, to) = jump(curve, knot);
        (curve.xs()[knot + 1], probability(from, to))
    };
    curve.atoms().map(share).collect()
}

/// The ends of a law and its atoms.
fn corners(curve: &Curve) -> impl Iterator<Item = f64> {
    let atoms = curve.atoms().map(|knot| curve.xs()[knot + 1]);
    atoms.chain([first(curve), last(curve)])
}

/// A law in panels, far tails included: each octave of tail probability by itself,
/// each atom by itself.
fn panels(curve: &Curve) -> Vec<Panel> {
    let mut ends: Vec<f64> = (1..=LOWER_OCTAVES)
        .map(|octave| f64::from(octave) * LN_2)
        .chain((1..=UPPER_OCTAVES).map(|octave| -libm::log1p(-libm::ldexp(1.0, -octave))))
        .collect();
    for quarter in 1..QUARTERS {
        let p = libm::exp2(-f64::from(quarter) / 4.0);
        ends.extend([-libm::log(p), -libm::log1p(-p)]);
    }
    ends.extend([MAX_EXCEEDANCES, 0.0]);
    let atoms: Vec<(f64, f64, f64)> = curve
        .atoms()
        .map(|knot| {
            let (from, to) = jump(curve, knot);
            (from.min(MAX_EXCEEDANCES), to, curve.xs()[knot + 1])
        })
        .collect();
    ends.extend(atoms.iter().flat_map(|&(from, to, _)| [from, to]));
    ends.sort_by(|a, b| b.total_cmp(a));
    ends.dedup();
    let panel = |pair: &[f64]| {
        let (from, to) = (pair[0], pair[1]);
        let atom = atoms.iter().find(|&&(a, b, _)| from <= a && to >= b);
        if let Some(&(_, _, x)) = atom {
            return Panel {
                from,
                to,
                low: x,
                high: x,
                nodes: [(x, probability(from, to)), (x, 0.0), (x, 0.0), (x, 0.0)],
            };
        }
        Panel {
            from,
            to,
            low: curve.place(from).x,
            high: curve.place(to.max(f64::MIN_POSITIVE)).x,
            nodes: nodes_between(curve, from, to),
        }
    };
    ends.windows(2).map(panel).collect()
}

/// The nodes of a panel in two parts, at the number `x` inside.
fn cut(curve: &Curve, panel: &Panel, x: f64) -> Vec<Node> {
    let middle = curve.exceedances(x).clamp(panel.to, panel.from);
    let parts = [(panel.from, middle), (middle, panel.to)];
    parts
        .into_iter()
        .flat_map(|(from, to)| nodes_between(curve, from, to))
        .collect()
}

/// Nodes that stand for the numbers with `from` to `to` exceedances.
fn nodes_between(curve: &Curve, from: f64, to: f64) -> [Node; 4] {
    let weight = probability(from, to);
    // The rule runs over the smaller one of the two probabilities, the CDF or the
    // survival function, which is the one that has its digits.
    let upper = from <= LN_2 * (1.0 + 1e-12);
    let tail = |e: f64| {
        if upper {
            -libm::expm1(-e)
        } else {
            libm::exp(-e)
        }
    };
    let (p, q) = (tail(from), tail(to));
    FOUR_POINTS.map(|(node, share)| {
        let at = 0.5 * (p + q) + 0.5 * (q - p) * node;
        let e = if upper {
            -libm::log1p(-at)
        } else {
            -libm::log(at)
        };
        (
            curve.place(e.max(f64::MIN_POSITIVE)).x,
            0.5 * share * weight,
        )
    })
}
