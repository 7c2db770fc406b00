//! Sums of independent numbers.
//!
//! Laws are put on a lattice of evenly spaced numbers and convolved directly.
//! Every term of that is positive, so the far tails keep their relative
//! precision, which a Fourier transform would lose to rounding.

use super::curve::Curve;
use super::exceedances::exceedances;

/// Lattice cells to a standard deviation of the narrowest law.
const CELLS_PER_DEVIATION: f64 = 40.0;
/// Most lattice cells of one law; one whose tail takes more has no sum here.
const MAX_CELLS: f64 = 8192.0;
/// Probabilities of a lattice that are cut off at its ends.
const MIN_WEIGHT: f64 = 1e-30;
/// Exceedances below which numbers of a law are left out.
const MIN_NODE_EXCEEDANCES: f64 = 1e-24;
/// Standard deviation relative to the mean of the sum below which a law is a
/// constant.
const MIN_SPREAD: f64 = 1e-9;

/// The law of the sum of `n` independent numbers of one law, n >= 1; none where
/// the tail is too heavy for even steps.
///
/// Tail probabilities down to 1e-9 are right to 1% from n = 16 on, and to some per
/// cent below.
#[must_use]
pub fn sum_of(curve: &Curve, n: u32) -> Option<Curve> {
    if n <= 1 {
        return Some(curve.clone());
    }
    sum_of_terms(&[(curve, n)])
}

/// The law of the sum of two independent numbers; none where a tail is too heavy
/// for even steps, or one law is much narrower than the other one.
#[must_use]
pub fn sum(a: &Curve, b: &Curve) -> Option<Curve> {
    sum_of_terms(&[(a, 1), (b, 1)])
}

/// The law of the sum of n numbers of each of some laws.
///
/// Each number is split between the two cells around it so that its mean stays.
/// That adds variance, so the result is drawn together about its mean until it
/// has the variance of its terms.
fn sum_of_terms(terms: &[(&Curve, u32)]) -> Option<Curve> {
    let nodes: Vec<Vec<Node>> = terms.iter().map(|(law, _)| nodes(law)).collect();
    let moments: Vec<(f64, f64)> = nodes.iter().map(|nodes| moments(nodes)).collect();
    let weighted = |of: fn(&(f64, f64)) -> f64| -> f64 {
        let terms = terms.iter().zip(&moments);
        terms
            .map(|((_, n), moments)| f64::from(*n) * of(moments))
            .sum()
    };
    let (mean, variance) = (weighted(|m| m.0), weighted(|m| m.1));
    let width = |nodes: &Vec<Node>| {
        let (least, greatest) = ends(nodes);
        greatest - least
    };
    // Of the laws that vary at all, the narrowest one decides how fine cells are.
    let narrowest = moments
        .iter()
        .map(|moments| libm::sqrt(moments.1))
        .filter(|spread| *spread > MIN_SPREAD * mean)
        .fold(f64::INFINITY, f64::min);
    if narrowest.is_infinite() {
        return Some(Curve::constant(mean));
    }
    let widest = nodes.iter().map(width).fold(0.0, f64::max);
    let cell = narrowest / CELLS_PER_DEVIATION;
    if widest > MAX_CELLS * cell {
        return None;
    }
    let mut all: Option<Lattice> = None;
    let mut spread = 0.0;
    for ((_, n), nodes) in terms.iter().zip(&nodes) {
        let one = Lattice::new(nodes, cell);
        spread += f64::from(*n) * one.variance() * cell * cell;
        let of_law = one.times(*n);
        all = Some(match all {
            None => of_law,
            Some(all) => all.plus(&of_law),
        });
    }
    let narrower = libm::sqrt((variance / spread).min(1.0));
    all.map(|all| all.curve(cell, mean, narrower))
}

/// A number and its probability.
type Node = (f64, f64);

/// A law as one node to each interval between knots, in its middle.
fn nodes(curve: &Curve) -> Vec<Node> {
    let xs = curve.xs();
    let mut nodes = Vec::with_capacity(xs.len());
    for knot in 0..xs.len() - 1 {
        if curve.exceedances_of(knot) < MIN_NODE_EXCEEDANCES {
            break;
        }
        let (from, to) = (curve.exceedances_of(knot), curve.exceedances_of(knot + 1));
        let weight = -libm::exp(-to) * libm::expm1(to - from);
        nodes.push((0.5 * (xs[knot] + xs[knot + 1]), weight));
    }
    let below = libm::exp(-curve.exceedances_of(0));
    nodes.push((xs[0], below));
    nodes
}

