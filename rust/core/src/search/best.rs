//! What a search through ranks or ports keeps.

use crate::plan::{Pool, SlowestPort, StepDuration};

/// Keeps [`SlowestRank::enough`] below what it stands for, whatever rounding does.
const ENOUGH_MARGIN: f64 = 1.0 - 1e-6;

/// What a search keeps of the ranks or ports that it has visited.
pub trait Best {
    /// Returns true if a rank with this slowdown and stall would change the result.
    ///
    /// Monotone: true stays true for a greater slowdown, a longer stall or a lower
    /// rank. Tile skipping relies on it.
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool;

    /// Takes in a rank for which [`Best::yields_to`] is true.
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32);

    /// Prepares for many more ranks, of which few will change the result.
    fn settle(&mut self) {}
}

/// How long the ranks of a pool make one step.
#[derive(Debug, Clone, Copy)]
pub struct RankDuration<'d> {
    /// Seconds that a replica of the pool computes without any cause.
    pub unit_s: f64,
    /// Seconds of the step by what one of them computes.
    pub duration: &'d StepDuration,
}

impl<'d> RankDuration<'d> {
    /// Of a step without communication in units of the pool's time.
    #[must_use]
    pub fn of_compute_alone() -> Self {
        Self {
            unit_s: 1.0,
            duration: &StepDuration::COMPUTE_ALONE,
        }
    }

    /// Seconds of the step with a rank of this slowdown and stall.
    fn seconds(&self, slowdown: f32, stall: f32) -> f64 {
        let (own_compute_s, stall_s) = (f64::from(slowdown), f64::from(stall));
        self.duration
            .seconds(self.unit_s * own_compute_s, self.unit_s * stall_s)
    }
}

/// The rank with which a step takes longest; of several, the one that is done last itself,
/// and of these the first.
#[derive(Debug, Clone, Copy)]
pub struct SlowestRank<'d> {
    step: RankDuration<'d>,
    /// Seconds of the step.
    pub duration_s: f64,
    /// Slowdown of the rank.
    pub slowdown: f32,
    /// Its stalls in units of the pool's noiseless compute time.
    pub stall_rel: f32,
    /// The rank's number in the pool.
    pub rank: u32,
    /// Slowdown below which no rank without stalls would change the result, as far as that has
    /// been looked for.
    enough: f32,
}

impl<'d> SlowestRank<'d> {
    /// The result before anything is visited, in a step of this duration.
    #[must_use]
    pub fn nobody(step: RankDuration<'d>) -> Self {
        Self::none_below(step, f64::NEG_INFINITY)
    }

    /// The result before anything is visited, where ranks with which the step takes less than
    /// `least_s` do not matter: another pool has one with which it takes so long.
    #[must_use]
    pub fn none_below(step: RankDuration<'d>, least_s: f64) -> Self {
        Self {
            step,
            duration_s: least_s,
            slowdown: 0.0,
            stall_rel: 0.0,
            rank: u32::MAX,
            enough: 0.0,
        }
    }

    /// Time in units of the pool's noiseless compute time, stalls included.
    #[must_use]
    pub fn time_rel(&self) -> f32 {
        self.slowdown + self.stall_rel
    }
}

impl Best for SlowestRank<'_> {
    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool {
        // Most ranks are told by this alone.
        if stall == 0.0 && slowdown < self.enough {
            return false;
        }
        let duration_s = self.step.seconds(slowdown, stall);
        if duration_s != self.duration_s {
            return duration_s > self.duration_s;
        }
        let time = |slowdown: f32, stall: f32| f64::from(slowdown) + f64::from(stall);
        let (mine, other) = (time(self.slowdown, self.stall_rel), time(slowdown, stall));
        other > mine || (other == mine && rank < self.rank)
    }

    #[inline]
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32) {
        self.duration_s = self.step.seconds(slowdown, stall);
        self.slowdown = slowdown;
        self.stall_rel = stall;
        self.rank = rank;
    }

    #[inline]
    fn settle(&mut self) {
        let below_s = self.step.duration.compute_below_s(self.duration_s);
        self.enough = (below_s / self.step.unit_s * ENOUGH_MARGIN) as f32;
    }
}

/// The greatest slowdown and the longest stall of all ports.
///
/// They may belong to different ports: a collective waits for the slowest transfer
/// of all, and for the longest stall of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorstPorts {
    /// Greatest slowdown.
    pub slowdown: f32,
    /// Longest stall, in seconds.
    pub stall_s: f32,
}

