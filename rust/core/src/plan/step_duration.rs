//! How long a step takes, by what the replica that it waits for computes.

use super::communication::{Communication, MAX_TERMS};

/// A straight line: seconds of a step by the seconds that a replica computes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    base_s: f64,
    slope: f64,
}

/// Seconds of one step by the seconds that one replica of a pool computes and is stalled:
/// its compute, its stalls, and the communication that its compute does not hide.
///
/// More compute hides more communication, and the step still grows with it: of each term,
/// windows hide no more than their share of compute, and all shares together are 1 at most.
/// So the duration is the greatest of a few rising lines. Evaluated as such it grows with
/// both arguments in floating point as well, which searches for the slowest replica rely on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDuration {
    /// The last one is repeated where there are fewer, so that all of them can be looked at
    /// without counting.
    lines: [Line; MAX_TERMS + 1],
}

impl StepDuration {
    /// Of a step without communication.
    pub const COMPUTE_ALONE: Self = Self {
        lines: [Line {
            base_s: 0.0,
            slope: 1.0,
        }; MAX_TERMS + 1],
    };

    /// Of one step with a replica of pool number `pool`, whose terms take `times_s`
    /// ([`Communication::times_s`]).
    #[must_use]
    pub fn new(communication: &Communication, pool: usize, times_s: &[f64; MAX_TERMS]) -> Self {
        let mut duration = Self::COMPUTE_ALONE;
        // Terms by the compute that is enough to hide all of them but their last bucket.
        let mut windows = [(0.0, 0.0, 0.0); MAX_TERMS];
        let mut n_windows = 0;
        let mut base_s = 0.0;
        for (term, &time_s) in communication.terms.iter().zip(times_s) {
            let window = communication.overlap_fraction * term.window_share[pool];
            let tail_s = time_s / f64::from(term.n_buckets);
            if window > 0.0 && tail_s < time_s {
                // Of what hides the cost stays, whether it hides or not.
                let hideable_s = time_s - tail_s;
                let saved = 1.0 - communication.hidden_cost;
                windows[n_windows] = (hideable_s / window, saved * window, saved * hideable_s);
                n_windows += 1;
                base_s += tail_s + communication.hidden_cost * hideable_s;
            } else {
                base_s += time_s;
            }
        }
        let windows = &mut windows[..n_windows];
        windows.sort_by(|a, b| b.0.total_cmp(&a.0));
        duration.lines.fill(Line { base_s, slope: 1.0 });
        // From much compute to little: one term after the other is no longer hidden.
        let mut slope = 1.0;
        for (index, &(_, window, hidden_s)) in windows.iter().enumerate() {
            base_s += hidden_s;
            slope = f64::max(slope - window, 0.0);
            duration.lines[index + 1..].fill(Line { base_s, slope });
        }
        duration
    }

    /// Seconds of the step with a replica that computes and is stalled for so long.
    #[must_use]
    #[inline]
    pub fn seconds(&self, own_compute_s: f64, stall_s: f64) -> f64 {
        let of = |line: &Line| line.base_s + line.slope * own_compute_s;
        let mut longest_s = of(&self.lines[0]);
        for line in &self.lines[1..] {
            let seconds = of(line);
            if seconds > longest_s {
                longest_s = seconds;
            }
        }
        longest_s + stall_s
    }

    /// Compute up to which a replica without stalls takes less than `seconds`; 0 or less where
    /// none does.
    #[must_use]
    pub fn compute_below_s(&self, seconds: f64) -> f64 {
        self.lines
            .iter()
            .map(|line| match seconds - line.base_s {
                above if above <= 0.0 => 0.0,
                above => above / line.slope,
            })
            .fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::communication::Term;

    fn communication(
        shares: &[f64],
        n_buckets: u32,
        overlap_fraction: f64,
        hidden_cost: f64,
    ) -> Communication {
        let term = |&share: &f64| Term {
            latency_s: vec![0.0],
            transfer_s: vec![1.0],
            window_share: vec![share],
            n_buckets,
            hops: None,
        };
        Communication {
            terms: shares.iter().map(term).collect(),
            overlap_fraction,
            hidden_cost,
        }
    }

    #[test]
    fn a_duration_is_compute_stalls_and_what_is_exposed() {
        for (shares, n_buckets, overlap, hidden_cost) in [
            (vec![], 1, 0.9, 0.0),
            (vec![0.3], 1, 0.9, 0.0),
            (vec![0.3, 0.7], 10, 0.9, 0.0),
            (vec![0.3, 0.2, 0.5], 126, 1.0, 0.0),
            (vec![0.0, 1.0], 4, 0.5, 0.0),
            (vec![0.3, 0.7], 10, 0.9, 0.4),
            (vec![0.3, 0.2, 0.5], 126, 1.0, 1.0),
        ] {
            let communication = communication(&shares, n_buckets, overlap, hidden_cost);
            let times_s = [0.5, 2.0, 0.25, 0.0];
            let duration = StepDuration::new(&communication, 0, &times_s);
            for k in 0..400 {
                let own_s = 0.03 * f64::from(k);
                let exposed_s = communication.exposed_s(0, own_s, &times_s);
                let found = duration.seconds(own_s, 0.7);
                let expected = own_s + 0.7 + exposed_s;
                assert!((found / expected - 1.0).abs() < 1e-14, "{found} {expected}");
                // What takes as long is not below it, by a margin of rounding.
                let below = duration.compute_below_s(found - 0.7);
                assert!(below <= own_s * (1.0 + 1e-12), "{below} {own_s}");
            }
        }
    }

    #[test]
    fn a_duration_never_falls_with_compute() {
        // With all of a term hidden behind all compute, nothing grows for a while.
        let communication = communication(&[0.4, 0.6], 1000, 1.0, 0.0);
        let times_s = [0.4, 0.6, 0.0, 0.0];
        let duration = StepDuration::new(&communication, 0, &times_s);
        let mut before = 0.0;
        let mut own_s = 0.1_f32;
        for _ in 0..200_000 {
            let seconds = duration.seconds(f64::from(own_s), 0.0);
            assert!(seconds >= before);
            before = seconds;
            own_s = own_s.next_up();
        }
        let flat = duration.seconds(0.2, 0.0) - duration.seconds(0.1, 0.0);
        assert!(flat.abs() < 1e-15);
        assert!(duration.compute_below_s(duration.seconds(0.2, 0.0)) <= 0.2);
    }
}
