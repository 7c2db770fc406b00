//! One step in detail.

use hindmost_core::plan::Effect;
use hindmost_core::sample::{GangPasses, GpuPlace};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::convert::freeze;
use crate::errors::OrRaise;
use crate::plans::Plan;
use crate::watch::watch;

/// All replicas, or gangs, of one sampled step, and the network: a dictionary of columns.
#[pyfunction]
#[pyo3(signature = (plan, *, seed, run, step, threads, progress=None))]
pub fn one_step<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    seed: u64,
    run: u32,
    step: u32,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = &plan.get().compiled;
    let found = watch(py, threads, progress, |control| {
        hindmost_core::sample::one_step(plan, seed, run, step, control)
    })?;
    let columns = PyDict::new(py);
    let whole = |values: Vec<u32>| freeze(values.into_pyarray(py));
    let real = |values: Vec<f64>| freeze(values.into_pyarray(py));
    let (times, terms, ports) = (&found.times, &found.terms, &found.ports);
    columns.set_item("pool", whole(times.iter().map(|time| time.pool).collect()))?;
    let replicas = times.iter().map(|time| time.replica);
    columns.set_item("replica", whole(replicas.collect()))?;
    let compute = times.iter().map(|time| time.compute_s);
    columns.set_item("compute_s", real(compute.collect()))?;
    let stalls = times.iter().map(|time| time.stall_s);
    columns.set_item("stall_s", real(stalls.collect()))?;
    columns.set_item("duration_s", real(found.durations_s))?;
    columns.set_item("end_s", real(found.ends_s))?;
    columns.set_item("gpu", whole(found.gpus))?;
    columns.set_item("slowest", found.slowest)?;
    let waiting = terms.iter().map(|term| term.waiting_s);
    columns.set_item("waiting_s", real(waiting.collect()))?;
    let hidden = terms.iter().map(|term| term.hidden_s);
    columns.set_item("hidden_s", real(hidden.collect()))?;
    columns.set_item(
        "cost_s",
        real(terms.iter().map(|term| term.cost_s).collect()),
    )?;
    let slowdowns = ports.iter().map(|port| port.slowdown);
    columns.set_item("port_slowdown", real(slowdowns.collect()))?;
    let stalls = ports.iter().map(|port| port.stall_s);
    columns.set_item("port_stall_s", real(stalls.collect()))?;
    columns.set_item("hop_factor", real(found.hops))?;
    Ok(columns)
}

/// All passes of some gangs in one sampled step: a dictionary each.
#[pyfunction]
#[pyo3(signature = (plan, *, seed, run, step, gangs, threads))]
pub fn gang_passes<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    seed: u64,
    run: u32,
    step: u32,
    gangs: Vec<(u32, u32)>,
    threads: usize,
) -> PyResult<Bound<'py, PyList>> {
    let plan = &plan.get().compiled;
    let found = watch(py, threads, None, |control| {
        hindmost_core::sample::gang_passes(plan, seed, run, step, &gangs, control)
    })?;
    let dictionaries: Vec<_> = found
        .iter()
        .map(|gang| passes_dictionary(py, gang))
        .collect::<PyResult<_>>()?;
    PyList::new(py, dictionaries)
}

fn passes_dictionary<'py>(py: Python<'py>, gang: &GangPasses) -> PyResult<Bound<'py, PyDict>> {
    let passes: Vec<_> = gang
        .passes
        .iter()
        .map(|pass| {
            let op = pass.op;
            let what = (pass.stage, op.direction.name(), op.microbatch, op.chunk);
            (
                what,
                pass.ready_s,
                pass.begins_s,
                pass.ends_s,
                pass.slowdown,
            )
        })
        .collect();
    let place = |at: GpuPlace| (at.pool, at.gpu);
    let stages: Vec<_> = gang
        .stages
        .iter()
        .map(|stage| {
            let stalled = (stage.stall_s, place(stage.stalled));
            (place(stage.slowest), stalled, stage.overhead_s)
        })
        .collect();
    let dictionary = PyDict::new(py);
    dictionary.set_item("passes", passes)?;
    dictionary.set_item("stages", stages)?;
    dictionary.set_item("step_stall", (gang.step_stall_s, place(gang.step_stalled)))?;
    dictionary.set_item("microbatch_stall_s", gang.microbatch_stall_s)?;
    Ok(dictionary)
}

/// Name, value, whether it is a stall, whether it changes within the step, and whether it stops all
/// stages.
type GpuEffect = (String, f64, bool, bool, bool);

/// Causes that do anything to one GPU in a sampled step: name, slowdown or seconds, whether it is a
/// stall, whether it changes within the step, and whether it stops all stages of a replica.
#[pyfunction]
#[pyo3(signature = (plan, *, seed, run, step, pool, gpu))]
pub fn gpu_effects(
    py: Python<'_>,
    plan: &Bound<'_, Plan>,
    seed: u64,
    run: u32,
    step: u32,
    pool: u32,
    gpu: u32,
) -> PyResult<Vec<GpuEffect>> {
    let plan = &plan.get().compiled;
    let at = GpuPlace { pool, gpu };
    let found = py.detach(|| hindmost_core::sample::gpu_effects(plan, seed, run, step, at));
    let effects = found.or_raise()?.into_iter();
    Ok(effects
        .map(|one| {
            let is_stall = one.effect == Effect::Stall;
            let (within, all) = (one.is_within_step, one.stops_all_stages);
            (one.cause, one.value, is_stall, within, all)
        })
        .collect())
}
