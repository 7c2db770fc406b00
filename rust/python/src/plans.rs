//! Plans and the engines that run them.

use std::sync::Arc;

use hindmost_core::order_statistics::LawMemory;
use hindmost_core::plan::{Communication, ReplicaSpec};
use hindmost_core::simd::InstructionSet;
use hindmost_core::step::{Columns, Runs, Terms};
use numpy::{IntoPyArray, PyArray1, PyReadwriteArray2};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::again::{Reduced, call_again};
use crate::convert::{Cause, CommunicationTerm, Pipeline, Pool, freeze, rank_order};
use crate::errors::{OrRaise, not_exact};
use crate::memory::Memory;
use crate::networks::{Network, other_networks};
use crate::watch::{watch, watch_one};

/// What a plan is made of, but for the instruction set, which changes no bytes.
#[derive(Clone, PartialEq, IntoPyObject)]
struct Arguments {
    pools: Vec<Pool>,
    causes: Vec<Cause>,
    terms: Vec<CommunicationTerm>,
    overlap_fraction: f64,
    hidden_cost: f64,
    context: u32,
    order: String,
    pipeline: Option<Pipeline>,
}

impl Arguments {
    fn to_plan(&self, py: Python<'_>) -> PyResult<hindmost_core::plan::Plan> {
        let pools = self.pools.iter().map(Pool::to_spec).collect();
        let causes = self
            .causes
            .iter()
            .map(Cause::to_spec)
            .collect::<PyResult<_>>()?;
        let terms = self.terms.iter().map(CommunicationTerm::to_term);
        let communication = Communication {
            terms: terms.collect::<PyResult<_>>()?,
            overlap_fraction: self.overlap_fraction,
            hidden_cost: self.hidden_cost,
        };
        let order = rank_order(&self.order)?;
        let replica = match &self.pipeline {
            Some(pipeline) => ReplicaSpec::Pipeline(pipeline.to_spec(order)?),
            None => ReplicaSpec::Barrier {
                context: self.context,
                order,
            },
        };
        watch_one(py, None, |control| {
            hindmost_core::plan::Plan::compile(pools, causes, communication, replica, control)
        })
    }
}

/// A step of a whole job, validated and compiled. Plans are equal by their arguments, whatever
/// instruction set they are run in.
#[pyclass(frozen, eq, module = "hindmost._core")]
pub struct Plan {
    arguments: Arguments,
    /// The instruction set that was asked for, if any.
    instructions: Option<String>,
    pub(crate) compiled: Arc<hindmost_core::plan::Plan>,
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.arguments == other.arguments
    }
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (
        *, pools, causes, terms, overlap_fraction, hidden_cost=0.0, context=1,
        order="cp-pp-dp".to_owned(), pipeline=None, instructions=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python class")]
    fn new(
        py: Python<'_>,
        pools: Vec<Pool>,
        causes: Vec<Cause>,
        terms: Vec<CommunicationTerm>,
        overlap_fraction: f64,
        hidden_cost: f64,
        context: u32,
        order: String,
        pipeline: Option<Pipeline>,
        instructions: Option<String>,
    ) -> PyResult<Self> {
        let arguments = Arguments {
            pools,
            causes,
            terms,
            overlap_fraction,
            hidden_cost,
            context,
            order,
            pipeline,
        };
        let plan = arguments.to_plan(py)?;
        let compiled = match &instructions {
            Some(name) => plan.with_instructions(InstructionSet::named(name).or_raise()?),
            None => plan,
        };
        Ok(Self {
            arguments,
            instructions,
            compiled: Arc::new(compiled),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let keywords = self.arguments.clone().into_pyobject(py)?;
        keywords.set_item("instructions", &self.instructions)?;
        call_again(py.get_type::<Self>().as_any(), (), &keywords)
    }

    fn __repr__(&self) -> String {
        let pools = self.compiled.pools();
        let n_ranks: u64 = pools.iter().map(|pool| u64::from(pool.n_ranks())).sum();
        let causes = self.compiled.all_causes().len();
        format!(
            "<Plan of {n_ranks} ranks in {} pools with {causes} causes>",
            pools.len()
        )
    }

    /// Ranks, by pool.
    #[getter]
    fn n_ranks(&self) -> Vec<u32> {
        self.compiled
            .pools()
            .iter()
            .map(|pool| pool.n_ranks())
            .collect()
    }

    /// The instruction set that it is run in.
    #[getter]
    fn instructions(&self) -> &'static str {
        self.compiled.instructions().name()
    }

    /// Effects on ranks and ports in one step by causes that change, as a measure of work.
    #[getter]
    fn draws_per_step(&self) -> u64 {
        self.compiled.draws_per_step()
    }
}

/// Samples `steps` steps of each of `runs` runs, from a first one on: a dictionary of columns.
#[pyfunction]
#[pyo3(signature = (plan, *, seed, runs, steps, threads, terms=false, first_run=0, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub fn sample<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    seed: u64,
    runs: u32,
    steps: u32,
    threads: usize,
    terms: bool,
    first_run: u32,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = &plan.get().compiled;
    let runs = Runs {
        first: first_run,
        count: runs,
    };
    if terms {
        let sampled = watch(py, threads, progress, |control| {
            hindmost_core::sample::sample_with_terms(plan, seed, runs, steps, control)
        })?;
        return columns_with_terms(py, sampled);
    }
    let sampled = watch(py, threads, progress, |control| {
        hindmost_core::sample::sample(plan, seed, runs, steps, control)
    })?;
    columns(py, sampled)
}

