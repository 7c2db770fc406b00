//! Times of gangs by themselves: what a run fixes, and what steps sample.

use rayon::prelude::*;

use super::gangs::Gangs;
use crate::control::Control;
use crate::error::Result;
use crate::plan::Plan;
use crate::random::Random;
use crate::simd::{QUAD_STEPS, WALK_LANES};
use crate::step::{ExpectedTime, ReplicaTime};

/// Seconds that one gang takes in each step of a run, where nothing but persistent
/// causes acts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GangTime {
    /// Seconds of a step, stalls included.
    pub step_s: f64,
    /// Seconds of these that stalls cost.
    pub stall_s: f64,
}

impl From<ReplicaTime> for GangTime {
    fn from(time: ReplicaTime) -> Self {
        Self {
            step_s: time.compute_s,
            stall_s: time.stall_s,
        }
    }
}

/// What a run fixes for gangs that lie in one pool each.
pub struct RunGangTimes {
    /// By pool and gang.
    pub times: Vec<Vec<GangTime>>,
    /// Expected times of the average rank, by pool.
    pub expected: Vec<ExpectedTime>,
}

impl RunGangTimes {
    /// Of a plan with stages: each gang walks through its schedule once under
    /// `persistent`, the plan with causes of span run alone. None without stages.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn of_run(
        plan: &Plan,
        persistent: &Plan,
        random: &Random,
        run: u32,
        control: &Control,
    ) -> Result<Option<Self>> {
        let Some(pipeline) = persistent.pipeline() else {
            return Ok(None);
        };
        let gangs = Gangs::new(persistent, pipeline, random, run, &(0..1), control)?;
        let times = gangs.times_by_pool(control)?;
        let of_pool = |times: Vec<ReplicaTime>| times.into_iter().map(GangTime::from).collect();
        Ok(Some(Self {
            times: times.into_iter().map(of_pool).collect(),
            expected: gangs.expected_under(plan),
        }))
    }
}

/// Which gangs are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Which {
    /// Those of one batch in so many, and of the first of each pool.
    Every(usize),
    /// One of a pool.
    One {
        /// Index of the pool.
        pool: u32,
        /// The gang, counted in its pool.
        gang: u32,
    },
}

/// Times of gangs of a plan with stages in the first `n_quads` times four steps of a
/// run, on the current rayon pool; nothing without stages.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn gang_steps(
    plan: &Plan,
    random: &Random,
    run: u32,
    n_quads: u32,
    which: Which,
    control: &Control,
) -> Result<Vec<ReplicaTime>> {
    let Some(pipeline) = plan.pipeline() else {
        return Ok(Vec::new());
    };
    let mut gangs = Gangs::new(
        plan,
        pipeline,
        random,
        run,
        &(0..n_quads * QUAD_STEPS as u32),
        control,
    )?;
    gangs.retain(|of, first, n| match which {
        Which::Every(n) => (first as usize / WALK_LANES).is_multiple_of(n),
        Which::One { pool, gang } => {
            of == pool as usize && (first..first + n as u32).contains(&gang)
        }
    });
    let is_wanted = |time: &ReplicaTime| match which {
        Which::Every(_) => true,
        Which::One { pool, gang } => (time.pool, time.replica) == (pool, gang),
    };
    let quads: Vec<Vec<ReplicaTime>> = (0..n_quads)
        .into_par_iter()
        .map(|quad| {
            let mut times = Vec::new();
            gangs.for_each_time(quad, QUAD_STEPS, control, |_, time, _| {
                if is_wanted(&time) {
                    times.push(time);
                }
            })?;
            Ok(times)
        })
        .collect::<Result<_>>()?;
    Ok(quads.concat())
}
