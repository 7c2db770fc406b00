//! What a job has computed since it last went on, and how much of it stays.

use super::sum::Sum;
use crate::renewal::Checkpoints;

/// Why a job stops computing, and so what it goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A failure that local checkpoints survive.
    Near,
    /// A failure that takes them, too.
    Far,
    /// It saved its state first, as the next checkpoint.
    Saved,
    /// The run is over: what was computed is not lost.
    Over,
}

/// The work of a job in one run, in rank-seconds by pool.
#[derive(Debug, Clone)]
pub(super) struct Work {
    checkpoints: Option<Checkpoints>,
    n_pools: usize,
    /// The checkpoint from which the job went on, and the last global one that is durable.
    from: u64,
    global: u64,
    /// Stretches of running with equal ranks since the job went on: the seconds of running at which
    /// each began, and the ranks at work by pool, one stretch after another.
    begun_s: Vec<f64>,
    held: Vec<f64>,
    /// Computing after the last global checkpoint, which is kept unless a failure takes the local
    /// ones.
    tentative: Vec<f64>,
    pub kept: Vec<Sum>,
    pub redone: Vec<Sum>,
    pub checkpoint: Vec<Sum>,
}

impl Work {
    pub fn new(checkpoints: Option<Checkpoints>, n_pools: usize) -> Self {
        Self {
            checkpoints,
            n_pools,
            from: 0,
            global: 0,
            begun_s: Vec::new(),
            held: Vec::new(),
            tentative: vec![0.0; n_pools],
            kept: vec![Sum::default(); n_pools],
            redone: vec![Sum::default(); n_pools],
            checkpoint: vec![Sum::default(); n_pools],
        }
    }

    /// The job goes on from its last checkpoint, with some ranks of each pool.
    pub fn begin(&mut self, held: impl Iterator<Item = f64>) {
        self.begun_s.clear();
        self.held.clear();
        self.change(0.0, held);
    }

    /// It has other ranks after some seconds of running.
    pub fn change(&mut self, run_s: f64, held: impl Iterator<Item = f64>) {
        self.begun_s.push(run_s);
        self.held.extend(held);
    }

    /// Seconds of computing within some seconds of running since the job went on.
    fn computed_s(&self, run_s: f64) -> f64 {
        let Some(checkpoints) = &self.checkpoints else {
            return run_s;
        };
        checkpoints.progress(self.from, run_s).compute_s.min(run_s)
    }

    /// Seconds of running at which the next checkpoint has been taken.
    pub fn next_checkpoint_s(&self, run_s: f64) -> Option<f64> {
        let checkpoints = self.checkpoints.as_ref()?;
        let taken = checkpoints.progress(self.from, run_s).taken;
        Some(checkpoints.seconds(self.from, taken + 1))
    }

    /// Seconds until the state is saved, and durable, as the next checkpoint.
    pub fn save_s(&self, run_s: f64) -> f64 {
        let Some(checkpoints) = &self.checkpoints else {
            return 0.0;
        };
        let next = checkpoints.progress(self.from, run_s).taken + 1;
        match &checkpoints.global {
            Some(level) if next.is_multiple_of(u64::from(level.every)) => {
                level.blocking_s + level.durable_s
            }
            _ => checkpoints.blocking_s + checkpoints.durable_s,
        }
    }

    /// Seconds of running at which so much work is done, with the ranks that are at work now.
    ///
    /// `work_per_s` is what a rank of each pool does in a second.
    pub fn done_s(&self, work: f64, work_per_s: &[f64]) -> f64 {
        let of = |ranks: &[f64]| {
            ranks
                .iter()
                .zip(work_per_s)
                .map(|(n, w)| n * w)
                .sum::<f64>()
        };
        let kept = (0..self.n_pools).map(|pool| self.kept[pool].total());
        let mut left = work - of(&kept.collect::<Vec<_>>()) - of(&self.tentative);
        let last = self.begun_s.len() - 1;
        let rate = |stretch: usize| of(&self.held[stretch * self.n_pools..][..self.n_pools]);
        for stretch in 0..last {
            let [from_s, to_s] = [stretch, stretch + 1].map(|at| self.computed_s(self.begun_s[at]));
            left -= rate(stretch) * (to_s - from_s);
        }
        let compute_s = self.computed_s(self.begun_s[last]) + left.max(0.0) / rate(last);
        match &self.checkpoints {
            Some(checkpoints) if compute_s.is_finite() => {
                checkpoints.reached_s(self.from, compute_s)
            }
            _ => compute_s,
        }
    }

