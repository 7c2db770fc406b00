//! The law of the slowest of the bulk in one run, and how a draw from it leaves out
//! blocks that rare causes hit, and those that are slow for a while.
//!
//! The exceedances of the slowest are a Poisson process of points in x whose highest one
//! is the slowest. Without some blocks it is the process without their points: a point at
//! x belongs to them with the probability that their share of the fall of exceedances
//! there gives (a reversed hazard, or the jump at an atom), and is then passed over for
//! the next one below.

use std::ops::Range;

use super::census::Census;
use super::grid_curve::{on_even_knots, with_jumps};
use super::nested_bulk::NestedBulk;
use super::persistent_source::PersistentSource;
use super::separate::SeparateBlocks;
use super::shifts::Shifts;
use super::survey::Surveyed;
use crate::control::Control;
use crate::curve::{Curve, MIN_EXCEEDANCES, Place};
use crate::error::Result;
use crate::order_statistics::descent::Descent;
use crate::order_statistics::law::{
    BlockLaws, BulkKind, CERTAIN_EXCEEDANCES, KNOTS_PER_STEP, LogGrid, Member, NestedLaw, PoolLaw,
    refined,
};
use crate::plan::Pool;
use crate::simd::Kernel;

/// How far rounding may lift a product above its bound, with a margin.
const BOUND_MARGIN: f64 = 1.0 + 1e-12;

/// What was drawn from a bulk law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BulkDraw {
    /// All blocks are left out.
    Nobody,
    /// The factor of the slowest of the others.
    Slowest(f64),
    /// So many blocks are left out that drawing the others rank by rank is cheaper.
    TooFewLeft,
}

/// Blocks that are slow in one step, which it does not look at one by one if it need not.
pub trait SlowBlocks: Copy {
    /// How many there are, at most.
    fn n_at_most(self) -> usize;

    /// Those whose persistent factors are greatest, each with what these do not exceed, in
    /// descending order of that. A block may come twice.
    fn by_bound(self) -> impl Iterator<Item = (Range<u32>, f32)>;

    /// What the persistent factors of all others do not exceed.
    fn rest_bound(self) -> f32;

    /// All of them. A block may come twice.
    fn all(self) -> impl Iterator<Item = Range<u32>>;
}

/// The law of the slowest of a pool's bulk in one run.
pub struct BulkLaw<'a> {
    /// None where nothing changes from step to step, or where all blocks are separate.
    law: Option<Law<'a>>,
}

struct Law<'a> {
    pool: &'a Pool,
    pool_law: &'a PoolLaw,
    curve: Curve,
    contributions: Contributions<'a>,
    /// Blocks that the law is of.
    n_blocks: f64,
    /// Blocks that it is not of.
    separate: SeparateBlocks,
}

/// What blocks contribute to the exceedances of a law.
enum Contributions<'a> {
    /// One of few laws, scaled by a factor.
    Alike { laws: &'a BlockLaws, factor: f64 },
    /// The law of a unit, scaled by its persistent factor.
    Shifted {
        of_unit: &'a Curve,
        /// By knot, the most that one unit contributes up to the next one.
        most: Vec<f64>,
        /// By how much, as a share of x, the grid may misplace an atom.
        atom_tolerance: f64,
    },
    /// A nested law of its own.
    Nested {
        law: &'a NestedLaw,
        greatest: f64,
        /// Exceedances of all blocks together.
        bulk: NestedBulk,
    },
}

