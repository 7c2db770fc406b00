//! Steps of a recorded job with some operations ideal.

use hindmost_core::Error;
use hindmost_core::what_if::{Ideals, Job, Kind, Records};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::freeze;
use crate::errors::OrRaise;
use crate::watch::watch;

/// Operations of some steps on all recorded workers, of which steps are timed again.
#[pyclass(frozen, module = "hindmost._core")]
pub struct TracedJob(Job);

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
        let records = Records {
            step: step.as_slice()?,
            replica: replica.as_slice()?,
            stage: stage.as_slice()?,
            kind: kind.as_slice()?,
            number: number.as_slice()?,
            chunk: chunk.as_slice()?,
            virtual_stage: virtual_stage.as_slice()?,
            start_s: start_s.as_slice()?,
            end_s: end_s.as_slice()?,
            duration_s: duration_s.as_slice()?,
        };
        Ok(Self(py.detach(|| Job::new(&records)).or_raise()?))
    }

    /// Numbers of the steps, in ascending order.
    #[getter]
    fn steps(&self) -> Vec<i64> {
        self.0.steps().to_vec()
    }

    #[getter]
    fn n_replicas(&self) -> usize {
        self.0.n_replicas()
    }

    #[getter]
    fn n_stages(&self) -> usize {
        self.0.n_stages()
    }

    /// Seconds of an ideal operation of each type that is recorded.
    #[getter]
    fn ideal_s<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for (kind, seconds) in Kind::ALL.into_iter().zip(self.0.ideal_s()) {
            if self.0.n_operations(kind) > 0 {
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
        let shape = (sets.len(), self.0.steps().len());
        let found = watch(py, threads, None, |control| {
            self.0.step_times_s(&sets, control)
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
        let times = py.detach(|| self.0.timeline(&set, step)).or_raise()?;
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
