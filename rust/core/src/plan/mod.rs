//! What a caller hands over: plain numbers, validated and compiled once.
//!
//! A [`Plan`] has the ranks of each pool ([`Pool`]), what makes them vary
//! ([`Cause`]), what replicas send each other ([`Communication`]) and, where a
//! step is more than one barrier, the stages of a replica ([`Pipeline`]).

mod cause;
mod communication;
mod drawn_law;
mod duration;
mod episode;
mod gang_plans;
mod hops;
mod kinds;
mod names;
mod period;
mod pipeline;
mod plan;
mod pool;
mod rank_order;
mod share;
mod step_duration;
mod units;

pub use cause::{Cause, CauseSpec, Streams};
pub use communication::{Communication, Exposure, MAX_TERMS, SlowestPort, Term};
pub use drawn_law::{DrawnLaw, Tables};
pub use duration::Duration;
pub use episode::{Episode, EpisodeSpec};
pub use gang_plans::{GangLaw, one_rank_per_gang, with_random_gangs};
pub use hops::Hops;
pub use kinds::{Affects, Effect, Scope, Span};
pub use period::{Period, PeriodSpec, Phase};
pub use pipeline::{
    MAX_GANG_RANKS, MAX_INDICES, Pipeline, PipelineSpec, Placement, ReplicaSpec, StageTimes,
};
pub use plan::Plan;
pub use pool::{Pool, PoolSpec, Replicas};
pub use rank_order::{Axis, Dimension, Numbering, RankOrder};
pub use step_duration::StepDuration;
