//! What a run fixes for crews: each walks through its schedule once.

use rayon::prelude::*;

use super::crews::{Acting, Crews};
use super::lasting::expected_times;
use super::replicas::ReplicaTime;
use crate::control::Control;
use crate::error::Result;
use crate::kernel::{REPLICAS, STEPS};
use crate::plan::Plan;
use crate::random::Random;

/// What a run fixes for crews that lie in one group each.
pub(crate) struct CrewTimes {
    /// By group and crew: seconds of a step, and what stalls make of them.
    pub(crate) times_s: Vec<Vec<(f64, f64)>>,
    /// By group: expected busy and stalled seconds of the average rank.
    pub(crate) expected_s: Vec<(f64, f64)>,
}

impl CrewTimes {
    /// Of a plan with stages, as far as its run fixes them.
    pub(crate) fn of_run(
        plan: &Plan,
        lasting: &Plan,
        random: &Random,
        run: u32,
        control: &Control,
    ) -> Result<Option<Self>> {
        let Some(pipeline) = lasting.pipeline() else {
            return Ok(None);
        };
        let crews = Crews::new(lasting, pipeline, random, run, control)?;
        Ok(Some(Self {
            times_s: crews.each(control)?,
            expected_s: crews.expected_times_in(plan),
        }))
    }
}

/// Which crews are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// One of so many batches of them, and the first of each group.
    Every(usize),
    /// One of a group.
    One { group: u32, crew: u32 },
}

/// What crews of a plan with stages take in the first `n_blocks` times four steps of
/// a run.
pub(crate) fn crew_steps(
    plan: &Plan,
    random: &Random,
    run: u32,
    n_blocks: u32,
    which: Which,
    control: &Control,
) -> Result<Vec<ReplicaTime>> {
    let Some(pipeline) = plan.pipeline() else {
        return Ok(Vec::new());
    };
    let mut crews = Crews::new(plan, pipeline, random, run, control)?;
    let is_wanted = |of: u32, number: u32| match which {
        Which::Every(_) => true,
        Which::One { group, crew } => (group, crew) == (of, number),
    };
    crews.batches.retain(|batch| match which {
        Which::Every(n) => (batch.first_crew as usize / REPLICAS).is_multiple_of(n),
        Which::One { group, crew } => {
            let crews = batch.first_crew..batch.first_crew + batch.n_crews as u32;
            batch.parts[0].group == group as usize && crews.contains(&crew)
        }
    });
    let blocks: Vec<Vec<ReplicaTime>> = (0..n_blocks)
        .into_par_iter()
        .map(|block| {
            let mut times = Vec::new();
            crews.each_time(block, STEPS, control, |_, time| {
                if is_wanted(time.group, time.replica) {
                    times.push(time);
                }
            })?;
            Ok(times)
        })
        .collect::<Result<_>>()?;
    Ok(blocks.concat())
}

impl Crews<'_> {
    /// The same in a plan whose causes change in each step, too.
    pub(super) fn expected_times_in(&self, plan: &Plan) -> Vec<(f64, f64)> {
        let of = |(index, acting): (usize, &Acting)| {
            expected_times(plan, index, &[&acting.lasting, &acting.wide_lasting])
        };
        self.acting.iter().enumerate().map(of).collect()
    }

    /// Seconds that each crew of each group takes, and what stalls make of them.
    fn each(&self, control: &Control) -> Result<Vec<Vec<(f64, f64)>>> {
        let mut times_s = vec![Vec::new(); self.plan.groups().len()];
        for batch in &self.batches {
            let mut crews_s = [(0.0, 0.0); REPLICAS];
            self.walk_batch(batch, 0, 1, control, |_, walked, _| {
                for (lane, crew_s) in crews_s.iter_mut().enumerate() {
                    let whole_s = walked.wide_s.0[lane] + walked.whole_s.0[lane];
                    let compute_s = walked.ends_s.0[lane] + whole_s;
                    *crew_s = (compute_s, compute_s - walked.free_s.0[lane]);
                }
            })?;
            let group = batch.parts[0].group;
            times_s[group].extend_from_slice(&crews_s[..batch.n_crews]);
        }
        Ok(times_s)
    }
}
