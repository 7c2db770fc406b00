//! Plans and the engines that run them.

use std::sync::Arc;

use hindmost_core::plan::{Communication, ReplicaSpec};
use hindmost_core::simd::InstructionSet;
use hindmost_core::step::Columns;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadwriteArray2};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{Cause, CommunicationTerm, Pipeline, Pool};
use crate::errors::{OrRaise, not_exact};
use crate::watch::watch;

/// A step of a whole job, validated and compiled.
#[pyclass(frozen)]
pub struct Plan(Arc<hindmost_core::plan::Plan>);

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (
        *, pools, causes, terms, overlap_fraction, replica_tensor_groups=1, pipeline=None,
        instructions=None
    ))]
    fn new(
        pools: Vec<Pool>,
        causes: Vec<Cause<'_>>,
        terms: Vec<CommunicationTerm<'_>>,
        overlap_fraction: f64,
        replica_tensor_groups: u32,
        pipeline: Option<Pipeline>,
        instructions: Option<&str>,
    ) -> PyResult<Self> {
        let causes = causes.iter().map(Cause::to_spec).collect::<PyResult<_>>()?;
        let communication = Communication {
            terms: terms
                .iter()
                .map(CommunicationTerm::to_term)
                .collect::<PyResult<_>>()?,
            overlap_fraction,
        };
        let pools = pools.into_iter().map(Into::into).collect();
        let replica = match pipeline {
            Some(pipeline) => ReplicaSpec::Pipeline(pipeline.into_spec()?),
            None => ReplicaSpec::Barrier {
                tensor_groups: replica_tensor_groups,
            },
        };
        let plan = hindmost_core::plan::Plan::of_replicas(pools, causes, communication, replica)
            .or_raise()?;
        Ok(Self(Arc::new(match instructions {
            Some(name) => plan.with_instructions(InstructionSet::named(name).or_raise()?),
            None => plan,
        })))
    }

    /// Ranks, by pool.
    #[getter]
    fn n_ranks(&self) -> Vec<u32> {
        self.0.pools().iter().map(|pool| pool.n_ranks()).collect()
    }

    /// The instruction set that it is run in.
    #[getter]
    fn instructions(&self) -> &'static str {
        self.0.instructions().name()
    }

    /// Effects on ranks and ports in one step by causes that change, as a measure of work.
    #[getter]
    fn draws_per_step(&self) -> u64 {
        self.0.draws_per_step()
    }
}

/// Samples `steps` steps of each of `runs` runs: a dictionary of columns.
#[pyfunction]
#[pyo3(signature = (plan, *, seed, runs, steps, threads, progress=None))]
pub fn sample<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    seed: u64,
    runs: u32,
    steps: u32,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = &plan.get().0;
    let sampled = watch(py, threads, progress, |control| {
        hindmost_core::sample::sample(plan, seed, runs, steps, control)
    })?;
    columns(py, sampled)
}

/// The engine that draws the slowest ranks of a plan from their laws.
#[pyclass(frozen)]
pub struct OrderStatistics(hindmost_core::order_statistics::OrderStatistics);

#[pymethods]
impl OrderStatistics {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, Plan>) -> PyResult<Self> {
        let plan = plan.get().0.clone();
        let engine = py.detach(|| hindmost_core::order_statistics::OrderStatistics::new(plan));
        engine.map(Self).map_err(not_exact)
    }

    /// The engine of a plan whose replicas wait within a step, with the law of a
    /// replica's time from replicas that are sampled.
    #[staticmethod]
    #[pyo3(signature = (plan, *, seed, threads, progress=None))]
    fn simulated(
        py: Python<'_>,
        plan: &Bound<'_, Plan>,
        seed: u64,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let plan = plan.get().0.clone();
        let engine = watch(py, threads, progress, |control| {
            hindmost_core::order_statistics::OrderStatistics::simulated(plan, seed, control)
        })?;
        engine.map(Self).map_err(not_exact)
    }

    /// Steps that `simulated` samples.
    #[staticmethod]
    fn simulated_steps(plan: &Bound<'_, Plan>) -> u32 {
        hindmost_core::order_statistics::OrderStatistics::simulated_steps(&plan.get().0)
    }

    /// Draws `steps` steps of each of `runs` runs: a dictionary of columns.
    #[pyo3(signature = (*, seed, runs, steps, threads, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        seed: u64,
        runs: u32,
        steps: u32,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let drawn = watch(py, threads, progress, |control| {
            self.0.run(seed, runs, steps, control)
        })?;
        columns(py, drawn)
    }

    /// The law of a pool's slowest rank in one run among those that no rare cause hits, in
    /// units of its noiseless compute time; none where steps do not differ.
    fn law(&self, py: Python<'_>, pool: usize, seed: u64, run: u32) -> PyResult<Option<Curve>> {
        if pool >= self.0.n_pools() {
            return Err(PyIndexError::new_err("there is no such pool"));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let law = watch(py, threads, None, |control| {
            self.0.law(pool, seed, run, control)
        })?;
        Ok(law.map(Curve))
    }
}

