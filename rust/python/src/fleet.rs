//! The whole run of a job on a cluster whose units fail.

use hindmost_core::fleet::{
    Ages, Exhausted, Fates, Fleet, FleetPool, Kind, Recovery, Regrow, Replicas, StretchEnd,
    UnitFailures, Until, fates, kept_seconds,
};
use hindmost_core::renewal::Checkpoints;
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::OrRaise;
use crate::laws::LawArgument;
use crate::renewal::CheckpointsArgument;
use crate::watch::watch;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// A pool, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct PoolArgument<'py> {
    name: String,
    n_gpus: u32,
    node_gpus: u32,
    domain_gpus: u32,
    domain_gpus_used: u32,
    tensor: u32,
    block_gpus: u32,
    spare_blocks: u32,
    parts: PyReadonlyArray1<'py, u32>,
    work_per_s: f64,
}

/// Failures of one kind in one pool or of the job, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct KindArgument {
    name: String,
    pool: Option<usize>,
    unit_gpus: u32,
    n_units: u32,
    per_hour: f64,
    shape: f64,
    is_new: bool,
    rate_spread: f64,
    repair_hours: Option<LawArgument>,
    keeps_local: bool,
    #[pyo3(default)]
    hang_s: f64,
    #[pyo3(default)]
    saves_first: bool,
}

/// What happens after a failure, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct RecoveryArgument {
    detection_s: f64,
    restart_s: f64,
    global_restart_s: f64,
    can_fail: bool,
    swap_s: f64,
    shrinks: bool,
    regrows_at_checkpoint: bool,
    replica_stall_s: Option<f64>,
    rejoin_s: f64,
}

/// A job on a cluster whose units fail, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct FleetArgument<'py> {
    pools: Vec<PoolArgument<'py>>,
    n_parts: u32,
    failures: Vec<KindArgument>,
    recovery: RecoveryArgument,
    checkpoint: Option<CheckpointsArgument>,
}

impl FleetArgument<'_> {
    fn to_fleet(&self) -> PyResult<Fleet> {
        let pools = self.pools.iter().map(|pool| {
            Ok(FleetPool {
                n_gpus: pool.n_gpus,
                node_gpus: pool.node_gpus,
                domain_gpus: pool.domain_gpus,
                domain_gpus_used: pool.domain_gpus_used,
                tensor: pool.tensor,
                block_gpus: pool.block_gpus,
                spare_blocks: pool.spare_blocks,
                parts: pool.parts.as_slice()?.to_vec(),
                work_per_s: pool.work_per_s,
            })
        });
        let failures = self.failures.iter().map(|kind| {
            let named = |pool: usize| Some((pool, self.pools.get(pool)?.name.as_str()));
            UnitFailures::new(&Kind {
                name: &kind.name,
                pool: kind.pool.and_then(named),
                unit_gpus: kind.unit_gpus,
                n_units: kind.n_units,
                per_s: kind.per_hour / SECONDS_PER_HOUR,
                shape: kind.shape,
                ages: if kind.is_new {
                    Ages::New
                } else {
                    Ages::Equilibrium
                },
                rate_spread: kind.rate_spread,
                repair: kind
                    .repair_hours
                    .as_ref()
                    .map(|law| (law.drawn(), SECONDS_PER_HOUR)),
                keeps_local: kind.keeps_local,
                hang_s: kind.hang_s,
                saves_first: kind.saves_first,
            })
        });
        let recovery = &self.recovery;
        Fleet::new(
            &pools.collect::<PyResult<Vec<_>>>()?,
            self.n_parts,
            failures
                .collect::<hindmost_core::Result<Vec<_>>>()
                .or_raise()?,
            Recovery {
                detection_s: recovery.detection_s,
                restart_s: recovery.restart_s,
                global_restart_s: recovery.global_restart_s,
                can_fail: recovery.can_fail,
                swap_s: recovery.swap_s,
                exhausted: if recovery.shrinks {
                    Exhausted::Shrink
                } else {
                    Exhausted::Wait
                },
                regrow: if recovery.regrows_at_checkpoint {
                    Regrow::Checkpoint
                } else {
                    Regrow::Restart
                },
                replicas: recovery.replica_stall_s.map(|stall_s| Replicas {
                    stall_s,
                    rejoin_s: recovery.rejoin_s,
                }),
            },
            self.checkpoint
                .as_ref()
                .map(CheckpointsArgument::to_checkpoints),
        )
        .or_raise()
    }
}

