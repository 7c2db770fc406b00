//! Pipeline schedules: in which order the stages of a replica do their passes, and
//! how long that takes.
//!
//! Each schedule says, for one stage, which passes follow each other. A
//! [`Schedule`] joins the stages: it puts all passes into one list in which every
//! pass comes after what it waits for, so that the time of a step is one walk
//! through the list ([`recursion`]).

mod gpipe;
mod interleaved;
mod kind;
mod one_f_one_b;
mod op;
pub mod recursion;
mod schedule;
mod shape;
mod zero_bubble;

pub use kind::Kind;
pub use op::{Direction, Op};
pub use schedule::{Pass, Schedule};
pub use shape::{MAX_PASSES, MAX_STAGES, Shape};