    /// The job has stopped after some seconds of running.
    pub fn stop(&mut self, run_s: f64, stop: Stop) {
        let computed_s = self.computed_s(run_s);
        let back = self.back(run_s, computed_s, stop);
        let has_global = self.checkpoints.is_some_and(|all| all.global.is_some());
        if has_global && back.is_global {
            // What was kept for now lies before a durable global checkpoint, or is lost.
            let sums = if stop == Stop::Far && back.sure_s == 0.0 {
                &mut self.redone
            } else {
                &mut self.kept
            };
            for (sum, tentative) in sums.iter_mut().zip(&mut self.tentative) {
                sum.add(std::mem::take(tentative));
            }
        }
        let mut end_s = run_s;
        let mut ended_s = computed_s;
        for stretch in (0..self.begun_s.len()).rev() {
            let from_s = self.begun_s[stretch];
            let begun_s = if from_s == 0.0 {
                0.0
            } else {
                self.computed_s(from_s)
            };
            let compute_s = ended_s - begun_s;
            let part = |until_s: f64| (until_s.min(ended_s) - begun_s).max(0.0);
            let (kept_s, sure_s) = (part(back.kept_s), part(back.sure_s));
            let checkpoint_s = ((end_s - from_s) - compute_s).max(0.0);
            for pool in 0..self.n_pools {
                let n = self.held[stretch * self.n_pools + pool];
                self.kept[pool].add(n * sure_s);
                self.tentative[pool] += n * (kept_s - sure_s);
                self.redone[pool].add(n * (compute_s - kept_s));
                self.checkpoint[pool].add(n * checkpoint_s);
            }
            (end_s, ended_s) = (from_s, begun_s);
        }
        self.begun_s.clear();
        self.held.clear();
        self.from = back.from;
        self.global = back.global;
    }

    /// Another failure takes the local checkpoints before the job has gone on.
    pub fn lose_local(&mut self) {
        for (sum, tentative) in self.redone.iter_mut().zip(&mut self.tentative) {
            sum.add(std::mem::take(tentative));
        }
        self.from = self.global;
    }

    /// What a job goes back to that has run for some seconds.
    fn back(&self, run_s: f64, computed_s: f64, stop: Stop) -> Back {
        let over = Back {
            kept_s: computed_s,
            sure_s: computed_s,
            from: self.from,
            global: self.global,
            is_global: true,
        };
        let Some(checkpoints) = &self.checkpoints else {
            let kept_s = if stop == Stop::Over { computed_s } else { 0.0 };
            return Back {
                kept_s,
                sure_s: kept_s,
                ..over
            };
        };
        let at_s = |checkpoint: u64| {
            ((checkpoint - self.from) as f64 * checkpoints.interval_s).min(computed_s)
        };
        let global = checkpoints.durable_global(self.from, run_s);
        let local = |last: u64, kept_s: f64| match (checkpoints.global, global) {
            (None, _) => Back {
                kept_s,
                sure_s: kept_s,
                from: last,
                ..over
            },
            (_, Some(global)) => Back {
                kept_s,
                sure_s: at_s(global),
                from: last,
                global,
                is_global: true,
            },
            (_, None) => Back {
                kept_s,
                sure_s: 0.0,
                from: last,
                is_global: false,
                ..over
            },
        };
        match stop {
            Stop::Over => over,
            Stop::Near => {
                let last = checkpoints.durable(self.from, run_s);
                local(last, at_s(last))
            }
            Stop::Saved => {
                let saved = checkpoints.progress(self.from, run_s).taken + 1;
                let level = checkpoints.global.as_ref();
                if level.is_some_and(|level| saved.is_multiple_of(u64::from(level.every))) {
                    return Back {
                        from: saved,
                        global: saved,
                        ..over
                    };
                }
                local(saved, computed_s)
            }
            Stop::Far => {
                let kept_s = global.map_or(0.0, at_s);
                let global = global.unwrap_or(self.global);
                Back {
                    kept_s,
                    sure_s: kept_s,
                    from: global,
                    global,
                    is_global: true,
                }
            }
        }
    }
}

