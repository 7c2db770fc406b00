//! A recorded job, whose steps are timed again with some operations ideal.

use rayon::prelude::*;

use super::dependencies::order;
use super::ideal::{Ideals, ideal_s};
use super::kind::Kind;
use super::layout::Layout;
use super::order::Order;
use super::records::Records;
use super::rows::{Rows, steps_of};
use super::walk::{STEPS_PER_BLOCK, Seconds, later, walk};
use super::work::work_s;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::room::filled;

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
        let rows = Rows::of(&layout, records)?;
        let order = order(&rows.recorded(&layout, records))?;
        let mut job = Self {
            work_s: work_s(&layout, &order, &rows, records)?,
            layout,
            order,
            ideal_s: [0.0; Kind::ALL.len()],
            recorded_s: rows.recorded_s,
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
