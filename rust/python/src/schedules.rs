//! Pipeline schedules by themselves.

use std::hash::{Hash, Hasher};

use hindmost_core::Error;
use hindmost_core::schedule::recursion::PassTimes;
use hindmost_core::schedule::{Kind, Shape};
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::again::{Reduced, call_again};
use crate::convert::Transfers;
use crate::errors::OrRaise;

/// The order of a pipeline's passes. Schedules are equal by their kind and shape.
#[pyclass(frozen, eq, hash, module = "hindmost._core")]
pub struct Schedule(hindmost_core::schedule::Schedule);

impl Schedule {
    fn of(&self) -> (Kind, Shape) {
        (self.0.kind(), self.0.shape())
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.of() == other.of()
    }
}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of().hash(state);
    }
}

#[pymethods]
impl Schedule {
    #[new]
    #[pyo3(signature = (*, kind, stages, microbatches, chunks=1))]
    fn new(
        py: Python<'_>,
        kind: &str,
        stages: u32,
        microbatches: u32,
        chunks: u32,
    ) -> PyResult<Self> {
        let shape = Shape {
            stages,
            chunks,
            microbatches,
        };
        let kind = Kind::named(kind).or_raise()?;
        let schedule = py.detach(|| hindmost_core::schedule::Schedule::new(kind, shape));
        Ok(Self(schedule.or_raise()?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let (kind, shape) = self.of();
        let keywords = PyDict::new(py);
        keywords.set_item("kind", kind.name())?;
        keywords.set_item("stages", shape.stages)?;
        keywords.set_item("microbatches", shape.microbatches)?;
        keywords.set_item("chunks", shape.chunks)?;
        call_again(py.get_type::<Self>().as_any(), (), &keywords)
    }

    fn __repr__(&self) -> String {
        let (kind, shape) = self.of();
        let (kind, stages, microbatches) = (kind.name(), shape.stages, shape.microbatches);
        format!(
            "Schedule(kind='{kind}', stages={stages}, microbatches={microbatches}, chunks={})",
            shape.chunks
        )
    }

    /// Direction, microbatch and chunk of each pass of a stage, in order.
    fn order(&self, stage: u32) -> PyResult<Vec<(&'static str, u32, u32)>> {
        self.check(stage)?;
        let passes = self.0.order(stage);
        Ok(passes
            .map(|op| (op.direction.name(), op.microbatch, op.chunk))
            .collect())
    }

    /// Chunks of microbatches whose activations each stage keeps, at most.
    fn in_flight(&self) -> Vec<u32> {
        self.0.in_flight()
    }

    /// Seconds of a step, of arrays of shape (virtual stages, microbatches).
    #[pyo3(signature = (
        forward_s, backward_s, weight_s=None, *, transfer_s=Transfers::OfAll(0.0)
    ))]
    fn seconds(
        &self,
        py: Python<'_>,
        forward_s: PyReadonlyArray2<'_, f64>,
        backward_s: PyReadonlyArray2<'_, f64>,
        weight_s: Option<PyReadonlyArray2<'_, f64>>,
        transfer_s: Transfers,
    ) -> PyResult<f64> {
        let times = PassTimes {
            forward_s: self.times("forward_s", &forward_s)?,
            backward_s: self.times("backward_s", &backward_s)?,
            weight_s: match weight_s {
                Some(times) => self.times("weight_s", &times)?,
                None => vec![],
            },
        };
        let transfers_s = transfer_s.of_links(self.0.shape().stages);
        py.detach(|| times.step_seconds(&self.0, &transfers_s))
            .or_raise()
    }
}

impl Schedule {
    fn check(&self, stage: u32) -> PyResult<()> {
        let stages = self.0.shape().stages;
        if stage < stages {
            return Ok(());
        }
        Err(Error::domain(
            "stage",
            f64::from(stage),
            format!("< {stages}"),
        ))
        .or_raise()
    }

    fn times(&self, field: &str, array: &PyReadonlyArray2<'_, f64>) -> PyResult<Vec<f64>> {
        let shape = self.0.shape();
        let (rows, columns) = (shape.virtual_stages() as usize, shape.microbatches as usize);
        if array.shape() != [rows, columns] {
            let requirement = format!("an array of shape ({rows}, {columns})");
            return Err(Error::domain(field, array.len() as f64, requirement)).or_raise();
        }
        Ok(array.as_array().iter().copied().collect())
    }
}
