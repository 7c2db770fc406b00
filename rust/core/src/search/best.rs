//! What a search through ranks or ports keeps.

use crate::plan::SlowestPort;

/// What a search keeps of the ranks or ports that it has visited.
pub trait Best: Copy {
    /// The result before anything is visited.
    const NONE: Self;

    /// Returns true if a rank with this slowdown and stall would change the result.
    ///
    /// Monotone: true stays true for a greater slowdown, a longer stall or a lower
    /// rank. Tile skipping relies on it.
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool;

    /// Takes in a rank for which [`Best::yields_to`] is true.
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32);
}

/// The rank that a barrier waits for; of equally slow ones, the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowestRank {
    /// Time in units of the pool's noiseless compute time, stalls included.
    pub time_rel: f32,
    /// Its stalls, in those units.
    pub stall_rel: f32,
    /// The rank's number in the pool.
    pub rank: u32,
}

impl Best for SlowestRank {
    const NONE: Self = Self {
        time_rel: f32::NEG_INFINITY,
        stall_rel: 0.0,
        rank: u32::MAX,
    };

    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool {
        let time_rel = slowdown + stall;
        time_rel > self.time_rel || (time_rel == self.time_rel && rank < self.rank)
    }

    #[inline(always)]
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32) {
        *self = Self {
            time_rel: slowdown + stall,
            stall_rel: stall,
            rank,
        };
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

impl Best for WorstPorts {
    const NONE: Self = Self {
        slowdown: 0.0,
        stall_s: 0.0,
    };

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

/// The slowest replicas, each represented by its slowest rank; of equally slow ones,
/// the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowestReplicas {
    /// From the slowest on; unused places hold [`SlowestRank::NONE`].
    pub ranks: [SlowestRank; MOST_REPLICAS],
    /// How many are kept.
    k: usize,
    /// Ranks of a replica.
    replica_ranks: u32,
}

impl SlowestReplicas {
    /// The result before anything is visited, for the `k` slowest replicas (up to
    /// eight) of `replica_ranks` ranks each.
    #[must_use]
    pub fn new(k: usize, replica_ranks: u32) -> Self {
        Self {
            ranks: [SlowestRank::NONE; MOST_REPLICAS],
            k: k.clamp(1, MOST_REPLICAS),
            replica_ranks: replica_ranks.max(1),
        }
    }
}

impl Best for SlowestReplicas {
    const NONE: Self = Self {
        ranks: [SlowestRank::NONE; MOST_REPLICAS],
        k: MOST_REPLICAS,
        replica_ranks: 1,
    };

    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool {
        self.ranks[self.k - 1].yields_to(slowdown, stall, rank)
    }

    #[inline]
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32) {
        let replica = rank / self.replica_ranks;
        let of_replica = |known: &SlowestRank| {
            known.rank != u32::MAX && known.rank / self.replica_ranks == replica
        };
        let known = &mut self.ranks[..self.k];
        // The place to overwrite: the replica's own, or the last one.
        let free = known.iter().position(of_replica).unwrap_or(known.len() - 1);
        if !known[free].yields_to(slowdown, stall, rank) {
            return;
        }
        known[free].take(slowdown, stall, rank);
        let new = known[free];
        let slower = |other: &SlowestRank| {
            !other.yields_to(new.time_rel - new.stall_rel, new.stall_rel, rank)
        };
        let place = known[..free]
            .iter()
            .take_while(|other| slower(other))
            .count();
        known[place..=free].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_replicas_are_those_of_a_sort() {
        // Replicas of three ranks; times repeat.
        let times: Vec<f32> = (0..60_u32).map(|k| (k * 37 % 23) as f32).collect();
        for k in 1..=MOST_REPLICAS {
            let mut best = SlowestReplicas::new(k, 3);
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
            let found: Vec<f32> = best.ranks[..k].iter().map(|rank| rank.time_rel).collect();
            assert_eq!(found, expected);
            let mut seen: Vec<u32> = best.ranks[..k].iter().map(|rank| rank.rank / 3).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), k);
        }
    }
}