/// Simulates runs of a job on a cluster whose units fail.
///
/// Each ends after so many seconds, once its work is done, or once it has gone on after so many
/// interruptions. `keeps_log` keeps each failure and each stretch between interruptions.
#[pyfunction]
#[pyo3(signature = (
    fleet, *, seed, runs, seconds, threads, work=None, interruptions=None, keeps_log=false,
    progress=None
))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn fleet_runs<'py>(
    py: Python<'py>,
    fleet: FleetArgument<'py>,
    seed: u64,
    runs: (u32, u32),
    seconds: f64,
    threads: usize,
    work: Option<Vec<f64>>,
    interruptions: Option<u64>,
    keeps_log: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let fleet = fleet.to_fleet()?;
    let until = Until {
        seconds,
        work: work.unwrap_or_default(),
        interruptions: interruptions.unwrap_or(u64::MAX),
    };
    let found = watch(py, threads, progress, |control| {
        fates(&fleet, seed, runs.0..runs.1, &until, keeps_log, control)
    })?;
    to_columns(py, &found, runs.0, keeps_log)
}

/// What ends a stretch, as [`kept_of_stretches`] takes it.
fn end_code(end: StretchEnd) -> u8 {
    match end {
        StretchEnd::Near => 0,
        StretchEnd::Far => 1,
        StretchEnd::Saved => 2,
    }
}

/// Where the time of runs went: arrays of all runs, one run after another.
fn to_columns<'py>(
    py: Python<'py>,
    found: &[Fates],
    first_run: u32,
    keeps_log: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let columns = PyDict::new(py);
    let hours = || found.iter().map(|one| &one.hours);
    let numbers = |column: Vec<f64>| column.into_pyarray(py);
    let counts = |column: Vec<u64>| column.into_pyarray(py);
    let seconds = hours().flat_map(|one| one.seconds.iter().flatten().copied());
    columns.set_item("seconds", numbers(seconds.collect()))?;
    let by_kind = hours().flat_map(|one| one.interruptions.iter().copied());
    columns.set_item("interruptions", counts(by_kind.collect()))?;
    let by_kind = hours().flat_map(|one| one.failures.iter().copied());
    columns.set_item("failures", counts(by_kind.collect()))?;
    columns.set_item("regrows", counts(hours().map(|one| one.regrows).collect()))?;
    columns.set_item("end_s", numbers(hours().map(|one| one.end_s).collect()))?;
    let is_done: Vec<bool> = hours().map(|one| one.is_done).collect();
    columns.set_item("is_done", is_done.into_pyarray(py))?;
    let down: Vec<_> = hours().map(|one| one.down_seconds.clone()).collect();
    columns.set_item("down_seconds", down)?;
    if keeps_log {
        let events = || {
            let numbered = (first_run..).zip(found);
            numbered.flat_map(|(run, one)| one.events.iter().map(move |event| (run, event)))
        };
        let units = |column: Vec<u32>| column.into_pyarray(py);
        columns.set_item("event_run", units(events().map(|(run, _)| run).collect()))?;
        columns.set_item(
            "event_s",
            numbers(events().map(|(_, one)| one.at_s).collect()),
        )?;
        columns.set_item(
            "event_kind",
            units(events().map(|(_, one)| one.kind).collect()),
        )?;
        columns.set_item(
            "event_unit",
            units(events().map(|(_, one)| one.unit).collect()),
        )?;
        columns.set_item(
            "event_repair_s",
            numbers(events().map(|(_, one)| one.repair_s).collect()),
        )?;
        let interrupts: Vec<bool> = events().map(|(_, one)| one.interrupts).collect();
        columns.set_item("event_interrupts", interrupts.into_pyarray(py))?;
        let stretches = || found.iter().flat_map(|one| one.stretches.iter());
        columns.set_item("stretch_s", numbers(stretches().map(|one| one.0).collect()))?;
        let ends: Vec<u8> = stretches().map(|one| end_code(one.1)).collect();
        columns.set_item("stretch_end", ends.into_pyarray(py))?;
    }
    Ok(columns)
}

/// Seconds of computing that are kept of stretches of running, with some checkpoints.
#[pyfunction]
pub fn kept_of_stretches(
    checkpoint: CheckpointsArgument,
    stretch_s: PyReadonlyArray1<'_, f64>,
    stretch_end: PyReadonlyArray1<'_, u8>,
) -> PyResult<f64> {
    let checkpoints: Checkpoints = checkpoint.to_checkpoints();
    let ends = stretch_end.as_slice()?.iter().map(|&code| match code {
        0 => StretchEnd::Near,
        1 => StretchEnd::Far,
        _ => StretchEnd::Saved,
    });
    let stretches: Vec<_> = stretch_s.as_slice()?.iter().copied().zip(ends).collect();
    Ok(kept_seconds(&checkpoints, &stretches))
}
