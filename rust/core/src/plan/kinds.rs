//! What a cause of variation acts on, how, for whom and for how long.

/// What a cause acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// The time that a rank computes.
    Compute,
    /// The transfers through a GPU's port.
    Network,
}

/// How a cause acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A factor on time; 1 is neutral.
    Slowdown,
    /// Added seconds; 0 is neutral.
    Stall,
}

impl Effect {
    /// The value that changes nothing.
    #[must_use]
    pub fn neutral(self) -> f32 {
        match self {
            Self::Slowdown => 1.0,
            Self::Stall => 0.0,
        }
    }
}

/// Who shares one draw of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nobody: each GPU has its own.
    Gpu,
    /// The GPUs of one host.
    Node,
    /// The GPUs behind one scale-up switch.
    Domain,
    /// The GPUs of one rack.
    Rack,
    /// The ranks of one replica.
    Replica,
    /// All GPUs of one pool.
    Pool,
    /// All GPUs.
    Cluster,
}

impl Scope {
    /// Whether all ranks of a pool share each draw.
    #[must_use]
    pub fn is_pool_wide(self) -> bool {
        matches!(self, Self::Pool | Self::Cluster)
    }

    /// The pool part of a random address: empty where pools share the draw.
    pub(super) fn pool_of_address(self, pool: &str) -> &str {
        if self == Self::Cluster { "" } else { pool }
    }
}

/// How long one draw of a cause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A whole run: a persistent effect.
    Run,
    /// Some time, which may begin and end at any step of a run.
    Episode,
    /// One step.
    Step,
    /// One microbatch of a step, in both directions.
    Microbatch,
    /// One layer of one pass of a microbatch.
    Layer,
}

impl Span {
    /// Every span, from the longest to the shortest.
    pub const ALL: [Self; 5] = [
        Self::Run,
        Self::Episode,
        Self::Step,
        Self::Microbatch,
        Self::Layer,
    ];

    /// Whether draws change within a step.
    #[must_use]
    pub fn is_within_step(self) -> bool {
        matches!(self, Self::Microbatch | Self::Layer)
    }
}
