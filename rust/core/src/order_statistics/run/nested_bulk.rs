//! Exceedances of the slowest of all blocks, where each block has a law of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::nested_counts::{NestedCounts, Relevant};
use super::persistent_source::PersistentSource;
use super::survey::Surveyed;
use crate::control::Control;
use crate::draw::{Drawn, Tile, for_each_tile};
use crate::error::Result;
use crate::order_statistics::law::{CERTAIN_OF_ALL_BLOCKS, Member, NestedLaw};
use crate::plan::Pool;

/// Ranks of the blocks that one parallel task goes through.
const RANKS_PER_TASK: usize = 4096;
/// Tasks whose sums are held at once.
const TASKS_AT_ONCE: usize = 256;

/// Exceedances of the slowest of all blocks of a pool, at even steps of ln x in units of
/// the greatest persistent factor, from where they are certain to where they are
/// negligible.
pub(super) struct NestedBulk {
    /// The first step.
    pub(super) first: i64,
    /// Exceedances at whole steps.
    pub(super) exceedances: Vec<f64>,
}

impl NestedBulk {
    /// Of all blocks that are not drawn separately.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn new(
        law: &NestedLaw,
        pool: &Pool,
        surveyed: &Surveyed,
        persistent: &PersistentSource,
        control: &Control,
    ) -> Result<Self> {
        let is_bulk = |block: &Range<u32>| !surveyed.separate.contains(block);
        let bulk = Blocks {
            law,
            pool,
            persistent,
            greatest: f64::from(surveyed.greatest),
            blocks: law.blocks(pool).filter(is_bulk).collect(),
        };
        let relevant = bulk.count(control)?.relevant(law.of_one_member());
        let mut exceedances = bulk.exceedances(&relevant, control)?;
        // Rounding must not make them fall with falling x.
        for place in (1..exceedances.len()).rev() {
            exceedances[place - 1] = exceedances[place - 1].max(exceedances[place]);
        }
        let n_certain = exceedances.partition_point(|&sum| sum >= CERTAIN_OF_ALL_BLOCKS);
        let n_certain = n_certain.saturating_sub(1);
        exceedances.drain(..n_certain);
        Ok(Self {
            first: relevant.first + n_certain as i64,
            exceedances,
        })
    }
}

/// The blocks of the bulk.
struct Blocks<'a> {
    law: &'a NestedLaw,
    pool: &'a Pool,
    persistent: &'a PersistentSource<'a>,
    greatest: f64,
    blocks: Vec<Range<u32>>,
}

/// What some blocks add to the exceedances of all.
struct Part {
    /// The sum over blocks of several members, by step.
    sums: Vec<f64>,
    /// How many blocks of one member lie how many steps below the greatest factor, from
    /// minus one step on, divided with the weights of interpolation.
    alone: Vec<f64>,
}

