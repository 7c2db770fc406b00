//! All passes of a replica in one order.

use super::{Direction, Kind, Op, Shape};
use crate::error::{Error, Result};

/// The place of a stage that has not begun: 0 seconds.
pub(super) const START: u32 = 0;

/// The place of what nobody waits for: before all times.
pub(super) const NOTHING: u32 = 1;

/// Of passes whose data have not been made.
const NOWHERE: u32 = u32::MAX;

/// One pass, with what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What is done.
    pub op: Op,
    /// The stage that does it.
    pub stage: u32,
    /// Index of its direction and virtual stage: `direction * V + k`.
    pub class: u32,
    /// The place of the end of the stage's pass before it.
    pub(super) before: u32,
    /// The place of the end of the other stage's pass that it waits for.
    pub(super) wait: u32,
    /// The place of its own end.
    pub(super) end: u32,
}

/// A schedule of a shape: all passes of a replica, each after what it waits
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    kind: Kind,
    shape: Shape,
    passes: Vec<Pass>,
    /// Places of the ends of the stages' last passes.
    last: Vec<u32>,
    n_places: u32,
}

impl Schedule {
    /// # Errors
    /// [`Error::Domain`] for a count of 0, several chunks unless interleaved,
    /// microbatches that interleaving cannot divide, or too many passes.
    pub fn new(kind: Kind, shape: Shape) -> Result<Self> {
        shape.check(kind)?;
        let orders: Vec<Vec<Op>> = (0..shape.stages)
            .map(|stage| kind.order(shape, stage))
            .collect();
        let mut joined = Joined::new(shape);
        let mut next = vec![0; orders.len()];
        let mut left: usize = orders.iter().map(Vec::len).sum();
        while left > 0 {
            // The next pass of each stage that can begin, so that what follows each
            // other in the list does not wait for each other: a processor walks
            // through several at once.
            let ready: Vec<(u32, Op)> = (0..)
                .zip(&orders)
                .filter_map(|(stage, order)| Some((stage, *order.get(next[stage as usize])?)))
                .filter(|&(stage, op)| joined.arrived(stage, op) != NOWHERE)
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
            n_places: joined.readers.len() as u32,
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

    /// Places for ends of passes.
    pub(super) fn n_places(&self) -> usize {
        self.n_places as usize
    }

    /// Where the end of each stage's last pass lies.
    pub(super) fn last(&self) -> &[u32] {
        &self.last
    }
}

/// Passes that have been put in order so far.
struct Joined {
    shape: Shape,
    passes: Vec<Pass>,
    /// By class and microbatch: where the end of what it waits for lies.
    arrived: Vec<u32>,
    /// By stage: where the end of its pass before lies.
    last: Vec<u32>,
    /// By place: passes that have still to read what lies there.
    readers: Vec<u32>,
    free: Vec<u32>,
}

impl Joined {
    fn new(shape: Shape) -> Self {
        let n = 2 * shape.virtual_stages() as usize * shape.microbatches as usize;
        let stages = shape.stages as usize;
        Self {
            shape,
            passes: Vec::new(),
            arrived: vec![NOWHERE; n],
            last: vec![START; stages],
            // The first two places are never free.
            readers: vec![u32::MAX; 2],
            free: Vec::new(),
        }
    }

    /// Where the end of what a pass waits for lies.
    fn arrived(&self, stage: u32, op: Op) -> u32 {
        let (k, n_virtual) = (self.virtual_stage(stage, op), self.shape.virtual_stages());
        let waits = match op.direction {
            Direction::Forward => k > 0,
            Direction::Backward => k + 1 < n_virtual,
            Direction::Weight => false,
        };
        if waits {
            self.arrived[self.index(self.class(stage, op), op.microbatch)]
        } else {
            NOTHING
        }
    }

    /// Appends a pass for which all has arrived.
    fn take(&mut self, stage: u32, op: Op) {
        let (k, n_virtual) = (self.virtual_stage(stage, op), self.shape.virtual_stages());
        let class = self.class(stage, op);
        let before = self.last[stage as usize];
        let wait = self.arrived(stage, op);
        self.read(before);
        self.read(wait);
        // A pass reads before it writes, so it may use a place again.
        let end = self.free.pop().unwrap_or(self.readers.len() as u32);
        if end as usize == self.readers.len() {
            self.readers.push(0);
        }
        self.readers[end as usize] = 1;
        self.last[stage as usize] = end;
        let to = match op.direction {
            Direction::Forward if k + 1 < n_virtual => Some(class + 1),
            Direction::Backward if k > 0 => Some(class - 1),
            _ => None,
        };
        if let Some(to) = to {
            let index = self.index(to, op.microbatch);
            self.arrived[index] = end;
            self.readers[end as usize] += 1;
        }
        self.passes.push(Pass {
            op,
            stage,
            class,
            before,
            wait,
            end,
        });
    }

    /// One pass less has to read a place.
    fn read(&mut self, place: u32) {
        if place != START && place != NOTHING {
            let readers = &mut self.readers[place as usize];
            *readers -= 1;
            if *readers == 0 {
                self.free.push(place);
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
