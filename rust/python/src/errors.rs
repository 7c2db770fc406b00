//! Errors of the core as Python exceptions that carry their parts as args.

use hindmost_core::Error;
use hindmost_core::order_statistics::Reason;
use pyo3::create_exception;
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    hindmost._core,
    DomainError,
    PyValueError,
    "A field that must be otherwise: args are its path, its value and the requirement."
);
create_exception!(
    hindmost._core,
    StreamsError,
    PyValueError,
    "Two random streams with the same hash: args are their addresses."
);

create_exception!(
    hindmost._core,
    NotExactError,
    PyValueError,
    "The slowest rank cannot be drawn from its law: args are the kind of reason, the reason in words,\
     and whether a law of replicas found by simulation may do instead."
);

create_exception!(
    hindmost._core,
    ThreadsError,
    PyRuntimeError,
    "Threads that the operating system does not start: the message says how many were asked for."
);

/// The exception for a reason against an exact law.
pub fn not_exact(reason: Reason) -> PyErr {
    let words = reason.to_string();
    NotExactError::new_err((reason.kind(), words, reason.allows_replica_law()))
}

/// The exception for an error of the core.
pub fn to_python(error: Error) -> PyErr {
    match error {
        Error::Domain {
            field,
            value,
            requirement,
        } => DomainError::new_err((field, value, requirement)),
        Error::Name {
            field,
            value,
            known,
        } => DomainError::new_err((field, value, format!("one of {}", known.join(", ")))),
        Error::Text {
            field,
            value,
            requirement,
        } => DomainError::new_err((field, value, requirement)),
        Error::Field { field, missing } => {
            let requirement = if missing { "given" } else { "absent" };
            DomainError::new_err((field, None::<f64>, requirement))
        }
        Error::Streams { first, second } => StreamsError::new_err((first, second)),
        Error::Memory { .. } => PyMemoryError::new_err(error.to_string()),
        // Whoever asked for the stop raises its own exception first.
        Error::Stopped => pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
    }
}

/// Results of the core with `?` in functions that raise.
pub trait OrRaise<T> {
    /// The value, or the exception for the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for hindmost_core::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(to_python)
    }
}
