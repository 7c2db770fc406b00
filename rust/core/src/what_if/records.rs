//! Operations as a trace has them.

use crate::error::{Error, Result};

/// Columns of a trace, one row an operation, in any order.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// Number of the step.
    pub step: &'a [i64],
    /// Number of the replica: the rank within its data-parallel group.
    pub replica: &'a [u32],
    /// Stage of the pipeline.
    pub stage: &'a [u32],
    /// Number of the type in [`Kind::ALL`](super::Kind::ALL).
    pub kind: &'a [u8],
    /// Number among the operations of that type of the worker in the step, by begin.
    pub number: &'a [u32],
    /// Model chunk of the stage; negative where there is none.
    pub chunk: &'a [i32],
    /// Model chunk of the model, which is the virtual stage; negative where there is none.
    pub virtual_stage: &'a [i32],
    /// When it begins, in seconds on one clock for all operations of a step.
    pub start_s: &'a [f64],
    /// When it ends.
    pub end_s: &'a [f64],
    /// Seconds that it takes, waiting included.
    pub duration_s: &'a [f32],
}

impl Records<'_> {
    /// Refuses columns of different lengths and times that are no seconds.
    ///
    /// # Errors
    /// [`Error::Domain`].
    pub fn check(&self) -> Result<()> {
        let n = self.step.len();
        let others = [
            ("dp_rank", self.replica.len()),
            ("stage", self.stage.len()),
            ("optype", self.kind.len()),
            ("seq_id", self.number.len()),
            ("mc", self.chunk.len()),
            ("gmc", self.virtual_stage.len()),
            ("start_ts", self.start_s.len()),
            ("end_ts", self.end_s.len()),
            ("duration", self.duration_s.len()),
        ];
        for (field, length) in others {
            if length != n {
                let field = format!("number of rows of {field}");
                return Err(Error::domain(&field, length as f64, format!("{n}")));
            }
        }
        for (field, seconds) in [("start_ts", self.start_s), ("end_ts", self.end_s)] {
            if let Some(&wrong) = seconds.iter().find(|one| !one.is_finite()) {
                return Err(Error::domain(field, wrong, "finite"));
            }
        }
        let is_wrong = |one: &&f32| !(one.is_finite() && **one >= 0.0);
        match self.duration_s.iter().find(is_wrong) {
            Some(&wrong) => Err(Error::domain(
                "duration",
                f64::from(wrong),
                "finite and >= 0",
            )),
            None => Ok(()),
        }
    }
}
