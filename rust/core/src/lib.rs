//! The slowest rank sets the pace of synchronous training.
//!
//! This crate knows random numbers, laws, barriers and nothing of GPUs: what a
//! caller hands over is a [`plan::Plan`] of plain numbers, what it gets back
//! are rows. It has no I/O, no clock and no Python.
//!
//! Modules build on each other in this order: `error`, `random`,
//! `instructions`, `schedule` < `law` < `table`, `curve` < `plan` < `kernel` <
//! `sample` < `order_statistics`; `control` stands beside them.

pub mod control;
pub mod curve;
pub mod error;
pub mod instructions;
pub mod kernel;
pub mod law;
pub mod order_statistics;
pub mod plan;
pub mod random;
pub mod sample;
pub mod schedule;
pub mod table;

pub use error::{Error, Result};
