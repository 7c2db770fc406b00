//! The law of a block whose ranks share step-span factors and differ in persistent
//! ones.
//!
//! With persistent factors `exp(l_i)`, exceedances K of what changes by itself and a
//! shared factor `exp(d)` with probabilities P(d), a block exceeds y with probability
//! `sum_d P(d) (1 - exp(-sum_i K(y - d - l_i)))` in ln x, nested as the scopes are.

use std::ops::Range;

use super::alone::AloneLaw;
use super::levels::Level;
use super::log_grid::{CERTAIN_EXCEEDANCES, LogGrid, NEGLIGIBLE_EXCEEDANCES, cubic};
use crate::curve::{Curve, exceedances};
use crate::plan::{Pool, Scope};

/// Grid steps in one standard deviation of the narrowest law, or what corresponds to it.
const STEPS_PER_DEVIATION: f64 = 10.0;
/// Grid points of one level's law, at most.
const MAX_LEVEL_POINTS: f64 = 2048.0;
/// Exceedances of the slowest of all blocks above this count as certain to occur.
pub const CERTAIN_OF_ALL_BLOCKS: f64 = 40.0;
/// Lower tail of a level's law that is left out, as a probability.
const NEGLIGIBLE_LOWER_TAIL: f64 = 1e-10;
/// Upper tail of a level's law that is left out, as a probability.
const NEGLIGIBLE_UPPER_TAIL: f64 = 1e-20;
/// Knots of the final curve in one grid step, placed by cubics.
pub const KNOTS_PER_STEP: usize = 4;

/// A level's law as probabilities of even steps of ln x.
#[derive(Debug, Clone)]
struct StepProbabilities {
    scope: Scope,
    /// The step of the first probability.
    first: i64,
    probabilities: Vec<f64>,
}

/// A unit of the narrowest level. All that changes from step to step is shared in it, so
/// that it is as slow as its slowest rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Its first rank.
    pub rank: u32,
    /// By how many steps of ln x its persistent factor lies below the greatest of the pool.
    pub shift: f64,
}

/// The laws of all levels on one grid of ln x.
#[derive(Debug, Clone)]
pub struct NestedLaw {
    /// Step of ln x.
    step: f64,
    /// The scope of the narrowest level.
    scope: Scope,
    /// The laws of the levels from the second on.
    outer: Vec<StepProbabilities>,
    /// For each level the law of a unit with one member.
    alone: Vec<AloneLaw>,
    /// The last step, relative to the greatest persistent factor, that anything reaches.
    top: i64,
}

impl NestedLaw {
    /// The laws of `levels` on a common grid; none where they jump, or bend more than
    /// the finest grid can follow.
    pub(super) fn new(pool: &Pool, levels: &[Level]) -> Option<Self> {
        let n_ranks = f64::from(pool.n_ranks());
        let breadth = |curve: &Curve| libm::log(curve.quantile(0.84) / curve.quantile(0.16));
        let reach = |curve: &Curve| {
            libm::log(
                curve.place(NEGLIGIBLE_EXCEEDANCES / n_ranks).x
                    / curve.place(CERTAIN_OF_ALL_BLOCKS).x,
            )
        };
        let widest = levels
            .iter()
            .map(|level| reach(&level.curve))
            .fold(0.0, f64::max);
        let narrowest = levels
            .iter()
            .map(|level| breadth(&level.curve))
            .fold(1.0, f64::min);
        let mut step = 0.5 * narrowest / STEPS_PER_DEVIATION;
        // Halved until cubics follow all levels; they follow no level that jumps.
        let follows = |step: f64| {
            let of = |level: &Level| {
                let first = libm::log(level.curve.place(CERTAIN_OF_ALL_BLOCKS).x);
                LogGrid::with_step(&level.curve, n_ranks, first, step)
            };
            let grids = levels.iter().map(of);
            grids.into_iter().all(|grid| grid.is_almost_smooth())
        };
        while step > 0.0 && widest / step <= MAX_LEVEL_POINTS && !follows(step) {
            step *= 0.5;
        }
        if !(step > 0.0 && widest / step <= MAX_LEVEL_POINTS) {
            return None;
        }
        let curve = &levels[0].curve;
        // A whole number of steps, so that all laws lie on the same grid.
        let start = libm::floor(libm::log(curve.place(CERTAIN_OF_ALL_BLOCKS).x) / step);
        let narrowest = LogGrid::with_step(curve, n_ranks, start * step, step);
        let outer: Vec<StepProbabilities> = levels[1..]
            .iter()
            .map(|level| StepProbabilities::of(level, step))
            .collect();
        let mut alone = vec![AloneLaw::of_grid(&narrowest, start as i64)];
        for law in &outer {
            let of_member = &alone[alone.len() - 1];
            let steps = of_member.steps();
            let at = steps.start + law.first..steps.end + law.end();
            let wider = law.steps_of_members(&at);
            let mut members = vec![0.0; (wider.end - wider.start) as usize];
            of_member.add(0.0, &wider, &mut members);
            let mut exceedances = vec![0.0; (at.end - at.start) as usize];
            law.add_shared(&mut members, &mut exceedances);
            alone.push(AloneLaw::new(at.start, exceedances));
        }
        let top = alone[alone.len() - 1].steps().end;
        Some(Self {
            step,
            scope: levels[0].scope,
            outer,
            alone,
            top,
        })
    }

