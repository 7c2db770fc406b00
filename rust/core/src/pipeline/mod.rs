//! Gangs: ranks that wait for each other within a step.
//!
//! Each gang walks through its schedule, every stage at the pace of its slowest rank.
//! [`Gangs`] does so for all gangs of a job in one run; [`RankMap`] says which ranks
//! are which stage of which gang.

mod gang_passes;
mod gang_times;
mod gangs;
mod pass_factors;
mod pool_causes;
mod rank_map;
mod rank_work;
mod stage_factors;

pub use gang_passes::{GangPasses, GpuPlace};
pub use gang_times::{GangTime, RunGangTimes, Which, gang_steps};
pub use gangs::Gangs;
pub use rank_work::RankWork;
