//! The one pass over the ranks of a group at the start of a run.

use std::ops::Range;

use rayon::prelude::*;

use super::census::Census;
use super::compiled::{Compiled, Rest};
use super::lasting::Lasting;
use crate::control::Control;
use crate::error::Result;
use crate::kernel::best::{Best, SlowestRank, WorstPorts};
use crate::kernel::slowest::for_each_stretch;
use crate::kernel::tile::{Drawn, Tile};
use crate::plan::{Affects, Group, Scope};

/// Ranks of one task.
const TASK: u32 = 1 << 16;
/// Tasks whose findings are held at once.
const BATCH: usize = 256;
/// Ranks below which a group with persistent factors is drawn whole: there is
/// nothing to gain.
const FEW: u32 = 64;
/// Ranks that are kept where a rare cause may speed the slowest one up.
const LEADERS: usize = 64;
/// Bins of a census where laws have atoms: their breadth, and how many at most.
const HAIR: f64 = 1e-6;
const MOST_BINS: f64 = 4_194_304.0;
/// Bins of a census in one step of a grid.
const BINS: f64 = 8.0;

/// A rank by what lasts for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leader {
    pub(super) slowdown: f32,
    pub(super) stall: f32,
    pub(super) rank: u32,
}

/// Takes the first rank, the slowdowns and the stalls of a tile.
type Looked<'f> = dyn FnMut(u32, &[f32], &[f32]) + 'f;

/// What a pass found.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    /// The greatest factor of all ranks.
    pub(super) greatest: f32,
    sum_slowdown: f64,
    sum_stall: f64,
    /// The slowest ranks, where nothing inside of the group changes from step
    /// to step.
    pub(super) leaders: Vec<Leader>,
    /// Blocks that are drawn as a whole in each step, in order.
    pub(super) apart: Vec<Range<u32>>,
    /// Factors of all other units.
    pub(super) census: Option<Census>,
}

impl Passed {
    /// Mean slowdown and mean stall of `n` ranks.
    pub(super) fn means(&self, n: u32) -> (f64, f64) {
        (
            self.sum_slowdown / f64::from(n),
            self.sum_stall / f64::from(n),
        )
    }
}

/// A pass to be made.
pub(super) struct Pass<'p, 'a> {
    pub(super) group: &'a Group,
    pub(super) compiled: &'a Compiled,
    pub(super) lasting: &'p Lasting<'a>,
    /// Whether steps differ from each other at all.
    pub(super) steps_differ: bool,
    /// Whether each rank is drawn in each step.
    pub(super) whole: bool,
}

impl Pass<'_, '_> {
    pub(super) fn run(&self, control: &Control) -> Result<Passed> {
        let n_ranks = self.group.n_ranks();
        if !self.lasting.differs() {
            return Ok(self.of_equals());
        }
        let n_tasks = n_ranks.div_ceil(TASK);
        let mut all = self.nothing();
        let mut cut = 0;
        let mut done = 0;
        if let (Some(table), Some(_)) = (self.only_table(), &all.census) {
            // What the first task found tells which ranks matter in the others.
            let part = self.part(self.start(0)..self.start(1), 0);
            self.merge(&mut all, part);
            cut = self.first_that_matters(&all, table);
            done = 1;
        }
        for first in (done..n_tasks).step_by(BATCH) {
            let batch = first..n_tasks.min(first + BATCH as u32);
            let parts: Vec<Passed> = batch
                .into_par_iter()
                .map(|task| {
                    let part = self.part(self.start(task)..self.start(task + 1), cut);
                    control.advance(u64::from(TASK))?;
                    Ok(part)
                })
                .collect::<Result<_>>()?;
            for part in parts {
                self.merge(&mut all, part);
            }
        }
        if self.is_whole() {
            all.apart = self.blocks(0..n_ranks).collect();
        }
        if self.only_table().is_some() && all.census.is_some() {
            all.sum_slowdown = self.lasting.slowdowns.cause(0).mean() * f64::from(n_ranks);
        }
        Ok(all)
    }

    /// Whether each rank is drawn in each step.
    fn is_whole(&self) -> bool {
        let differs = matches!(self.compiled.rest, Rest::Shifted { .. } | Rest::Nested(_));
        self.whole || (differs && self.group.n_ranks() <= FEW)
    }

    fn nothing(&self) -> Passed {
        let census = match &self.compiled.rest {
            Rest::Shifted { grid, .. } if !self.is_whole() => {
                // Atoms are put where each unit has them.
                let finest = grid.reach() / MOST_BINS;
                let width = if grid.atoms.is_empty() {
                    1.0
                } else {
                    HAIR.max(finest)
                };
                Some(Census::new(width.min(grid.step / BINS), grid.reach()))
            }
            _ => None,
        };
        Passed {
            census,
            ..Passed::default()
        }
    }

    /// What is found where all ranks are alike.
    fn of_equals(&self) -> Passed {
        let slowdown = self.lasting.factor(0);
        let mut passed = self.nothing();
        passed.greatest = slowdown;
        passed.sum_slowdown = f64::from(slowdown) * f64::from(self.group.n_ranks());
        let n_leaders = (self.group.n_ranks()).min(LEADERS as u32);
        passed.leaders = (0..n_leaders)
            .map(|rank| Leader {
                slowdown,
                stall: 0.0,
                rank,
            })
            .collect();
        if self.compiled.only_slows {
            passed.leaders.truncate(1);
        }
        if self.is_whole() {
            passed.apart = self.blocks(0..self.group.n_ranks()).collect();
        }
        passed
    }

