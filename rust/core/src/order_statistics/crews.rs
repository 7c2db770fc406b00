//! Crews whose ranks wait for each other inside of a step, each as one rank.

use super::compiled::Compiled;
use super::laws::Laws;
use super::layers;
use super::reason::Reason;
use super::simulated::Simulated;
use crate::control::Control;
use crate::error::Result;
use crate::plan::{Affects, Placement, Plan};
use crate::random::Random;
use crate::sample::CrewTimes;

/// By what crews differ from each other.
enum Differ {
    /// By what changes from layer to layer alone.
    Layers,
    /// By what changes from step to step alone.
    Steps,
    /// By what lasts a run, too: the plan with that and the stages.
    Runs(Box<Plan>),
}

/// A plan with stages, in two parts.
pub(super) struct Crews {
    differ: Differ,
    /// What changes from step to step, each crew being one rank.
    pub(super) plan: Plan,
    /// By group: how much crews differ by what lasts, as a standard deviation in ln;
    /// nothing where that is not known beforehand.
    spreads: Vec<f64>,
}

/// What a run fixes.
pub(super) struct Fixed {
    /// By group and crew: factor and stall in units of the noiseless time.
    pub(super) given: Vec<Vec<(f32, f32)>>,
    /// By group: expected busy and stalled seconds of the average rank.
    pub(super) expected_s: Vec<(f64, f64)>,
}

impl Crews {
    /// The parts of a plan with stages; none without.
    ///
    /// # Errors
    /// What changes inside of a crew from step to step.
    pub(super) fn new(plan: &Plan) -> std::result::Result<Option<Self>, Reason> {
        let Some(pipeline) = plan.pipeline() else {
            return Ok(None);
        };
        if layers::is_sum_of_maxima(plan, pipeline) {
            return Ok(plan.of_crews(pipeline).ok().map(|of_crews| Self {
                differ: Differ::Layers,
                plan: of_crews.without_layers(),
                spreads: Vec::new(),
            }));
        }
        if let Some(cause) = plan.unshared(pipeline) {
            return Err(Reason::Pipeline {
                cause: Some(cause.name().to_owned()),
            });
        }
        let mixed = pipeline.spec().placement == Placement::Mixed;
        let of_crews = plan.of_crews(pipeline);
        match of_crews {
            Ok(of_crews) if !mixed => Ok(Some(Self {
                differ: Differ::Runs(Box::new(plan.lasting())),
                plan: of_crews,
                spreads: Vec::new(),
            })),
            _ => Err(Reason::Pipeline { cause: None }),
        }
    }

    /// The same with laws of crews that were sampled.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it; inside of
    /// it why crews are not alike and independent.
    pub(super) fn simulated(
        plan: &Plan,
        seed: u64,
        control: &Control,
    ) -> Result<std::result::Result<Self, Reason>> {
        let Some(pipeline) = plan.pipeline() else {
            return Ok(Err(Reason::Pipeline { cause: None }));
        };
        if pipeline.spec().placement == Placement::Mixed {
            return Ok(Err(Reason::Spread));
        }
        if let Some(cause) = plan.between_crews(pipeline) {
            let cause = cause.name().to_owned();
            return Ok(Err(Reason::Shared { cause }));
        }
        if let Some(cause) = plan.wide_stall_inside() {
            let cause = cause.name().to_owned();
            return Ok(Err(Reason::Stopped { cause }));
        }
        let Simulated { laws, spreads } = Simulated::new(plan, pipeline, seed, control)?;
        Ok(Ok(Self {
            differ: match plan.has_lasting_causes() {
                true => Differ::Runs(Box::new(plan.lasting())),
                false => Differ::Steps,
            },
            plan: plan.of_random_crews(pipeline, laws)?,
            spreads,
        }))
    }

    /// # Errors
    /// What stands against drawing the slowest crew from a law.
    pub(super) fn compile(
        &self,
        plan: &Plan,
        laws: &mut Laws,
    ) -> std::result::Result<Vec<Compiled>, Reason> {
        let groups = 0..self.plan.groups().len();
        let of_group = |index| match (&self.differ, plan.pipeline()) {
            (Differ::Layers, Some(pipeline)) => {
                layers::compile(plan, pipeline, index, laws).ok_or(Reason::Pipeline { cause: None })
            }
            (Differ::Runs(_), _) => {
                let spread = self.spreads.get(index).copied().unwrap_or(0.0);
                Compiled::of_crews(&self.plan, index, spread, laws)
            }
            _ => Compiled::new(&self.plan, index, Affects::Compute, laws),
        };
        groups.map(of_group).collect()
    }

    /// What a run fixes: each crew walks through its schedule once.
    pub(super) fn fixed(
        &self,
        plan: &Plan,
        random: &Random,
        run: u32,
        control: &Control,
    ) -> Result<Option<Fixed>> {
        let Differ::Runs(lasting) = &self.differ else {
            return Ok(None);
        };
        let Some(times) = CrewTimes::of_run(plan, lasting, random, run, control)? else {
            return Ok(None);
        };
        let relative = |(crews, group): (Vec<(f64, f64)>, &crate::plan::Group)| {
            let unit_s = group.compute_s();
            let of = |(all_s, stalled_s): (f64, f64)| {
                (
                    ((all_s - stalled_s) / unit_s) as f32,
                    (stalled_s / unit_s) as f32,
                )
            };
            crews.into_iter().map(of).collect()
        };
        Ok(Some(Fixed {
            given: times
                .times_s
                .into_iter()
                .zip(plan.groups())
                .map(relative)
                .collect(),
            expected_s: times.expected_s,
        }))
    }
}
