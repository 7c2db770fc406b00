//! All forward passes, then all backward passes (Huang et al., GPipe, NeurIPS
//! 2019).

use super::{Direction, Op, Shape};

pub(super) fn order(shape: Shape) -> Vec<Op> {
    let pass = |direction| {
        (0..shape.microbatches).map(move |microbatch| Op {
            direction,
            microbatch,
            chunk: 0,
        })
    };
    pass(Direction::Forward)
        .chain(pass(Direction::Backward))
        .collect()
}
