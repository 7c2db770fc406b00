//! What a search through ranks or ports is for.

/// What a search keeps of the best that it has seen.
pub trait Best: Copy {
    /// Nothing seen yet.
    const NONE: Self;

    /// Whether a rank with this factor and this stall would change it. It
    /// grows with both, and falls with the rank.
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool;

    /// Takes in a rank that it yields to.
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32);
}

/// The rank that a barrier waits for; of several, the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowestRank {
    /// Time in units of the group's noiseless compute time.
    pub time_rel: f32,
    /// Stalls among it, in the same units.
    pub stall_rel: f32,
    /// The rank's number in the group.
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

/// The greatest factor and the longest stall of all ports, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorstPorts {
    /// Greatest factor.
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

/// Replicas that one search tells apart, at most.
pub const MOST_REPLICAS: usize = 8;

/// The slowest replicas, each by its slowest rank; of several alike, the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowestReplicas {
    /// From the slowest on; the others are nobody.
    pub ranks: [SlowestRank; MOST_REPLICAS],
    /// How many are looked for.
    k: usize,
    /// Ranks of a replica.
    replica_ranks: u32,
}

impl SlowestReplicas {
    /// Nobody yet: of `k` replicas, up to eight, with so many ranks each.
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
        // The place that becomes free: the replica's own, or the last one.
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
