//! How many GPUs of a pool do what, and for how long they have done it.

use super::sum::Sum;

/// What a GPU does, as long as it does not matter what the job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// A rank of a part that works in the job.
    Held,
    Repair,
    Spare,
    Leftover,
    CutOff,
}

const N_DUTIES: usize = 5;

/// GPUs by duty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally([i64; N_DUTIES]);

impl Tally {
    pub fn add(&mut self, duty: Duty, gpus: i64) {
        self.0[duty as usize] += gpus;
    }
}

/// The GPUs of one pool in one run.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    now: Tally,
    since_s: f64,
    seconds: [Sum; N_DUTIES],
    /// Nodes that are down, and the seconds for which so many were.
    n_down: usize,
    down_since_s: f64,
    down_seconds: Vec<f64>,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            now: Tally::default(),
            since_s: 0.0,
            seconds: [Sum::default(); N_DUTIES],
            n_down: 0,
            down_since_s: 0.0,
            down_seconds: vec![0.0],
        }
    }

    /// Counts GPUs from now on.
    pub fn add(&mut self, now_s: f64, tally: Tally) {
        self.advance(now_s);
        for (count, n) in self.now.0.iter_mut().zip(tally.0) {
            *count += n;
        }
    }

    /// Counts GPUs no longer.
    pub fn remove(&mut self, now_s: f64, tally: Tally) {
        self.add(now_s, Tally(tally.0.map(|n| -n)));
    }

    /// Adds up seconds until now.
    fn advance(&mut self, now_s: f64) {
        let elapsed_s = now_s - self.since_s;
        if elapsed_s > 0.0 {
            for (sum, &n) in self.seconds.iter_mut().zip(&self.now.0) {
                if n != 0 {
                    sum.add(n as f64 * elapsed_s);
                }
            }
        }
        self.since_s = now_s;
    }

    /// GPUs that the job holds.
    pub fn held(&self) -> i64 {
        self.now.0[Duty::Held as usize]
    }

    /// Seconds of GPUs that the job held, since this was asked last.
    pub fn take_held_s(&mut self, now_s: f64) -> f64 {
        self.advance(now_s);
        self.seconds[Duty::Held as usize].take()
    }

    /// Seconds of GPUs with a duty until now.
    pub fn seconds(&mut self, now_s: f64, duty: Duty) -> f64 {
        self.advance(now_s);
        self.seconds[duty as usize].total()
    }

    /// One more node is down from now on, or one less.
    pub fn count_down(&mut self, now_s: f64, is_down: bool) {
        self.advance_down(now_s);
        self.n_down = if is_down {
            self.n_down + 1
        } else {
            self.n_down - 1
        };
        if self.n_down >= self.down_seconds.len() {
            self.down_seconds.resize(self.n_down + 1, 0.0);
        }
    }

    fn advance_down(&mut self, now_s: f64) {
        self.down_seconds[self.n_down] += now_s - self.down_since_s;
        self.down_since_s = now_s;
    }

    /// Seconds until now for which 0, 1, 2 and so on nodes were down.
    pub fn down_seconds(&mut self, now_s: f64) -> Vec<f64> {
        self.advance_down(now_s);
        self.down_seconds.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(duty: Duty, gpus: i64) -> Tally {
        let mut tally = Tally::default();
        tally.add(duty, gpus);
        tally
    }

    #[test]
    fn seconds_are_counts_times_the_time_that_they_last() {
        let mut ledger = Ledger::new();
        ledger.add(0.0, of(Duty::Held, 8));
        ledger.remove(10.0, of(Duty::Held, 3));
        ledger.add(10.0, of(Duty::Repair, 3));
        assert_eq!(ledger.held(), 5);
        assert_eq!(ledger.take_held_s(14.0), 100.0);
        assert_eq!(ledger.take_held_s(15.0), 5.0);
        assert_eq!(ledger.seconds(16.0, Duty::Repair), 18.0);
    }

    #[test]
    fn nodes_that_are_down_are_counted_by_how_many_there_are() {
        let mut ledger = Ledger::new();
        ledger.count_down(1.0, true);
        ledger.count_down(3.0, true);
        ledger.count_down(4.0, false);
        assert_eq!(ledger.down_seconds(10.0), [1.0, 8.0, 1.0]);
    }
}
