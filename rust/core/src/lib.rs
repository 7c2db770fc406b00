//! The slowest rank sets the pace of synchronous training.
//!
//! This crate knows random numbers, laws, barriers and nothing of GPUs: what a
//! caller hands over is a [`plan::Plan`] of plain numbers, what it gets back
//! are rows. It has no I/O, no clock and no Python.
//!
//! Modules build on each other in this order: `error`, `random`,
//! `instructions`, `schedule` < `law` < `table` < `plan` < `kernel` < `sample`; `control`
//! stands beside them.

pub mod control;
pub mod error;
pub mod instructions;
pub mod kernel;
pub mod law;
pub mod plan;
pub mod random;
pub mod sample;
pub mod schedule;
pub mod table;

pub use error::{Error, Result};
