//! Sums of independent numbers, added up directly so that far tails stay
//! accurate: every term is positive.

use super::{Curve, exceedances};

/// Cells that one standard deviation of a number is cut into.
const CELLS: f64 = 40.0;
/// Cells of a law, at most.
const MOST_CELLS: f64 = 8192.0;
/// Probabilities below this do not count.
const NOTHING: f64 = 1e-30;
/// Numbers that are exceeded less often than this are left out.
const NEVER: f64 = 1e-24;

/// Probabilities of evenly spaced numbers.
#[derive(Debug, Clone)]
struct Lattice {
    /// The first number, in cells.
    first: f64,
    weights: Vec<f64>,
}

impl Lattice {
    /// The law of the sum with another.
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

    /// Without ends that never happen.
    fn trimmed(mut self) -> Self {
        let counts = |weight: &f64| *weight > NOTHING;
        let last = self.weights.iter().rposition(counts).unwrap_or(0);
        self.weights.truncate(last + 1);
        let first = self.weights.iter().position(counts).unwrap_or(0);
        self.weights.drain(..first);
        self.first += first as f64;
        self
    }
}

impl Curve {
    /// The law of the sum of `n` independent numbers, n >= 1; none where the
    /// tail is too heavy for even steps.
    ///
    /// Tail probabilities down to 1e-9 are right to 1% from n = 16 on, and to
    /// some per cent below.
    #[must_use]
    pub fn sum_of(&self, n: u32) -> Option<Self> {
        if n <= 1 {
            return Some(self.clone());
        }
        sum(&[(self, n)])
    }

    /// The law of the sum with another, independent number; none where a tail is
    /// too heavy for even steps, or one is much narrower than the other one.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        sum(&[(self, 1), (other, 1)])
    }

    /// Nodes of the law, each knot interval by its own middle.
    fn fine_nodes(&self) -> Vec<(f64, f64)> {
        let mut nodes = Vec::with_capacity(self.xs.len());
        for knot in 0..self.xs.len() - 1 {
            if self.exceedances_of(knot) < NEVER {
                break;
            }
            let (from, to) = (self.exceedances_of(knot), self.exceedances_of(knot + 1));
            let weight = -libm::exp(-to) * libm::expm1(to - from);
            nodes.push((0.5 * (self.xs[knot] + self.xs[knot + 1]), weight));
        }
        let below = libm::exp(-self.exceedances_of(0));
        nodes.push((self.xs[0], below));
        nodes
    }
}

/// The law of the sum of so many numbers of each of some laws.
///
/// Each number is split between the two cells around it so that its mean stays;
/// the variance that this adds is taken out of the result's spread about its
/// mean.
fn sum(terms: &[(&Curve, u32)]) -> Option<Curve> {
    let nodes: Vec<Vec<(f64, f64)>> = terms.iter().map(|(law, _)| law.fine_nodes()).collect();
    let moments: Vec<(f64, f64)> = nodes.iter().map(|nodes| moments(nodes)).collect();
    let weighted = |of: fn(&(f64, f64)) -> f64| -> f64 {
        let terms = terms.iter().zip(&moments);
        terms
            .map(|((_, n), moments)| f64::from(*n) * of(moments))
            .sum()
    };
    let (mean, variance) = (weighted(|m| m.0), weighted(|m| m.1));
    let widest = |nodes: &Vec<(f64, f64)>| {
        let least = nodes
            .iter()
            .map(|node| node.0)
            .fold(f64::INFINITY, f64::min);
        let greatest = nodes.iter().map(|node| node.0).fold(0.0, f64::max);
        greatest - least
    };
    // Of laws that vary at all, the narrowest one decides.
    let narrowest = moments
        .iter()
        .map(|moments| libm::sqrt(moments.1))
        .filter(|spread| *spread > 1e-9 * mean)
        .fold(f64::INFINITY, f64::min);
    if narrowest.is_infinite() {
        return Some(Curve::constant(mean));
    }
    let most = nodes.iter().map(widest).fold(0.0, f64::max);
    let cell = narrowest / CELLS;
    if most > MOST_CELLS * cell {
        return None;
    }
    let mut all: Option<Lattice> = None;
    let mut spread = 0.0;
    for ((_, n), nodes) in terms.iter().zip(&nodes) {
        let one = lattice(nodes, cell);
        spread += f64::from(*n) * one.variance() * cell * cell;
        let of_law = power(&one, *n);
        all = Some(match all {
            None => of_law,
            Some(all) => all.plus(&of_law),
        });
    }
    let narrower = libm::sqrt((variance / spread).min(1.0));
    all.map(|all| all.curve(cell, mean, narrower))
}

/// Mean and variance of nodes.
fn moments(nodes: &[(f64, f64)]) -> (f64, f64) {
    let total: f64 = nodes.iter().map(|node| node.1).sum();
    let mean = nodes.iter().map(|(x, weight)| x * weight).sum::<f64>() / total;
    let square = |x: f64| (x - mean) * (x - mean);
    let squares: f64 = nodes.iter().map(|(x, weight)| square(*x) * weight).sum();
    (mean, squares / total)
}

/// Nodes on evenly spaced numbers.
fn lattice(nodes: &[(f64, f64)], cell: f64) -> Lattice {
    let least = nodes
        .iter()
        .map(|node| node.0)
        .fold(f64::INFINITY, f64::min);
    let greatest = nodes.iter().map(|node| node.0).fold(0.0, f64::max);
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
    Lattice { first, weights }.trimmed()
}

/// The sum of n, by doubling.
fn power(one: &Lattice, n: u32) -> Lattice {
    let mut doubled = one.clone();
    let mut sum: Option<Lattice> = None;
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

impl Lattice {
    /// In cells squared.
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

    /// The curve whose mean is `mean`, drawn together about it.
    fn curve(&self, cell: f64, mean: f64, narrower: f64) -> Curve {
        let n = self.weights.len();
        let total: f64 = self.weights.iter().sum();
        // A cell's weight lies around its number: CDFs hold at its ends.
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
