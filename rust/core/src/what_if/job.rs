//! A recorded job, whose steps are timed again with some operations ideal.

use rayon::prelude::*;

use super::dependencies::{Recorded, order};
use super::ideal::{Ideals, ideal_s};
use super::kind::Kind;
use super::layout::Layout;
use super::order::Order;
use super::records::Records;
use super::walk::{STEPS_PER_BLOCK, Seconds, later, walk};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::room::filled;

/// Seconds by which a transfer may end before its last member has begun, for clocks that differ; one
/// that ends sooner took no time.
const EARLIEST_END_S: f64 = -1e-2;

/// Operations of some steps on all recorded workers.
#[derive(Debug)]
pub struct Job {
    layout: Layout,
    order: Order,
    /// Seconds of each operation without waiting, by block of steps, slot and replica.
    ///
    /// In single precision, as StragglerAnalysis keeps them: a rounding of 6e-8.
    work_s: Vec<[f32; STEPS_PER_BLOCK]>,
    ideal_s: [f64; Kind::ALL.len()],
    recorded_s: Vec<f64>,
}

/// When one operation is ready, works and ends, in seconds from the beginning of its step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Number of the replica.
    pub replica: u32,
    /// Stage of the pipeline.
    pub stage: u32,
    /// Type.
    pub kind: Kind,
    /// Number among the operations of that type of the worker.
    pub number: u32,
    /// When all that it waits for have ended.
    pub ready_s: f64,
    /// When all that it ends together with are ready, too.
    pub begins_s: f64,
    /// When it ends.
    pub ends_s: f64,
}

impl Job {
    /// Reads the order of operations off a trace, and how long each works.
    ///
    /// # Errors
    /// [`Error::Field`] for an operation that is missing, [`Error::Domain`] for one that is there
    /// twice or not on all workers of its stage, and where no order is found.
    pub fn new(records: &Records<'_>) -> Result<Self> {
        records.check()?;
        let layout = Layout::of(records)?;
        let table = Table::of(&layout, records)?;
        let order = order(&table.recorded(&layout, records))?;
        let mut job = Self {
            work_s: work_s(&layout, &order, &table, records)?,
            layout,
            order,
            ideal_s: [0.0; Kind::ALL.len()],
            recorded_s: table.recorded_s,
        };
        job.ideal_s = Kind::ALL.map(|kind| ideal_s(kind, job.all_of(kind)));
        Ok(job)
    }

    /// Numbers of the steps, in ascending order.
    pub fn steps(&self) -> &[i64] {
        &self.layout.steps
    }

    /// Replicas of the job.
    pub fn n_replicas(&self) -> usize {
        self.layout.n_replicas
    }

    /// Stages of the pipeline.
    pub fn n_stages(&self) -> usize {
        self.layout.n_stages
    }

    /// Seconds of an ideal operation by type, in the order of [`Kind::ALL`]; 0 where there are none.
    pub fn ideal_s(&self) -> &[f64; Kind::ALL.len()] {
        &self.ideal_s
    }

    /// Seconds of each step from its first begin to its last end, as recorded.
    pub fn recorded_s(&self) -> &[f64] {
        &self.recorded_s
    }

    /// Number of operations of a type that are recorded in all steps.
    pub fn n_operations(&self, kind: Kind) -> usize {
        let of_stages = (0..self.n_stages()).map(|stage| self.layout.slots(stage, kind).len());
        of_stages.sum::<usize>() * self.n_replicas() * self.steps().len()
    }

    /// Seconds of each step with each of some sets of operations made ideal, row by row, on the
    /// current rayon pool. A step ends with its last optimizer.
    ///
    /// # Errors
    /// [`Error::Domain`] for a set of another number of workers, [`Error::Memory`],
    /// [`Error::Stopped`].
    pub fn step_times_s(&self, sets: &[Ideals], control: &Control) -> Result<Vec<f64>> {
        for set in sets {
            self.check(set)?;
        }
        let n_blocks = self.n_blocks();
        let mut found: Vec<Seconds> = filled([0.0; STEPS_PER_BLOCK], sets.len() * n_blocks)?;
        found.par_iter_mut().enumerate().try_for_each_init(
            || (vec![], vec![]),
            |(met_s, ends_s), (place, found)| {
                let (set, block) = (&sets[place / n_blocks], place % n_blocks);
                *found = self.block(set, &self.lanes(set), block, met_s, ends_s);
                control.advance((self.layout.n_slots() * self.n_replicas()) as u64)
            },
        )?;
        let rows = found.chunks(n_blocks);
        Ok(rows
            .flat_map(|blocks| blocks.as_flattened()[..self.steps().len()].iter().copied())
            .collect())
    }

