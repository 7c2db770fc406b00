//! Pipeline schedules: in which order the stages of a replica work, and how
//! long that takes.
//!
//! Each schedule says, for one stage, which passes follow each other. A
//! [`Schedule`] joins the stages: it puts all passes into one order in which
//! every pass comes after what it waits for, so that a step's time is one walk
//! through a list, `end = max(stage is free, data are there) + seconds`
//! ([`recursion`]).

mod gpipe;
mod interleaved;
mod one_f_one_b;
mod program;
pub mod recursion;
mod zero_bubble;

pub use program::{Pass, Schedule};

use crate::error::{Error, Result};

/// Passes of a schedule, at most.
pub const MAX_PASSES: u64 = 1 << 21;

/// Stages of a pipeline, at most.
pub const MAX_STAGES: u32 = 4096;

/// Which way data flow through the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first layer to the last.
    Forward,
    /// Gradients of the inputs, from the last layer to the first; where there
    /// is no pass [`Direction::Weight`], those of the weights as well.
    Backward,
    /// Gradients of the weights, which no other stage waits for.
    Weight,
}

impl Direction {
    /// Name of the direction.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Weight => "weight",
        }
    }
}

/// One pass of one microbatch through one chunk of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Which way.
    pub direction: Direction,
    /// Which microbatch.
    pub microbatch: u32,
    /// Which of the stage's chunks of the model.
    pub chunk: u32,
}

/// The kinds of schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All forward passes, then all backward passes.
    Gpipe,
    /// One forward, one backward pass.
    OneFOneB,
    /// The same with several chunks of the model in each stage.
    Interleaved,
    /// 1F1B whose gradients of weights fill the bubbles.
    ZeroBubble,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Gpipe,
        Self::OneFOneB,
        Self::Interleaved,
        Self::ZeroBubble,
    ];
    /// Their names.
    pub const NAMES: [&str; 4] = ["gpipe", "1f1b", "interleaved", "zero-bubble"];

    /// The kind of a name.
    ///
    /// # Errors
    /// [`Error::Name`] for an unknown one.
    pub fn named(name: &str) -> Result<Self> {
        match Self::NAMES.iter().position(|&known| known == name) {
            Some(index) => Ok(Self::ALL[index]),
            None => Err(Error::Name {
                field: "schedule".to_owned(),
                value: name.to_owned(),
                known: &Self::NAMES,
            }),
        }
    }

    /// Whether gradients of weights are passes of their own.
    #[must_use]
    pub fn has_weight_passes(self) -> bool {
        self == Self::ZeroBubble
    }

    /// The passes of one stage, in order.
    fn order(self, shape: Shape, stage: u32) -> Vec<Op> {
        match self {
            Self::Gpipe => gpipe::order(shape),
            Self::OneFOneB => one_f_one_b::order(shape, stage),
            Self::Interleaved => interleaved::order(shape, stage),
            Self::ZeroBubble => zero_bubble::order(shape, stage),
        }
    }
}

/// How many stages, chunks and microbatches there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Stages of the pipeline.
    pub stages: u32,
    /// Chunks of the model in each stage.
    pub chunks: u32,
    /// Microbatches of a step.
    pub microbatches: u32,
}

impl Shape {
    /// Stages that data flow through: chunk c of stage s is the virtual stage
    /// `c * stages + s`.
    #[must_use]
    pub fn virtual_stages(self) -> u32 {
        self.stages * self.chunks
    }

    fn check(self, kind: Kind) -> Result<()> {
        for (field, count) in [
            ("stages", self.stages),
            ("chunks", self.chunks),
            ("microbatches", self.microbatches),
        ] {
            if count == 0 {
                return Err(Error::domain(field, 0.0, ">= 1"));
            }
        }
        if self.stages > MAX_STAGES {
            let requirement = format!("<= {MAX_STAGES}");
            return Err(Error::domain("stages", f64::from(self.stages), requirement));
        }
        if self.chunks > 1 && kind != Kind::Interleaved {
            let requirement = "1 unless the schedule is interleaved";
            return Err(Error::domain("chunks", f64::from(self.chunks), requirement));
        }
        if kind == Kind::Interleaved && !self.microbatches.is_multiple_of(self.stages) {
            let requirement = format!("a multiple of the {} stages", self.stages);
            let value = f64::from(self.microbatches);
            return Err(Error::domain("microbatches", value, requirement));
        }
        let passes = u64::from(self.stages)
            .saturating_mul(u64::from(self.chunks))
            .saturating_mul(u64::from(self.microbatches))
            .saturating_mul(3);
        if passes > MAX_PASSES {
            let requirement = format!("small enough for {MAX_PASSES} passes");
            let value = f64::from(self.microbatches);
            return Err(Error::domain("microbatches", value, requirement));
        }
        Ok(())
    }
}
