//! The whole run of a job: failures, restarts, and the checkpoints that it goes back to.
//!
//! Time is continuous: an interval is not rounded to steps, and a step that a failure cuts off is
//! lost like all others since the last checkpoint.

mod checkpoints;
mod clock;
mod walk;

pub use checkpoints::{Checkpoints, GlobalLevel};
pub use clock::Failures;
pub use walk::{Account, Job, Recovery, Until, walks};
