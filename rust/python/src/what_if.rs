//! Steps of a recorded job with some operations ideal.

use hindmost_core::Error;
use hindmost_core::what_if::{Ideals, Job, Kind, Records};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::again::{Reduced, call_again};
use crate::convert::freeze;
use crate::errors::OrRaise;
use crate::watch::watch;

/// Operations of some steps on all recorded workers, of which steps are timed again. Jobs are equal
/// by their columns.
#[pyclass(frozen, eq, module = "hindmost._core")]
pub struct TracedJob {
    columns: Columns,
    job: Job,
}

/// Rows of a trace, as [`Records`] has them.
#[derive(PartialEq)]
struct Columns {
    step: Vec<i64>,
    replica: Vec<u32>,
    stage: Vec<u32>,
    kind: Vec<u8>,
    number: Vec<u32>,
    chunk: Vec<i32>,
    virtual_stage: Vec<i32>,
    start_s: Vec<f64>,
    end_s: Vec<f64>,
    duration_s: Vec<f32>,
}

impl Columns {
    fn records(&self) -> Records<'_> {
        Records {
            step: &self.step,
            replica: &self.replica,
            stage: &self.stage,
            kind: &self.kind,
            number: &self.number,
            chunk: &self.chunk,
            virtual_stage: &self.virtual_stage,
            start_s: &self.start_s,
            end_s: &self.end_s,
            duration_s: &self.duration_s,
        }
    }
}

impl PartialEq for TracedJob {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns
    }
}

