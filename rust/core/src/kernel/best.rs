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
