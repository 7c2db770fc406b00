//! Expected times of a pool's average rank, from the laws' means.

use crate::plan::{Affects, Cause, Effect, Plan, Span};

/// Expected seconds of the average rank of a pool in a step of one run: from the
/// means of the laws and what persists, not from a sampled sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedTime {
    /// Seconds that it computes, slowdowns included and stalls excluded.
    pub busy_s: f64,
    /// Seconds that it is stalled.
    pub stall_s: f64,
    /// Those of `busy_s` that it computes longer because of episodes.
    pub episode_s: f64,
}

impl ExpectedTime {
    /// Of a pool whose ranks have these mean persistent effects: a factor, and a
    /// stall in units of the pool's noiseless compute time. Factors that grow from step to step
    /// are those of the first one.
    #[must_use]
    pub fn of_pool(plan: &Plan, index: usize, mean_slowdown: f64, mean_stall: f64) -> Self {
        let compute_s = plan.pools()[index].compute_s();
        let work_s = plan
            .pipeline()
            .map_or(compute_s, |pipeline| pipeline.mean_busy_s(index));
        let mut busy_s = work_s * mean_slowdown;
        let mut stall_s = compute_s * mean_stall;
        let episodes = plan.causes(index, Affects::Compute, Span::Episode);
        let by_episodes: f64 = episodes.map(Cause::mean).product();
        busy_s *= by_episodes;
        for span in [Span::Step, Span::Microbatch, Span::Layer] {
            let times = match (span, plan.pipeline()) {
                (Span::Microbatch, Some(pipeline)) => f64::from(pipeline.spec().shape.microbatches),
                _ => 1.0,
            };
            for cause in plan.causes(index, Affects::Compute, span) {
                match cause.effect() {
                    Effect::Slowdown => busy_s *= cause.mean(),
                    Effect::Stall => stall_s += times * cause.mean(),
                }
            }
        }
        Self {
            busy_s,
            stall_s,
            episode_s: busy_s - busy_s / by_episodes,
        }
    }

    /// The times in the average one of some first steps of a run.
    #[must_use]
    pub fn over_steps(self, plan: &Plan, index: usize, n_steps: u32) -> Self {
        let causes = plan.causes(index, Affects::Compute, Span::Step);
        let growing: Vec<&Cause> = causes.filter(|cause| cause.grows()).collect();
        if growing.is_empty() || n_steps == 0 {
            return self;
        }
        let in_step = |step| -> f64 { growing.iter().map(|cause| cause.growth(step)).product() };
        let growth = (0..n_steps).map(in_step).sum::<f64>() / f64::from(n_steps);
        Self {
            busy_s: self.busy_s * growth,
            episode_s: self.episode_s * growth,
            ..self
        }
    }
}
