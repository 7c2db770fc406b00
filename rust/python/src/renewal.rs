//! The whole run of a job: failures, restarts and checkpoints.

use hindmost_core::renewal::{
    Account, Checkpoints, Failures, GlobalLevel, Job, Recovery, Until, walks,
};
use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::laws::LawArgument;
use crate::watch::watch;

/// Failures of one kind, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct FailuresArgument {
    name: String,
    law: LawArgument,
    is_renewed: bool,
    keeps_local: bool,
}

/// When checkpoints are written, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct CheckpointsArgument {
    interval_s: f64,
    blocking_s: f64,
    durable_s: f64,
    global_every: Option<u32>,
    global_blocking_s: f64,
    global_durable_s: f64,
}

impl CheckpointsArgument {
    /// The checkpoints, for the core.
    pub fn to_checkpoints(&self) -> Checkpoints {
        Checkpoints {
            interval_s: self.interval_s,
            blocking_s: self.blocking_s,
            durable_s: self.durable_s,
            global: self.global_every.map(|every| GlobalLevel {
                every,
                blocking_s: self.global_blocking_s,
                durable_s: self.global_durable_s,
            }),
        }
    }
}

/// A job with its failures, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct JobArgument {
    failures: Vec<FailuresArgument>,
    detection_s: f64,
    restart_s: f64,
    global_restart_s: f64,
    can_fail: bool,
    checkpoint: CheckpointsArgument,
}

impl JobArgument {
    fn to_job(&self) -> PyResult<Job> {
        let failures = self.failures.iter().map(|one| {
            Failures::new(
                &one.name,
                one.law.drawn().law(),
                one.is_renewed,
                one.keeps_local,
            )
        });
        Ok(Job {
            failures: failures.collect::<hindmost_core::Result<_>>().or_raise()?,
            recovery: Recovery {
                detection_s: self.detection_s,
                restart_s: self.restart_s,
                global_restart_s: self.global_restart_s,
                can_fail: self.can_fail,
            },
            checkpoints: self.checkpoint.to_checkpoints(),
        })
    }
}

/// Where the time of one run went: seconds kept, redone, of checkpoints, of detection and of
/// restarts, interruptions, and all failures.
type Row = (f64, f64, f64, f64, f64, u64, u64);

/// Walks through runs of a job until so many interruptions, seconds or checkpoints.
#[pyfunction]
#[pyo3(signature = (
    job, *, seed, runs, threads, interruptions=None, seconds=None, checkpoints=None
))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn renewal(
    py: Python<'_>,
    job: JobArgument,
    seed: u64,
    runs: u32,
    threads: usize,
    interruptions: Option<u64>,
    seconds: Option<f64>,
    checkpoints: Option<u64>,
) -> PyResult<Vec<Row>> {
    let job = job.to_job()?;
    let until = match (interruptions, seconds, checkpoints) {
        (Some(n), _, _) => Until::Interruptions(n),
        (None, Some(seconds), _) => Until::Seconds(seconds),
        (None, None, n) => Until::Checkpoints(n.unwrap_or(0)),
    };
    let accounts = watch(py, threads, None, |control| {
        walks(&job, seed, runs, until, control)
    })?;
    let row = |one: Account| {
        (
            one.kept_s,
            one.redone_s,
            one.checkpoint_s,
            one.detection_s,
            one.restart_s,
            one.interruptions,
            one.failures,
        )
    };
    Ok(accounts.into_iter().map(row).collect())
}
