//! Exceedances of the slowest of all blocks, where each block has a law of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::persistent_source::PersistentSource;
use super::survey::Surveyed;
use crate::control::Control;
use crate::error::Result;
use crate::order_statistics::law::{CERTAIN_OF_ALL_BLOCKS, MAX_LEVEL_POINTS, NestedLaw};
use crate::plan::Pool;

/// Blocks whose exceedances one parallel task adds up.
const BLOCKS_PER_TASK: usize = 64;
/// Tasks whose sums are held at once.
const TASKS_AT_ONCE: usize = 256;
/// Steps of ln x that are added to the law of the slowest at once, from the top down.
const STEPS_AT_ONCE: usize = 64;

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
        // Law and blocks reach some levels' widths down, never that many.
        let lowest = law.top() - (64 * MAX_LEVEL_POINTS as i64);
        let (mut end, mut falling) = (law.top(), Vec::new());
        loop {
            let at = end - STEPS_AT_ONCE as i64..end;
            let sums = bulk.exceedances(&at, control)?;
            falling.extend(sums.into_iter().rev());
            end = at.start;
            let highest = falling.last().copied().unwrap_or(0.0);
            if highest >= CERTAIN_OF_ALL_BLOCKS || end <= lowest {
                break;
            }
        }
        // Rounding must not make them fall with falling x.
        for place in 1..falling.len() {
            falling[place] = falling[place].max(falling[place - 1]);
        }
        falling.reverse();
        Ok(Self {
            first: end,
            exceedances: falling,
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

impl Blocks<'_> {
    /// Exceedances of the slowest of all at the whole steps `at`.
    fn exceedances(&self, at: &Range<i64>, control: &Control) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; STEPS_AT_ONCE];
        for batch in self.blocks.chunks(TASKS_AT_ONCE * BLOCKS_PER_TASK) {
            let parts: Vec<Vec<f64>> = batch
                .par_chunks(BLOCKS_PER_TASK)
                .map(|blocks| {
                    let mut sums = vec![0.0; STEPS_AT_ONCE];
                    for block in blocks {
                        let factors = self.persistent.factors(block.clone());
                        self.law.add_block(
                            self.pool,
                            block,
                            &factors,
                            self.greatest,
                            at,
                            &mut sums,
                        );
                    }
                    control.advance(0)?;
                    Ok(sums)
                })
                .collect::<Result<_>>()?;
            // Added in the order of blocks, so that the sum does not depend on threads.
            for part in parts {
                for (sum, more) in sums.iter_mut().zip(part) {
                    *sum += more;
                }
            }
        }
        Ok(sums)
    }
}
