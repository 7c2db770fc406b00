//! The law of a product of two independent numbers at one number.

use std::f64::consts::LN_2;

use super::curve::Curve;
use super::exceedances::{
    LOWER_OCTAVES, MAX_EXCEEDANCES, MIN_EXCEEDANCES, UPPER_OCTAVES, exceedances,
};

/// Around the median, octaves are cut further: into quarters, over three octaves.
const QUARTERS: i32 = 12;

/// Nodes and weights of Gauss and Legendre's four-point rule on [-1, 1]
/// (Abramowitz and Stegun, table 25.4).
const FOUR_POINTS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
    (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
];

/// Logarithm of the share of a tail probability below which a panel is left out: some
/// hundred of them then stay below 1e-10 of it.
const NEGLIGIBLE_LOG: f64 = -28.0;

/// Exceedances up to which a series gives the probability of any; above, the digits that
/// a difference from 1 loses do not matter.
const FEW_EXCEEDANCES: f64 = 1e-4;

/// A number and its probability.
type Node = (f64, f64);

/// Part of a law: the numbers with `from` to `to` exceedances.
struct Panel {
    from: f64,
    to: f64,
    /// Its least and its greatest number.
    low: f64,
    high: f64,
    /// Logarithm of its probability.
    log_weight: f64,
    nodes: [Node; 4],
}

/// Which tail of a law is summed: the one that has its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Lower,
    Upper,
}

/// The law of the product of a narrow and a wide number.
///
/// `F(x) = E[F_wide(x / N)]` over numbers N of the narrow law, by Gauss-Legendre over
/// octaves of its tail probability, so that both tails keep their relative precision.
/// Atoms of either law are taken apart: they scale the other law as it is.
pub(super) struct Quadrature<'c> {
    narrow: &'c Curve,
    wide: &'c Curve,
    /// The narrow law, from its least number up.
    panels: Vec<Panel>,
    /// Atoms of the wide law.
    atoms: Vec<Node>,
    /// Slopes of the wide law's logarithms from each knot to the next one.
    slopes: Vec<f64>,
    /// Exceedances of the wide law's knots.
    exceedances: Vec<f64>,
    /// The product of both medians, near which the tails are equal.
    middle: f64,
}

impl<'c> Quadrature<'c> {
    pub(super) fn new(narrow: &'c Curve, wide: &'c Curve) -> Self {
        let (xs, logs) = (wide.xs(), wide.logs());
        let slopes = xs.windows(2).zip(logs.windows(2));
        let slopes = slopes.map(|(x, log)| (log[1] - log[0]) / (x[1] - x[0]));
        Self {
            narrow,
            wide,
            panels: panels(narrow),
            atoms: atom_shares(wide),
            slopes: slopes.collect(),
            exceedances: logs.iter().copied().map(libm::exp).collect(),
            middle: narrow.quantile(0.5) * wide.quantile(0.5),
        }
    }

    /// Exceedances of `x`.
    pub(super) fn exceedances(&self, x: f64) -> f64 {
        let [tail, other] = if x < self.middle {
            [Tail::Lower, Tail::Upper]
        } else {
            [Tail::Upper, Tail::Lower]
        };
        let p = self.probability(x, tail);
        // Only the smaller one of both probabilities has all its digits.
        let q = if p < 0.5 {
            1.0 - p
        } else {
            self.probability(x, other)
        };
        match tail {
            Tail::Lower => exceedances(p, q),
            Tail::Upper => exceedances(q, p),
        }
    }

    /// Probability of a number in one tail of `x`.
    fn probability(&self, x: f64, tail: Tail) -> f64 {
        let mut sum = 0.0;
        let mut walk = self.walk();
        let bounds = self.bounds(x, tail);
        let enough = NEGLIGIBLE_LOG
            + bounds
                .iter()
                .map(|bounds| bounds.least)
                .fold(f64::NEG_INFINITY, f64::max);
        let mut add = |(factor, weight): Node| {
            let y = x / factor;
            let of_wide = walk.exceedances(y);
            // What of the wide law is no atom.
            let is_in_tail = |atom: f64| (atom <= y) == (tail == Tail::Lower);
            let of_atoms = self.atoms.iter().filter(|(atom, _)| is_in_tail(*atom));
            let of_atoms: f64 = of_atoms.map(|(_, share)| share).sum();
            sum += weight * (tail.probability(of_wide) - of_atoms).max(0.0);
        };
        let (least, greatest) = (self.wide.xs()[0], self.wide.xs()[self.slopes.len()]);
        for (panel, bounds) in self.panels.iter().zip(&bounds) {
            if bounds.most < enough {
                continue;
            }
            // Where the wide law ends within a panel, its CDF has a kink there.
            let inside = |end: f64| panel.low < x / end && x / end < panel.high;
            match [greatest, least].into_iter().find(|&end| inside(end)) {
                Some(end) => cut(self.narrow, panel, x / end)
                    .into_iter()
                    .for_each(&mut add),
                None => panel.nodes.into_iter().for_each(&mut add),
            }
        }
        for &(atom, share) in &self.atoms {
            sum += share * tail.probability(self.narrow.exceedances(x / atom));
        }
        sum
    }

    /// For each panel what it can contribute to the probability of one tail of `x`.
    fn bounds(&self, x: f64, tail: Tail) -> Vec<Bounds> {
        let mut walk = self.walk();
        let mut last = (f64::NAN, 0.0);
        let mut at = |factor: f64| {
            // A panel begins where the one before it ends.
            if factor != last.0 {
                last = (factor, tail.log_probability(&mut walk, x / factor));
            }
            last.1
        };
        let of = |panel: &Panel| {
            let ends = [at(panel.low), at(panel.high)];
            Bounds {
                least: panel.log_weight + ends[0].min(ends[1]),
                most: panel.log_weight + ends[0].max(ends[1]),
            }
        };
        self.panels.iter().map(of).collect()
    }