    /// The first rank of a task: no block is cut.
    fn start(&self, task: u32) -> u32 {
        let rank = task.saturating_mul(TASK).min(self.group.n_ranks());
        if rank == 0 || self.compiled.block == Scope::Gpu {
            return rank;
        }
        let (_, end) = self
            .group
            .unit(self.compiled.block, self.group.stretch(rank - 1).0);
        self.group.rank_from(end)
    }

    /// Blocks of some ranks, which begin and end with one.
    fn blocks(&self, ranks: Range<u32>) -> impl Iterator<Item = Range<u32>> {
        self.group.units_of(self.compiled.block, ranks)
    }

    /// What is found among some ranks, of which those whose words are below `cut`
    /// do not matter.
    fn part(&self, ranks: Range<u32>, cut: u32) -> Passed {
        let mut passed = self.nothing();
        if let (Some(census), Some(table)) = (&mut passed.census, self.only_table()) {
            passed.greatest = self.look_for_greatest(ranks, table, census, cut);
            return passed;
        }
        let (mut slowdowns, mut stalls) = (Vec::new(), Vec::new());
        if self.compiled.block == Scope::Gpu {
            self.each_tile(ranks, &mut |first, slowdown, stall| {
                self.look(&mut passed, first, slowdown, stall);
            });
            return passed;
        }
        let first = ranks.start;
        self.each_tile(ranks, &mut |_, slowdown, stall| {
            slowdowns.extend_from_slice(slowdown);
            stalls.extend_from_slice(stall);
        });
        let end = first + slowdowns.len() as u32;
        for block in self.blocks(first..end) {
            let places = (block.start - first) as usize..(block.end - first) as usize;
            self.look(
                &mut passed,
                block.start,
                &slowdowns[places.clone()],
                &stalls[places],
            );
        }
        passed
    }

    /// Calls `f` with the first rank, the slowdowns and the stalls of tiles.
    fn each_tile(&self, ranks: Range<u32>, f: &mut Looked) {
        let mut drawn = Drawn::Nothing;
        for_each_stretch(self.group, ranks, |rank, gpus| {
            let mut tile = Tile::NEUTRAL;
            self.lasting.fill(rank, &gpus, &mut drawn, &mut tile);
            f(
                rank,
                &tile.slowdown.0[0][..gpus.len()],
                &tile.stall.0[0][..gpus.len()],
            );
        });
    }

    /// Takes in ranks: those of a block, or any where a block is one GPU.
    fn look(&self, passed: &mut Passed, first: u32, slowdowns: &[f32], stalls: &[f32]) {
        let greatest = slowdowns.iter().copied().fold(0.0, f32::max);
        passed.greatest = passed.greatest.max(greatest);
        passed.sum_slowdown += sum(slowdowns);
        if self.lasting.stalls() {
            passed.sum_stall += sum(stalls);
        }
        if matches!(self.compiled.rest, Rest::Fixed) {
            self.lead(passed, first, slowdowns, stalls);
            return;
        }
        let stalled = self.steps_differ && stalls.iter().any(|&stall| stall > 0.0);
        match (&mut passed.census, self.compiled.block) {
            (census, Scope::Gpu) if stalled => {
                let ranks = (first..).zip(slowdowns).zip(stalls);
                for ((rank, &slowdown), &stall) in ranks {
                    if stall > 0.0 {
                        passed.apart.push(rank..rank + 1);
                    } else if let Some(census) = census {
                        census.add(&[slowdown]);
                    }
                }
            }
            (_, _) if stalled => passed.apart.push(first..first + slowdowns.len() as u32),
            (Some(census), Scope::Gpu) => census.add(slowdowns),
            (Some(census), _) => census.add(&[greatest]),
            (None, _) => {}
        }
    }

    /// Keeps the slowest ranks by what lasts.
    fn lead(&self, passed: &mut Passed, first: u32, slowdowns: &[f32], stalls: &[f32]) {
        let keep = if self.compiled.only_slows { 1 } else { LEADERS };
        for ((rank, &slowdown), &stall) in (first..).zip(slowdowns).zip(stalls) {
            if self.steps_differ && stall > 0.0 {
                passed.apart.push(rank..rank + 1);
                continue;
            }
            let leader = Leader {
                slowdown,
                stall,
                rank,
            };
            self.meet(&mut passed.leaders, leader, keep);
        }
    }

    /// Sorts a rank in among the leaders.
    fn meet(&self, leaders: &mut Vec<Leader>, new: Leader, keep: usize) {
        if self.compiled.affects == Affects::Network && !self.steps_differ {
            // A port's factor and another one's stall count together.
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
        let place = leaders.partition_point(|leader| {
            let time_rel = leader.slowdown + leader.stall;
            let stall_rel = leader.stall;
            let best = SlowestRank {
                time_rel,
                stall_rel,
                rank: leader.rank,
            };
            !best.yields_to(new.slowdown, new.stall, new.rank)
        });
        if place < keep {
            leaders.insert(place, new);
            leaders.truncate(keep);
        }
    }

    fn merge(&self, all: &mut Passed, part: Passed) {
        all.greatest = all.greatest.max(part.greatest);
        all.sum_slowdown += part.sum_slowdown;
        all.sum_stall += part.sum_stall;
        all.apart.extend(part.apart);
        if let (Some(all), Some(part)) = (&mut all.census, &part.census) {
            all.merge(part);
        }
        let keep = if self.compiled.only_slows { 1 } else { LEADERS };
        for leader in part.leaders {
            self.meet(&mut all.leaders, leader, keep);
        }
    }
}

/// The sum of some numbers, as eight sums side by side.
fn sum(numbers: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (eights, rest) = numbers.as_chunks();
    for eight in eights {
        for (sum, &number) in sums.iter_mut().zip::<&[f32; 8]>(eight) {
            *sum += f64::from(number);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}
