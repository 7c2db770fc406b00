//! Products of independent numbers: a factor that a group shares.

use super::trace::trace;
use super::{Curve, LEAST, MOST, exceedances};

/// Relative change of exceedances that straight lines between knots may miss.
const STRAIGHT: f64 = 4e-5;

/// A number and its share of all probability.
pub(super) type Node = (f64, f64);

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
        let nodes = narrow.nodes();
        let mut starts = Vec::new();
        for log in (-166..=12).map(|half| 0.5 * f64::from(half)) {
            let e = libm::exp(log);
            starts.push(narrow.place(e).x * wide.place(e).x);
        }
        for a in narrow.atoms() {
            for b in wide.atoms() {
                let x = narrow.xs[a + 1] * wide.xs[b + 1];
                starts.extend([x * (1.0 - 4.0 * f64::EPSILON), x * (1.0 + 4.0 * f64::EPSILON)]);
            }
        }
        trace(starts, STRAIGHT, |x| {
            let (mut cdf, mut sf) = (0.0, 0.0);
            for &(factor, weight) in &nodes {
                let of_wide = wide.exceedances(x / factor);
                cdf += weight * libm::exp(-of_wide);
                sf -= weight * libm::expm1(-of_wide);
            }
            exceedances(cdf, sf)
        })
    }

    /// How far the middle of the law stretches, as a logarithm.
    fn breadth(&self) -> f64 {
        libm::log(self.upper_quantile(1e-3) / self.quantile(1e-3))
    }

    /// Numbers that stand for the law, far tails included: each octave of tail
    /// probability by Gauss-Legendre, each atom by itself.
    pub(super) fn nodes(&self) -> Vec<Node> {
        // Abramowitz and Stegun, table 25.4, four points.
        const RULE: [(f64, f64); 4] = [
            (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
            (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
            (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
            (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
        ];
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
                (from, to, self.xs[knot + 1])
            })
            .collect();
        ends.extend(atoms.iter().flat_map(|&(from, to, _)| [from.min(MOST), to]));
        ends.sort_by(|a, b| b.total_cmp(a));
        ends.dedup();
        let mut nodes = Vec::with_capacity(4 * ends.len());
        for panel in ends.windows(2) {
            let (from, to) = (panel[0], panel[1]);
            let weight = -libm::exp(-to) * libm::expm1(to - from);
            let inside = |&&(a, b, _): &&(f64, f64, f64)| from <= a && to >= b;
            if let Some(&(_, _, x)) = atoms.iter().find(inside) {
                nodes.push((x, weight));
                continue;
            }
            // Linear in the smaller one of the two probabilities.
            let upper = from <= std::f64::consts::LN_2 * (1.0 + 1e-12);
            let tail = |e: f64| if upper { -libm::expm1(-e) } else { libm::exp(-e) };
            let (p, q) = (tail(from), tail(to));
            for (node, share) in RULE {
                let at = 0.5 * (p + q) + 0.5 * (q - p) * node;
                let e = if upper { -libm::log1p(-at) } else { -libm::log(at) };
                nodes.push((self.place(e).x, 0.5 * share * weight));
            }
        }
        nodes
    }
}