impl WorstPorts {
    /// The result before anything is visited.
    pub const NONE: Self = Self {
        slowdown: 0.0,
        stall_s: 0.0,
    };
}

impl Best for WorstPorts {
    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, _rank: u32) -> bool {
        slowdown > self.slowdown || stall > self.stall_s
    }

    #[inline(always)]
    fn take(&mut self, slowdown: f32, stall: f32, _rank: u32) {
        self.slowdown = self.slowdown.max(slowdown);
        self.stall_s = self.stall_s.max(stall);
    }
}

impl From<WorstPorts> for SlowestPort {
    fn from(worst: WorstPorts) -> Self {
        Self {
            slowdown: f64::from(worst.slowdown),
            stall_s: f64::from(worst.stall_s),
        }
    }
}

/// Replicas that one search can keep, at most.
pub const MOST_REPLICAS: usize = 8;

/// The replicas with which a step takes longest, each represented by its slowest rank; of
/// several that are alike, the first.
#[derive(Debug, Clone, Copy)]
pub struct SlowestReplicas<'d> {
    /// From the slowest on; unused places hold [`SlowestRank::nobody`].
    pub ranks: [SlowestRank<'d>; MOST_REPLICAS],
    /// How many are kept.
    k: usize,
    pool: &'d Pool,
}

impl<'d> SlowestReplicas<'d> {
    /// The result before anything is visited, for the `k` slowest replicas (up to
    /// eight) of a pool.
    #[must_use]
    pub fn new(k: usize, pool: &'d Pool, step: RankDuration<'d>) -> Self {
        Self {
            ranks: [SlowestRank::nobody(step); MOST_REPLICAS],
            k: k.clamp(1, MOST_REPLICAS),
            pool,
        }
    }
}

impl Best for SlowestReplicas<'_> {
    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool {
        self.ranks[self.k - 1].yields_to(slowdown, stall, rank)
    }

    #[inline]
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32) {
        let replica = self.pool.replica_of(rank);
        let of_replica = |known: &SlowestRank| {
            known.rank != u32::MAX && self.pool.replica_of(known.rank) == replica
        };
        let known = &mut self.ranks[..self.k];
        // The place to overwrite: the replica's own, or the last one.
        let free = known.iter().position(of_replica).unwrap_or(known.len() - 1);
        if !known[free].yields_to(slowdown, stall, rank) {
            return;
        }
        known[free].take(slowdown, stall, rank);
        let slower = |other: &SlowestRank| !other.yields_to(slowdown, stall, rank);
        let place = known[..free]
            .iter()
            .take_while(|other| slower(other))
            .count();
        known[place..=free].rotate_right(1);
    }

    fn settle(&mut self) {
        self.ranks[..self.k].iter_mut().for_each(Best::settle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Communication, Plan, PoolSpec};

    /// Sixty GPUs in replicas of three.
    fn plan() -> Plan {
        let pool = PoolSpec {
            name: "a".to_owned(),
            n_gpus: 60,
            node_gpus: 3,
            domain_gpus: 3,
            domain_gpus_used: 3,
            held_back_gpus: 0,
            rack_gpus: None,
            tensor_gpus: 3,
            compute_s: 1.0,
        };
        Plan::new(vec![pool], vec![], Communication::default()).unwrap()
    }

    #[test]
    fn the_slowest_replicas_are_those_of_a_sort() {
        // Replicas of three ranks; times repeat.
        let times: Vec<f32> = (0..60_u32).map(|k| (k * 37 % 23) as f32).collect();
        let plan = plan();
        for k in 1..=MOST_REPLICAS {
            let step = RankDuration::of_compute_alone();
            let mut best = SlowestReplicas::new(k, &plan.pools()[0], step);
            for (rank, &time) in (0..).zip(&times) {
                if best.yields_to(time, 0.0, rank) {
                    best.take(time, 0.0, rank);
                }
            }
            let mut replicas: Vec<(f32, usize)> = times
                .chunks(3)
                .map(|ranks| ranks.iter().copied().fold(0.0, f32::max))
                .zip(0..)
                .collect();
            replicas.sort_by(|a, b| b.0.total_cmp(&a.0));
            let expected: Vec<f32> = replicas[..k].iter().map(|replica| replica.0).collect();
            let found: Vec<f32> = best.ranks[..k].iter().map(SlowestRank::time_rel).collect();
            assert_eq!(found, expected);
            let mut seen: Vec<u32> = best.ranks[..k].iter().map(|rank| rank.rank / 3).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), k);
        }
    }
}