/// What a job goes back to.
#[derive(Debug, Clone, Copy)]
struct Back {
    /// Seconds of computing, since the job went on, that are kept.
    kept_s: f64,
    /// Those of them that no later failure takes.
    sure_s: f64,
    /// The checkpoint, and the last global one.
    from: u64,
    global: u64,
    /// Whether it is decided what becomes of computing that was kept for now.
    is_global: bool,
}

/// What ends a stretch of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StretchEnd {
    /// A failure that local checkpoints survive.
    Near,
    /// A failure that takes them, too.
    Far,
    /// Nothing that is lost: the state was saved, or the run is over.
    Saved,
}

/// Seconds of running without a stop, and what ended them.
pub type Stretch = (f64, StretchEnd);

/// Seconds of computing that are kept of some stretches, with these checkpoints.
#[must_use]
pub fn kept_seconds(checkpoints: &Checkpoints, stretches: &[Stretch]) -> f64 {
    let mut work = Work::new(Some(*checkpoints), 1);
    for &(run_s, end) in stretches {
        work.begin(std::iter::once(1.0));
        let stop = match end {
            StretchEnd::Near => Stop::Near,
            StretchEnd::Far => Stop::Far,
            StretchEnd::Saved => Stop::Saved,
        };
        work.stop(run_s, stop);
    }
    work.kept[0].total() + work.tentative[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::GlobalLevel;

    fn checkpoints(every: Option<u32>) -> Checkpoints {
        Checkpoints {
            interval_s: 10.0,
            blocking_s: 1.0,
            durable_s: 0.0,
            global: every.map(|every| GlobalLevel {
                every,
                blocking_s: 2.0,
                durable_s: 0.0,
            }),
        }
    }

    fn totals(work: &Work) -> [f64; 4] {
        let tentative = work.tentative[0];
        [&work.kept, &work.redone, &work.checkpoint]
            .map(|sums| sums[0].total())
            .into_iter()
            .chain([tentative])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    #[test]
    fn a_near_failure_goes_back_to_the_last_checkpoint() {
        let mut work = Work::new(Some(checkpoints(None)), 1);
        work.begin(std::iter::once(3.0));
        work.stop(25.0, Stop::Near);
        assert_eq!(totals(&work), [60.0, 9.0, 6.0, 0.0]);
    }

    #[test]
    fn ranks_that_join_count_from_then_on() {
        let mut work = Work::new(Some(checkpoints(None)), 1);
        work.begin(std::iter::once(3.0));
        work.change(11.0, std::iter::once(4.0));
        work.stop(25.0, Stop::Near);
        assert_eq!(totals(&work), [70.0, 12.0, 7.0, 0.0]);
    }

    #[test]
    fn a_far_failure_takes_what_local_checkpoints_kept() {
        let mut work = Work::new(Some(checkpoints(Some(3))), 1);
        // Two local checkpoints: 20 s kept for now.
        work.begin(std::iter::once(1.0));
        work.stop(25.0, Stop::Near);
        assert_eq!(totals(&work), [0.0, 3.0, 2.0, 20.0]);
        // The third one is global, 12 s later: it and a local one after it are taken.
        work.begin(std::iter::once(1.0));
        work.stop(12.0 + 11.0 + 4.0, Stop::Near);
        assert_eq!(totals(&work), [30.0, 7.0, 5.0, 10.0]);
        work.begin(std::iter::once(1.0));
        work.stop(5.0, Stop::Far);
        assert_eq!(totals(&work), [30.0, 22.0, 5.0, 0.0]);
        assert_eq!((work.from, work.global), (3, 3));
    }

    #[test]
    fn a_saved_state_loses_nothing() {
        let mut work = Work::new(Some(checkpoints(None)), 1);
        work.begin(std::iter::once(1.0));
        work.stop(15.0, Stop::Saved);
        assert_eq!(totals(&work), [14.0, 0.0, 1.0, 0.0]);
        assert_eq!(work.from, 2);
    }

    #[test]
    fn work_is_done_when_enough_was_computed() {
        let mut work = Work::new(Some(checkpoints(None)), 1);
        work.begin(std::iter::once(2.0));
        // 30 units at 2 a second take 15 s, and a checkpoint of 1 s between.
        assert_eq!(work.done_s(30.0, &[1.0]), 16.0);
        work.change(11.0, std::iter::once(4.0));
        assert_eq!(work.done_s(40.0, &[1.0]), 16.0);
    }
}
