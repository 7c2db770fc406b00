//! Why steps cannot be drawn from the law of their slowest rank.

use std::fmt;

/// What stands against it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Ranks wait for each other inside of a step.
    Pipeline {
        /// The cause that changes inside of a replica, or nothing where the
        /// schedule alone is too much.
        cause: Option<String>,
    },
    /// Stages of a replica lie in several pools.
    Spread,
    /// Several replicas of a pool, but not all of them, share a cause.
    Shared {
        /// The cause.
        cause: String,
    },
    /// A cause stalls all replicas of a pool inside of a step.
    Stopped {
        /// The cause.
        cause: String,
    },
    /// The units of two causes do not nest.
    Nesting {
        /// Name of the pool.
        pool: String,
        /// The causes.
        causes: [String; 2],
    },
    /// A law jumps or bends where persistent factors need it smooth.
    Rough {
        /// Name of the pool.
        pool: String,
    },
    /// Stalls hit too many ranks.
    Stalls {
        /// Name of the pool.
        pool: String,
        /// The cause.
        cause: String,
        /// Ranks that it hits in a step, on average.
        n_ranks: f64,
    },
}

impl Reason {
    /// Name of the kind of reason, for callers that decide by it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pipeline { .. } => "waits-within-step",
            Self::Spread => "replicas-over-pools",
            Self::Shared { .. } => "shared-by-several-replicas",
            Self::Stopped { .. } => "stalls-all-replicas",
            Self::Nesting { .. } => "units-overlap",
            Self::Rough { .. } => "law-too-rough",
            Self::Stalls { .. } => "too-many-stalls",
        }
    }

    /// Whether a law of replicas found by simulation may do where this stands
    /// against an exact one.
    #[must_use]
    pub fn allows_replica_law(&self) -> bool {
        matches!(self, Self::Pipeline { .. })
    }

    /// The same where causes are laws of gangs, which have no names.
    pub(super) fn of_sampled_gangs(self) -> Self {
        match self {
            Self::Stalls { pool, n_ranks, .. } => Self::Stalls {
                pool,
                cause: "one of the causes".to_owned(),
                n_ranks,
            },
            other => other,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipeline { cause: None } => {
                write!(f, "pipeline: stages wait for each other inside of a step")
            }
            Self::Pipeline { cause: Some(cause) } => write!(
                f,
                "pipeline: ranks wait for each other inside of a step, which {cause} changes \
                 from step to step"
            ),
            Self::Spread => write!(f, "pipeline: stages of a replica lie in several pools"),
            Self::Shared { cause } => write!(
                f,
                "pipeline: several replicas of a pool, but not all of them, share {cause}"
            ),
            Self::Stopped { cause } => write!(
                f,
                "pipeline: {cause} stalls all replicas of a pool inside of a step"
            ),
            Self::Nesting {
                pool,
                causes: [first, second],
            } => write!(
                f,
                "the units that share {first} and those that share {second} overlap in pool {pool}"
            ),
            Self::Rough { pool } => write!(
                f,
                "laws that change in each step jump or bend too much next to what lasts a run in \
                 pool {pool}"
            ),
            Self::Stalls {
                pool,
                cause,
                n_ranks,
            } => write!(
                f,
                "{cause} stalls {n_ranks:.3e} ranks of pool {pool} in a step, too many to draw \
                 one by one"
            ),
        }
    }
}