    /// The step of ln x.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The last step, relative to the greatest persistent factor, that anything reaches.
    pub fn top(&self) -> i64 {
        self.top
    }

    /// The law of a block with one member.
    pub fn of_one_member(&self) -> &AloneLaw {
        &self.alone[self.outer.len()]
    }

    /// The blocks of a pool, as ranges of ranks.
    pub fn blocks(&self, pool: &Pool) -> impl Iterator<Item = Range<u32>> {
        let scope = self.outer.last().map_or(self.scope, |law| law.scope);
        pool.units_of(scope, 0..pool.n_ranks())
    }

    /// The members of a block, in order; `factors` are the persistent ones of its ranks,
    /// `greatest` that of the pool.
    pub fn members(
        &self,
        pool: &Pool,
        block: &Range<u32>,
        factors: &[f32],
        greatest: f64,
    ) -> impl Iterator<Item = Member> {
        let first = block.start;
        pool.units_of(self.scope, block.clone()).map(move |ranks| {
            let places = (ranks.start - first) as usize..(ranks.end - first) as usize;
            let slowest = factors[places].iter().copied().fold(0.0, f32::max);
            let shift = libm::log(greatest / f64::from(slowest)).max(0.0) / self.step;
            Member {
                rank: ranks.start,
                shift,
            }
        })
    }

    /// Adds the exceedances of one block with these members at the whole steps `at` to
    /// `sums`.
    pub fn add_block(&self, pool: &Pool, members: &[Member], at: &Range<i64>, sums: &mut [f64]) {
        self.add_unit(pool, self.outer.len(), members, at, sums);
    }

    /// Adds the exceedances of a unit of level number `level` at the whole steps `at`.
    fn add_unit(
        &self,
        pool: &Pool,
        level: usize,
        members: &[Member],
        at: &Range<i64>,
        sums: &mut [f64],
    ) {
        if let [only] = members {
            self.alone[level].add(only.shift, at, sums);
            return;
        }
        let law = &self.outer[level - 1];
        let scope = if level == 1 {
            self.scope
        } else {
            self.outer[level - 2].scope
        };
        let unit = |member: &Member| pool.unit(scope, pool.stretch(member.rank).0).0;
        let wider = law.steps_of_members(at);
        let mut inside = vec![0.0; (wider.end - wider.start) as usize];
        for members in members.chunk_by(|a, b| unit(a) == unit(b)) {
            self.add_unit(pool, level - 1, members, &wider, &mut inside);
        }
        law.add_shared(&mut inside, sums);
    }
}

/// Probability of at least one exceedance, from their mean number; the series avoids
/// a call of `expm1` in the far tail.
fn probability_of_any(exceedances: f64) -> f64 {
    if exceedances < 1e-4 {
        return exceedances * (1.0 - exceedances * (0.5 - exceedances / 6.0));
    }
    -libm::expm1(-exceedances)
}