/// The engine that draws the slowest ranks of a plan from their laws. Engines are equal by their
/// plan and, where a law is found by simulation, its seed.
#[pyclass(frozen, eq, module = "hindmost._core")]
pub struct OrderStatistics {
    plan: Py<Plan>,
    /// What it shares with engines of similar plans, if anything.
    memory: Option<Py<Memory>>,
    /// The seed of the replicas that were sampled for their law.
    simulated_under: Option<u64>,
    engine: hindmost_core::order_statistics::OrderStatistics,
}

impl PartialEq for OrderStatistics {
    fn eq(&self, other: &Self) -> bool {
        self.simulated_under == other.simulated_under && self.plan.get() == other.plan.get()
    }
}

#[pymethods]
impl OrderStatistics {
    #[new]
    #[pyo3(signature = (plan, memory=None))]
    fn new(py: Python<'_>, plan: Py<Plan>, memory: Option<Py<Memory>>) -> PyResult<Self> {
        let compiled = plan.get().compiled.clone();
        let compile = hindmost_core::order_statistics::OrderStatistics::compile;
        let engine = watch_one(py, None, |control| match &memory {
            None => compile(compiled, &mut LawMemory::default(), control),
            Some(memory) => memory
                .get()
                .with_laws(|laws| compile(compiled, laws, control)),
        })?;
        Ok(Self {
            plan,
            memory,
            simulated_under: None,
            engine: engine.map_err(not_exact)?,
        })
    }

    /// The engine of a plan whose replicas wait within a step, with the law of a
    /// replica's time from replicas that are sampled, by default on all threads.
    #[staticmethod]
    #[pyo3(signature = (plan, *, seed, threads=None, progress=None))]
    fn simulated(
        py: Python<'_>,
        plan: Py<Plan>,
        seed: u64,
        threads: Option<usize>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let compiled = plan.get().compiled.clone();
        let threads = threads.unwrap_or_else(available_threads);
        let engine = watch(py, threads, progress, |control| {
            hindmost_core::order_statistics::OrderStatistics::simulated(compiled, seed, control)
        })?;
        Ok(Self {
            plan,
            memory: None,
            simulated_under: Some(seed),
            engine: engine.map_err(not_exact)?,
        })
    }

