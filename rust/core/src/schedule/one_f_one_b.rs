//! 1F1B: one forward, one backward pass (`PipeDream`-flush: Narayanan et al.,
//! ICML 2021).
//!
//! A stage begins with as many forward passes as there are stages behind it. From
//! then on each backward pass frees the activations that one more forward pass
//! keeps.

use super::op::{Direction, Op};
use super::shape::Shape;

/// The passes of one stage, in order.
pub(super) fn order(shape: Shape, stage: u32) -> Vec<Op> {
    let warm_up = (shape.stages - 1 - stage).min(shape.microbatches);
    let op = |direction, microbatch| Op {
        direction,
        microbatch,
        chunk: 0,
    };
    let mut order: Vec<Op> = (0..warm_up)
        .map(|microbatch| op(Direction::Forward, microbatch))
        .collect();
    for microbatch in 0..shape.microbatches {
        let next = warm_up + microbatch;
        if next < shape.microbatches {
            order.push(op(Direction::Forward, next));
        }
        order.push(op(Direction::Backward, microbatch));
    }
    order
}
