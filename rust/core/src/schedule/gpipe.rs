//! All forward passes, then all backward passes (Huang et al., GPipe, NeurIPS
//! 2019).

use super::op::{Direction, Op};
use super::shape::Shape;

/// The passes of any stage, in order.
pub(super) fn order(shape: Shape) -> Vec<Op> {
    let pass = |direction| {
        (0..shape.chunks).flat_map(move |chunk| {
            (0..shape.microbatches).map(move |microbatch| Op {
                direction,
                microbatch,
                chunk,
            })
        })
    };
    pass(Direction::Forward)
        .chain(pass(Direction::Backward))
        .collect()
}
