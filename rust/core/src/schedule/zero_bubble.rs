//! ZB-H1 (Qi et al., Zero Bubble Pipeline Parallelism, ICLR 2024): 1F1B whose
//! gradients of weights are passes of their own, which fill the bubbles.
//!
//! The later a stage, the longer it holds its weight gradients back: stage i
//! does the first one after i + 1 backward passes, and those that are left when
//! its backward passes are done. So gradients of inputs reach the first stage
//! early, and no stage keeps more activations than the first one does under 1F1B.

use super::one_f_one_b;
use super::op::{Direction, Op};
use super::shape::Shape;

/// The passes of one stage, in order.
pub(super) fn order(shape: Shape, stage: u32) -> Vec<Op> {
    let weight = |microbatch| Op {
        direction: Direction::Weight,
        microbatch,
        chunk: 0,
    };
    let mut order = Vec::new();
    for op in one_f_one_b::order(shape, stage) {
        order.push(op);
        if op.direction == Direction::Backward && op.microbatch >= stage {
            order.push(weight(op.microbatch - stage));
        }
    }
    let done = shape.microbatches.saturating_sub(stage);
    order.extend((done..shape.microbatches).map(weight));
    order
}