/// Samples the `k` slowest replicas of each step: a dictionary of columns, `k`
/// rows a step.
#[pyfunction]
#[pyo3(signature = (plan, *, k, seed, runs, steps, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub fn slowest_replicas<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    k: usize,
    seed: u64,
    runs: u32,
    steps: u32,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = &plan.get().0;
    let rows = watch(py, threads, progress, |control| {
        hindmost_core::sample::slowest_replicas(plan, k, seed, runs, steps, control)
    })?;
    let columns = PyDict::new(py);
    columns.set_item("pool", freeze(rows.pool.into_pyarray(py)))?;
    columns.set_item("replica", freeze(rows.replica.into_pyarray(py)))?;
    columns.set_item("compute_s", freeze(rows.compute_s.into_pyarray(py)))?;
    Ok(columns)
}

/// Law of a maximum.
#[pyclass(frozen)]
pub struct Curve(hindmost_core::curve::Curve);

#[pymethods]
impl Curve {
    /// Probability of a number of at most `x`.
    fn cdf(&self, x: f64) -> f64 {
        self.0.cdf(x)
    }

    /// Probability of a number above `x`.
    fn sf(&self, x: f64) -> f64 {
        self.0.sf(x)
    }

    /// The number whose CDF is `p`.
    fn quantile(&self, p: f64) -> f64 {
        self.0.quantile(p)
    }

    /// The number whose survival function is `q`.
    fn upper_quantile(&self, q: f64) -> f64 {
        self.0.upper_quantile(q)
    }
}

fn columns(py: Python<'_>, sampled: Columns) -> PyResult<Bound<'_, PyDict>> {
    let columns = PyDict::new(py);
    let frozen = |column: Vec<f64>| freeze(column.into_pyarray(py));
    columns.set_item("step_time_s", frozen(sampled.step_time_s))?;
    columns.set_item("compute_s", frozen(sampled.compute_s))?;
    columns.set_item("exposed_comm_s", frozen(sampled.exposed_comm_s))?;
    columns.set_item("stall_s", frozen(sampled.stall_s))?;
    columns.set_item("slowest", freeze(sampled.slowest.into_pyarray(py)))?;
    columns.set_item("busy_s", frozen(sampled.busy_s))?;
    columns.set_item("own_stall_s", frozen(sampled.own_stall_s))?;
    Ok(columns)
}

fn freeze<T: numpy::Element>(column: Bound<'_, PyArray1<T>>) -> Bound<'_, PyArray1<T>> {
    column.readwrite().make_nonwriteable();
    column
}

/// Replays the compute time of every rank in some steps of a run, in seconds,
/// into `times`, an array of shape (steps, ranks).
#[pyfunction]
#[pyo3(signature = (plan, *, seed, run, steps, times, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub fn rank_times<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    seed: u64,
    run: u32,
    steps: Vec<u32>,
    mut times: PyReadwriteArray2<'py, f32>,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let plan = &plan.get().0;
    let times = times.as_slice_mut()?;
    watch(py, threads, progress, |control| {
        hindmost_core::sample::rank_times(plan, seed, run, &steps, times, control)
    })
}