/// The least and the greatest number of nodes.
fn ends(nodes: &[Node]) -> (f64, f64) {
    let numbers = || nodes.iter().map(|node| node.0);
    (
        numbers().fold(f64::INFINITY, f64::min),
        numbers().fold(0.0, f64::max),
    )
}

/// Mean and variance of nodes.
fn moments(nodes: &[Node]) -> (f64, f64) {
    let total: f64 = nodes.iter().map(|node| node.1).sum();
    let mean = nodes.iter().map(|(x, weight)| x * weight).sum::<f64>() / total;
    let square = |x: f64| (x - mean) * (x - mean);
    let squares: f64 = nodes.iter().map(|(x, weight)| square(*x) * weight).sum();
    (mean, squares / total)
}

/// Probabilities of evenly spaced numbers.
#[derive(Debug, Clone)]
struct Lattice {
    /// The first number, in cells.
    first: f64,
    weights: Vec<f64>,
}

impl Lattice {
    /// Nodes split between the cells around them.
    fn new(nodes: &[Node], cell: f64) -> Self {
        let (least, greatest) = ends(nodes);
        let first = (least / cell).floor();
        let n = ((greatest / cell).floor() - first) as usize + 2;
        let mut weights = vec![0.0; n];
        for &(x, weight) in nodes {
            let place = x / cell - first;
            let index = (place as usize).min(n - 2);
            let share = place - index as f64;
            weights[index] += weight * (1.0 - share);
            weights[index + 1] += weight * share;
        }
        Self { first, weights }.trimmed()
    }

    /// The law of the sum with another, by direct convolution.
    fn plus(&self, other: &Self) -> Self {
        let mut weights = vec![0.0; self.weights.len() + other.weights.len() - 1];
        for (index, weight) in self.weights.iter().enumerate() {
            for (sum, share) in weights[index..].iter_mut().zip(&other.weights) {
                *sum += weight * share;
            }
        }
        Self {
            first: self.first + other.first,
            weights,
        }
        .trimmed()
    }

    /// Without ends of next to no probability.
    fn trimmed(mut self) -> Self {
        let counts = |weight: &f64| *weight > MIN_WEIGHT;
        let last = self.weights.iter().rposition(counts).unwrap_or(0);
        self.weights.truncate(last + 1);
        let first = self.weights.iter().position(counts).unwrap_or(0);
        self.weights.drain(..first);
        self.first += first as f64;
        self
    }

    /// The law of the sum of `n` numbers, by doubling.
    fn times(&self, n: u32) -> Self {
        let mut doubled = self.clone();
        let mut sum: Option<Self> = None;
        let mut left = n;
        loop {
            if left & 1 == 1 {
                sum = Some(match sum {
                    None => doubled.clone(),
                    Some(sum) => sum.plus(&doubled),
                });
            }
            left >>= 1;
            match (left, sum) {
                (0, Some(sum)) => return sum,
                (_, rest) => sum = rest,
            }
            doubled = doubled.plus(&doubled);
        }
    }

    /// Variance, in cells squared.
    fn variance(&self) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let moment = |f: &dyn Fn(f64) -> f64| {
            let terms = self.weights.iter().enumerate();
            terms
                .map(|(index, weight)| weight * f(index as f64))
                .sum::<f64>()
                / total
        };
        let mean = moment(&|x| x);
        moment(&|x| (x - mean) * (x - mean))
    }

    /// The curve with this mean, drawn together about it by the factor `narrower`.
    fn curve(&self, cell: f64, mean: f64, narrower: f64) -> Curve {
        let n = self.weights.len();
        let total: f64 = self.weights.iter().sum();
        // A cell's weight lies around its number, so sums of weights are the CDF at
        // the ends of cells; from below and from above, for either tail.
        let mut below = vec![0.0; n + 1];
        let mut above = vec![0.0; n + 1];
        for index in 0..n {
            below[index + 1] = below[index] + self.weights[index] / total;
            above[n - 1 - index] = above[n - index] + self.weights[n - 1 - index] / total;
        }
        let (mut xs, mut logs) = (Vec::new(), Vec::new());
        for end in 1..n {
            let x = (self.first + end as f64 - 0.5) * cell;
            let e = exceedances(below[end], above[end]);
            let log = libm::log(e);
            if logs.last().is_some_and(|last| log >= *last) || !log.is_finite() {
                continue;
            }
            xs.push(mean + (x - mean) * narrower);
            logs.push(log);
        }
        Curve::from_knots(xs, logs)
    }
}