impl<'a> BulkLaw<'a> {
    /// The law in a run with these persistent effects.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn new(
        pool_law: &'a PoolLaw,
        surveyed: &Surveyed,
        persistent: &PersistentSource<'a>,
        control: &Control,
    ) -> Result<Self> {
        let pool = persistent.pool;
        let n_units = f64::from(pool.n_units(pool_law.block));
        let n_blocks = n_units - surveyed.separate.len() as f64;
        if n_blocks <= 0.0 {
            return Ok(Self { law: None });
        }
        let greatest = f64::from(surveyed.greatest);
        let parts = match &pool_law.bulk {
            BulkKind::Fixed => None,
            BulkKind::Alike(laws) => alike(pool, pool_law, laws, surveyed),
            BulkKind::Shifted { curve, grid } => surveyed.census.as_ref().map(|census| {
                shifted(curve, grid, census, greatest, persistent.slowdowns.kernel())
            }),
            BulkKind::Nested(law) => {
                let bulk = NestedBulk::new(law, pool, surveyed, persistent, control)?;
                Some(nested(law, bulk, greatest))
            }
        };
        let law = parts.map(|(curve, contributions)| Law {
            pool,
            pool_law,
            curve,
            contributions,
            n_blocks,
            separate: surveyed.separate.clone(),
        });
        Ok(Self { law })
    }

    /// The law of the slowest of the bulk; none where nothing changes from step to step
    /// or all blocks are separate.
    pub fn curve(&self) -> Option<&Curve> {
        self.law.as_ref().map(|law| &law.curve)
    }

    /// Draws the slowest of the bulk without the ranks of `hit_blocks`, in order, and without those
    /// of `slow` ones; `factors_of` gives the persistent factors of a block's ranks, and `bound_of`
    /// what none of them exceeds. A factor that does not matter, nor do lower ones, is looked at no
    /// further.
    pub fn draw(
        &self,
        descent: &mut Descent,
        hit_blocks: &[Range<u32>],
        slow: impl SlowBlocks,
        bound_of: impl Fn(&Range<u32>) -> f32,
        factors_of: impl Fn(&Range<u32>) -> Vec<f32>,
        matters: impl Fn(f64) -> bool,
    ) -> BulkDraw {
        let Some(law) = &self.law else {
            return BulkDraw::Nobody;
        };
        let is_bulk = |block: &&Range<u32>| !law.separate.contains(block);
        let mut n_hit = hit_blocks.len();
        if n_hit > 0 && !law.separate.is_empty() {
            n_hit = hit_blocks.iter().filter(is_bulk).count();
        }
        if n_hit as f64 >= law.n_blocks {
            return BulkDraw::Nobody;
        }
        let mut n_slow = slow.n_at_most();
        if 2.0 * (n_hit + n_slow) as f64 > law.n_blocks {
            // Slow blocks may be hit, too, and so be counted twice.
            n_slow = slow.all().count();
        }
        if 2.0 * (n_hit + n_slow) as f64 > law.n_blocks {
            return BulkDraw::TooFewLeft;
        }
        loop {
            let exceedances = descent.next();
            let place = law.curve.place(exceedances);
            if n_hit + n_slow == 0 || exceedances > CERTAIN_EXCEEDANCES || !matters(place.x) {
                return BulkDraw::Slowest(place.x);
            }
            let reaches = |block: &&Range<u32>| law.reaches(place, bound_of(block));
            let contributing = || hit_blocks.iter().filter(is_bulk).filter(reaches);
            let n_contributing = contributing().count();
            if n_contributing + n_slow == 0 {
                return BulkDraw::Slowest(place.x);
            }
            // The point belongs to a block that is left out if this falls below what these
            // contribute.
            let share = descent.share() * law.fall(place);
            let may_be_slow = n_slow > 0;
            if !may_be_slow && share >= n_contributing as f64 * law.most(place) {
                return BulkDraw::Slowest(place.x);
            }
            let out: f64 = contributing()
                .map(|block| law.contribution(place, block, &factors_of(block)))
                .sum();
            let is_left_out = if may_be_slow {
                law.is_slow(place, share - out, hit_blocks, slow, &factors_of)
            } else {
                share < out
            };
            if !is_left_out {
                return BulkDraw::Slowest(place.x);
            }
        }
    }
}

fn alike<'a>(
    pool: &Pool,
    pool_law: &PoolLaw,
    laws: &'a BlockLaws,
    surveyed: &Surveyed,
) -> Option<(Curve, Contributions<'a>)> {
    let factor = f64::from(surveyed.greatest);
    let mut curve = laws.slowest_without(pool, pool_law.block, surveyed.separate.as_slice())?;
    if factor != 1.0 {
        curve = curve.scaled(factor);
    }
    Some((curve, Contributions::Alike { laws, factor }))
}

fn shifted<'a>(
    of_unit: &'a Curve,
    grid: &LogGrid,
    census: &Census,
    greatest: f64,
    kernel: Kernel,
) -> (Curve, Contributions<'a>) {
    // The greatest factor of all may be that of a separate block.
    let top = census
        .factors()
        .next()
        .map_or(greatest, |(factor, _)| factor);
    let sums = Shifts::of(census, grid, top).slowest(grid, kernel);
    let (curve, most) = with_jumps(grid, census, top, &sums);
    let contributions = Contributions::Shifted {
        of_unit,
        most,
        atom_tolerance: grid.step,
    };
    (curve, contributions)
}

