//! All passes of a replica in one list.
//!
//! Ends of passes are kept in slots, which a walk through the list reads and
//! writes. A pass reads two: the end of its stage's pass before it, and the end of
//! the pass in another stage whose data it needs. A slot is free again when its
//! last reader has read it. So some two slots a stage are enough for any number of
//! microbatches, and a walk of several replicas stays in the cache.

use super::kind::Kind;
use super::op::{Direction, Op};
use super::shape::Shape;
use crate::error::{Error, Result};

/// The slot of a stage that has done no pass yet: 0 seconds.
const STEP_START: u32 = 0;

/// The slot of passes that need no data of another stage: before all times.
pub(super) const NO_DATA: u32 = 1;

/// Slots that are never free: [`STEP_START`] and [`NO_DATA`].
const FIXED_SLOTS: usize = 2;

/// Stands for the slot of data that no pass has made so far.
const NOT_MADE: u32 = u32::MAX;

/// A pass, its stage and what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What is done.
    pub op: Op,
    /// The stage that does it.
    pub stage: u32,
    /// Index of its direction and virtual stage: `direction * V + k` for the k-th
    /// of V virtual stages.
    pub class: u32,
    /// Slot of the end of its stage's pass before it.
    pub(super) before: u32,
    /// Slot of the end of the pass in another stage whose data it needs.
    pub(super) needs: u32,
    /// Slot of its own end.
    pub(super) end: u32,
    /// Number of the link that its data come over: link s joins stage s and the next one, the last
    /// link the last stage and the first one.
    pub(super) link: u32,
}

/// A schedule of a shape: all passes of a replica, each after what it waits
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    kind: Kind,
    shape: Shape,
    passes: Vec<Pass>,
    /// Slots of the ends of the stages' last passes.
    last: Vec<u32>,
    n_slots: u32,
}

impl Schedule {
    /// The schedule of a kind and a shape.
    ///
    /// # Errors
    /// [`Error::Domain`] for a count of 0, several chunks unless interleaved,
    /// microbatches that interleaving cannot divide, or too many stages or
    /// passes.
    pub fn new(kind: Kind, shape: Shape) -> Result<Self> {
        kind.check(shape)?;
        let orders: Vec<Vec<Op>> = (0..shape.stages)
            .map(|stage| kind.order(shape, stage))
            .collect();
        let mut joined = Joined::new(kind, shape);
        let mut next = vec![0; orders.len()];
        let mut left: usize = orders.iter().map(Vec::len).sum();
        while left > 0 {
            // The next pass of each stage whose data are there: as many passes in a
            // row as possible that do not wait for each other, so that a processor
            // works on several at once.
            let ready: Vec<(u32, Op)> = (0..)
                .zip(&orders)
                .filter_map(|(stage, order)| Some((stage, *order.get(next[stage as usize])?)))
                .filter(|&(stage, op)| joined.needs(stage, op) != NOT_MADE)
                .collect();
            if ready.is_empty() {
                let requirement = "such that no stage waits for itself";
                return Err(Error::domain("order", left as f64, requirement));
            }
            for &(stage, op) in &ready {
                joined.take(stage, op);
                next[stage as usize] += 1;
            }
            left -= ready.len();
        }
        Ok(Self {
            kind,
            shape,
            passes: joined.passes,
            last: joined.last,
            n_slots: joined.readers.len() as u32,
        })
    }

    /// The kind of schedule.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Stages, chunks and microbatches.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All passes; each comes after what it waits for.
    #[must_use]
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The passes of one stage, in the order in which it does them.
    pub fn order(&self, stage: u32) -> impl Iterator<Item = Op> {
        let of_stage = move |pass: &&Pass| pass.stage == stage;
        self.passes.iter().filter(of_stage).map(|pass| pass.op)
    }

    /// Chunks of microbatches whose activations each stage keeps, at most: those
    /// that have gone forward and not yet back.
    #[must_use]
    pub fn in_flight(&self) -> Vec<u32> {
        let mut kept = vec![0; self.shape.stages as usize];
        let mut most = kept.clone();
        for pass in &self.passes {
            let (kept, most) = (
                &mut kept[pass.stage as usize],
                &mut most[pass.stage as usize],
            );
            match pass.op.direction {
                Direction::Forward => *kept += 1,
                Direction::Backward => *kept -= 1,
                Direction::Weight => {}
            }
            *most = (*most).max(*kept);
        }
        most
    }

    /// Slots that a walk needs for ends of passes.
    pub(super) fn n_slots(&self) -> usize {
        self.n_slots as usize
    }

    /// Slot of the end of each stage's last pass.
    pub(super) fn last(&self) -> &[u32] {
        &self.last
    }
}

