//! Products of independent numbers: a factor that a group shares.

use super::trace::trace;
use super::{Curve, LEAST, MOST, exceedances};

/// Relative change of exceedances that straight lines between knots may miss.
const STRAIGHT: f64 = 4e-5;

/// Parts of a product's breadth that are told apart, besides its atoms.
const FINEST: f64 = 1_048_576.0;

/// A number and its share of all probability.
type Node = (f64, f64);

/// Some of a law: the numbers with `from` to `to` exceedances.
struct Panel {
    from: f64,
    to: f64,
    /// Its least and its greatest number.
    low: f64,
    high: f64,
    nodes: [Node; 4],
}

impl Curve {
    /// The law of the product with an independent number: the shared factor of a
    /// group times its slowest.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        // The narrow one's numbers are summed over, so that the other one's CDF
        // is smooth between them.
        let (narrow, wide) = if self.breadth() < other.breadth() {
            (self, other)
        } else {
            (other, self)
        };
        if narrow.xs[0] == narrow.xs[narrow.xs.len() - 1] {
            return wide.scaled(narrow.xs[0]);
        }
        let panels = narrow.panels();
        let atoms = wide.atom_shares();
        let mut starts = Vec::new();
        for log in (-166..=12).map(|half| 0.5 * f64::from(half)) {
            let e = libm::exp(log);
            starts.push(narrow.place(e).x * wide.place(e).x);
        }
        for (a, b) in narrow
            .corners()
            .flat_map(|a| wide.corners().map(move |b| (a, b)))
        {
            let x = a * b;
            starts.extend([
                x * (1.0 - 4.0 * f64::EPSILON),
                x * (1.0 + 4.0 * f64::EPSILON),
            ]);
        }
        // Atoms scale the other law; the rest of the wide one is smooth between
        // its ends.
        let (least, greatest) = (wide.xs[0], wide.xs[wide.xs.len() - 1]);
        let finest = (narrow.breadth() + wide.breadth()) / FINEST;
        trace(starts, STRAIGHT, finest, |x| {
            let (mut cdf, mut sf) = (0.0, 0.0);
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
                let inside = |end: f64| panel.low < x / end && x / end < panel.high;
                let ends = [greatest, least];
                match ends.into_iter().find(|&end| inside(end)) {
                    Some(end) => narrow.cut(panel, x / end).into_iter().for_each(&mut add),
                    None => panel.nodes.into_iter().for_each(&mut add),
                }
            }
            for &(atom, share) in &atoms {
                let of_narrow = narrow.exceedances(x / atom);
                cdf += share * libm::exp(-of_narrow);
                sf -= share * libm::expm1(-of_narrow);
            }
            exceedances(cdf, sf)
        })
    }

    /// Atoms with their shares.
    fn atom_shares(&self) -> Vec<Node> {
        let share = |knot: usize| {
            let (from, to) = (self.exceedances_of(knot), self.exceedances_of(knot + 1));
            let to = if to <= 2.0 * LEAST { 0.0 } else { to };
            (self.xs[knot + 1], -libm::exp(-to) * libm::expm1(to - from))
        };
        self.atoms().map(share).collect()
    }

    /// The ends of the law and its atoms.
    fn corners(&self) -> impl Iterator<Item = f64> {
        let ends = [self.xs[0], self.xs[self.xs.len() - 1]];
        self.atoms().map(|knot| self.xs[knot + 1]).chain(ends)
    }

    /// A panel in two parts, at the number `x` inside.
    fn cut(&self, panel: &Panel, x: f64) -> Vec<Node> {
        let middle = self.exceedances(x).clamp(panel.to, panel.from);
        let parts = [(panel.from, middle), (middle, panel.to)];
        parts
            .into_iter()
            .flat_map(|(from, to)| self.nodes_between(from, to))
            .collect()
    }

    /// How far the middle of the law stretches, as a logarithm.
    fn breadth(&self) -> f64 {
        libm::log(self.upper_quantile(1e-3) / self.quantile(1e-3))
    }

    /// Numbers that stand for the law, far tails included: each octave of tail
    /// probability by Gauss-Legendre, each atom by itself.
    fn panels(&self) -> Vec<Panel> {
        let mut ends: Vec<f64> = (1..=66)
            .map(|octave| f64::from(octave) * std::f64::consts::LN_2)
            .chain((1..=118).map(|octave| -libm::log1p(-libm::ldexp(1.0, -octave))))
            .collect();
        // Quarter octaves around the median.
        for quarter in 1..12 {
            let p = libm::exp2(-f64::from(quarter) / 4.0);
            ends.extend([-libm::log(p), -libm::log1p(-p)]);
        }
        ends.extend([MOST, 0.0]);
        let atoms: Vec<(f64, f64, f64)> = self
            .atoms()
            .map(|knot| {
                let (from, to) = (self.exceedances_of(knot), self.exceedances_of(knot + 1));
                let to = if to <= 2.0 * LEAST { 0.0 } else { to };
                (from.min(MOST), to, self.xs[knot + 1])
            })
            .collect();
        ends.extend(atoms.iter().flat_map(|&(from, to, _)| [from, to]));
        ends.sort_by(|a, b| b.total_cmp(a));
        ends.dedup();
        let panel = |pair: &[f64]| {
            let (from, to) = (pair[0], pair[1]);
            let atom = atoms.iter().find(|&&(a, b, _)| from <= a && to >= b);
            if let Some(&(_, _, x)) = atom {
                let weight = -libm::exp(-to) * libm::expm1(to - from);
                let nodes = [(x, weight), (x, 0.0), (x, 0.0), (x, 0.0)];
                return Panel {
                    from,
                    to,
                    low: x,
                    high: x,
                    nodes,
                };
            }
            Panel {
                from,
                to,
                low: self.place(from).x,
                high: self.place(to.max(f64::MIN_POSITIVE)).x,
                nodes: self.nodes_between(from, to),
            }
        };
        ends.windows(2).map(panel).collect()
    }

    /// Numbers that stand for those with `from` to `to` exceedances.
    fn nodes_between(&self, from: f64, to: f64) -> [Node; 4] {
        // Abramowitz and Stegun, table 25.4, four points.
        const RULE: [(f64, f64); 4] = [
            (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
            (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
            (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
            (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
        ];
        let weight = -libm::exp(-to) * libm::expm1(to - from);
        // Linear in the smaller one of the two probabilities.
        let upper = from <= std::f64::consts::LN_2 * (1.0 + 1e-12);
        let tail = |e: f64| {
            if upper {
                -libm::expm1(-e)
            } else {
                libm::exp(-e)
            }
        };
        let (p, q) = (tail(from), tail(to));
        RULE.map(|(node, share)| {
            let at = 0.5 * (p + q) + 0.5 * (q - p) * node;
            let e = if upper {
                -libm::log1p(-at)
            } else {
                -libm::log(at)
            };
            (self.place(e.max(f64::MIN_POSITIVE)).x, 0.5 * share * weight)
        })
    }
}