    /// The compiled laws are not stored: a copy in another process compiles them again.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let class = py.get_type::<Self>();
        let (make, keywords) = (class.as_any(), PyDict::new(py));
        match self.simulated_under {
            None => call_again(make, (&self.plan,), &keywords),
            Some(seed) => {
                keywords.set_item("seed", seed)?;
                call_again(&make.getattr("simulated")?, (&self.plan,), &keywords)
            }
        }
    }

    fn __repr__(&self) -> String {
        let plan = self.plan.get().__repr__();
        match self.simulated_under {
            None => format!("<OrderStatistics of {plan}>"),
            Some(seed) => format!("<OrderStatistics of {plan}, simulated under seed {seed}>"),
        }
    }

    /// Steps that `simulated` samples.
    #[staticmethod]
    fn simulated_steps(plan: &Bound<'_, Plan>) -> u32 {
        hindmost_core::order_statistics::OrderStatistics::simulated_steps(&plan.get().compiled)
    }

    /// Draws `steps` steps of each of `runs` runs, from a first one on: a dictionary of columns.
    #[pyo3(signature = (*, seed, runs, steps, threads, terms=false, first_run=0, progress=None))]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python method")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        seed: u64,
        runs: u32,
        steps: u32,
        threads: usize,
        terms: bool,
        first_run: u32,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let engine = &self.engine;
        let runs = Runs {
            first: first_run,
            count: runs,
        };
        let remembering = |memory: &Py<Memory>| {
            let memory = memory.get();
            memory.with_runs(|memory| engine.remembering(seed, runs, memory))
        };
        if terms {
            let drawn = watch(py, threads, progress, |control| match &self.memory {
                None => engine.run_with_terms(seed, runs, steps, control),
                Some(memory) => remembering(memory).run_with_terms(steps, control),
            })?;
            return columns_with_terms(py, drawn);
        }
        let drawn = watch(py, threads, progress, |control| match &self.memory {
            None => engine.run(seed, runs, steps, control),
            Some(memory) => remembering(memory).run(steps, control),
        })?;
        columns(py, drawn)
    }

    /// Seconds of the steps of `run`, and nothing else of them.
    #[pyo3(signature = (*, seed, runs, steps, threads, progress=None))]
    fn seconds<'py>(
        &self,
        py: Python<'py>,
        seed: u64,
        runs: u32,
        steps: u32,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let seconds = watch(py, threads, progress, |control| {
            self.engine.run_seconds(seed, runs, steps, control)
        })?;
        Ok(freeze(seconds.into_pyarray(py)))
    }

    /// Seconds of the same steps with each of some other networks.
    #[pyo3(signature = (networks, *, seed, runs, steps, threads, progress=None))]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python method")]
    fn step_times<'py>(
        &self,
        py: Python<'py>,
        networks: Vec<Network<'py>>,
        seed: u64,
        runs: u32,
        steps: u32,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyArray1<f64>>>> {
        let engine = &self.engine;
        let networks = other_networks(&self.plan.get().compiled, &networks)?;
        let columns = watch(py, threads, progress, |control| match &self.memory {
            None => engine.run_networks(&networks, seed, runs, steps, control),
            Some(memory) => memory
                .get()
                .with_runs(|memory| engine.remembering(seed, runs, memory))
                .run_networks(&networks, steps, control),
        })?;
        Ok(frozen_columns(py, columns))
    }

    /// The law of a pool's slowest rank in one run among those that no rare cause hits, in
    /// units of its noiseless compute time; none where steps do not differ.
    fn law(&self, py: Python<'_>, pool: usize, seed: u64, run: u32) -> PyResult<Option<Curve>> {
        if pool >= self.engine.n_pools() {
            return Err(PyIndexError::new_err("there is no such pool"));
        }
        let law = watch(py, available_threads(), None, |control| {
            self.engine.law(pool, seed, run, control)
        })?;
        Ok(law.map(Curve))
    }
}

