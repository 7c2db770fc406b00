//! The kinds of schedule, and the shapes that each of them can have.

use super::op::Op;
use super::shape::{MAX_PASSES, MAX_STAGES, Shape};
use super::{gpipe, interleaved, one_f_one_b, zero_bubble};
use crate::error::{Error, Result};

/// The kinds of schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// All forward passes, then all backward passes.
    Gpipe,
    /// 1F1B: one forward, one backward pass.
    OneFOneB,
    /// 1F1B with several chunks of the model in each stage.
    Interleaved,
    /// 1F1B whose gradients of weights are passes that fill the bubbles.
    ZeroBubble,
    /// No stage needs data of another one, which no real schedule can do: what is left without
    /// bubbles.
    BubbleFree,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Gpipe,
        Self::OneFOneB,
        Self::Interleaved,
        Self::ZeroBubble,
        Self::BubbleFree,
    ];
    /// Their names.
    pub const NAMES: [&str; 5] = ["gpipe", "1f1b", "interleaved", "zero-bubble", "bubble-free"];

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

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether gradients of weights are passes of their own.
    #[must_use]
    pub fn has_weight_passes(self) -> bool {
        self == Self::ZeroBubble
    }

    /// Whether passes wait for data of other stages.
    pub(super) fn has_data(self) -> bool {
        self != Self::BubbleFree
    }

    /// The passes of one stage, in order.
    pub(super) fn order(self, shape: Shape, stage: u32) -> Vec<Op> {
        match self {
            Self::Gpipe | Self::BubbleFree => gpipe::order(shape),
            Self::OneFOneB => one_f_one_b::order(shape, stage),
            Self::Interleaved => interleaved::order(shape, stage),
            Self::ZeroBubble => zero_bubble::order(shape, stage),
        }
    }

    /// Refuses a shape that has no schedule of this kind.
    ///
    /// # Errors
    /// [`Error::Domain`] for a count of 0, several chunks unless interleaved,
    /// microbatches that interleaving cannot divide, or too many stages or
    /// passes.
    pub(super) fn check(self, shape: Shape) -> Result<()> {
        for (field, count) in [
            ("stages", shape.stages),
            ("chunks", shape.chunks),
            ("microbatches", shape.microbatches),
        ] {
            if count == 0 {
                return Err(Error::domain(field, 0.0, ">= 1"));
            }
        }
        if shape.stages > MAX_STAGES {
            let requirement = format!("<= {MAX_STAGES}");
            return Err(Error::domain(
                "stages",
                f64::from(shape.stages),
                requirement,
            ));
        }
        if shape.chunks > 1 && !matches!(self, Self::Interleaved | Self::BubbleFree) {
            let requirement = "1 unless the schedule is interleaved";
            return Err(Error::domain(
                "chunks",
                f64::from(shape.chunks),
                requirement,
            ));
        }
        if self == Self::Interleaved && !shape.microbatches.is_multiple_of(shape.stages) {
            let requirement = format!("a multiple of the {} stages", shape.stages);
            let value = f64::from(shape.microbatches);
            return Err(Error::domain("microbatches", value, requirement));
        }
        // As if every kind had weight-gradient passes.
        let passes = u64::from(shape.stages)
            .saturating_mul(u64::from(shape.chunks))
            .saturating_mul(u64::from(shape.microbatches))
            .saturating_mul(3);
        if passes > MAX_PASSES {
            let requirement = format!("small enough for {MAX_PASSES} passes");
            let value = f64::from(shape.microbatches);
            return Err(Error::domain("microbatches", value, requirement));
        }
        Ok(())
    }
}
