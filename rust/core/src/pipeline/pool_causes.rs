//! The causes that act on the ranks of one pool whose gangs wait within a step.

use std::ops::Range;

use super::pass_factors::PassFactors;
use crate::control::Control;
use crate::draw::{Draws, Episodes};
use crate::error::Result;
use crate::plan::{Affects, Cause, Effect, Pipeline, Plan, Span};
use crate::random::Random;
use crate::search::Persistent;

/// The causes on compute of one pool in one run, by how a gang feels them.
pub(super) struct PoolCauses<'a> {
    /// Of span step: slowdowns, and stalls that stop one stage.
    pub(super) step: Draws<'a>,
    /// Of span step: stalls that stop several stages of a gang at once.
    pub(super) gang_stalls: Draws<'a>,
    /// Of span run: slowdowns, and stalls that stop one stage.
    pub(super) persistent: Persistent,
    /// Of span run: stalls that stop several stages of a gang at once.
    pub(super) persistent_gang_stalls: Persistent,
    /// Of span episode.
    pub(super) episodes: Episodes,
    /// Of span microbatch, where ranks of a gang differ, and of span layer.
    pub(super) passes: PassFactors<'a>,
    /// Of span microbatch, where a whole gang shares each draw.
    pub(super) shared: Draws<'a>,
}

impl<'a> PoolCauses<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        index: usize,
        random: &'a Random,
        run: u32,
        steps: &Range<u32>,
        control: &Control,
    ) -> Result<Self> {
        let pool = &plan.pools()[index];
        let draws = |span| Draws::new(plan, index, Affects::Compute, span, random, run);
        let stops_gang = |cause: &Cause| {
            cause.effect() == Effect::Stall && pipeline.reaches_several_stages(cause, index, pool)
        };
        let is_shared = |cause: &Cause| pipeline.is_shared(cause);
        let persistent = draws(Span::Run).only(|cause| !stops_gang(cause));
        let persistent_gang_stalls = draws(Span::Run).only(stops_gang);
        Ok(Self {
            step: draws(Span::Step).only(|cause| !stops_gang(cause)),
            gang_stalls: draws(Span::Step).only(stops_gang),
            persistent: Persistent::draw(&persistent, control)?,
            persistent_gang_stalls: Persistent::draw(&persistent_gang_stalls, control)?,
            episodes: Episodes::draw(plan, index, Affects::Compute, random, run, steps, control)?,
            passes: PassFactors::new(
                draws(Span::Microbatch).only(|cause| !is_shared(cause)),
                draws(Span::Layer),
            ),
            shared: draws(Span::Microbatch).only(is_shared),
        })
    }

    /// Whether a stage may stall by itself.
    pub(super) fn stalls_stages(&self) -> bool {
        let stalls = |draws: &Draws| draws.causes().any(|cause| cause.effect() == Effect::Stall);
        !self.persistent.stall.is_empty() || stalls(&self.step) || stalls(self.passes.microbatch())
    }

    /// Whether several stages of a gang may stall at once.
    pub(super) fn stalls_gangs(&self) -> bool {
        !self.gang_stalls.is_empty() || !self.persistent_gang_stalls.stall.is_empty()
    }

    /// Draws of one rank in a step.
    pub(super) fn draws_per_rank(&self, pipeline: &Pipeline) -> u64 {
        let n_microbatches = pipeline.spec().shape.microbatches as usize;
        let once = self.step.len() + self.gang_stalls.len();
        let by_microbatch = self.passes.microbatch().len() + self.shared.len();
        let by_layer = 2 * pipeline.n_layers() as usize * self.passes.layer().len();
        (once + n_microbatches * (by_microbatch + by_layer)).max(1) as u64
    }
}
