//! Where each operation stands in a trace.

use super::kind::Kind;
use super::layout::Layout;
use super::recorded::Recorded;
use super::records::Records;
use super::walk::STEPS_PER_BLOCK;
use crate::error::{Error, Result};
use crate::room::filled;

/// Rows of a trace by block of steps, slot and replica.
pub struct Rows {
    /// The row of each operation in each step of a block.
    pub blocks: Vec<[u32; STEPS_PER_BLOCK]>,
    /// Seconds of each step from its first begin to its last end.
    pub recorded_s: Vec<f64>,
}

/// Mark of an operation that no row is of.
const NO_ROW: u32 = u32::MAX;

impl Rows {
    /// Finds the row of each operation.
    ///
    /// # Errors
    /// [`Error::Field`] for an operation that is missing, [`Error::Domain`] for one that is there twice.
    pub fn of(layout: &Layout, records: &Records<'_>) -> Result<Self> {
        let n_blocks = layout.steps.len().div_ceil(STEPS_PER_BLOCK);
        let n = n_blocks * layout.n_slots() * layout.n_replicas;
        let mut blocks = filled([NO_ROW; STEPS_PER_BLOCK], n)?;
        let mut spans_s = vec![(f64::INFINITY, f64::NEG_INFINITY); layout.steps.len()];
        let mut step = 0;
        for row in 0..records.step.len() {
            // Rows of a step mostly stand together.
            if layout.steps[step] != records.step[row] {
                step = layout.steps.partition_point(|&one| one < records.step[row]);
            }
            let kind = Kind::numbered(records.kind[row])?;
            let (stage, number) = (records.stage[row], records.number[row]);
            let replica = records.replica[row] as usize;
            let Some(slot) = layout.slot(stage, kind, number) else {
                let field = format!("{} {number} of dp_rank 0, stage {stage}", kind.name());
                let field = format!("{field} in step {}", layout.steps[0]);
                return Err(Error::Field {
                    field,
                    missing: true,
                });
            };
            let at = index(layout, slot, replica, step / STEPS_PER_BLOCK);
            let place = &mut blocks[at][step % STEPS_PER_BLOCK];
            if *place != NO_ROW {
                let field = format!("number of {}", layout.words(slot, replica, step));
                return Err(Error::domain(&field, 2.0, "1"));
            }
            *place = row as u32;
            let (begins_s, ends_s) = &mut spans_s[step];
            *begins_s = begins_s.min(records.start_s[row]);
            *ends_s = ends_s.max(records.end_s[row]);
        }
        let found = Self {
            blocks,
            recorded_s: spans_s
                .iter()
                .map(|(begin_s, end_s)| end_s - begin_s)
                .collect(),
        };
        match found.missing(layout) {
            Some(field) => Err(Error::Field {
                field,
                missing: true,
            }),
            None => Ok(found),
        }
    }

    /// An operation that no row is of, in words.
    fn missing(&self, layout: &Layout) -> Option<String> {
        self.blocks.iter().enumerate().find_map(|(at, rows)| {
            let n_of_block = layout.n_slots() * layout.n_replicas;
            let (block, at) = (at / n_of_block, at % n_of_block);
            let rows = &rows[..steps_of(layout, block)];
            let lane = rows.iter().position(|&row| row == NO_ROW)?;
            let step = block * STEPS_PER_BLOCK + lane;
            Some(layout.words(at / layout.n_replicas, at % layout.n_replicas, step))
        })
    }

    /// The first replica in the first step.
    pub fn recorded<'a>(&self, layout: &'a Layout, records: &Records<'_>) -> Recorded<'a> {
        let rows: Vec<usize> = (0..layout.n_slots())
            .map(|slot| self.blocks[index(layout, slot, 0, 0)][0] as usize)
            .collect();
        let chunk: Vec<i32> = rows.iter().map(|&row| records.chunk[row]).collect();
        let n_chunks = chunk.iter().copied().max().unwrap_or(0).max(0) + 1;
        let virtual_stage = (rows.iter().enumerate())
            .map(|(slot, &row)| match records.virtual_stage[row] {
                at if at < 0 => layout.whose(slot).0 as i32,
                at => at,
            })
            .collect();
        Recorded {
            layout,
            start_s: rows.iter().map(|&row| records.start_s[row]).collect(),
            end_s: rows.iter().map(|&row| records.end_s[row]).collect(),
            chunk,
            virtual_stage,
            n_virtual_stages: n_chunks.saturating_mul(layout.n_stages as i32),
        }
    }
}

/// Place of an operation among blocks of steps, slots and replicas.
pub fn index(layout: &Layout, slot: usize, replica: usize, block: usize) -> usize {
    (block * layout.n_slots() + slot) * layout.n_replicas + replica
}

/// How many steps a block has; the last one may have fewer than there is room for.
pub fn steps_of(layout: &Layout, block: usize) -> usize {
    (layout.steps.len() - block * STEPS_PER_BLOCK).min(STEPS_PER_BLOCK)
}