impl Blocks<'_> {
    /// Counts the members of all blocks.
    fn count(&self, control: &Control) -> Result<NestedCounts> {
        let mut all = NestedCounts::default();
        self.for_each_part(
            control,
            |blocks| {
                let mut counts = NestedCounts::default();
                self.for_each_block(blocks, |block, factors| {
                    let members = self.law.members(self.pool, block, factors, self.greatest);
                    counts.add(members);
                });
                counts
            },
            |part| all.merge(&part),
        )?;
        Ok(all)
    }

    /// Exceedances of the slowest of all at the whole steps from the first one that matters.
    fn exceedances(&self, relevant: &Relevant, control: &Control) -> Result<Vec<f64>> {
        let at = relevant.first..self.law.top();
        let n = (at.end - at.start) as usize;
        let mut sums = vec![0.0; n];
        let mut of_alone = vec![0.0; relevant.reach as usize + 4];
        self.for_each_part(
            control,
            |blocks| self.part(blocks, relevant, &at),
            |part| {
                for (sum, more) in sums.iter_mut().zip(part.sums) {
                    *sum += more;
                }
                for (sum, more) in of_alone.iter_mut().zip(part.alone) {
                    *sum += more;
                }
            },
        )?;
        let alone = self.law.of_one_member();
        for (sum, step) in sums.iter_mut().zip(at.clone()) {
            let shifted = (step - 1..at.end).zip(&of_alone);
            let more: f64 = shifted.map(|(step, n)| n * alone.at(step)).sum();
            // Cubics may undershoot in the far tail.
            *sum += more.max(0.0);
        }
        Ok(sums)
    }

    fn part(&self, blocks: &[Range<u32>], relevant: &Relevant, at: &Range<i64>) -> Part {
        let mut part = Part {
            sums: Vec::new(),
            alone: Vec::new(),
        };
        let mut members: Vec<Member> = Vec::new();
        self.for_each_block(blocks, |block, factors| {
            members.clear();
            let all = self.law.members(self.pool, block, factors, self.greatest);
            members.extend(all.filter(|member| member.shift < relevant.reach));
            match members.as_slice() {
                [] => {}
                [only] => {
                    let (whole, weights) = self.law.of_one_member().around(only.shift);
                    let from = (whole + 1) as usize;
                    if part.alone.len() < from + 4 {
                        part.alone.resize(from + 4, 0.0);
                    }
                    for (sum, weight) in part.alone[from..].iter_mut().zip(weights) {
                        *sum += weight;
                    }
                }
                members => {
                    part.sums.resize((at.end - at.start) as usize, 0.0);
                    let least = members.iter().map(|member| member.shift);
                    let least = least.fold(f64::INFINITY, f64::min);
                    // As many steps before the last one nothing is left of the block.
                    let end = (at.end - least as i64).max(at.start);
                    let sums = &mut part.sums[..(end - at.start) as usize];
                    self.law
                        .add_block(self.pool, members, &(at.start..end), sums);
                }
            }
        });
        part
    }

    /// Makes parts of consecutive blocks on the current rayon pool, and calls with them in
    /// the order of blocks, so that sums do not depend on threads.
    fn for_each_part<T: Send>(
        &self,
        control: &Control,
        make: impl Fn(&[Range<u32>]) -> T + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let largest = self.blocks.iter().map(Range::len).max().unwrap_or(1);
        let n_blocks = (RANKS_PER_TASK / largest).max(1);
        for batch in self.blocks.chunks(TASKS_AT_ONCE * n_blocks) {
            let parts: Vec<T> = batch
                .par_chunks(n_blocks)
                .map(|blocks| {
                    control.advance(0)?;
                    Ok(make(blocks))
                })
                .collect::<Result<_>>()?;
            parts.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    /// Calls with consecutive blocks and the persistent factors of their ranks.
    fn for_each_block(&self, blocks: &[Range<u32>], mut visit: impl FnMut(&Range<u32>, &[f32])) {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return;
        };
        let first = first.start;
        let (mut drawn, mut factors) = (Drawn::Nothing, Vec::new());
        for_each_tile(self.pool, first..last.end, |rank, gpus| {
            let mut tile = Tile::NEUTRAL;
            self.persistent.apply(rank, &gpus, &mut drawn, &mut tile);
            factors.extend_from_slice(&tile.slowdown.0[0][..gpus.len()]);
        });
        for block in blocks {
            let places = (block.start - first) as usize..(block.end - first) as usize;
            visit(block, &factors[places]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{in_run, plan, slowdown};
    use super::*;
    use crate::order_statistics::law::{BulkKind, LawMemory, PoolLaw};
    use crate::plan::{Affects, Scope, Span};
    use crate::random::Random;

    #[test]
    fn the_sum_over_members_that_matter_is_that_over_all() {
        // From speeds that hardly differ to a few ranks that are much slower than all others.
        for spread in [0.002, 0.01, 0.04] {
            let causes = vec![
                slowdown("speed", spread, Scope::Gpu, Span::Run),
                slowdown("residual", 0.003, Scope::Gpu, Span::Step),
                slowdown("node", 0.004, Scope::Node, Span::Step),
            ];
            let plan = plan(4_000, causes);
            let pool = &plan.pools()[0];
            let of_pool = PoolLaw::new(
                &plan,
                0,
                Affects::Compute,
                LawMemory::default().curves(),
                &Control::default(),
            );
            let BulkKind::Nested(law) = of_pool.unwrap().bulk else {
                panic!("ranks differ within blocks");
            };
            let (found, expected) = in_run(&plan, &Random::new(7), 0, |persistent, surveyed, _| {
                let bulk = NestedBulk::new(&law, pool, surveyed, persistent, &Control::default());
                let bulk = bulk.unwrap();
                let at = bulk.first..bulk.first + bulk.exceedances.len() as i64;
                let mut sums = vec![0.0; bulk.exceedances.len()];
                for block in law.blocks(pool) {
                    let factors = persistent.factors(block.clone());
                    let greatest = f64::from(surveyed.greatest);
                    let members: Vec<Member> =
                        law.members(pool, &block, &factors, greatest).collect();
                    assert_eq!(members.len(), 8);
                    law.add_block(pool, &members, &at, &mut sums);
                }
                (bulk.exceedances, sums)
            });
            assert!(found[0] >= CERTAIN_OF_ALL_BLOCKS && found[1] < CERTAIN_OF_ALL_BLOCKS);
            for (found, expected) in found.into_iter().zip(expected) {
                if (1e-9..10.0).contains(&expected) {
                    let miss = found / expected - 1.0;
                    assert!(miss.abs() < 1e-3, "{spread}: {found:e}, {expected:e}");
                }
            }
        }
    }
}