#[pymethods]
impl TracedJob {
    #[new]
    #[pyo3(signature = (
        *, step, replica, stage, kind, number, chunk, virtual_stage, start_s, end_s, duration_s
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one a column; Python gives them by name"
    )]
    fn new(
        py: Python<'_>,
        step: PyReadonlyArray1<'_, i64>,
        replica: PyReadonlyArray1<'_, u32>,
        stage: PyReadonlyArray1<'_, u32>,
        kind: PyReadonlyArray1<'_, u8>,
        number: PyReadonlyArray1<'_, u32>,
        chunk: PyReadonlyArray1<'_, i32>,
        virtual_stage: PyReadonlyArray1<'_, i32>,
        start_s: PyReadonlyArray1<'_, f64>,
        end_s: PyReadonlyArray1<'_, f64>,
        duration_s: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<Self> {
        let columns = Columns {
            step: step.as_array().to_vec(),
            replica: replica.as_array().to_vec(),
            stage: stage.as_array().to_vec(),
            kind: kind.as_array().to_vec(),
            number: number.as_array().to_vec(),
            chunk: chunk.as_array().to_vec(),
            virtual_stage: virtual_stage.as_array().to_vec(),
            start_s: start_s.as_array().to_vec(),
            end_s: end_s.as_array().to_vec(),
            duration_s: duration_s.as_array().to_vec(),
        };
        let job = py.detach(|| Job::new(&columns.records())).or_raise()?;
        Ok(Self { columns, job })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let columns = self.columns.records();
        let keywords = PyDict::new(py);
        keywords.set_item("step", columns.step.to_pyarray(py))?;
        keywords.set_item("replica", columns.replica.to_pyarray(py))?;
        keywords.set_item("stage", columns.stage.to_pyarray(py))?;
        keywords.set_item("kind", columns.kind.to_pyarray(py))?;
        keywords.set_item("number", columns.number.to_pyarray(py))?;
        keywords.set_item("chunk", columns.chunk.to_pyarray(py))?;
        keywords.set_item("virtual_stage", columns.virtual_stage.to_pyarray(py))?;
        keywords.set_item("start_s", columns.start_s.to_pyarray(py))?;
        keywords.set_item("end_s", columns.end_s.to_pyarray(py))?;
        keywords.set_item("duration_s", columns.duration_s.to_pyarray(py))?;
        call_again(py.get_type::<Self>().as_any(), (), &keywords)
    }

    fn __repr__(&self) -> String {
        let (steps, replicas, stages) = (
            self.job.steps().len(),
            self.job.n_replicas(),
            self.job.n_stages(),
        );
        format!("TracedJob(steps={steps}, replicas={replicas}, stages={stages})")
    }

    /// Numbers of the steps, in ascending order.
    #[getter]
    fn steps(&self) -> Vec<i64> {
        self.job.steps().to_vec()
    }

    #[getter]
    fn n_replicas(&self) -> usize {
        self.job.n_replicas()
    }

    #[getter]
    fn n_stages(&self) -> usize {
        self.job.n_stages()
    }

    /// Seconds of each step from its first begin to its last end, as recorded.
    #[getter]
    fn recorded_s(&self) -> Vec<f64> {
        self.job.recorded_s().to_vec()
    }

    /// Seconds of an ideal operation of each type that is recorded.
    #[getter]
    fn ideal_s<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for (kind, seconds) in Kind::ALL.into_iter().zip(self.job.ideal_s()) {
            if self.job.n_operations(kind) > 0 {
                found.set_item(kind.name(), seconds)?;
            }
        }
        Ok(found)
    }

    /// Seconds of steps with each of some sets of operations ideal, of shape (sets, steps).
    #[pyo3(signature = (kinds, workers, *, threads))]
    fn step_times_s<'py>(
        &self,
        py: Python<'py>,
        kinds: PyReadonlyArray2<'_, bool>,
        workers: PyReadonlyArray2<'_, bool>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (kinds, workers) = (kinds.as_array(), workers.as_array());
        let rows = kinds.rows().into_iter().zip(workers.rows());
        let sets = rows.map(|(kinds, workers)| ideals(kinds.iter(), workers.iter()));
        let sets = sets.collect::<PyResult<Vec<_>>>()?;
        let shape = (sets.len(), self.job.steps().len());
        let found = watch(py, threads, None, |control| {
            self.job.step_times_s(&sets, control)
        })?;
        let found = Array2::from_shape_vec(shape, found).expect("one row of all steps a set");
        Ok(found.into_pyarray(py))
    }

    /// Columns of all operations of a step with a set of operations ideal.
    fn timeline<'py>(
        &self,
        py: Python<'py>,
        kinds: PyReadonlyArray1<'_, bool>,
        workers: PyReadonlyArray1<'_, bool>,
        step: i64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let set = ideals(kinds.as_array().iter(), workers.as_array().iter())?;
        let times = py.detach(|| self.job.timeline(&set, step)).or_raise()?;
        let columns = PyDict::new(py);
        let numbers = |of: &dyn Fn(usize) -> u32| -> Bound<'py, PyArray1<u32>> {
            freeze(
                (0..times.len())
                    .map(of)
                    .collect::<Vec<_>>()
                    .into_pyarray(py),
            )
        };
        let seconds = |of: &dyn Fn(usize) -> f64| -> Bound<'py, PyArray1<f64>> {
            freeze(
                (0..times.len())
                    .map(of)
                    .collect::<Vec<_>>()
                    .into_pyarray(py),
            )
        };
        columns.set_item("replica", numbers(&|row| times[row].replica))?;
        columns.set_item("stage", numbers(&|row| times[row].stage))?;
        columns.set_item("kind", numbers(&|row| times[row].kind as u32))?;
        columns.set_item("number", numbers(&|row| times[row].number))?;
        columns.set_item("ready_s", seconds(&|row| times[row].ready_s))?;
        columns.set_item("begins_s", seconds(&|row| times[row].begins_s))?;
        columns.set_item("ends_s", seconds(&|row| times[row].ends_s))?;
        Ok(columns)
    }
}

/// The operations of some types on some workers.
fn ideals<'a>(
    kinds: impl Iterator<Item = &'a bool>,
    workers: impl Iterator<Item = &'a bool>,
) -> PyResult<Ideals> {
    let kinds: Vec<bool> = kinds.copied().collect();
    let n = kinds.len();
    let kinds = kinds
        .try_into()
        .map_err(|_| Error::domain("kinds", n as f64, format!("{}", Kind::ALL.len())));
    Ok(Ideals {
        kinds: kinds.or_raise()?,
        workers: workers.copied().collect(),
    })
}
