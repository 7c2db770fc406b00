//! Which checkpoints a job has written after some time, and which of them are durable.
//!
//! Computing and writing follow each other in *segments*: `interval_s` of computing, and then the
//! part of a checkpoint that stops the job. Segment k ends with checkpoint k, which holds the
//! state at its end. With a global level each m-th checkpoint is a global one.
//!
//! All questions have answers in a few operations, however many segments there are.

use crate::error::{Error, Result};

/// When checkpoints are written, and how long that takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checkpoints {
    /// Seconds of computing from one checkpoint to the next one.
    pub interval_s: f64,
    /// Seconds for which a checkpoint stops the job.
    pub blocking_s: f64,
    /// Seconds after that until it is durable, while the job goes on.
    pub durable_s: f64,
    /// The second level, if there is one; the numbers above are the local level's then.
    pub global: Option<GlobalLevel>,
}

/// Checkpoints that also survive what local ones do not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GlobalLevel {
    /// Each so many checkpoints one is global instead of local.
    pub every: u32,
    /// Seconds for which it stops the job.
    pub blocking_s: f64,
    /// Seconds after that until it is durable.
    pub durable_s: f64,
}

/// What a job has done some seconds after it went on from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Progress {
    /// The last checkpoint whose state has been taken.
    pub taken: u64,
    /// Seconds of computing.
    pub compute_s: f64,
}