    /// When each operation of a step begins and ends with some operations made ideal, by replica.
    ///
    /// # Errors
    /// [`Error::Domain`] for a step that is not there, or a set of another number of workers.
    pub fn timeline(&self, set: &Ideals, step: i64) -> Result<Vec<Times>> {
        self.check(set)?;
        let Ok(at) = self.layout.steps.binary_search(&step) else {
            return Err(Error::domain("step", step as f64, "one that is recorded"));
        };
        let (block, at) = (at / STEPS_PER_BLOCK, at % STEPS_PER_BLOCK);
        let n_lanes = self.n_replicas();
        let lanes: Vec<_> = (0..n_lanes).map(Some).collect();
        let (mut met_s, mut ends_s) = (vec![], vec![]);
        self.block(set, &lanes, block, &mut met_s, &mut ends_s);
        let mut found = vec![];
        for group in &self.order.groups {
            let ready_s = |slot: u32, lane: usize| {
                let ends = self.order.waits(slot).iter();
                let ends = ends.map(|&before| ends_s[before as usize * n_lanes + lane][at]);
                ends.reduce(f64::max).unwrap_or(0.0)
            };
            let mut begins_s: Vec<f64> = (0..n_lanes)
                .map(|lane| {
                    let of_slots = group.slots.iter().map(|&slot| ready_s(slot, lane));
                    of_slots.fold(f64::NEG_INFINITY, f64::max)
                })
                .collect();
            if group.joins_replicas {
                let last_s = begins_s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                begins_s.fill(last_s);
            }
            for &slot in &group.slots {
                let (stage, kind) = self.layout.whose(slot as usize);
                found.extend((0..n_lanes).map(|lane| Times {
                    replica: lane as u32,
                    stage: stage as u32,
                    kind,
                    number: self.layout.number(slot as usize) as u32,
                    ready_s: ready_s(slot, lane),
                    begins_s: begins_s[lane],
                    ends_s: ends_s[slot as usize * n_lanes + lane][at],
                }));
            }
        }
        Ok(found)
    }

    fn check(&self, set: &Ideals) -> Result<()> {
        let n_workers = self.n_stages() * self.n_replicas();
        if set.workers.len() == n_workers {
            return Ok(());
        }
        let n = set.workers.len() as f64;
        Err(Error::domain("workers", n, format!("{n_workers}")))
    }

    fn n_blocks(&self) -> usize {
        self.steps().len().div_ceil(STEPS_PER_BLOCK)
    }

    /// Replicas of a walk: all that are ideal in every operation take the same times, so that one
    /// of them, which is None, stands for all.
    fn lanes(&self, set: &Ideals) -> Vec<Option<usize>> {
        let (ideal, kept): (Vec<_>, Vec<_>) =
            (0..self.n_replicas()).partition(|&replica| set.covers(&self.layout, replica));
        let stands = ideal.first().map(|_| None);
        stands
            .into_iter()
            .chain(kept.into_iter().map(Some))
            .collect()
    }

    /// Walks through a block of steps, and returns how long each takes.
    fn block(
        &self,
        set: &Ideals,
        lanes: &[Option<usize>],
        block: usize,
        met_s: &mut Vec<Seconds>,
        ends_s: &mut Vec<Seconds>,
    ) -> Seconds {
        let n_slots = self.layout.n_slots();
        let n_replicas = self.n_replicas();
        let work_s = &self.work_s[block * n_slots * n_replicas..][..n_slots * n_replicas];
        met_s.resize(lanes.len(), [0.0; STEPS_PER_BLOCK]);
        ends_s.resize(n_slots * lanes.len(), [0.0; STEPS_PER_BLOCK]);
        let of_operation = |slot: usize, lane: usize| {
            let (stage, kind) = self.layout.whose(slot);
            match lanes[lane] {
                Some(replica) if !set.has(&self.layout, kind, stage, replica) => {
                    work_s[slot * n_replicas + replica].map(f64::from)
                }
                _ => [self.ideal_s[kind as usize]; STEPS_PER_BLOCK],
            }
        };
        walk(&self.order, of_operation, met_s, ends_s);
        let stages = 0..self.n_stages();
        let last = stages.flat_map(|stage| self.layout.slots(stage, Kind::Optimizer));
        let ends = last.flat_map(|slot| &ends_s[slot * lanes.len()..][..lanes.len()]);
        ends.copied().reduce(later).unwrap_or_default()
    }

    /// What all operations of a type take, in the order of blocks, slots, replicas and steps.
    fn all_of(&self, kind: Kind) -> Vec<f32> {
        let mut found = Vec::with_capacity(self.n_operations(kind));
        let n_replicas = self.n_replicas();
        let n_slots = self.layout.n_slots();
        for block in 0..self.n_blocks() {
            let n_steps = steps_of(&self.layout, block);
            for stage in 0..self.n_stages() {
                let slots = self.layout.slots(stage, kind);
                let rows = (block * n_slots + slots.start) * n_replicas
                    ..(block * n_slots + slots.end) * n_replicas;
                for seconds in &self.work_s[rows] {
                    found.extend_from_slice(&seconds[..n_steps]);
                }
            }
        }
        found
    }
}

