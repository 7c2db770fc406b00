//! Interleaved 1F1B: several chunks of the model in each stage (Narayanan et al.,
//! Megatron-LM, SC 2021, section 2.2).
//!
//! Microbatches go in rounds of as many as there are stages: a stage takes a round
//! through its first chunk, then through its second, and so on.

use super::op::{Direction, Op};
use super::shape::Shape;

/// The passes of one stage, in order.
pub(super) fn order(shape: Shape, stage: u32) -> Vec<Op> {
    let total = shape.microbatches * shape.chunks;
    let warm_up = ((shape.stages - 1 - stage) * 2 + (shape.chunks - 1) * shape.stages).min(total);
    let op = |direction, count: u32| {
        let round = shape.stages * shape.chunks;
        let within = count % round;
        let chunk = within / shape.stages;
        Op {
            direction,
            microbatch: count / round * shape.stages + within % shape.stages,
            chunk: match direction {
                Direction::Forward => chunk,
                _ => shape.chunks - 1 - chunk,
            },
        }
    };
    let mut order: Vec<Op> = (0..warm_up)
        .map(|count| op(Direction::Forward, count))
        .collect();
    for count in 0..total {
        if warm_up + count < total {
            order.push(op(Direction::Forward, warm_up + count));
        }
        order.push(op(Direction::Backward, count));
    }
    order
}
