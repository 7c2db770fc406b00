//! Long work without the GIL: threads, progress and interrupts.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use hindmost_core::control::Control;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::ThreadPoolBuilder;

use crate::errors::OrRaise;

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
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let control = Control::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let (pool, control) = (&pool, &control);
            scope.spawn(move || {
                // Sending fails once the caller has stopped waiting.
                let _ = sender.send(pool.install(|| work(control)));
            });
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
                        return Err(PyRuntimeError::new_err("a worker thread panicked"));
                    }
                }
            }
        })
    })
}

fn look(py: Python<'_>, progress: Option<&Py<PyAny>>, control: &Control) -> PyResult<()> {
    py.check_signals()?;
    if let Some(progress) = progress {
        progress.call1(py, (control.draws(),))?;
    }
    Ok(())
}
