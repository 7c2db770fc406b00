//! The runs that a simulation draws.

use crate::error::{Error, Result};
use crate::random::MAX_RUNS;

/// Consecutive runs: the first so many, or some that others come before.
///
/// Each run has random numbers of its own, so that runs 8 to 11 are what a simulation of 12 runs
/// adds to one of 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// The first one, counted from 0.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

impl Runs {
    /// Refuses what no simulation has.
    ///
    /// # Errors
    /// [`Error::Domain`] for no runs, or more than there are random addresses of.
    pub fn check(self) -> Result<()> {
        let end = u64::from(self.first) + u64::from(self.count);
        if !(self.count >= 1 && end <= u64::from(MAX_RUNS)) {
            let requirement = format!(">= 1 and <= {MAX_RUNS}");
            return Err(Error::domain("runs", end as f64, requirement));
        }
        Ok(())
    }

    /// The number after that of the last run.
    #[must_use]
    pub fn end(self) -> u32 {
        self.first.saturating_add(self.count)
    }
}

impl From<u32> for Runs {
    fn from(count: u32) -> Self {
        Self { first: 0, count }
    }
}