/// Seconds of the steps that `sample` draws with each of some other networks.
#[pyfunction]
#[pyo3(signature = (plan, networks, *, seed, runs, steps, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub fn sample_step_times<'py>(
    py: Python<'py>,
    plan: &Bound<'py, Plan>,
    networks: Vec<Network<'py>>,
    seed: u64,
    runs: u32,
    steps: u32,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Bound<'py, PyArray1<f64>>>> {
    let plan = &plan.get().compiled;
    let networks = other_networks(plan, &networks)?;
    let columns = watch(py, threads, progress, |control| {
        hindmost_core::sample::sample_networks(plan, &networks, seed, runs, steps, control)
    })?;
    Ok(frozen_columns(py, columns))
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
    let plan = &plan.get().compiled;
    let rows = watch(py, threads, progress, |control| {
        hindmost_core::sample::slowest_replicas(plan, k, seed, runs, steps, control)
    })?;
    let columns = PyDict::new(py);
    columns.set_item("pool", freeze(rows.pool.into_pyarray(py)))?;
    columns.set_item("replica", freeze(rows.replica.into_pyarray(py)))?;
    columns.set_item("compute_s", freeze(rows.compute_s.into_pyarray(py)))?;
    Ok(columns)
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Law of a maximum. Curves are equal by their knots.
#[pyclass(frozen, eq, module = "hindmost._core")]
#[derive(PartialEq)]
pub struct Curve(hindmost_core::curve::Curve);

#[pymethods]
impl Curve {
    #[new]
    fn new(xs: Vec<f64>, logs: Vec<f64>) -> PyResult<Self> {
        hindmost_core::curve::Curve::new(xs, logs)
            .map(Self)
            .or_raise()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let knots = (self.0.xs(), self.0.logs());
        call_again(py.get_type::<Self>().as_any(), knots, &PyDict::new(py))
    }

    fn __repr__(&self) -> String {
        let xs = self.0.xs();
        let (least, greatest) = (xs[0], xs[xs.len() - 1]);
        format!("<Curve of {} knots from {least} to {greatest}>", xs.len())
    }

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
    if !sampled.in_episode.is_empty() {
        let in_episode = freeze(sampled.in_episode.into_pyarray(py));
        columns.set_item("in_episode", in_episode)?;
    }
    columns.set_item("busy_s", frozen(sampled.busy_s))?;
    columns.set_item("own_stall_s", frozen(sampled.own_stall_s))?;
    if !sampled.episode_s.is_empty() {
        columns.set_item("episode_s", frozen(sampled.episode_s))?;
    }
    Ok(columns)
}

/// Columns, and those of what each step is made of.
fn columns_with_terms(
    py: Python<'_>,
    (drawn, terms): (Columns, Terms),
) -> PyResult<Bound<'_, PyDict>> {
    let columns = columns(py, drawn)?;
    let frozen = |column: Vec<f64>| freeze(column.into_pyarray(py));
    columns.set_item("frontier_times", freeze(terms.n_times.into_pyarray(py)))?;
    columns.set_item("frontier_pool", freeze(terms.pool.into_pyarray(py)))?;
    columns.set_item("frontier_compute_s", frozen(terms.compute_s))?;
    columns.set_item("frontier_stall_s", frozen(terms.stall_s))?;
    columns.set_item("port_slowdown", frozen(terms.port_slowdown))?;
    columns.set_item("port_stall_s", frozen(terms.port_stall_s))?;
    columns.set_item("hop_factor", frozen(terms.hop_factor))?;
    Ok(columns)
}

fn frozen_columns(py: Python<'_>, columns: Vec<Vec<f64>>) -> Vec<Bound<'_, PyArray1<f64>>> {
    let columns = columns.into_iter();
    columns
        .map(|column| freeze(column.into_pyarray(py)))
        .collect()
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
    let plan = &plan.get().compiled;
    let times = times.as_slice_mut()?;
    watch(py, threads, progress, |control| {
        hindmost_core::sample::rank_times(plan, seed, run, &steps, times, control)
    })
}
