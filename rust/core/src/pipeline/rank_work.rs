//! Seconds that single ranks work in a step with stages, each for itself.

use std::ops::Range;

use super::pass_factors::{LayerOrder, PassFactors};
use super::rank_map::RankMap;
use crate::draw::{Drawn, Draws, Tile, When};
use crate::plan::{Affects, Cause, Effect, Pipeline, Placement, Plan, Scope, Span};
use crate::random::Random;
use crate::simd::{QUAD_STEPS, TILE_UNITS};

/// The work of the ranks of one pool in one run: all passes and stalls of a rank,
/// without waiting for other ranks, stages and bubbles.
pub struct RankWork<'a> {
    pipeline: &'a Pipeline,
    ranks: RankMap<'a>,
    pool: usize,
    compute_s: f64,
    passes: PassFactors<'a>,
    /// Causes of scope replica where replicas spread over pools, which have the
    /// random words of the first pool.
    mixed_replicas: Draws<'a>,
    layers: LayerOrder,
}

impl<'a> RankWork<'a> {
    /// The work of the ranks of pool number `pool`.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        pool: usize,
        random: &'a Random,
        run: u32,
    ) -> Self {
        let draws = |pool, span| Draws::new(plan, pool, Affects::Compute, span, random, run);
        let is_mixed = |cause: &Cause| {
            pipeline.spec().placement == Placement::Mixed && cause.scope() == Scope::Replica
        };
        Self {
            pipeline,
            ranks: RankMap::new(plan, pipeline),
            pool,
            compute_s: plan.pools()[pool].compute_s(),
            passes: PassFactors::new(
                draws(pool, Span::Microbatch).only(|cause| !is_mixed(cause)),
                draws(pool, Span::Layer),
            ),
            mixed_replicas: draws(0, Span::Microbatch).only(is_mixed),
            layers: LayerOrder::new(pipeline),
        }
    }

    /// Writes the seconds of the ranks from `rank` on, those on `gpus`, in step
    /// number `step` of the run; `effects` are those that last at least a step.
    pub fn write(
        &self,
        rank: u32,
        gpus: &Range<u32>,
        step: u32,
        effects: &Tile,
        times: &mut [f32],
    ) {
        let row = step as usize % QUAD_STEPS;
        let stages: Vec<usize> = (rank..rank + times.len() as u32)
            .map(|rank| self.ranks.stage_of(self.pool, rank) as usize)
            .collect();
        let slowdown = &effects.slowdown.0[row];
        let overhead_s = self.pipeline.spec().times[self.pool].overhead_s;
        let mut work_s = [0.0; TILE_UNITS];
        for (place, work_s) in work_s.iter_mut().enumerate().take(times.len()) {
            let stall_s = self.compute_s * f64::from(effects.stall.0[row][place]);
            *work_s = overhead_s * f64::from(slowdown[place]) + stall_s;
        }
        let of_microbatches = self.microbatch_factors(rank, gpus, step, slowdown, &mut work_s);
        for factors in &of_microbatches {
            for (place, &stage) in stages.iter().enumerate() {
                work_s[place] += self.passes_without_layers_s(stage) * f64::from(factors[place]);
            }
        }
        if !self.passes.layer().is_empty() {
            self.add_layers(gpus, step, &stages, &of_microbatches, &mut work_s);
        }
        for (time, work_s) in times.iter_mut().zip(work_s) {
            *time = work_s as f32;
        }
    }

    /// What each cause that changes within a step does to one rank: its mean slowdown over
    /// microbatches or layers, or its stalls in all microbatches together, in seconds.
    #[must_use]
    pub fn within_step(&self, rank: u32, gpu: u32, step: u32) -> Vec<(&'a Cause, f64)> {
        let mut found = Vec::new();
        let gpus = gpu..gpu + 1;
        let microbatch = self.passes.microbatch();
        for index in 0..microbatch.len() {
            let cause = microbatch.cause(index);
            let values = self.in_microbatches(
                |when| {
                    let (mut drawn, mut tile) = (Drawn::Nothing, Tile::NEUTRAL);
                    microbatch.draw(index, when, &gpus, &mut drawn);
                    microbatch.apply(index, when, &gpus, &drawn, &mut tile);
                    match cause.effect() {
                        Effect::Slowdown => tile.slowdown.0.map(|row| f64::from(row[0])),
                        Effect::Stall => tile.stall.0.map(|row| self.compute_s * f64::from(row[0])),
                    }
                },
                step,
            );
            found.push((cause, mean_or_sum(cause, &values)));
        }
        let replica = self.ranks.replica_of(self.pool, rank);
        for index in 0..self.mixed_replicas.len() {
            let cause = self.mixed_replicas.cause(index);
            let values = self.in_microbatches(
                |when| {
                    let values = self.mixed_replicas.unit_values(index, when, replica);
                    values.map(f64::from)
                },
                step,
            );
            found.push((cause, mean_or_sum(cause, &values)));
        }
        let (n_stages, stage) = (
            self.pipeline.spec().shape.stages as usize,
            self.ranks.stage_of(self.pool, rank) as usize,
        );
        let layer = self.passes.layer();
        for index in 0..layer.len() {
            let mut values = Vec::new();
            for (first, four) in self.layers.fours() {
                let when = When::within_step(step, first);
                let (mut drawn, mut tile) = (Drawn::Nothing, Tile::NEUTRAL);
                layer.draw(index, when, &gpus, &mut drawn);
                layer.apply(index, when, &gpus, &drawn, &mut tile);
                let here = four.as_slice().iter().zip(&tile.slowdown.0);
                let here = here.filter(|(layer, _)| layer.virtual_stage % n_stages == stage);
                values.extend(here.map(|(_, row)| f64::from(row[0])));
            }
            found.push((layer.cause(index), mean_or_sum(layer.cause(index), &values)));
        }
        found
    }

    /// What a function gives of each four microbatches, of all microbatches of a step.
    fn in_microbatches(&self, of: impl Fn(When) -> [f64; QUAD_STEPS], step: u32) -> Vec<f64> {
        let n = self.pipeline.spec().shape.microbatches as usize;
        let fours = (0..n).step_by(QUAD_STEPS);
        let mut values: Vec<f64> = fours
            .flat_map(|first| of(When::within_step(step, first)))
            .collect();
        values.truncate(n);
        values
    }

    /// Seconds of a virtual stage's passes in one direction; weight-gradient passes
    /// count with backward passes.
    fn pass_s(&self, virtual_stage: usize, is_backward: bool) -> f64 {
        let times = &self.pipeline.spec().times[self.pool];
        if is_backward {
            let weight_s = times.weight_s.get(virtual_stage).copied().unwrap_or(0.0);
            times.backward_s[virtual_stage] + weight_s
        } else {
            times.forward_s[virtual_stage]
        }
    }

    /// Seconds of a stage's passes of one microbatch that no cause of span layer
    /// slows.
    fn passes_without_layers_s(&self, stage: usize) -> f64 {
        let layers = &self.pipeline.spec().layers;
        let chunks = (stage..layers.len()).step_by(self.pipeline.spec().shape.stages as usize);
        chunks
            .filter(|&k| self.passes.layer().is_empty() || layers[k] == 0)
            .map(|k| self.pass_s(k, false) + self.pass_s(k, true))
            .sum()
    }

    /// Factors of the ranks in all microbatches; stalls are added to their work.
    fn microbatch_factors(
        &self,
        rank: u32,
        gpus: &Range<u32>,
        step: u32,
        of_step: &[f32; TILE_UNITS],
        work_s: &mut [f64; TILE_UNITS],
    ) -> Vec<[f32; TILE_UNITS]> {
        let n = self.pipeline.spec().shape.microbatches as usize;
        let mut drawn = Drawn::Nothing;
        let mut factors = Vec::with_capacity(n);
        for first in (0..n).step_by(QUAD_STEPS) {
            let mut tile = Tile::NEUTRAL;
            self.passes
                .apply_microbatches(step, first, gpus, of_step, &mut drawn, &mut tile);
            self.apply_mixed_replicas(rank, gpus, step, first, &mut tile);
            for row in 0..QUAD_STEPS.min(n - first) {
                factors.push(tile.slowdown.0[row]);
                for (work_s, &stall) in work_s.iter_mut().zip(&tile.stall.0[row]) {
                    *work_s += self.compute_s * f64::from(stall);
                }
            }
        }
        factors
    }

    fn apply_mixed_replicas(
        &self,
        rank: u32,
        gpus: &Range<u32>,
        step: u32,
        first: usize,
        tile: &mut Tile,
    ) {
        let draws = &self.mixed_replicas;
        if draws.is_empty() {
            return;
        }
        let when = When::within_step(step, first);
        for place in 0..gpus.len() {
            let replica = self.ranks.replica_of(self.pool, rank + place as u32);
            for index in 0..draws.len() {
                let values = draws.unit_values(index, when, replica);
                let effect = draws.cause(index).effect();
                for (row, value) in values.into_iter().enumerate() {
                    match effect {
                        Effect::Slowdown => tile.slowdown.0[row][place] *= value,
                        Effect::Stall => {
                            let scale = self.passes.microbatch().stall_scale();
                            tile.stall.0[row][place] += value * scale;
                        }
                    }
                }
            }
        }
    }

    /// Adds the passes of stages with layers, layer by layer.
    fn add_layers(
        &self,
        gpus: &Range<u32>,
        step: u32,
        stages: &[usize],
        of_microbatches: &[[f32; TILE_UNITS]],
        work_s: &mut [f64; TILE_UNITS],
    ) {
        let spec = self.pipeline.spec();
        let n_stages = spec.shape.stages as usize;
        let mut drawn = Drawn::Nothing;
        for (first, four) in self.layers.fours() {
            let layers = four.as_slice();
            let mut tile = Tile::NEUTRAL;
            for (row, layer) in tile.slowdown.0.iter_mut().zip(layers) {
                *row = of_microbatches[layer.microbatch];
            }
            self.passes
                .apply_layers(step, first, gpus, &mut drawn, &mut tile);
            for (row, layer) in tile.slowdown.0.iter().zip(layers) {
                let k = layer.virtual_stage;
                let layer_s = self.pass_s(k, layer.is_backward) / f64::from(spec.layers[k]);
                let here = stages.iter().enumerate();
                for (place, _) in here.filter(|&(_, &stage)| stage == k % n_stages) {
                    work_s[place] += layer_s * f64::from(row[place]);
                }
            }
        }
    }
}

/// The mean of slowdowns, or the sum of stalls.
fn mean_or_sum(cause: &Cause, values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    match cause.effect() {
        Effect::Slowdown if values.is_empty() => 1.0,
        Effect::Slowdown => sum / values.len() as f64,
        Effect::Stall => sum,
    }
}
