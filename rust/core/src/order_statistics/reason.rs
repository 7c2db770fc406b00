//! Why the slowest rank of a plan cannot be drawn from an exact law.

use std::fmt;

use crate::error::Error;

/// Why the slowest rank cannot be drawn from an exact law.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Ranks wait for each other within a step, and their gang's time has no closed form.
    Pipeline {
        /// The cause that changes within a gang; none where the schedule alone is the
        /// reason.
        cause: Option<String>,
    },
    /// Stages of a replica lie in several pools.
    Spread,
    /// Several replicas of a pool, but not all of them, share a cause.
    Shared {
        /// The cause.
        cause: String,
    },
    /// A cause stalls all replicas of a pool within a step.
    Stopped {
        /// The cause.
        cause: String,
    },
    /// Ranks of a replica do not follow each other, and share a cause.
    Scattered {
        /// Name of the pool.
        pool: String,
        /// The cause.
        cause: String,
    },
    /// A cause acts on some units of its pool only.
    Named {
        /// The cause.
        cause: String,
    },
    /// A cause comes in some steps only.
    Periodic {
        /// The cause.
        cause: String,
    },
    /// Units of a pool drift by themselves.
    Drifting {
        /// The cause.
        cause: String,
    },
    /// Ranks of a replica wait for each other within a step, and some are slow for a while.
    Episodes {
        /// The cause.
        cause: String,
    },
    /// The units of two causes overlap without nesting.
    Nesting {
        /// Name of the pool.
        pool: String,
        /// The causes.
        causes: [String; 2],
    },
    /// A law jumps or bends too much for persistent factors to shift it on a grid.
    Rough {
        /// Name of the pool.
        pool: String,
    },
    /// Stalls hit too many ranks to be drawn one by one.
    Stalls {
        /// Name of the pool.
        pool: String,
        /// The cause.
        cause: String,
        /// Ranks that it hits in a step, on average.
        n_ranks: f64,
    },
}

/// Why a law was not compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Halt {
    /// It would not be exact.
    Reason(Reason),
    /// Another error, such as [`Error::Stopped`].
    Error(Error),
}

impl From<Reason> for Halt {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Halt {
    /// The reason of a result by itself, within any other error.
    pub(super) fn split<T>(result: Result<T, Self>) -> crate::Result<Result<T, Reason>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(Self::Reason(reason)) => Ok(Err(reason)),
            Err(Self::Error(error)) => Err(error),
        }
    }
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
            Self::Scattered { .. } => "replicas-scattered",
            Self::Named { .. } => "units-named",
            Self::Periodic { .. } => "comes-regularly",
            Self::Drifting { .. } => "units-drift",
            Self::Episodes { .. } => "episodes-within-replicas",
            Self::Nesting { .. } => "units-overlap",
            Self::Rough { .. } => "law-too-rough",
            Self::Stalls { .. } => "too-many-stalls",
        }
    }

    /// Whether a replica law found by simulation may be used instead of an exact law.
    #[must_use]
    pub fn allows_replica_law(&self) -> bool {
        matches!(self, Self::Pipeline { .. })
    }

    /// The reason for a plan whose causes are laws of sampled gangs, which have no names
    /// that a user knows.
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
                write!(f, "pipeline: stages wait for each other within a step")
            }
            Self::Pipeline { cause: Some(cause) } => write!(
                f,
                "pipeline: ranks wait for each other within a step, which {cause} changes \
                 from step to step"
            ),
            Self::Spread => write!(f, "pipeline: stages of a replica lie in several pools"),
            Self::Shared { cause } => write!(
                f,
                "pipeline: several replicas of a pool, but not all of them, share {cause}"
            ),
            Self::Stopped { cause } => write!(
                f,
                "pipeline: {cause} stalls all replicas of a pool within a step"
            ),
            Self::Scattered { pool, cause } => write!(
                f,
                "ranks of a replica of pool {pool} do not follow each other and share {cause}"
            ),
            Self::Named { cause } => {
                write!(
                    f,
                    "{cause} acts on some units of its pool, whose ranks are unlike the others"
                )
            }
            Self::Periodic { cause } => {
                write!(
                    f,
                    "{cause} comes regularly, so that steps are unlike each other"
                )
            }
            Self::Drifting { cause } => {
                write!(
                    f,
                    "{cause} drifts by node, so that who is slow in a step depends on who was \
                     slow before"
                )
            }
            Self::Episodes { cause } => write!(
                f,
                "pipeline: {cause} makes some ranks of a replica slow for a while"
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