    /// A walk down the wide law.
    fn walk(&self) -> Walk<'_> {
        Walk {
            law: self.wide,
            slopes: &self.slopes,
            exceedances: &self.exceedances,
            above: None,
        }
    }
}

impl Tail {
    /// Probability of this tail of a number with so many exceedances.
    fn probability(self, e: f64) -> f64 {
        match self {
            Self::Lower => libm::exp(-e),
            Self::Upper if e < FEW_EXCEEDANCES => e * (1.0 - e * (0.5 - e / 6.0)),
            Self::Upper => 1.0 - libm::exp(-e),
        }
    }

    /// Logarithm of the probability of this tail of `x`: of the upper one a bound that is
    /// at most ln 1.6 too high.
    fn log_probability(self, walk: &mut Walk, x: f64) -> f64 {
        match self {
            Self::Lower => -walk.exceedances(x),
            Self::Upper => walk.log(x).min(0.0),
        }
    }
}

/// Logarithms between which the contribution of a panel lies.
struct Bounds {
    least: f64,
    most: f64,
}

/// Exceedances of a law at one number after the other: what a search would find, by steps
/// from the knot of the number before.
struct Walk<'q> {
    law: &'q Curve,
    slopes: &'q [f64],
    exceedances: &'q [f64],
    /// The first knot above the last number; none before there was one.
    above: Option<usize>,
}

/// Where a number lies in a law.
enum Step {
    Below,
    Above,
    /// After a knot, by so much of the logarithm of exceedances.
    After(usize, f64),
}

impl Walk<'_> {
    fn to(&mut self, x: f64) -> Step {
        let xs = self.law.xs();
        let mut above = self
            .above
            .unwrap_or_else(|| xs.partition_point(|&knot| knot <= x));
        while above > 0 && xs[above - 1] > x {
            above -= 1;
        }
        while above < xs.len() && xs[above] <= x {
            above += 1;
        }
        self.above = Some(above);
        match above {
            0 => Step::Below,
            above if above == xs.len() => Step::Above,
            above => Step::After(above - 1, self.slopes[above - 1] * (x - xs[above - 1])),
        }
    }

    /// Logarithm of the exceedances of `x`.
    fn log(&mut self, x: f64) -> f64 {
        match self.to(x) {
            Step::Below => f64::INFINITY,
            Step::Above => f64::NEG_INFINITY,
            Step::After(knot, more) => self.law.logs()[knot] + more,
        }
    }

    /// Exceedances of `x`.
    fn exceedances(&mut self, x: f64) -> f64 {
        match self.to(x) {
            Step::Below => f64::INFINITY,
            Step::Above => 0.0,
            Step::After(knot, more) => self.exceedances[knot] * exp_of_small(more),
        }
    }
}

/// `exp(x)`, by a series where `x` is small enough for its last digits.
fn exp_of_small(x: f64) -> f64 {
    if x.abs() > 1.0 / 32.0 {
        return libm::exp(x);
    }
    let seventh = 1.0 + x / 6.0 * (1.0 + x / 7.0);
    let fourth = 1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * seventh));
    1.0 + x * (1.0 + x / 2.0 * fourth)
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
                log_weight: libm::log(probability(from, to)),
                nodes: [(x, probability(from, to)), (x, 0.0), (x, 0.0), (x, 0.0)],
            };
        }
        Panel {
            from,
            to,
            low: curve.place(from).x,
            high: curve.place(to.max(f64::MIN_POSITIVE)).x,
            log_weight: libm::log(probability(from, to)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Law, LogNormal};

    fn lognormal(sigma: f64) -> Curve {
        Curve::of(&Law::LogNormal(LogNormal::new(1.0, sigma).unwrap()))
    }

    #[test]
    fn a_walk_finds_what_a_search_finds() {
        let (narrow, wide) = (lognormal(0.01), lognormal(0.1));
        let quadrature = Quadrature::new(&narrow, &wide);
        let mut walk = quadrature.walk();
        let falling = (0..400).map(|k| 3.0 - 0.0071 * f64::from(k));
        // Back up, onto a knot and beyond both ends.
        let others = [0.9, 1.4, wide.xs()[700], 0.0, 1e9, wide.xs()[0]];
        for x in falling.chain(others) {
            let (found, exact) = (walk.exceedances(x), wide.exceedances(x));
            assert!(found == exact || (found / exact - 1.0).abs() < 1e-12, "{x}");
            let log = walk.log(x);
            assert!(log == exact.ln() || (log - exact.ln()).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn panels_that_are_left_out_do_not_count() {
        let (narrow, wide) = (lognormal(0.02).slowest_of(8.0), lognormal(0.03));
        let quadrature = Quadrature::new(&narrow, &wide);
        for k in 0..60 {
            let x = 0.85 + 0.01 * f64::from(k);
            // All nodes, whatever they contribute.
            let nodes = quadrature.panels.iter().flat_map(|panel| panel.nodes);
            let (cdf, sf) = nodes.fold((0.0, 0.0), |(cdf, sf), (factor, weight)| {
                let y = x / factor;
                (cdf + weight * wide.cdf(y), sf + weight * wide.sf(y))
            });
            let exact = exceedances(cdf, sf);
            let miss = quadrature.exceedances(x) / exact - 1.0;
            assert!(miss.abs() < 1e-9, "{x}: {miss:e}");
        }
    }
}