impl StepProbabilities {
    /// The step after the last probability.
    fn end(&self) -> i64 {
        self.first + self.probabilities.len() as i64
    }

    /// The steps, without the shared factor, that the steps `at` with it depend on.
    fn steps_of_members(&self, at: &Range<i64>) -> Range<i64> {
        at.start - self.end() + 1..at.end - self.first
    }

    /// Adds the exceedances of a unit to `sums`, given those of all its `members` together
    /// at the steps that these depend on.
    fn add_shared(&self, members: &mut [f64], sums: &mut [f64]) {
        let m = self.probabilities.len();
        // Beyond the last member that is exceeded there is nothing to add up.
        let n_seen = members.iter().rposition(|&e| e != 0.0).map_or(0, |k| k + 1);
        let members = &mut members[..n_seen];
        for exceedances in members.iter_mut() {
            *exceedances = probability_of_any(*exceedances);
        }
        let mut above = vec![0.0; sums.len()];
        for (k, probability) in self.probabilities.iter().enumerate() {
            // Entry k of the shared factor's law shifts by k steps.
            let shifted = members.get(m - 1 - k..).unwrap_or(&[]);
            for (sum, member) in above.iter_mut().zip(shifted) {
                *sum += probability * member;
            }
        }
        for (sum, sf) in sums.iter_mut().zip(above) {
            let sf = sf.clamp(0.0, 1.0);
            *sum += exceedances(1.0 - sf, sf).min(CERTAIN_EXCEEDANCES);
        }
    }

    /// Probabilities of a level's law, each value divided between the four steps around
    /// it with the weights of a cubic.
    fn of(level: &Level, step: f64) -> Self {
        let curve = &level.curve;
        let ends = [
            curve.quantile(NEGLIGIBLE_LOWER_TAIL),
            curve.upper_quantile(NEGLIGIBLE_UPPER_TAIL),
        ];
        let [low, high] = ends.map(|x| libm::floor(libm::log(x) / step) as i64);
        let (first, n) = (low - 2, (high - low) as usize + 6);
        let mut probabilities = vec![0.0; n];
        const FINE: i64 = 8;
        let fine = step / FINE as f64;
        let at = |index: i64| {
            curve
                .exceedances(libm::exp(index as f64 * fine))
                .min(CERTAIN_EXCEEDANCES)
        };
        let mut before = CERTAIN_EXCEEDANCES;
        for index in low * FINE..(high + 1) * FINE + 1 {
            let after = at(index);
            let weight = -libm::exp(-after) * libm::expm1(after - before);
            before = after;
            let place = (index as f64 - 0.5) / FINE as f64 - first as f64;
            let whole = place as usize;
            let t = place - whole as f64;
            for (sum, part) in probabilities[whole - 1..].iter_mut().zip(cubic(t)) {
                *sum += weight * part;
            }
        }
        let all: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= all);
        Self {
            scope: level.scope,
            first,
            probabilities,
        }
    }
}

/// Values at whole steps, interpolated by cubics to [`KNOTS_PER_STEP`] a step.
pub fn refined(numbers: &[f64]) -> Vec<f64> {
    let n = numbers.len();
    let at = |index: i64| numbers[index.clamp(0, n as i64 - 1) as usize];
    let mut fine = Vec::with_capacity(KNOTS_PER_STEP * n);
    for index in 0..n as i64 - 1 {
        let four = [-1, 0, 1, 2].map(|k| at(index + k));
        let [low, high] = [four[1].min(four[2]), four[1].max(four[2])];
        for part in 0..KNOTS_PER_STEP {
            let weights = cubic(part as f64 / KNOTS_PER_STEP as f64);
            let number: f64 = weights.iter().zip(four).map(|(w, x)| w * x).sum();
            // Cubics may overshoot at the ends; monotone values must not.
            fine.push(number.clamp(low, high));
        }
    }
    fine.extend(numbers.last());
    fine
}

#[cfg(test)]
mod tests {
    use super::super::log_grid::MAX_FREQUENT_ERROR;
    use super::*;
    use crate::law::{Law, LogNormal};
    use crate::plan::{Communication, Plan, PoolSpec};

