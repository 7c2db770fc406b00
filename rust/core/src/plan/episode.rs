//! Causes that come at any time and last for a while.

use super::drawn_law::DrawnLaw;
use super::duration::Duration;
use crate::error::{Error, Result};

/// Episodes of a unit at a time, at most, on average: more would be no episodes.
const MOST_AT_A_TIME: f64 = 1.0;

/// Probability of more episodes of a unit at a time than are taken to be possible.
const NEVER: f64 = 1e-15;

/// Episodes that a unit begins in a step, at most, on average.
const MOST_STARTS_PER_STEP: f64 = 16.0;

/// Episodes in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeSpec {
    /// Episodes that begin in a unit in a second.
    pub per_s: f64,
    /// Law of their seconds.
    pub duration: DrawnLaw,
    /// Nominal seconds from the beginning of a step to that of the next one.
    pub step_s: f64,
}

/// How often episodes begin and how long they last.
///
/// The episodes of a unit begin as a Poisson process, in equilibrium at the first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    per_s: f64,
    duration: Duration,
    step_s: f64,
}

impl Episode {
    /// Those of plain numbers.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for numbers out of range.
    pub(super) fn compile(episode: &EpisodeSpec) -> Result<Self> {
        let refuse = |field: &str, value: f64, requirement: &str| {
            Err(Error::domain(field, value, requirement.to_owned()))
        };
        if !(episode.step_s > 0.0 && episode.step_s.is_finite()) {
            return refuse("step_s", episode.step_s, "finite and > 0");
        }
        if !(episode.per_s >= 0.0 && episode.per_s * episode.step_s <= MOST_STARTS_PER_STEP) {
            let requirement = format!(">= 0 and <= {MOST_STARTS_PER_STEP} in a step");
            return refuse("per_s", episode.per_s, &requirement);
        }
        let duration =
            Duration::new(&episode.duration, 1.0).map_err(|error| error.within("duration"))?;
        if !(duration.mean_s > 0.0 && duration.mean_s.is_finite()) {
            return refuse("duration", duration.mean_s, "of a finite mean > 0");
        }
        if !(0.0..=MOST_AT_A_TIME).contains(&(episode.per_s * duration.mean_s)) {
            let requirement = format!("<= {MOST_AT_A_TIME:.0} a unit at a time, on average");
            return refuse("per_s", episode.per_s * duration.mean_s, &requirement);
        }
        Ok(Self {
            per_s: episode.per_s,
            duration,
            step_s: episode.step_s,
        })
    }

    /// Episodes that begin in a unit in a second, on average.
    #[must_use]
    pub fn per_s(&self) -> f64 {
        self.per_s
    }

    /// How long they last.
    #[must_use]
    pub fn duration(&self) -> &Duration {
        &self.duration
    }

    /// Nominal seconds from the beginning of a step to that of the next one.
    #[must_use]
    pub fn step_s(&self) -> f64 {
        self.step_s
    }

    /// Episodes of a unit at a time, on average.
    #[must_use]
    pub fn at_a_time(&self) -> f64 {
        self.per_s * self.duration.mean_s
    }

    /// Episodes of a unit that come together with another one, at most, but for what never happens.
    #[must_use]
    pub(super) fn most_others(&self) -> i32 {
        let (mut most, mut probability, mut tail) = (0, libm::exp(-self.at_a_time()), 1.0);
        // More and more terms of a Poisson law are taken off.
        loop {
            tail -= probability;
            if probability < NEVER && tail < NEVER {
                return (most - 1).max(0);
            }
            most += 1;
            probability *= self.at_a_time() / f64::from(most);
        }
    }
}