/// Rows of a trace by block of steps, slot and replica.
struct Table {
    rows: Vec<[u32; STEPS_PER_BLOCK]>,
    /// Seconds of each step from its first begin to its last end.
    recorded_s: Vec<f64>,
}

/// Mark of an operation that no row is of.
const NO_ROW: u32 = u32::MAX;

impl Table {
    fn of(layout: &Layout, records: &Records<'_>) -> Result<Self> {
        let n_blocks = layout.steps.len().div_ceil(STEPS_PER_BLOCK);
        let n = n_blocks * layout.n_slots() * layout.n_replicas;
        let mut rows = filled([NO_ROW; STEPS_PER_BLOCK], n)?;
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
            let place = &mut rows[at][step % STEPS_PER_BLOCK];
            if *place != NO_ROW {
                let field = format!("number of {}", layout.words(slot, replica, step));
                return Err(Error::domain(&field, 2.0, "1"));
            }
            *place = row as u32;
            let (begins_s, ends_s) = &mut spans_s[step];
            *begins_s = begins_s.min(records.start_s[row]);
            *ends_s = ends_s.max(records.end_s[row]);
        }
        let table = Self {
            rows,
            recorded_s: spans_s
                .iter()
                .map(|(begin_s, end_s)| end_s - begin_s)
                .collect(),
        };
        match table.missing(layout) {
            Some(field) => Err(Error::Field {
                field,
                missing: true,
            }),
            None => Ok(table),
        }
    }

    /// An operation that no row is of, in words.
    fn missing(&self, layout: &Layout) -> Option<String> {
        self.rows.iter().enumerate().find_map(|(at, rows)| {
            let (block, at) = (
                at / (layout.n_slots() * layout.n_replicas),
                at % (layout.n_slots() * layout.n_replicas),
            );
            let rows = &rows[..steps_of(layout, block)];
            let lane = rows.iter().position(|&row| row == NO_ROW)?;
            let step = block * STEPS_PER_BLOCK + lane;
            Some(layout.words(at / layout.n_replicas, at % layout.n_replicas, step))
        })
    }

    /// The first replica in the first step.
    fn recorded<'a>(&self, layout: &'a Layout, records: &Records<'_>) -> Recorded<'a> {
        let rows: Vec<usize> = (0..layout.n_slots())
            .map(|slot| self.rows[index(layout, slot, 0, 0)][0] as usize)
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
fn index(layout: &Layout, slot: usize, replica: usize, block: usize) -> usize {
    (block * layout.n_slots() + slot) * layout.n_replicas + replica
}

/// How many steps a block has; the last one may have fewer than there is room for.
fn steps_of(layout: &Layout, block: usize) -> usize {
    (layout.steps.len() - block * STEPS_PER_BLOCK).min(STEPS_PER_BLOCK)
}

/// How long each operation works: what one takes that waits for nobody, and of a group the time from
/// the begin of its last one.
fn work_s(
    layout: &Layout,
    order: &Order,
    table: &Table,
    records: &Records<'_>,
) -> Result<Vec<[f32; STEPS_PER_BLOCK]>> {
    let mut work_s = filled([0.0; STEPS_PER_BLOCK], table.rows.len())?;
    let mut met_s = vec![[0.0; STEPS_PER_BLOCK]; layout.n_replicas];
    for block in 0..layout.steps.len().div_ceil(STEPS_PER_BLOCK) {
        let n_steps = steps_of(layout, block);
        for group in &order.groups {
            let waits = layout.whose(group.slots[0] as usize).1.waits_for_others();
            if waits {
                met_s.fill([f64::NEG_INFINITY; STEPS_PER_BLOCK]);
                for &slot in &group.slots {
                    let first = index(layout, slot as usize, 0, block);
                    for (met_s, rows) in met_s.iter_mut().zip(&table.rows[first..]) {
                        for (met_s, &row) in met_s.iter_mut().zip(&rows[..n_steps]) {
                            *met_s = met_s.max(records.start_s[row as usize]);
                        }
                    }
                }
                if group.joins_replicas {
                    let last_s = met_s.iter().copied().reduce(later).unwrap_or_default();
                    met_s.fill(last_s);
                }
            }
            for &slot in &group.slots {
                let first = index(layout, slot as usize, 0, block);
                for (replica, met_s) in met_s.iter().enumerate() {
                    let rows = &table.rows[first + replica];
                    for (step, &row) in rows[..n_steps].iter().enumerate() {
                        let row = row as usize;
                        work_s[first + replica][step] = if waits {
                            transfer_s(records.end_s[row] - met_s[step])
                        } else {
                            records.duration_s[row]
                        };
                    }
                }
            }
        }
    }
    Ok(work_s)
}

/// Seconds of a transfer from the begin of its last member to its end.
fn transfer_s(seconds: f64) -> f32 {
    if seconds > EARLIEST_END_S {
        seconds as f32
    } else {
        0.0
    }
}
