//! The slowest replicas of each step: whom a job would be rid of first.

use super::sampler::SampledRun;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::random::Random;
use crate::room::filled;
use crate::search::MOST_REPLICAS;
use crate::simd::QUAD_STEPS;
use crate::step::{ReplicaTime, Rows, Tasks, check_size, fill_runs};

/// The slowest replicas of steps, in columns: `k` rows a step, the slowest replica
/// first.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicas {
    /// Index of the pool that a replica lies in.
    pub pool: Vec<u32>,
    /// The replica, counted in its pool.
    pub replica: Vec<u32>,
    /// Seconds that it computes, stalls included.
    pub compute_s: Vec<f64>,
}

/// Samples the `k` slowest replicas of `steps` steps of each of `runs` runs.
///
/// # Errors
/// [`Error::Domain`] for no runs or steps, more runs than addresses, for more
/// replicas than eight or than there are, and where ranks of several replicas
/// wait for each other within a step; [`Error::Stopped`] once `control` asks for it.
pub fn slowest_replicas(
    plan: &Plan,
    k: usize,
    seed: u64,
    runs: u32,
    steps: u32,
    control: &Control,
) -> Result<Replicas> {
    check_size(runs, steps)?;
    let n_replicas = plan.n_replicas();
    let most = n_replicas.min(MOST_REPLICAS as u32);
    if !(1..=most as usize).contains(&k) {
        let requirement = format!(">= 1 and <= {most}");
        return Err(Error::domain("k", k as f64, requirement));
    }
    let gang = plan
        .pipeline()
        .map_or(1, |pipeline| pipeline.spec().gang_replicas);
    if gang > 1 {
        let requirement = "1: replicas wait for each other within a step";
        return Err(Error::domain("gang_replicas", f64::from(gang), requirement));
    }
    let random = Random::new(seed);
    let n_rows = runs as usize * steps as usize * k;
    let mut replicas = Replicas {
        pool: filled(0, n_rows)?,
        replica: filled(0, n_rows)?,
        compute_s: filled(0.0, n_rows)?,
    };
    let rows = ReplicaRows {
        k,
        pool: &mut replicas.pool,
        replica: &mut replicas.replica,
        compute_s: &mut replicas.compute_s,
    };
    let tasks = Tasks {
        steps_per_task: QUAD_STEPS,
        draws_per_step: 0,
        control,
    };
    fill_runs(rows, runs, false, &|run, rows| {
        let job = SampledRun::new(plan, &random, run, &(0..steps), control)?;
        tasks.fill(rows, |quad, n_steps, (): &mut ()| {
            job.slowest_replicas(k, quad, n_steps, control)
        })
    })?;
    Ok(replicas)
}

/// Rows of [`Replicas`]: `k` a step.
struct ReplicaRows<'a> {
    k: usize,
    pool: &'a mut [u32],
    replica: &'a mut [u32],
    compute_s: &'a mut [f64],
}

impl Rows for ReplicaRows<'_> {
    type Row = Vec<ReplicaTime>;

    fn n_steps(&self) -> usize {
        self.compute_s.len() / self.k
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let pool = self.pool.split_at_mut(steps * self.k);
        let replica = self.replica.split_at_mut(steps * self.k);
        let compute_s = self.compute_s.split_at_mut(steps * self.k);
        (
            Self {
                k: self.k,
                pool: pool.0,
                replica: replica.0,
                compute_s: compute_s.0,
            },
            Self {
                k: self.k,
                pool: pool.1,
                replica: replica.1,
                compute_s: compute_s.1,
            },
        )
    }

    fn write(&mut self, step: usize, slowest: Vec<ReplicaTime>) {
        for (row, replica) in (step * self.k..).zip(slowest.iter().take(self.k)) {
            self.pool[row] = replica.pool;
            self.replica[row] = replica.replica;
            self.compute_s[row] = replica.compute_s;
        }
    }
}
