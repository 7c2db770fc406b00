//! The survey: one look over the ranks of a pool at the start of a run.
//!
//! It draws the persistent effects of all ranks once and keeps counts of them, the
//! slowest ranks where these are all that matters, and the blocks that have to be drawn
//! separately in every step.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use super::census::Census;
use super::persistent_effects::PersistentEffects;
use super::persistent_source::PersistentSource;
use super::separate::SeparateBlocks;
use super::slow_ranks::SlowRanks;
use super::slow_set::SlowSet;
use crate::control::Control;
use crate::error::Result;
use crate::order_statistics::law::{BulkKind, PoolLaw};
use crate::plan::{Affects, Scope};
use crate::search::{Best, WorstPorts};

/// Ranks that one parallel task surveys.
const RANKS_PER_SURVEY_TASK: u32 = 1 << 16;
/// Tasks whose findings are held at once.
const TASKS_AT_ONCE: usize = 256;
/// Ranks of a pool with persistent factors, at most, for all of them to be drawn
/// separately: a law of so few would cost more than it saves.
const MAX_ALL_SEPARATE: u32 = 64;
/// Leaders that are kept where a rare cause may speed some of them up.
const LEADERS: usize = 64;
/// Width in ln of the bins of a census where laws have atoms, so that atoms of different
/// ranks stay apart.
const ATOM_BIN_WIDTH: f64 = 1e-6;
/// Bins of such a census, at most.
const MAX_ATOM_BINS: f64 = 4_194_304.0;
/// Bins of a census in one step of the law's grid.
const BINS_PER_GRID_STEP: f64 = 8.0;

/// A rank with its persistent effects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leader {
    pub slowdown: f32,
    pub stall: f32,
    pub rank: u32,
}

/// What a survey found.
#[derive(Debug, Clone, Default)]
pub struct Surveyed {
    /// The greatest persistent factor of all ranks.
    pub greatest: f32,
    sum_slowdown: f64,
    sum_stall: f64,
    /// Where nothing within the pool changes from step to step: the ranks that no other exceeds
    /// in both slowdown and stall or, where a rare cause may speed some of them up, those with
    /// the greatest slowdowns. The greatest slowdown comes first.
    pub leaders: Vec<Leader>,
    /// Blocks that are drawn rank by rank in each step.
    pub separate: SeparateBlocks,
    /// Persistent factors of all other units.
    pub census: Option<Census>,
    /// Where each rank has a factor of its own: those ranks that the census keeps.
    slow: Option<SlowSet>,
}

impl Surveyed {
    /// Counts units of some factors.
    fn count(&mut self, factors: &[f32]) {
        if let Some(census) = &mut self.census {
            census.add(factors);
        }
        self.greatest = factors.iter().copied().fold(self.greatest, f32::max);
    }

    /// What the persistent factor of a rank does not exceed.
    pub fn bound(&self, rank: u32) -> f32 {
        match &self.slow {
            Some(slow) => slow.bound(rank, self.greatest),
            None => self.greatest,
        }
    }

    /// What the persistent factors of most ranks do not exceed, if it is known which of them: those
    /// whose [`Surveyed::bound`] is no greater.
    pub fn bound_of_others(&self) -> Option<f32> {
        let slow = self.slow.as_ref()?;
        Some(slow.bound_of_others(self.greatest))
    }

    /// Whether any of some ranks may exceed [`Surveyed::bound_of_others`].
    pub fn has_large(&self, ranks: &Range<u32>) -> bool {
        self.slow.as_ref().is_none_or(|slow| slow.has_any(ranks))
    }

    /// What the persistent factors of some ranks do not exceed.
    pub fn bound_of_all(&self, ranks: &Range<u32>) -> f32 {
        match &self.slow {
            Some(_) => ranks
                .clone()
                .map(|rank| self.bound(rank))
                .fold(0.0, f32::max),
            None => self.greatest,
        }
    }

    /// Mean slowdown and mean stall of the pool's `n` ranks.
    pub fn means(&self, n: u32) -> (f64, f64) {
        (
            self.sum_slowdown / f64::from(n),
            self.sum_stall / f64::from(n),
        )
    }
}

