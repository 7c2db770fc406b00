//! The time that single ranks work in a step with stages: each for itself.

use super::lineup::Lineup;
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::kernel::{Block, STEPS, UNITS};
use crate::plan::{Affects, Cause, Effect, Pipeline, Placement, Plan, Scope, Span};
use crate::random::Random;

/// What the ranks of one group work in a run.
pub(super) struct Work<'a> {
    pipeline: &'a Pipeline,
    lineup: Lineup<'a>,
    group: usize,
    compute_s: f64,
    microbatch: Draws<'a>,
    /// Causes of replicas that spread over groups, with the words of the first.
    spread: Draws<'a>,
    layer: Draws<'a>,
    /// The virtual stage of each layer.
    stage_of_layer: Vec<usize>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        group: usize,
        random: &'a Random,
        run: u32,
    ) -> Self {
        let draws = |group, span| Draws::new(plan, group, Affects::Compute, span, random, run);
        let spreads = |cause: &Cause| {
            pipeline.spec().placement == Placement::Mixed && cause.scope() == Scope::Replica
        };
        Self {
            pipeline,
            lineup: Lineup::new(plan, pipeline),
            group,
            compute_s: plan.groups()[group].compute_s(),
            microbatch: draws(group, Span::Microbatch).only(|cause| !spreads(cause)),
            spread: draws(0, Span::Microbatch).only(spreads),
            layer: draws(group, Span::Layer),
            stage_of_layer: pipeline.stages_of_layers(),
        }
    }

    /// Seconds of the ranks from `rank` on, those on `gpus`, in one step: number
    /// `step`, `row` of what lasts it.
    pub(super) fn write(
        &self,
        rank: u32,
        gpus: &std::ops::Range<u32>,
        step: u32,
        lasting: &Tile,
        times: &mut [f32],
    ) {
        let row = step as usize % STEPS;
        let stages: Vec<usize> = (rank..rank + times.len() as u32)
            .map(|rank| self.lineup.stage_of(self.group, rank) as usize)
            .collect();
        let slowdown = &lasting.slowdown.0[row];
        let mut work_s = [0.0; UNITS];
        for (place, work_s) in work_s.iter_mut().enumerate().take(times.len()) {
            let stall_s = self.compute_s * f64::from(lasting.stall.0[row][place]);
            *work_s = self.overhead_s() * f64::from(slowdown[place]) + stall_s;
        }
        let of_microbatches = self.microbatches(rank, gpus, step, slowdown, &mut work_s);
        for factors in &of_microbatches {
            for (place, &stage) in stages.iter().enumerate() {
                work_s[place] += self.unlayered_s(stage) * f64::from(factors[place]);
            }
        }
        if !self.layer.is_empty() {
            self.layers(gpus, step, &stages, &of_microbatches, &mut work_s);
        }
        for (time, work_s) in times.iter_mut().zip(work_s) {
            *time = work_s as f32;
        }
    }

    fn overhead_s(&self) -> f64 {
        self.pipeline.spec().times[self.group].overhead_s
    }

    /// Seconds of a virtual stage's passes in one direction; gradients of weights
    /// go with those of inputs.
    fn pass_s(&self, k: usize, backward: bool) -> f64 {
        let times = &self.pipeline.spec().times[self.group];
        if backward {
            times.backward_s[k] + times.weight_s.get(k).copied().unwrap_or(0.0)
        } else {
            times.forward_s[k]
        }
    }

    /// Seconds of a stage's passes of one microbatch that no layer cause slows.
    fn unlayered_s(&self, stage: usize) -> f64 {
        let layers = &self.pipeline.spec().layers;
        let chunks = (stage..layers.len()).step_by(self.pipeline.spec().shape.stages as usize);
        chunks
            .filter(|&k| self.layer.is_empty() || layers[k] == 0)
            .map(|k| self.pass_s(k, false) + self.pass_s(k, true))
            .sum()
    }

    /// Factors of all microbatches; stalls are added to what ranks work.
    fn microbatches(
        &self,
        rank: u32,
        gpus: &std::ops::Range<u32>,
        step: u32,
        slowdown: &[f32; UNITS],
        work_s: &mut [f64; UNITS],
    ) -> Vec<[f32; UNITS]> {
        let n = self.pipeline.spec().shape.microbatches as usize;
        let (mut draws, mut spread) = (self.microbatch.clone(), self.spread.clone());
        let mut drawn = Drawn::Nothing;
        let mut factors = Vec::with_capacity(n);
        for first in (0..n).step_by(STEPS) {
            let mut tile = Tile::NEUTRAL;
            tile.slowdown = Block([*slowdown; STEPS]);
            draws.turn_to(first as u32);
            spread.turn_to(first as u32);
            draws.apply_all(step, gpus, &mut drawn, &mut tile);
            for place in 0..gpus.len() {
                let replica = self.lineup.replica_of(self.group, rank + place as u32);
                for index in 0..spread.len() {
                    let values = spread.of_unit(index, step, replica);
                    let effect = spread.cause(index).effect();
                    for (k, value) in values.into_iter().enumerate() {
                        match effect {
                            Effect::Slowdown => tile.slowdown.0[k][place] *= value,
                            Effect::Stall => {
                                tile.stall.0[k][place] += value * draws.per_second();
                            }
                        }
                    }
                }
            }
            for k in 0..STEPS.min(n - first) {
                factors.push(tile.slowdown.0[k]);
                for (work_s, &stall) in work_s.iter_mut().zip(&tile.stall.0[k]) {
                    *work_s += self.compute_s * f64::from(stall);
                }
            }
        }
        factors
    }

    /// Adds the passes of stages with layers, layer by layer.
    fn layers(
        &self,
        gpus: &std::ops::Range<u32>,
        step: u32,
        stages: &[usize],
        of_microbatches: &[[f32; UNITS]],
        work_s: &mut [f64; UNITS],
    ) {
        let spec = self.pipeline.spec();
        let (n_layers, n_stages) = (self.stage_of_layer.len(), spec.shape.stages as usize);
        let n = 2 * of_microbatches.len() * n_layers;
        let mut draws = self.layer.clone();
        let mut drawn = Drawn::Nothing;
        for first in (0..n).step_by(STEPS) {
            let mut tile = Tile::NEUTRAL;
            for (row, index) in tile.slowdown.0.iter_mut().zip(first..n) {
                *row = of_microbatches[index / n_layers / 2];
            }
            draws.turn_to(first as u32);
            draws.apply_all(step, gpus, &mut drawn, &mut tile);
            for (row, index) in tile.slowdown.0.iter().zip(first..n) {
                let k = self.stage_of_layer[index % n_layers];
                let backward = index / n_layers % 2 == 1;
                let layer_s = self.pass_s(k, backward) / f64::from(spec.layers[k]);
                for (place, _) in stages
                    .iter()
                    .enumerate()
                    .filter(|&(_, &s)| s == k % n_stages)
                {
                    work_s[place] += layer_s * f64::from(row[place]);
                }
            }
        }
    }
}
