//! Long work without the GIL: threads, progress and interrupts.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use hindmost_core::control::Control;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::ThreadPoolBuilder;

use crate::errors::{OrRaise, ThreadsError};

/// Time between two polls of signals and progress.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Does `work` on a thread pool of its own with `threads` threads, while the calling
/// thread polls for signals and tells `progress` how many draws are done.
///
/// A signal's exception, or one that `progress` raises, stops the work.
pub fn watch<T: Send>(
    py: Python<'_>,
    threads: usize,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Control) -> hindmost_core::Result<T> + Send,
) -> PyResult<T> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| no_threads(threads, &error))?;
    watch_one(py, progress, |control| pool.install(|| work(control)))
}

/// Does `work` on one other thread, as [`watch`] does it on a pool of them.
pub fn watch_one<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Control) -> hindmost_core::Result<T> + Send,
) -> PyResult<T> {
    let control = Control::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let control = &control;
            let worker = std::thread::Builder::new().spawn_scoped(scope, move || {
                // Sending fails once the caller has stopped waiting.
                let _ = sender.send(work(control));
            });
            let worker = worker.map_err(|error| no_threads(1, &error))?;
            loop {
                match receiver.recv_timeout(POLL_INTERVAL) {
                    Ok(result) => return result.or_raise(),
                    Err(RecvTimeoutError::Timeout) => {
                        let looked = Python::attach(|py| look(py, progress.as_ref(), control));
                        if let Err(raised) = looked {
                            control.stop();
                            return Err(raised);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        // Joined by hand, so that its panic goes no further.
                        let _ = worker.join();
                        return Err(PyRuntimeError::new_err("a worker thread panicked"));
                    }
                }
            }
        })
    })
}

/// The error for threads that the operating system does not start.
fn no_threads(threads: usize, error: &dyn std::error::Error) -> PyErr {
    let s = if threads == 1 { "" } else { "s" };
    let message = format!("the operating system does not start {threads} thread{s}: {error}");
    ThreadsError::new_err(message)
}

fn look(py: Python<'_>, progress: Option<&Py<PyAny>>, control: &Control) -> PyResult<()> {
    py.check_signals()?;
    if let Some(progress) = progress {
        progress.call1(py, (control.draws(),))?;
    }
    Ok(())
}