    fn lognormal(sigma: f64) -> Curve {
        Curve::of(&Law::LogNormal(LogNormal::new(1.0, sigma).unwrap()))
    }

    fn pool(n_gpus: u32) -> Plan {
        let spec = PoolSpec {
            name: "pool".to_owned(),
            n_gpus,
            node_gpus: 2,
            domain_gpus: 4,
            domain_gpus_used: 4,
            held_back_gpus: 0,
            rack_gpus: None,
            tensor_gpus: 1,
            compute_s: 1.0,
        };
        Plan::new(vec![spec], vec![], Communication::default()).unwrap()
    }

    fn level(scope: Scope, sigma: f64) -> Level {
        Level {
            scope,
            curve: lognormal(sigma),
            greatest: 2.0,
        }
    }

    fn normal_cdf(x: f64) -> f64 {
        0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
    }

    /// `E[f(Z)]` of a normal number, by the trapezoidal rule.
    fn expectation(f: impl Fn(f64) -> f64) -> f64 {
        let of = |k: i32| {
            let z = 0.1 * f64::from(k);
            let density = libm::exp(-0.5 * z * z) / libm::sqrt(std::f64::consts::TAU);
            0.1 * density * f(z)
        };
        (-80..=80).map(of).sum()
    }

    /// Probability that a block of two nodes of two ranks is slower than `exp(log)`, given
    /// the ranks' persistent factors, by quadrature.
    fn slower_by_hand(sigmas: [f64; 3], factors: &[f32; 4], log: f64) -> f64 {
        let node = |factors: &[f32], log: f64| {
            expectation(|z| {
                let below = factors.iter().map(|&f| {
                    let rank = log - sigmas[1] * z - libm::log(f64::from(f));
                    normal_cdf(rank / sigmas[0])
                });
                below.product()
            })
        };
        1.0 - expectation(|z| {
            let log = log - sigmas[2] * z;
            node(&factors[..2], log) * node(&factors[2..], log)
        })
    }

    #[test]
    fn a_block_of_unequal_ranks_in_nodes_is_as_slow_as_quadrature_says() {
        let plan = pool(64);
        let sigmas = [0.01, 0.012, 0.008];
        let scopes = [Scope::Gpu, Scope::Node, Scope::Domain];
        let levels: Vec<Level> = scopes
            .into_iter()
            .zip(sigmas)
            .map(|(scope, sigma)| level(scope, sigma))
            .collect();
        let law = NestedLaw::new(&plan.pools()[0], &levels).unwrap();
        let factors = [1.0_f32, 1.01, 0.985, 1.02];
        let greatest = 1.03;
        let steps = 400;
        let top = law.top();
        let mut found = vec![0.0; steps];
        let at = top - steps as i64..top;
        let pool = &plan.pools()[0];
        let members: Vec<Member> = law.members(pool, &(0..4), &factors, greatest).collect();
        law.add_block(pool, &members, &at, &mut found);
        let mut n_compared = 0;
        for (step, exceedances) in at.zip(found).step_by(7) {
            let log = libm::log(greatest) + step as f64 * law.step();
            let expected = slower_by_hand(sigmas, &factors, log);
            // Quadrature by differences of probabilities ends at rounding.
            if !(1e-9..0.999).contains(&expected) {
                continue;
            }
            let slower = -libm::expm1(-exceedances);
            // The error that a grid is accepted with.
            let error = slower / expected - 1.0;
            assert!(
                error.abs() < MAX_FREQUENT_ERROR,
                "{log}: {slower:e} {expected:e}"
            );
            n_compared += 1;
        }
        assert!(n_compared > 15, "{n_compared}");
    }

    #[test]
    fn interpolated_exceedances_keep_their_order() {
        let logs: Vec<f64> = (0..20).map(|k| -f64::from(k * k)).collect();
        let fine = refined(&logs);
        assert_eq!(fine.len(), (logs.len() - 1) * KNOTS_PER_STEP + 1);
        assert!(fine.windows(2).all(|pair| pair[1] <= pair[0]));
        for (k, log) in logs.iter().enumerate() {
            assert_eq!(fine[k * KNOTS_PER_STEP], *log);
        }
    }
}