/// A survey to be made.
pub struct Survey<'s, 'a> {
    /// The law of the pool.
    pub law: &'a PoolLaw,
    /// The persistent effects of its ranks.
    pub persistent: &'s PersistentSource<'a>,
    /// Whether steps differ from each other at all.
    pub steps_differ: bool,
    /// Whether a certain stall makes all ranks separate.
    pub all_separate: bool,
    /// Whether nobody asks for the means of all ranks, so that fast ones need not be drawn.
    pub without_means: bool,
}

impl Survey<'_, '_> {
    /// Draws the persistent effects of all ranks, on the current rayon pool, by task: for
    /// [`Survey::run`], as often as needed. None where a survey does not look at all ranks.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn effects(&self, control: &Control) -> Result<Option<Vec<PersistentEffects>>> {
        let many_ranks = self.slow_ranks().filter(SlowRanks::are_many);
        let only_slow_ones = self.nothing().census.is_some() && many_ranks.is_some();
        if !self.persistent.differs() || only_slow_ones {
            return Ok(None);
        }
        let effects = (0..self.n_tasks()).into_par_iter().map(|task| {
            control.advance(0)?;
            Ok(self.drawn(task))
        });
        effects.collect::<Result<_>>().map(Some)
    }

    /// Surveys all ranks, on the current rayon pool; `effects` are what
    /// [`Survey::effects`] gave for ranks that have drawn the same.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn run(
        &self,
        effects: Option<&[PersistentEffects]>,
        control: &Control,
    ) -> Result<Surveyed> {
        if !self.persistent.differs() {
            return Ok(self.of_equal_ranks());
        }
        let mut all = self.nothing();
        let slow_ranks = self.slow_ranks().filter(|_| all.census.is_some());
        match &slow_ranks {
            Some(slow_ranks) if slow_ranks.are_many() => {
                self.survey_many(slow_ranks, &mut all, control)?;
            }
            Some(slow_ranks) if self.without_means => {
                self.survey_slow(slow_ranks, &mut all, control)?;
            }
            _ => self.survey_all(effects, &mut all, control)?,
        }
        if self.has_no_bulk() {
            all.separate = SeparateBlocks::default();
            all.separate.extend(self.blocks(0..self.n_ranks()));
        }
        Ok(all)
    }

    /// Surveys all ranks.
    fn survey_all(
        &self,
        effects: Option<&[PersistentEffects]>,
        all: &mut Surveyed,
        control: &Control,
    ) -> Result<()> {
        let part = |task: u32| match effects {
            Some(effects) => self.part(&effects[task as usize]),
            None => self.part(&self.drawn(task)),
        };
        self.each_task(0, control, part, |part| self.merge(all, part))
    }

    /// Surveys so many ranks that those are left out, too, that hardly matter.
    fn survey_many(
        &self,
        slow_ranks: &SlowRanks,
        all: &mut Surveyed,
        control: &Control,
    ) -> Result<()> {
        let factors = |task, cut| slow_ranks.factors(self.start(task)..self.start(task + 1), cut);
        // What the first task finds tells which ranks of the others matter.
        all.count(&factors(0, 0));
        let cut = match (&self.law.bulk, &all.census) {
            (BulkKind::Shifted { grid, .. }, Some(census)) => {
                slow_ranks.first_word_that_matters(grid, census, all.greatest)
            }
            _ => 0,
        };
        all.sum_slowdown = slow_ranks.expected_sum();
        // So few factors that a census of each task would cost more than they do.
        self.each_task(1, control, |task| factors(task, cut), |few| all.count(&few))
    }

    /// Surveys the ranks that a census keeps, one task after another: each tells the next ones
    /// which these are. There are no means of all ranks.
    fn survey_slow(
        &self,
        slow_ranks: &SlowRanks,
        all: &mut Surveyed,
        control: &Control,
    ) -> Result<()> {
        for task in 0..self.n_tasks() {
            if let Some(census) = &mut all.census {
                let greatest = slow_ranks.count(self.start(task)..self.start(task + 1), census);
                all.greatest = all.greatest.max(greatest);
            }
            control.advance(u64::from(RANKS_PER_SURVEY_TASK))?;
        }
        Ok(())
    }

    /// Does the work of all tasks from the first one on, on the current rayon pool, and takes
    /// what they find in their order.
    fn each_task<T: Send>(
        &self,
        first: u32,
        control: &Control,
        work: impl Fn(u32) -> T + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let n_tasks = self.n_tasks();
        for first in (first..n_tasks).step_by(TASKS_AT_ONCE) {
            let batch = first..n_tasks.min(first + TASKS_AT_ONCE as u32);
            let found: Vec<T> = batch
                .into_par_iter()
                .map(|task| {
                    let found = work(task);
                    control.advance(u64::from(RANKS_PER_SURVEY_TASK))?;
                    Ok(found)
                })
                .collect::<Result<_>>()?;
            found.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    fn n_ranks(&self) -> u32 {
        self.persistent.pool.n_ranks()
    }

    fn n_tasks(&self) -> u32 {
        self.n_ranks().div_ceil(RANKS_PER_SURVEY_TASK)
    }

    /// The persistent effects of the ranks of a task.
    fn drawn(&self, task: u32) -> PersistentEffects {
        let ranks = self.start(task)..self.start(task + 1);
        PersistentEffects::draw(self.persistent, self.law.block, ranks)
    }

    /// Ranks of which the slow ones can be told without drawing the others, if they are such.
    fn slow_ranks(&self) -> Option<SlowRanks<'_>> {
        SlowRanks::of(self.persistent).filter(|_| self.law.block == Scope::Gpu)
    }

    /// Whether all blocks are drawn separately.
    fn has_no_bulk(&self) -> bool {
        let differs = matches!(
            self.law.bulk,
            BulkKind::Shifted { .. } | BulkKind::Nested(_)
        );
        self.all_separate || (differs && self.n_ranks() <= MAX_ALL_SEPARATE)
    }

    /// The result before any rank is looked at.
    fn nothing(&self) -> Surveyed {
        let census = match &self.law.bulk {
            BulkKind::Shifted { grid, .. } if !self.has_no_bulk() => {
                let width = if grid.atoms.is_empty() {
                    1.0
                } else {
                    ATOM_BIN_WIDTH.max(grid.reach() / MAX_ATOM_BINS)
                };
                let width = width.min(grid.step / BINS_PER_GRID_STEP);
                Some(Census::new(width, grid.reach()))
            }
            _ => None,
        };
        Surveyed {
            census,
            ..Surveyed::default()
        }
    }

    /// The result where all ranks have the same persistent effects.
    fn of_equal_ranks(&self) -> Surveyed {
        let slowdown = self.persistent.factor(0);
        let mut surveyed = self.nothing();
        surveyed.greatest = slowdown;
        surveyed.sum_slowdown = f64::from(slowdown) * f64::from(self.n_ranks());
        let n_leaders = self.n_ranks().min(self.n_kept_leaders() as u32);
        surveyed.leaders = (0..n_leaders)
            .map(|rank| Leader {
                slowdown,
                stall: 0.0,
                rank,
            })
            .collect();
        if self.has_no_bulk() {
            surveyed.separate.extend(self.blocks(0..self.n_ranks()));
        }
        surveyed
    }

    /// The first rank of a task; tasks do not cut blocks.
    fn start(&self, task: u32) -> u32 {
        let pool = self.persistent.pool;
        let rank = task
            .saturating_mul(RANKS_PER_SURVEY_TASK)
            .min(pool.n_ranks());
        if rank == 0 || self.law.block == Scope::Gpu {
            return rank;
        }
        let (_, end) = pool.unit(self.law.block, pool.stretch(rank - 1).0);
        pool.rank_from(end)
    }

    /// The blocks of ranks that begin and end with one.
    fn blocks(&self, ranks: Range<u32>) -> impl Iterator<Item = Range<u32>> {
        self.persistent.pool.units_of(self.law.block, ranks)
    }

    /// What ranks with some persistent effects come to.
    fn part(&self, effects: &PersistentEffects) -> Surveyed {
        let mut surveyed = Surveyed {
            greatest: effects.greatest,
            sum_slowdown: effects.sum_slowdown,
            sum_stall: effects.sum_stall,
            ..self.nothing()
        };
        let some_are_separate = self.steps_differ && effects.has_stall();
        match (&self.law.bulk, self.law.block) {
            (BulkKind::Fixed, _) => self.visit_leaders(&mut surveyed, effects),
            (_, Scope::Gpu) if !some_are_separate => {
                if let Some(census) = &mut surveyed.census {
                    census.add(&effects.slowdowns);
                    // Where ranks stall, some tasks come here and others do not.
                    surveyed.slow = (!self.persistent.stalls())
                        .then(|| SlowSet::of(&effects.slowdowns, census.least_factor()));
                }
            }
            (_, block) => {
                let units = self.persistent.pool.units_of(block, effects.ranks.clone());
                for unit in units {
                    let stalls = effects.stalls_of(&unit);
                    if self.steps_differ && stalls.iter().any(|&stall| stall > 0.0) {
                        surveyed.separate.push(unit);
                    } else if let Some(census) = &mut surveyed.census {
                        let slowdowns = effects.slowdowns_of(&unit);
                        census.add(&[slowdowns.iter().copied().fold(0.0, f32::max)]);
                    }
                }
            }
        }
        surveyed
    }

    /// Keeps the slowest ranks by their persistent effects.
    fn visit_leaders(&self, surveyed: &mut Surveyed, effects: &PersistentEffects) {
        for (place, (rank, &slowdown)) in effects.ranks.clone().zip(&effects.slowdowns).enumerate()
        {
            let stall = effects.stalls.get(place).copied().unwrap_or(0.0);
            if self.steps_differ && stall > 0.0 {
                surveyed.separate.push(rank..rank + 1);
                continue;
            }
            let leader = Leader {
                slowdown,
                stall,
                rank,
            };
            self.insert(&mut surveyed.leaders, leader);
        }
    }

    /// Leaders that are kept where all ranks are alike: one, unless a rare cause may make it
    /// faster than others.
    fn n_kept_leaders(&self) -> usize {
        if self.law.only_slows { 1 } else { LEADERS }
    }

    /// Inserts a rank among the leaders.
    fn insert(&self, leaders: &mut Vec<Leader>, new: Leader) {
        if self.law.affects == Affects::Network && !self.steps_differ {
            // One port's slowdown and another one's stall count together.
            let mut worst = leaders
                .first()
                .map_or(WorstPorts::NONE, |leader| WorstPorts {
                    slowdown: leader.slowdown,
                    stall_s: leader.stall,
                });
            worst.take(new.slowdown, new.stall, new.rank);
            *leaders = vec![Leader {
                slowdown: worst.slowdown,
                stall: worst.stall_s,
                rank: 0,
            }];
            return;
        }
        let order = |leader: &Leader| {
            let slower = leader.slowdown.total_cmp(&new.slowdown);
            slower.then(leader.stall.total_cmp(&new.stall))
        };
        if self.law.only_slows {
            // Who is the slowest depends on how much of its compute hides communication, but
            // a rank that another one exceeds in both never is.
            let exceeds = |a: &Leader, b: &Leader| a.slowdown >= b.slowdown && a.stall >= b.stall;
            if leaders.iter().any(|leader| exceeds(leader, &new)) {
                return;
            }
            leaders.retain(|leader| !exceeds(&new, leader));
        }
        let place = leaders.partition_point(|leader| order(leader) != Ordering::Less);
        leaders.insert(place, new);
        if !self.law.only_slows {
            leaders.truncate(LEADERS);
        }
    }

    /// Merges what a task found into what tasks before it did.
    fn merge(&self, all: &mut Surveyed, part: Surveyed) {
        all.greatest = all.greatest.max(part.greatest);
        all.sum_slowdown += part.sum_slowdown;
        all.sum_stall += part.sum_stall;
        all.separate.extend(part.separate.into_blocks());
        if let (Some(all), Some(part)) = (&mut all.census, &part.census) {
            all.merge(part);
        }
        if let Some(part) = part.slow {
            all.slow.get_or_insert_default().extend(part);
        }
        for leader in part.leaders {
            self.insert(&mut all.leaders, leader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{in_run, plan, slowdown};
    use super::*;
    use crate::law::{Constant, Law};
    use crate::plan::{CauseSpec, Effect, Plan, Span};
    use crate::random::Random;

    /// A pool of GPUs of different speeds, with one more cause.
    fn uneven(n_gpus: u32, more: Option<CauseSpec>) -> Plan {
        let speed = slowdown("speed", 0.0172, Scope::Gpu, Span::Run);
        let residual = slowdown("residual", 0.002, Scope::Gpu, Span::Step);
        let causes = [speed, residual].into_iter().chain(more);
        plan(n_gpus, causes.collect())
    }

    fn surveyed(plan: &Plan, check: impl Fn(&Surveyed, &PersistentSource)) {
        in_run(plan, &Random::new(23), 4, |persistent, surveyed, _| {
            check(surveyed, persistent);
        });
    }

    /// The bins of a census hold the greatest factors, each with their mean. Far below the
    /// greatest one, beyond the reach of the residual, not all are counted.
    fn assert_counts(found: &Surveyed, mut factors: Vec<f32>) {
        factors.sort_by(|a, b| b.total_cmp(a));
        let census: Vec<(f64, f64)> = found.census.as_ref().unwrap().factors().collect();
        let least = 0.985 * census[0].0;
        let counted = census.iter().take_while(|bin| bin.0 > least);
        assert!(counted.clone().count() > 10);
        let mut n = 0;
        for &(factor, count) in counted {
            let next = n + count as usize;
            let bin = factors[n..next].iter().map(|&f| f64::from(f));
            let mean = bin.sum::<f64>() / count;
            assert!((factor / mean - 1.0).abs() < 1e-9, "{factor} {mean}");
            n = next;
        }
    }

    #[test]
    fn a_survey_counts_every_rank_and_finds_the_slowest() {
        surveyed(&uneven(200_000, None), |found, persistent| {
            let factors = persistent.factors(0..200_000);
            let greatest = factors.iter().copied().fold(0.0, f32::max);
            assert_eq!(found.greatest, greatest);
            let mean = factors.iter().map(|&f| f64::from(f)).sum::<f64>() / 200_000.0;
            let (slowdown, stall) = found.means(200_000);
            assert!((slowdown - mean).abs() < 1e-12 && stall == 0.0);
            assert!(found.separate.is_empty() && found.leaders.is_empty());
            assert_counts(found, factors);
        });
    }

    #[test]
    fn ranks_with_persistent_stalls_are_separate_and_not_counted() {
        let stall = CauseSpec {
            effect: Effect::Stall,
            law: Law::Constant(Constant::new(0.5).unwrap()).into(),
            probability: 0.001,
            ..slowdown("late", 0.0, Scope::Gpu, Span::Run)
        };
        surveyed(&uneven(10_000, Some(stall)), |found, persistent| {
            let stalled: Vec<Range<u32>> = (0..10_000)
                .filter(|&rank| persistent.stall(rank) > 0.0)
                .map(|rank| rank..rank + 1)
                .collect();
            assert!(stalled.len() > 3);
            assert_eq!(found.separate.as_slice(), stalled);
            assert!(stalled.iter().all(|block| found.separate.contains(block)));
            assert!(
                !found
                    .separate
                    .contains(&(stalled[0].end..stalled[0].end + 1))
            );
            let mean = 0.25 * stalled.len() as f64 / 10_000.0;
            assert!((found.means(10_000).1 - mean).abs() < 1e-9);
            assert!((0..10_000).all(|rank| found.bound(rank) == found.greatest));
        });
    }

    #[test]
    fn no_factor_exceeds_its_bound_which_is_low_for_most() {
        surveyed(&uneven(200_000, None), |found, persistent| {
            let factors = persistent.factors(0..200_000);
            let bounds: Vec<f32> = (0..200_000).map(|rank| found.bound(rank)).collect();
            assert!(
                factors
                    .iter()
                    .zip(&bounds)
                    .all(|(factor, bound)| factor <= bound)
            );
            let low = bounds.iter().filter(|bound| **bound < found.greatest);
            assert!(low.count() > 180_000);
        });
    }

    #[test]
    fn few_ranks_are_all_separate() {
        surveyed(&uneven(MAX_ALL_SEPARATE, None), |found, _| {
            assert_eq!(found.separate.len(), MAX_ALL_SEPARATE as usize);
        });
        surveyed(&uneven(MAX_ALL_SEPARATE + 8, None), |found, _| {
            assert!(found.separate.is_empty());
        });
    }

    #[test]
    fn of_very_many_ranks_the_slow_ones_are_counted_as_if_all_were() {
        surveyed(&uneven(3 << 19, None), |found, persistent| {
            let factors = persistent.factors(0..3 << 19);
            assert_eq!(found.greatest, factors.iter().copied().fold(0.0, f32::max));
            assert_counts(found, factors);
            // Only the mean of the others is that of their law.
            let (slowdown, _) = found.means(3 << 19);
            assert!((slowdown - libm::exp(0.5 * 0.0172 * 0.0172)).abs() < 1e-9);
        });
    }
}