fn nested(law: &NestedLaw, bulk: NestedBulk, greatest: f64) -> (Curve, Contributions<'_>) {
    let logs: Vec<f64> = bulk
        .exceedances
        .iter()
        .map(|sum| libm::log(sum.max(MIN_EXCEEDANCES)))
        .collect();
    let fine: Vec<f64> = refined(&logs).into_iter().map(libm::exp).collect();
    let step = law.step() / KNOTS_PER_STEP as f64;
    let curve = on_even_knots(bulk.first as f64 * law.step(), step, greatest, &fine);
    let contributions = Contributions::Nested {
        law,
        greatest,
        bulk,
    };
    (curve, contributions)
}

impl Law<'_> {
    /// By how much exceedances fall from the knot before a place to the one after it.
    fn fall(&self, place: Place) -> f64 {
        let knot = place.knot;
        self.curve.exceedances_of(knot) - self.curve.exceedances_of(knot + 1)
    }

    /// Whether what slow blocks contribute to that fall, but for hit ones, exceeds some share of it:
    /// from those on that contribute most, until the others can no longer matter.
    fn is_slow(
        &self,
        place: Place,
        share: f64,
        hit_blocks: &[Range<u32>],
        slow: impl SlowBlocks,
        factors_of: impl Fn(&Range<u32>) -> Vec<f32>,
    ) -> bool {
        if share < 0.0 {
            return true;
        }
        let is_hit = |block: &Range<u32>| {
            let start = |hit: &Range<u32>| hit.start;
            hit_blocks.binary_search_by_key(&block.start, start).is_ok()
        };
        let is_other = |block: &Range<u32>| !is_hit(block) && !self.separate.contains(block);
        let contribution = |block: &Range<u32>| {
            if is_other(block) {
                self.contribution(place, block, &factors_of(block))
            } else {
                0.0
            }
        };
        let (mut out, mut left) = (0.0, slow.n_at_most());
        let mut seen: Vec<u32> = Vec::new();
        for (block, bound) in slow.by_bound() {
            if share >= out + left as f64 * self.most_of(place, bound) {
                return false;
            }
            if !seen.contains(&block.start) {
                out += contribution(&block);
                seen.push(block.start);
            }
            if share < out {
                return true;
            }
            left = left.saturating_sub(1);
        }
        if left == 0 || share >= out + left as f64 * self.most_of(place, slow.rest_bound()) {
            return share < out;
        }
        let mut rest: Vec<Range<u32>> = slow.all().collect();
        rest.sort_by_key(|block| block.start);
        rest.dedup();
        seen.sort_unstable();
        rest.retain(|block| seen.binary_search(&block.start).is_err());
        out += rest.iter().map(contribution).sum::<f64>();
        share < out
    }

    /// The most that a block contributes to that fall whose persistent factors do not exceed
    /// `bound`; infinite where that is not known.
    fn most_of(&self, place: Place, bound: f32) -> f64 {
        match &self.contributions {
            Contributions::Alike { laws, .. } if laws.laws.len() == 1 => {
                self.fall(place) / self.n_blocks
            }
            Contributions::Shifted {
                of_unit,
                atom_tolerance,
                ..
            } => {
                let low = self.curve.xs()[place.knot] * (1.0 - atom_tolerance);
                let exceedances = of_unit.exceedances(low / f64::from(bound) / BOUND_MARGIN);
                exceedances.min(CERTAIN_EXCEEDANCES)
            }
            _ => f64::INFINITY,
        }
    }

    /// Whether a block whose factors do not exceed `bound` may contribute to that fall. Most
    /// blocks do not: theirs are too small for the slowest of all.
    fn reaches(&self, place: Place, bound: f32) -> bool {
        let Contributions::Shifted {
            of_unit,
            atom_tolerance,
            ..
        } = &self.contributions
        else {
            return true;
        };
        let least = self.curve.xs()[place.knot] * (1.0 - atom_tolerance);
        let greatest = of_unit.xs().last().copied().unwrap_or(f64::INFINITY);
        least < f64::from(bound) * greatest * BOUND_MARGIN
    }

    /// The most that one block contributes to that fall, where it is known beforehand.
    fn most(&self, place: Place) -> f64 {
        match &self.contributions {
            Contributions::Alike { laws, .. } if laws.laws.len() == 1 => {
                self.fall(place) / self.n_blocks
            }
            Contributions::Shifted { most, .. } => most[place.knot],
            _ => f64::INFINITY,
        }
    }

    /// What a block contributes to that fall.
    fn contribution(&self, place: Place, block: &Range<u32>, factors: &[f32]) -> f64 {
        let (low, high) = (self.curve.xs()[place.knot], self.curve.xs()[place.knot + 1]);
        let between = |curve: &Curve, factor: f64| {
            let of = |x: f64| curve.exceedances(x / factor).min(CERTAIN_EXCEEDANCES);
            of(low) - of(high)
        };
        match &self.contributions {
            Contributions::Alike { laws, .. } if laws.laws.len() == 1 => {
                self.fall(place) / self.n_blocks
            }
            Contributions::Alike { laws, factor } => {
                let law = laws.index_of(self.pool, self.pool_law.block, block);
                between(&laws.laws[law].curve, *factor)
            }
            Contributions::Shifted {
                of_unit,
                atom_tolerance,
                ..
            } => {
                let factor = f64::from(factors.iter().copied().fold(0.0, f32::max));
                if high - low > 4.0 * f64::EPSILON * high {
                    return between(of_unit, factor);
                }
                // The grid misplaces an atom by up to `atom_tolerance`, so widen the
                // interval in which this block's atom is looked for.
                let of = |x: f64| of_unit.exceedances(x / factor).min(CERTAIN_EXCEEDANCES);
                of(low * (1.0 - atom_tolerance)) - of(high * (1.0 + atom_tolerance))
            }
            Contributions::Nested {
                law,
                greatest,
                bulk,
            } => {
                let step = place.knot / KNOTS_PER_STEP;
                let start = bulk.first + step as i64;
                let mut of = [0.0; 2];
                let members: Vec<Member> =
                    law.members(self.pool, block, factors, *greatest).collect();
                law.add_block(self.pool, &members, &(start..start + 2), &mut of);
                let of_all = bulk.exceedances[step] - bulk.exceedances[step + 1];
                self.fall(place) * (of[0] - of[1]) / of_all
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{in_run, plan, slowdown};
    use super::*;
    use crate::order_statistics::descent::SlowestStreams;
    use crate::plan::{Affects, Plan, Scope, Span};
    use crate::random::Random;

    /// No slow blocks.
    #[derive(Clone, Copy)]
    struct NoSlow;

    impl SlowBlocks for NoSlow {
        fn n_at_most(self) -> usize {
            0
        }

        fn by_bound(self) -> impl Iterator<Item = (Range<u32>, f32)> {
            std::iter::empty()
        }

        fn rest_bound(self) -> f32 {
            0.0
        }

        fn all(self) -> impl Iterator<Item = Range<u32>> {
            std::iter::empty()
        }
    }

    const N_RANKS: u32 = 128;
    const N_QUADS: u32 = 5_000;

    fn random() -> Random {
        Random::new(41)
    }

    fn streams() -> SlowestStreams {
        SlowestStreams::new("pool", Affects::Compute)
    }

    /// Draws of the slowest of all ranks but those of `hit` blocks, which are the same whether
    /// the bounds of factors are wide or narrow.
    fn drawn(plan: &Plan, hit: &[Range<u32>]) -> Vec<f64> {
        let (random, streams) = (random(), streams());
        in_run(plan, &random, 0, |persistent, surveyed, bulk| {
            let mut slowest = Vec::new();
            let factors_of = |block: &Range<u32>| persistent.factors(block.clone());
            let greatest_of =
                |block: &Range<u32>| factors_of(block).into_iter().fold(0.0, f32::max);
            for quad in 0..N_QUADS {
                let [mut descent, mut again, mut once_more] =
                    std::array::from_fn(|_| Descent::new(&random, &streams, quad, 0));
                for step in 0..4 {
                    descent.start_step(step);
                    again.start_step(step);
                    once_more.start_step(step);
                    let drawn = bulk.draw(
                        &mut descent,
                        hit,
                        NoSlow,
                        |_| f32::INFINITY,
                        factors_of,
                        |_| true,
                    );
                    let bound_of = |block: &Range<u32>| surveyed.bound_of_all(block);
                    assert_eq!(
                        bulk.draw(&mut again, hit, NoSlow, bound_of, factors_of, |_| true),
                        drawn
                    );
                    assert_eq!(
                        bulk.draw(&mut once_more, hit, NoSlow, greatest_of, factors_of, |_| {
                            true
                        }),
                        drawn
                    );
                    match drawn {
                        BulkDraw::Slowest(factor) => slowest.push(factor),
                        other => panic!("{other:?}"),
                    }
                }
            }
            slowest
        })
    }

    /// Kolmogorov-Smirnov distance of numbers from a CDF.
    fn distance(mut numbers: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        numbers.sort_by(f64::total_cmp);
        let n = numbers.len() as f64;
        let gap = |(k, &x): (usize, &f64)| {
            let p = cdf(x);
            f64::max(p - k as f64 / n, (k + 1) as f64 / n - p)
        };
        numbers.iter().enumerate().map(gap).fold(0.0, f64::max)
    }

    /// Distance that one sample in some thousand exceeds.
    fn limit() -> f64 {
        1.95 / (4.0 * f64::from(N_QUADS)).sqrt()
    }

    fn normal_cdf(x: f64) -> f64 {
        0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
    }

    #[test]
    fn the_bulk_without_hit_ranks_has_the_law_of_the_other_ranks() {
        let speed = slowdown("speed", 0.01, Scope::Gpu, Span::Run);
        let residual = slowdown("residual", 0.01, Scope::Gpu, Span::Step);
        let plan = plan(N_RANKS, vec![speed, residual]);
        let factors = in_run(&plan, &random(), 0, |persistent, _, _| {
            persistent.factors(0..N_RANKS)
        });
        // The ranks that would be the slowest most often are taken out.
        let mut by_speed: Vec<u32> = (0..N_RANKS).collect();
        by_speed.sort_by(|&a, &b| factors[b as usize].total_cmp(&factors[a as usize]));
        for n_hit in [0, 1, 20] {
            let mut hit: Vec<Range<u32>> = by_speed[..n_hit]
                .iter()
                .map(|&rank| rank..rank + 1)
                .collect();
            hit.sort_by_key(|block| block.start);
            let slowest = drawn(&plan, &hit);
            let others = &by_speed[n_hit..];
            let cdf = |x: f64| -> f64 {
                let of = |&rank: &u32| libm::log(x / f64::from(factors[rank as usize])) / 0.01;
                others.iter().map(|rank| normal_cdf(of(rank))).product()
            };
            let distance = distance(slowest, cdf);
            assert!(distance < limit(), "{n_hit} hit: {distance}");
        }
        // Taking out twenty ranks is told apart from taking out none.
        let slowest = drawn(&plan, &[]);
        let cdf = |x: f64| -> f64 {
            let of = |&rank: &u32| libm::log(x / f64::from(factors[rank as usize])) / 0.01;
            by_speed[20..]
                .iter()
                .map(|rank| normal_cdf(of(rank)))
                .product()
        };
        assert!(distance(slowest, cdf) > 5.0 * limit());
    }

    #[test]
    fn the_bulk_without_hit_nodes_has_the_law_of_the_other_nodes() {
        let residual = slowdown("residual", 0.01, Scope::Gpu, Span::Step);
        let node = slowdown("node", 0.012, Scope::Node, Span::Step);
        let plan = plan(N_RANKS, vec![residual, node]);
        for n_hit in [0, 3] {
            let hit: Vec<Range<u32>> = (0..n_hit).map(|node| 8 * node..8 * node + 8).collect();
            let slowest = drawn(&plan, &hit);
            // A node is its factor times the slowest of eight, by the trapezoidal rule.
            let node = |x: f64| {
                let steps = 400;
                let of = |k: i32| {
                    let z = 0.04 * f64::from(k);
                    let density = libm::exp(-0.5 * z * z) / libm::sqrt(std::f64::consts::TAU);
                    let p = normal_cdf((libm::log(x) - 0.012 * z) / 0.01);
                    0.04 * density * libm::pow(p, 8.0)
                };
                (-steps / 2..=steps / 2).map(of).sum::<f64>()
            };
            let n = f64::from(N_RANKS / 8 - n_hit);
            let distance = distance(slowest, |x| libm::pow(node(x), n));
            assert!(distance < limit(), "{n_hit} hit: {distance}");
        }
    }

    #[test]
    fn a_bulk_of_which_most_is_hit_asks_for_its_ranks() {
        let residual = slowdown("residual", 0.01, Scope::Gpu, Span::Step);
        let plan = plan(N_RANKS, vec![residual]);
        let (random, streams) = (random(), streams());
        let draw = |n_hit: u32| {
            let hit: Vec<Range<u32>> = (0..n_hit).map(|rank| rank..rank + 1).collect();
            in_run(&plan, &random, 0, |persistent, _, bulk| {
                let mut descent = Descent::new(&random, &streams, 0, 0);
                let factors_of = |block: &Range<u32>| persistent.factors(block.clone());
                bulk.draw(
                    &mut descent,
                    &hit,
                    NoSlow,
                    |_| f32::INFINITY,
                    factors_of,
                    |_| true,
                )
            })
        };
        assert!(matches!(draw(N_RANKS / 2), BulkDraw::Slowest(_)));
        assert_eq!(draw(N_RANKS / 2 + 1), BulkDraw::TooFewLeft);
        assert_eq!(draw(N_RANKS), BulkDraw::Nobody);
    }
}
