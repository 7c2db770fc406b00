//! A job that fails, restarts, and goes on from its last checkpoint, failure by failure.

use rayon::prelude::*;

use super::checkpoints::Checkpoints;
use super::clock::{Clock, Failures};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::random::Random;

/// What a failure costs before the job goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Seconds until it is noticed.
    pub detection_s: f64,
    /// Seconds of the restart after that.
    pub restart_s: f64,
    /// Seconds of the restart where the job goes back to a global checkpoint.
    pub global_restart_s: f64,
    /// Whether failures come while the job is down, too: then all begins again.
    pub can_fail: bool,
}

/// A job with its failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Failures by kind.
    pub failures: Vec<Failures>,
    /// What each of them costs.
    pub recovery: Recovery,
    /// What the job goes back to.
    pub checkpoints: Checkpoints,
}

/// When a walk ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Until {
    /// After so many failures that interrupted the job.
    Interruptions(u64),
    /// After so many seconds.
    Seconds(f64),
    /// Once so many checkpoints have been taken.
    Checkpoints(u64),
}

/// Where the time of a walk went, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Account {
    /// Computing whose result was kept.
    pub kept_s: f64,
    /// Computing that had to be done again.
    pub redone_s: f64,
    /// Checkpoints, as far as they stop the job.
    pub checkpoint_s: f64,
    /// Failures that had not been noticed.
    pub detection_s: f64,
    /// Restarts.
    pub restart_s: f64,
    /// Failures that interrupted the job.
    pub interruptions: u64,
    /// All failures: those of restarts, too.
    pub failures: u64,
}

/// Failures between two looks at the stop flag.
const FAILURES_BETWEEN_LOOKS: u64 = 1 << 16;

/// Walks through some runs of a job, each on a thread of the current pool.
///
/// # Errors
/// [`Error::Domain`] for numbers out of their domains, and [`Error::Stopped`] once `control` asks
/// for it.
pub fn walks(
    job: &Job,
    seed: u64,
    runs: u32,
    until: Until,
    control: &Control,
) -> Result<Vec<Account>> {
    job.check()?;
    let random = Random::new(seed);
    let walk = |run| Walk::new(job, &random, run).go(until, control);
    (0..runs).into_par_iter().map(walk).collect()
}

/// Failures of a run, at most: random addresses have 32 bits for them.
const MOST_FAILURES: u64 = u32::MAX as u64;

/// A job in one run.
struct Walk<'a> {
    job: &'a Job,
    clocks: Vec<Clock<'a>>,
    account: Account,
    /// Seconds since the job began.
    now_s: f64,
    /// Seconds of computing so far, kept or not.
    computed_s: f64,
    /// The checkpoint that the job went on from, and the last global one that is durable.
    last: u64,
    last_global: u64,
}

impl<'a> Walk<'a> {
    fn new(job: &'a Job, random: &'a Random, run: u32) -> Self {
        let clocks = job.failures.iter();
        Self {
            job,
            clocks: clocks.map(|one| Clock::new(one, random, run)).collect(),
            account: Account::default(),
            now_s: 0.0,
            computed_s: 0.0,
            last: 0,
            last_global: 0,
        }
    }

    fn go(mut self, until: Until, control: &Control) -> Result<Account> {
        // Computing since the last checkpoint when the walk ends, which is not lost.
        let mut since_s = 0.0;
        loop {
            let failed = self.next();
            let to_failure_s = failed.map_or(f64::INFINITY, |index| self.clocks[index].next_s);
            let left_s = self.left_s(until);
            if left_s <= to_failure_s {
                since_s = self.compute(left_s);
                break;
            }
            let Some(failed) = failed else { break };
            let restart_s = self.fall_back(failed, to_failure_s);
            self.account.interruptions += 1;
            self.account.failures += 1;
            let is_over = self.restart(failed, restart_s, until, control)?;
            self.look(control)?;
            if is_over || until == Until::Interruptions(self.account.interruptions) {
                break;
            }
        }
        let saved_s = self.last as f64 * self.job.checkpoints.interval_s;
        self.account.kept_s = saved_s + since_s;
        self.account.redone_s = self.computed_s - self.account.kept_s;
        Ok(self.account)
    }

    /// The clock of the next failure.
    fn next(&self) -> Option<usize> {
        let seconds = |index: &usize| self.clocks[*index].next_s;
        (0..self.clocks.len()).min_by(|a, b| seconds(a).total_cmp(&seconds(b)))
    }

