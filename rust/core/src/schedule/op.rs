//! What a stage does in one pass.

/// Which way data flow through the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Activations, from the first layer to the last.
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

/// A pass of one microbatch through one chunk of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Which way.
    pub direction: Direction,
    /// Which microbatch.
    pub microbatch: u32,
    /// Which of the stage's chunks of the model.
    pub chunk: u32,
}
