//! Types of operations.

use crate::error::{Error, Result};

/// Type of an operation, named as in the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Backward pass of a microbatch through a chunk.
    BackwardCompute,
    /// Gradients of activations, received from the next stage.
    BackwardRecv,
    /// Gradients of activations, sent to the stage before.
    BackwardSend,
    /// All-reduce of the embedding's gradients between the first and the last stage.
    EmbeddingGradsAllReduce,
    /// Forward pass of a microbatch through a chunk.
    ForwardCompute,
    /// Activations, received from the stage before.
    ForwardRecv,
    /// Activations, sent to the next stage.
    ForwardSend,
    /// Garbage collection of Python.
    Gc,
    /// Reduce-scatter of gradients between replicas.
    GradsReduceScatter,
    /// All-reduce of the gradients of layer norms between tensor ranks.
    LayernormGradsAllReduce,
    /// Update of the parameters.
    Optimizer,
    /// Norm of all gradients, for which all workers wait, and their clipping.
    OptimizerClipMainGrad,
    /// All-gather of parameters between replicas.
    ParamsAllGather,
    /// All-reduce of gradients that no overlapped reduce-scatter has taken.
    SeparateGradsAllReduce,
}

use Kind::*;

impl Kind {
    /// All types.
    pub const ALL: [Self; 14] = [
        BackwardCompute,
        BackwardRecv,
        BackwardSend,
        EmbeddingGradsAllReduce,
        ForwardCompute,
        ForwardRecv,
        ForwardSend,
        Gc,
        GradsReduceScatter,
        LayernormGradsAllReduce,
        Optimizer,
        OptimizerClipMainGrad,
        ParamsAllGather,
        SeparateGradsAllReduce,
    ];

    /// Names of [`Self::ALL`].
    pub const NAMES: [&str; 14] = [
        "backward-compute",
        "backward-recv",
        "backward-send",
        "embedding-grads-all-reduce",
        "forward-compute",
        "forward-recv",
        "forward-send",
        "gc",
        "grads-reduce-scatter",
        "layernorm-grads-all-reduce",
        "optimizer",
        "optimizer-clip-main-grad",
        "params-all-gather",
        "separate-grads-all-reduce",
    ];

    /// The name in a trace.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The type with a number in [`Self::ALL`].
    ///
    /// # Errors
    /// [`Error::Domain`] where there is none.
    pub fn numbered(number: u8) -> Result<Self> {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| Error::domain("kind", f64::from(number), "a number of a type"))
    }

    /// Whether the ideal time is the mean of all rather than the median: work that a GPU does by
    /// itself varies around its mean, and a transfer has a time and a tail.
    pub fn is_computing(self) -> bool {
        matches!(self, BackwardCompute | ForwardCompute | Gc | Optimizer)
    }

    /// Whether it ends for all replicas together.
    pub fn joins_replicas(self) -> bool {
        matches!(
            self,
            GradsReduceScatter | OptimizerClipMainGrad | ParamsAllGather | SeparateGradsAllReduce
        )
    }

    /// Whether its time includes waiting for others, which is no part of its transfer.
    ///
    /// The all-reduce of layer norms is one between tensor ranks, of which one is recorded.
    pub fn waits_for_others(self) -> bool {
        !self.is_computing() && self != LayernormGradsAllReduce
    }

    /// Whether a worker does as many as its schedule has, rather than one a step at most.
    pub fn may_repeat(self) -> bool {
        matches!(
            self,
            BackwardCompute
                | BackwardRecv
                | BackwardSend
                | ForwardCompute
                | ForwardRecv
                | ForwardSend
                | GradsReduceScatter
                | ParamsAllGather
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_in_the_same_order() {
        for (number, kind) in (0..).zip(Kind::ALL) {
            assert_eq!(Kind::numbered(number), Ok(kind));
            assert_eq!(kind as u8, number);
        }
        assert!(Kind::NAMES.is_sorted());
        assert!(Kind::numbered(14).is_err());
    }
}