    /// Seconds until a walk ends, if nothing fails.
    fn left_s(&self, until: Until) -> f64 {
        match until {
            Until::Interruptions(_) => f64::INFINITY,
            Until::Seconds(end_s) => end_s - self.now_s,
            Until::Checkpoints(n) => self.job.checkpoints.seconds(self.last, n.max(self.last)),
        }
    }

    /// Computes and writes for some seconds, and returns how many of them were computing.
    fn compute(&mut self, seconds: f64) -> f64 {
        let done = self.job.checkpoints.progress(self.last, seconds);
        let compute_s = done.compute_s.min(seconds);
        self.computed_s += compute_s;
        self.account.checkpoint_s += seconds - compute_s;
        self.now_s += seconds;
        for clock in &mut self.clocks {
            clock.next_s -= seconds;
        }
        compute_s
    }

    /// Computes until a failure, goes back, and returns the seconds of the restart.
    fn fall_back(&mut self, failed: usize, seconds: f64) -> f64 {
        self.compute(seconds);
        let checkpoints = &self.job.checkpoints;
        if let Some(global) = checkpoints.durable_global(self.last, seconds) {
            self.last_global = global;
        }
        let recovery = &self.job.recovery;
        let keeps_local = self.clocks[failed].failures.keeps_local();
        if checkpoints.global.is_some() && !keeps_local {
            self.last = self.last_global;
            recovery.global_restart_s
        } else {
            self.last = checkpoints.durable(self.last, seconds);
            recovery.restart_s
        }
    }

    /// Notices the failure and restarts; returns whether the walk is over by then.
    fn restart(
        &mut self,
        failed: usize,
        restart_s: f64,
        until: Until,
        control: &Control,
    ) -> Result<bool> {
        self.clocks[failed].begin();
        let detection_s = self.job.recovery.detection_s;
        let mut down_s = detection_s + restart_s;
        loop {
            let end_s = match until {
                Until::Seconds(end_s) => end_s - self.now_s,
                _ => f64::INFINITY,
            };
            let failure_s = match self.next() {
                Some(index) if self.job.recovery.can_fail => self.clocks[index].next_s,
                _ => f64::INFINITY,
            };
            let seconds = down_s.min(end_s).min(failure_s);
            self.account.detection_s += seconds.min(detection_s);
            self.account.restart_s += (seconds - detection_s).max(0.0);
            self.now_s += seconds;
            if self.job.recovery.can_fail {
                for clock in &mut self.clocks {
                    clock.next_s -= seconds;
                }
            }
            if seconds == end_s {
                return Ok(true);
            }
            if seconds == down_s {
                break;
            }
            // Another failure: all begins again.
            self.account.failures += 1;
            self.look(control)?;
            if let Some(index) = self.next() {
                down_s = detection_s + self.restart_again_s(index, down_s - detection_s);
                self.clocks[index].begin();
            }
        }
        for clock in &mut self.clocks {
            if clock.failures.is_renewed() {
                clock.begin();
            }
        }
        Ok(false)
    }

    /// Looks at the stop flag once in many failures.
    fn look(&self, control: &Control) -> Result<()> {
        if self.account.failures.is_multiple_of(FAILURES_BETWEEN_LOOKS) {
            control.advance(FAILURES_BETWEEN_LOOKS)?;
        }
        if self.account.failures > MOST_FAILURES {
            let requirement = format!("fewer than {MOST_FAILURES} in a run");
            return Err(Error::domain("failures", MOST_FAILURES as f64, requirement));
        }
        Ok(())
    }

    /// Goes back farther if a failure during a restart takes the local checkpoint, too.
    fn restart_again_s(&mut self, failed: usize, restart_s: f64) -> f64 {
        if self.job.checkpoints.global.is_some() && !self.clocks[failed].failures.keeps_local() {
            self.last = self.last_global;
            return self.job.recovery.global_restart_s;
        }
        restart_s
    }
}

impl Job {
    /// Refuses numbers out of their domains.
    ///
    /// # Errors
    /// [`Error::Domain`] naming the field.
    pub fn check(&self) -> Result<()> {
        self.checkpoints
            .check()
            .map_err(|error| error.within("checkpoint"))?;
        let recovery = &self.recovery;
        for (field, value) in [
            ("detection_s", recovery.detection_s),
            ("restart_s", recovery.restart_s),
            ("global_restart_s", recovery.global_restart_s),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                let error = Error::domain(field, value, "finite and >= 0");
                return Err(error.within("recovery"));
            }
        }
        Ok(())
    }
}
