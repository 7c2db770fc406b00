//! Progress of long work and the request to stop it: the only atomics of the crate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Draws between two looks of a worker at the stop flag, at most.
pub const DRAWS_BETWEEN_LOOKS: u64 = 1 << 22;

/// A stop flag and a count of the draws done.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    draws: AtomicU64,
}

impl Control {
    /// Asks all workers to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Draws done so far.
    pub fn draws(&self) -> u64 {
        self.draws.load(Ordering::Relaxed)
    }

    /// Counts draws and looks at the stop flag.
    ///
    /// # Errors
    /// [`Error::Stopped`] once a stop was asked for.
    pub fn advance(&self, draws: u64) -> Result<()> {
        self.draws.fetch_add(draws, Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        Ok(())
    }
}
