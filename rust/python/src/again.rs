//! Pickling and copying: values are made again by the call that made them.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// What `__reduce__` returns: a callable, and its arguments.
pub type Reduced<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

/// Makes a value again by calling `make`, under every protocol of pickle.
///
/// Only `functools.partial` takes keywords under all of them.
pub fn call_again<'py>(
    make: &Bound<'py, PyAny>,
    positional: impl IntoPyObject<
        'py,
        Target = PyTuple,
        Output = Bound<'py, PyTuple>,
        Error: Into<PyErr>,
    >,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Reduced<'py>> {
    let py = make.py();
    let positional = positional.into_pyobject(py).map_err(Into::into)?;
    if keywords.is_empty() {
        return Ok((make.clone(), positional));
    }
    let partial = py.import("functools")?.getattr("partial")?;
    let bound = partial.call((make,), Some(keywords))?;
    Ok((bound, positional))
}
