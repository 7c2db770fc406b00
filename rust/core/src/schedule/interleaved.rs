//! One forward, one backward pass with several chunks of the model in each
//! stage (Narayanan et al., Megatron-LM, SC 2021, section 2.2).
//!
//! Microbatches go in groups of as many as there are stages: a stage takes a
//! group through its first chunk, then through its second, and so on.

use super::{Direction, Op, Shape};

pub(super) fn order(shape: Shape, stage: u32) -> Vec<Op> {
    let total = shape.microbatches * shape.chunks;
    let warm_up = ((shape.stages - 1 - stage) * 2 + (shape.chunks - 1) * shape.stages).min(total);
    let op = |direction, count: u32| {
        let group = shape.stages * shape.chunks;
        let inside = count % group;
        let chunk = inside / shape.stages;
        Op {
            direction,
            microbatch: count / group * shape.stages + inside % shape.stages,
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
