//! What engines of similar plans share.

use std::sync::{Mutex, PoisonError};

use hindmost_core::order_statistics::{LawMemory, RunMemory};
use pyo3::prelude::*;

use crate::again::{Reduced, call_again};

/// Memories of laws that are kept, at most: each takes some tens of megabytes.
const MAX_LAW_MEMORIES: usize = 4;

/// What engines of similar plans share, so that it is found once. It changes no number: all
/// memories are equal, and a copy is an empty one.
#[pyclass(frozen, module = "hindmost._core")]
#[derive(Default)]
pub struct Memory {
    /// One for each thread that compiles, so that none waits for another.
    laws: Mutex<Vec<LawMemory>>,
    runs: Mutex<RunMemory>,
}

impl Memory {
    /// Calls `work` with laws of pools that no other thread has at the time.
    pub fn with_laws<T>(&self, work: impl FnOnce(&mut LawMemory) -> T) -> T {
        let all = || self.laws.lock().unwrap_or_else(PoisonError::into_inner);
        let mut laws = all().pop().unwrap_or_default();
        let found = work(&mut laws);
        let mut all = all();
        if all.len() < MAX_LAW_MEMORIES {
            all.push(laws);
        }
        found
    }

    /// Calls `work` with what runs have drawn, while no other thread can.
    pub fn with_runs<T>(&self, work: impl FnOnce(&mut RunMemory) -> T) -> T {
        work(&mut self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Memory {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __eq__(&self, _other: &Bound<'_, Self>) -> bool {
        true
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let keywords = pyo3::types::PyDict::new(py);
        call_again(py.get_type::<Self>().as_any(), (), &keywords)
    }

    fn __repr__(&self) -> &'static str {
        "<Memory>"
    }
}
