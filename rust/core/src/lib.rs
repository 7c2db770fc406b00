//! The slowest rank sets the pace of synchronous training.
//!
//! This crate knows random numbers, laws, barriers and schedules, and nothing of GPUs:
//! what a caller hands over is a [`plan::Plan`] of plain numbers, what it gets back are
//! [`step::Columns`]. It has no I/O, no clock and no Python.
//!
//! Modules use only those that stand before them: `error`, `room`, `control`, `random`, `law`,
//! `table`, `curve`, `schedule`, `simd`, `drift`, `plan`, `draw`, `search`, `step`, `pipeline`,
//! `sample`, `order_statistics`, `renewal`, `fleet`, `queue`, `what_if`. Between files it is the
//! same; a folder's `mod.rs` is its table of contents.

pub mod control;
pub mod curve;
mod draw;
pub mod drift;
pub mod error;
pub mod fleet;
pub mod law;
pub mod order_statistics;
mod pipeline;
pub mod plan;
pub mod queue;
pub mod random;
pub mod renewal;
mod room;
pub mod sample;
pub mod schedule;
pub mod search;
pub mod simd;
pub mod step;
pub mod table;
pub mod what_if;

pub use error::{Error, Result};