impl Checkpoints {
    pub(crate) fn check(&self) -> Result<()> {
        let not_negative = |field: &str, value: f64| {
            if value >= 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::domain(field, value, "finite and >= 0"))
        };
        if !(self.interval_s > 0.0 && self.interval_s.is_finite()) {
            return Err(Error::domain(
                "interval_s",
                self.interval_s,
                "finite and > 0",
            ));
        }
        not_negative("blocking_s", self.blocking_s)?;
        not_negative("durable_s", self.durable_s)?;
        if let Some(global) = &self.global {
            let within = |error: Error| error.within("global");
            if global.every == 0 {
                return Err(within(Error::domain("every", 0.0, ">= 1")));
            }
            not_negative("blocking_s", global.blocking_s).map_err(within)?;
            not_negative("durable_s", global.durable_s).map_err(within)?;
        }
        Ok(())
    }

    /// Checkpoints of a cycle, the last of which is global; 1 without a global level.
    fn cycle(&self) -> u64 {
        self.global.map_or(1, |global| u64::from(global.every))
    }

    /// Seconds for which the last checkpoint of a cycle stops the job.
    fn last_blocking_s(&self) -> f64 {
        self.global
            .map_or(self.blocking_s, |global| global.blocking_s)
    }

    /// Seconds of all segments up to checkpoint `to`, from checkpoint `from` on.
    pub(crate) fn seconds(&self, from: u64, to: u64) -> f64 {
        let last = to / self.cycle() - from / self.cycle();
        let others = to - from - last;
        let local_s = self.interval_s + self.blocking_s;
        others as f64 * local_s + last as f64 * (self.interval_s + self.last_blocking_s())
    }

    /// What a job has done `after_s` seconds after it went on from checkpoint `from`.
    pub(crate) fn progress(&self, from: u64, after_s: f64) -> Progress {
        let cycle = self.cycle();
        let place = from % cycle;
        let local_s = self.interval_s + self.blocking_s;
        // As if it had come from the begin of its cycle.
        let since_s = after_s + place as f64 * local_s;
        let cycle_s = (cycle - 1) as f64 * local_s + self.interval_s + self.last_blocking_s();
        let cycles = (since_s / cycle_s).floor();
        let in_cycle_s = (since_s - cycles * cycle_s).max(0.0);
        let done = (in_cycle_s / local_s).floor().min((cycle - 1) as f64);
        let in_segment_s = (in_cycle_s - done * local_s).max(0.0);
        let segments = cycles as u64 * cycle + done as u64 - place;
        Progress {
            taken: from + segments,
            compute_s: segments as f64 * self.interval_s + in_segment_s.min(self.interval_s),
        }
    }

    /// Seconds after going on from checkpoint `from` at which so many seconds have been computed.
    pub(crate) fn reached_s(&self, from: u64, compute_s: f64) -> f64 {
        let segments = (compute_s / self.interval_s).floor();
        let rest_s = (compute_s - segments * self.interval_s).max(0.0);
        self.seconds(from, from + segments as u64) + rest_s
    }

    /// The last checkpoint that is durable `after_s` seconds after the job went on from `from`,
    /// on either level.
    pub(crate) fn durable(&self, from: u64, after_s: f64) -> u64 {
        let taken = self.taken_by(from, after_s - self.durable_s);
        let Some(global) = &self.global else {
            return taken;
        };
        let every = u64::from(global.every);
        // A global one may take longer, and the local one before it is durable then.
        let is_global = taken.is_multiple_of(every);
        let durable_global = self.durable_global(from, after_s).unwrap_or(from);
        let local = if is_global && taken > durable_global {
            taken.saturating_sub(1)
        } else {
            taken
        };
        let local = if every == 1 { from } else { local };
        local.max(durable_global).max(from)
    }

    /// The last global checkpoint that became durable since then, if any did.
    pub(crate) fn durable_global(&self, from: u64, after_s: f64) -> Option<u64> {
        let global = self.global.as_ref()?;
        let taken = self.taken_by(from, after_s - global.durable_s);
        let last = taken - taken % u64::from(global.every);
        (last > from).then_some(last)
    }

    fn taken_by(&self, from: u64, after_s: f64) -> u64 {
        if after_s <= 0.0 {
            return from;
        }
        self.progress(from, after_s).taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(durable_s: [f64; 2], every: Option<u32>) -> Checkpoints {
        Checkpoints {
            interval_s: 1.0,
            blocking_s: 0.25,
            durable_s: durable_s[0],
            global: every.map(|every| GlobalLevel {
                every,
                blocking_s: 0.5,
                durable_s: durable_s[1],
            }),
        }
    }

    /// Ends of segments, and whether they end with a global checkpoint.
    fn ends(checkpoints: &Checkpoints, from: u64, n: u64) -> Vec<(u64, f64, bool)> {
        let mut at_s = 0.0;
        (from + 1..=from + n)
            .map(|k| {
                let every = checkpoints.global.map(|global| u64::from(global.every));
                let is_global = every.is_some_and(|every| k % every == 0);
                at_s += 1.0 + if is_global { 0.5 } else { 0.25 };
                (k, at_s, is_global)
            })
            .collect()
    }

    #[test]
    fn progress_is_that_of_segments_one_after_another() {
        for every in [None, Some(1), Some(2), Some(5)] {
            let checkpoints = levels([0.0, 0.0], every);
            for from in 0..7 {
                let ends = ends(&checkpoints, from, 40);
                assert_eq!(checkpoints.seconds(from, from + 40), ends[39].1);
                for eighth in 0..300 {
                    // Off the borders, where rounding decides.
                    let after_s = f64::from(eighth) / 8.0 + 1e-3;
                    let done = ends.iter().rfind(|end| end.1 <= after_s);
                    let (taken, since_s) = done.map_or((from, 0.0), |end| (end.0, end.1));
                    let compute_s = (taken - from) as f64 + (after_s - since_s).min(1.0);
                    let found = checkpoints.progress(from, after_s);
                    assert_eq!(found.taken, taken);
                    assert!((found.compute_s - compute_s).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_checkpoint_is_durable_some_time_after_it_was_taken() {
        for every in [None, Some(1), Some(2), Some(5)] {
            for durable_s in [[0.0, 0.0], [0.3, 0.3], [0.3, 4.0], [3.0, 0.1], [2.0, 9.0]] {
                let checkpoints = levels(durable_s, every);
                for from in 0..7 {
                    let ends = ends(&checkpoints, from, 40);
                    for eighth in 0..300 {
                        let after_s = f64::from(eighth) / 8.0 + 1e-3;
                        let is_durable = |&&(_, end_s, is_global): &&(u64, f64, bool)| {
                            end_s + durable_s[usize::from(is_global)] <= after_s
                        };
                        let durable: Vec<_> = ends.iter().filter(is_durable).collect();
                        let last = durable.iter().map(|end| end.0).max();
                        assert_eq!(checkpoints.durable(from, after_s), last.unwrap_or(from));
                        let global = durable.iter().filter(|end| end.2).map(|end| end.0).max();
                        assert_eq!(checkpoints.durable_global(from, after_s), global);
                    }
                }
            }
        }
    }
}
