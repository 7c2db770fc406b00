//! What a run fixes for crews: each walks through its schedule once.

use super::crews::{Acting, Crews};
use super::lasting::expected_times;
use crate::control::Control;
use crate::error::Result;
use crate::kernel::REPLICAS;
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