/// Passes that have been put into the list so far.
struct Joined {
    shape: Shape,
    /// Whether passes need data of other stages.
    has_data: bool,
    passes: Vec<Pass>,
    /// By class and microbatch: the slot of the end of the pass whose data it
    /// needs.
    made: Vec<u32>,
    /// By stage: the slot of the end of its last pass so far.
    last: Vec<u32>,
    /// By slot: passes that have still to read it.
    readers: Vec<u32>,
    /// Slots that nobody has to read any more.
    free: Vec<u32>,
}

impl Joined {
    fn new(kind: Kind, shape: Shape) -> Self {
        let n = 2 * shape.virtual_stages() as usize * shape.microbatches as usize;
        let stages = shape.stages as usize;
        Self {
            shape,
            has_data: kind.has_data(),
            passes: Vec::new(),
            made: vec![NOT_MADE; n],
            last: vec![STEP_START; stages],
            readers: vec![u32::MAX; FIXED_SLOTS],
            free: Vec::new(),
        }
    }

    /// Slot of the end of the pass whose data a pass needs.
    fn needs(&self, stage: u32, op: Op) -> u32 {
        let (k, n_virtual) = (self.virtual_stage(stage, op), self.shape.virtual_stages());
        let needs_data = match op.direction {
            Direction::Forward => k > 0,
            Direction::Backward => k + 1 < n_virtual,
            Direction::Weight => false,
        };
        if self.has_data && needs_data {
            self.made[self.index(self.class(stage, op), op.microbatch)]
        } else {
            NO_DATA
        }
    }

    /// Appends a pass whose data are there.
    fn take(&mut self, stage: u32, op: Op) {
        let (k, n_virtual) = (self.virtual_stage(stage, op), self.shape.virtual_stages());
        let class = self.class(stage, op);
        let before = self.last[stage as usize];
        let needs = self.needs(stage, op);
        let link = match op.direction {
            Direction::Forward => (stage + self.shape.stages - 1) % self.shape.stages,
            Direction::Backward | Direction::Weight => stage,
        };
        self.read(before);
        self.read(needs);
        // A pass reads before it writes, so it may write to a slot that it was the
        // last one to read.
        let end = self.free.pop().unwrap_or(self.readers.len() as u32);
        if end as usize == self.readers.len() {
            self.readers.push(0);
        }
        // Its stage's next pass reads it, and maybe one in another stage. The end
        // of a stage's last pass is read after the walk, so it stays.
        self.readers[end as usize] = 1;
        self.last[stage as usize] = end;
        let to = match op.direction {
            Direction::Forward if k + 1 < n_virtual => Some(class + 1),
            Direction::Backward if k > 0 => Some(class - 1),
            _ => None,
        };
        if let Some(to) = to.filter(|_| self.has_data) {
            let index = self.index(to, op.microbatch);
            self.made[index] = end;
            self.readers[end as usize] += 1;
        }
        self.passes.push(Pass {
            op,
            stage,
            class,
            before,
            needs,
            end,
            link,
        });
    }

    /// One pass less has to read a slot.
    fn read(&mut self, slot: u32) {
        if slot as usize >= FIXED_SLOTS {
            let readers = &mut self.readers[slot as usize];
            *readers -= 1;
            if *readers == 0 {
                self.free.push(slot);
            }
        }
    }

    fn virtual_stage(&self, stage: u32, op: Op) -> u32 {
        op.chunk * self.shape.stages + stage
    }

    fn class(&self, stage: u32, op: Op) -> u32 {
        op.direction as u32 * self.shape.virtual_stages() + self.virtual_stage(stage, op)
    }

    fn index(&self, class: u32, microbatch: u32) -> usize {
        (class * self.shape.microbatches + microbatch) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slots_a_stage_are_enough_for_any_number_of_microbatches() {
        for kind in Kind::ALL {
            for (stages, chunks) in [(1, 1), (2, 1), (16, 1), (64, 1), (4, 2), (8, 4)] {
                if chunks > 1 && kind != Kind::Interleaved {
                    continue;
                }
                let n_slots = [4, 16].map(|rounds| {
                    let shape = Shape {
                        stages,
                        chunks,
                        microbatches: rounds * stages,
                    };
                    Schedule::new(kind, shape).unwrap().n_slots()
                });
                let most = 2 * stages as usize + 4;
                let what = format!("{kind:?} {stages} {chunks}");
                assert_eq!(n_slots[0], n_slots[1], "{what}");
                assert!(n_slots[0] <= most, "{what}: {n_slots:?}");
            }
        }
    }
}
