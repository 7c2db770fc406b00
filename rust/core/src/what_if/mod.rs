//! What steps of a recorded job would have taken with some of its operations ideal.
//!
//! A [`Job`] is the operations of some steps on all recorded workers. Which of them wait for which is
//! read off one replica in the first step ([`dependencies`], [`transfers`]), and holds for all
//! replicas and steps. A [`walk`] through this order gives the time of a step, with each operation
//! either as it was or [`ideal`]. No delay before a launch is kept: an operation begins when what
//! it waits for has ended.
//!
//! The rules are those of "Understanding Stragglers in Large Model Training Using What-if Analysis"
//! (Lin et al., OSDI 2025), as ByteDance's StragglerAnalysis has them at 8efcd7f.

mod dependencies;
mod ideal;
mod job;
mod kind;
mod layout;
mod order;
mod recorded;
mod records;
mod rows;
mod transfers;
mod walk;
mod work;

pub use ideal::Ideals;
pub use job::{Job, Times};
pub use kind::Kind;
pub use records::Records;
