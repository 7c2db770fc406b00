//! The slowest replicas of each step: whom a job would be rid of first.

use rayon::prelude::*;

use super::{Ranks, State, search_from};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::kernel::STEPS;
use crate::kernel::best::{MOST_REPLICAS, SlowestReplicas};
use crate::plan::Plan;
use crate::random::{MAX_RUNS, Random};

/// One replica in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReplicaTime {
    pub(crate) group: u32,
    pub(crate) replica: u32,
    pub(crate) compute_s: f64,
    /// What stalls make of them.
    pub(crate) stall_s: f64,
}

/// The slowest replicas of steps: `k` rows a step, the slowest one first.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicas {
    /// Index of the group that a replica lies in.
    pub group: Vec<u32>,
    /// The replica, counted in its group.
    pub replica: Vec<u32>,
    /// Seconds that it computes, stalls included.
    pub compute_s: Vec<f64>,
}

/// Samples the `k` slowest replicas of `steps` steps of each of `runs` runs.
///
/// # Errors
/// [`Error::Domain`] for no runs or steps, more runs than addresses, for more
/// replicas than eight or than there are, and where ranks of several replicas
/// wait for each other inside of a step.
pub fn slowest_replicas(
    plan: &Plan,
    k: usize,
    seed: u64,
    runs: u32,
    steps: u32,
    control: &Control,
) -> Result<Replicas> {
    if !(1..=MAX_RUNS).contains(&runs) {
        let requirement = format!(">= 1 and <= {MAX_RUNS}");
        return Err(Error::domain("runs", f64::from(runs), requirement));
    }
    if steps == 0 {
        return Err(Error::domain("steps", 0.0, ">= 1"));
    }
    let n_replicas = plan.n_replicas();
    let most = n_replicas.min(MOST_REPLICAS as u32);
    if !(1..=most as usize).contains(&k) {
        let requirement = format!(">= 1 and <= {most}");
        return Err(Error::domain("k", k as f64, requirement));
    }
    let crew = plan
        .pipeline()
        .map_or(1, |pipeline| pipeline.spec().crew_replicas);
    if crew > 1 {
        let requirement = "1: replicas wait for each other inside of a step";
        return Err(Error::domain("crew_replicas", f64::from(crew), requirement));
    }
    let random = Random::new(seed);
    let (steps, n_rows) = (steps as usize, runs as usize * steps as usize * k);
    let mut rows = Replicas {
        group: vec![0; n_rows],
        replica: vec![0; n_rows],
        compute_s: vec![0.0; n_rows],
    };
    for run in 0..runs {
        let state = State::new(plan, &random, run, control)?;
        let of_run = run as usize * steps * k..(run as usize + 1) * steps * k;
        let columns = (
            rows.group[of_run.clone()].par_chunks_mut(STEPS * k),
            rows.replica[of_run.clone()].par_chunks_mut(STEPS * k),
            rows.compute_s[of_run].par_chunks_mut(STEPS * k),
        );
        columns.into_par_iter().enumerate().try_for_each(
            |(block, (group, replica, compute_s))| {
                let n_steps = compute_s.len() / k;
                let slowest = state.slowest_replicas(k, block as u32, n_steps, control)?;
                for (row, found) in slowest
                    .iter()
                    .take(n_steps)
                    .flatten()
                    .take(n_steps * k)
                    .enumerate()
                {
                    group[row] = found.group;
                    replica[row] = found.replica;
                    compute_s[row] = found.compute_s;
                }
                Ok(())
            },
        )?;
    }
    Ok(rows)
}

impl State<'_> {
    /// The `k` slowest replicas of the first `n_steps` of four steps.
    fn slowest_replicas(
        &self,
        k: usize,
        block: u32,
        n_steps: usize,
        control: &Control,
    ) -> Result<[Vec<ReplicaTime>; STEPS]> {
        let mut slowest: [Vec<ReplicaTime>; STEPS] = std::array::from_fn(|_| Vec::new());
        match &self.ranks {
            Ranks::Crews(crews) => crews.each_time(block, n_steps, control, |step, crew| {
                meet(&mut slowest[step], crew, k);
            })?,
            Ranks::Barrier(groups) => {
                for (index, (group, ranks)) in self.plan.groups().iter().zip(groups).enumerate() {
                    let replica_ranks = group.n_ranks() / group.n_replicas();
                    let nobody = SlowestReplicas::new(k, replica_ranks);
                    let found: [SlowestReplicas; STEPS] =
                        search_from(ranks, nobody, block, control)?;
                    for (slowest, found) in slowest.iter_mut().zip(found) {
                        let known = found.ranks.iter().filter(|rank| rank.rank != u32::MAX);
                        for rank in known {
                            let replica = ReplicaTime {
                                group: index as u32,
                                replica: rank.rank / replica_ranks,
                                compute_s: group.compute_s() * f64::from(rank.time_rel),
                                stall_s: group.compute_s() * f64::from(rank.stall_rel),
                            };
                            meet(slowest, replica, k);
                        }
                    }
                }
            }
        }
        Ok(slowest)
    }
}

/// Sorts a replica in among the `k` slowest; those before it stay where alike.
fn meet(slowest: &mut Vec<ReplicaTime>, new: ReplicaTime, k: usize) {
    let place = slowest.partition_point(|known| known.compute_s >= new.compute_s);
    if place < k {
        slowest.insert(place, new);
        slowest.truncate(k);
    }
}
