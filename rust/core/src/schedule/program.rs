//! All passes of a replica in one order.

use super::{Direction, Kind, Op, Shape};
use crate::error::{Error, Result};

/// Nothing to wait for, or nobody to hand on to.
pub(super) const NOBODY: u32 = u32::MAX;

/// One pass, with what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What is done.
    pub op: Op,
    /// The stage that does it.
    pub stage: u32,
    /// Index of its direction and virtual stage: `direction * V + k`.
    pub class: u32,
    /// The place where what it waits for lies, if another stage's.
    pub(super) wait: u32,
    /// The place where its own result is put for another stage, if any.
    pub(super) hand: u32,
}

/// A schedule of a shape: all passes of a replica, each after what it waits
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    kind: Kind,
    shape: Shape,
    passes: Vec<Pass>,
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
            let before = left;
            // One pass of each stage at a time, so that few results lie about.
            for (stage, order) in orders.iter().enumerate() {
                if let Some(&op) = order.get(next[stage])
                    && joined.take(stage as u32, op)
                {
                    next[stage] += 1;
                    left -= 1;
                }
            }
            if left == before {
                let requirement = "such that no stage waits for itself";
                return Err(Error::domain("order", left as f64, requirement));
            }
        }
        Ok(Self {
            kind,
            shape,
            passes: joined.passes,
            n_places: joined.n_places,
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

    /// Places for results that another stage waits for.
    pub(super) fn n_places(&self) -> usize {
        self.n_places as usize
    }
}

/// Passes that have been put in order so far.
struct Joined {
    shape: Shape,
    passes: Vec<Pass>,
    /// By class and microbatch: where the data for it lie, once they are there.
    arrived: Vec<u32>,
    free: Vec<u32>,
    n_places: u32,
}

impl Joined {
    fn new(shape: Shape) -> Self {
        let n = 2 * shape.virtual_stages() as usize * shape.microbatches as usize;
        Self {
            shape,
            passes: Vec::new(),
            arrived: vec![NOBODY; n],
            free: Vec::new(),
            n_places: 0,
        }
    }

    /// Appends a pass, if what it waits for is there.
    fn take(&mut self, stage: u32, op: Op) -> bool {
        let n_virtual = self.shape.virtual_stages();
        let k = op.chunk * self.shape.stages + stage;
        let class = op.direction as u32 * n_virtual + k;
        let needs_data = match op.direction {
            Direction::Forward => k > 0,
            Direction::Backward => k + 1 < n_virtual,
            Direction::Weight => false,
        };
        let mut wait = NOBODY;
        if needs_data {
            wait = self.arrived[self.index(class, op.microbatch)];
            if wait == NOBODY {
                return false;
            }
            self.free.push(wait);
        }
        let to = match op.direction {
            Direction::Forward if k + 1 < n_virtual => Some(class + 1),
            Direction::Backward if k > 0 => Some(class - 1),
            _ => None,
        };
        let mut hand = NOBODY;
        if let Some(to) = to {
            // A pass reads before it writes, so it may use its own place again.
            hand = self.free.pop().unwrap_or(self.n_places);
            self.n_places = self.n_places.max(hand + 1);
            let index = self.index(to, op.microbatch);
            self.arrived[index] = hand;
        }
        self.passes.push(Pass {
            op,
            stage,
            class,
            wait,
            hand,
        });
        true
    }

    fn index(&self, class: u32, microbatch: u32) -> usize {
        (class * self.shape.microbatches + microbatch) as usize
    }
}
