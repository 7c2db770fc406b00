//! What changes inside of a step: factors and stalls of each pass.

use super::crews::{Acting, Ranks, greatest};
use super::lineup::{Batch, Spot};
use crate::control::Control;
use crate::error::Result;
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::kernel::{Block, REPLICAS, STEPS, UNITS};
use crate::plan::{Effect, Pipeline, Placement, Scope};
use crate::schedule::recursion::{Detail, Lanes, Times};

/// What walks through a schedule gave, in seconds of each crew.
pub(super) struct Walked {
    /// When the last stage is done.
    pub(super) ends_s: Lanes<REPLICAS>,
    /// The same if no stage had stalled.
    pub(super) free_s: Lanes<REPLICAS>,
    /// For how long crews stop as a whole, once a step.
    pub(super) wide_s: Lanes<REPLICAS>,
    /// The same in all microbatches together.
    pub(super) whole_s: Lanes<REPLICAS>,
}

/// Factors and stalls of a batch in one step.
pub(super) struct Inside<'a> {
    pipeline: &'a Pipeline,
    acting: &'a [Acting<'a>],
    /// By stage: the factor of its slowest rank, as far as it lasts the step.
    stages: Vec<Lanes<REPLICAS>>,
    /// By microbatch and stage: the same with what changes from one microbatch
    /// to the next; empty where nothing does.
    microbatches: Vec<Lanes<REPLICAS>>,
    /// By microbatch and class: the same with what changes from layer to layer;
    /// empty where nothing does.
    passes: Vec<Lanes<REPLICAS>>,
    /// By microbatch and stage; empty where nothing stalls.
    stalls_s: Vec<Lanes<REPLICAS>>,
    /// Seconds for which crews stop as a whole, in all microbatches together.
    whole_s: Lanes<REPLICAS>,
    /// The virtual stage of each layer.
    stage_of_layer: Vec<usize>,
}

impl<'a> Inside<'a> {
    pub(super) fn new(pipeline: &'a Pipeline, acting: &'a [Acting<'a>], stalls: bool) -> Self {
        let spec = pipeline.spec();
        let (stages, microbatches) = (spec.shape.stages as usize, spec.shape.microbatches as usize);
        let n_microbatches = match pipeline.detail() {
            Detail::Stage => 0,
            Detail::Microbatch | Detail::Pass => stages * microbatches,
        };
        let n_passes = match pipeline.detail() {
            Detail::Stage | Detail::Microbatch => 0,
            Detail::Pass => 3 * spec.shape.virtual_stages() as usize * microbatches,
        };
        let n_stalls = if stalls { stages * microbatches } else { 0 };
        Self {
            pipeline,
            acting,
            stages: vec![Lanes::all(0.0); stages],
            microbatches: vec![Lanes::all(0.0); n_microbatches],
            passes: vec![Lanes::all(0.0); n_passes],
            stalls_s: vec![Lanes::all(0.0); n_stalls],
            whole_s: Lanes::all(0.0),
            stage_of_layer: pipeline.stages_of_layers(),
        }
    }

    /// The factor of each stage's slowest rank, as far as it lasts the step.
    pub(super) fn stage_factors(&self) -> &[Lanes<REPLICAS>] {
        &self.stages
    }

    /// Whether any stage of a crew stalls in this step.
    pub(super) fn has_stalled(&self) -> bool {
        let stalled = |stall_s: &Lanes<REPLICAS>| stall_s.0.iter().any(|&stall_s| stall_s > 0.0);
        self.stalls_s.iter().any(stalled)
    }

    /// Seconds for which crews stop as a whole.
    pub(super) fn whole_s(&self) -> &Lanes<REPLICAS> {
        &self.whole_s
    }

    /// What a walk reads.
    pub(super) fn times<'t>(
        &'t self,
        base_s: &'t [Lanes<REPLICAS>],
        transfer_s: f64,
    ) -> Times<'t, REPLICAS> {
        let detail = self.pipeline.detail();
        Times {
            base_s,
            factors: match detail {
                Detail::Stage => &self.stages,
                Detail::Microbatch => &self.microbatches,
                Detail::Pass => &self.passes,
            },
            detail,
            stalls_s: &self.stalls_s,
            transfer_s,
        }
    }

    /// Draws a step: number `step` of its run, `row` of the ranks' tiles.
    pub(super) fn fill(
        &mut self,
        batch: &Batch,
        ranks: &[Ranks],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        self.stages.fill(Lanes::all(0.0));
        self.microbatches.fill(Lanes::all(0.0));
        self.passes.fill(Lanes::all(0.0));
        self.stalls_s.fill(Lanes::all(0.0));
        self.whole_s = Lanes::all(0.0);
        for tile in ranks {
            let unit_s = self.acting[tile.group].step.group().compute_s();
            for spot in &tile.spots {
                let slowest = greatest(&tile.tile.slowdown.0[row][spot.places.clone()]);
                raise(&mut self.stages[spot.stage].0[spot.lane], slowest);
                if let Some(stall) = self.stalls_s.get_mut(spot.stage) {
                    let longest = greatest(&tile.tile.stall.0[row][spot.places.clone()]);
                    raise(&mut stall.0[spot.lane], unit_s * longest);
                }
            }
        }
        if self.pipeline.detail() == Detail::Stage {
            return Ok(());
        }
        self.fill_microbatches(ranks, step, row, control)?;
        if self.pipeline.detail() == Detail::Pass {
            self.fill_layers(ranks, step, row, control)?;
        }
        self.share(batch, ranks, step);
        Ok(())
    }
}

impl Inside<'_> {
    fn n_microbatches(&self) -> usize {
        self.pipeline.spec().shape.microbatches as usize
    }

    /// Factors and stalls of each stage and microbatch, of its slowest rank.
    fn fill_microbatches(
        &mut self,
        ranks: &[Ranks],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        let n = self.n_microbatches();
        let mut stalls_s = vec![Lanes::all(0.0); self.stalls_s.len()];
        let mut drawn = Drawn::Nothing;
        let mut work = Tile::NEUTRAL;
        let draws = self.acting.iter().map(|acting| acting.microbatch.clone());
        let mut draws: Vec<Draws> = draws.collect();
        // Microbatches outside, so that what is written stays near.
        for first in (0..n).step_by(STEPS) {
            control.advance(0)?;
            for draws in &mut draws {
                draws.turn_to(first as u32);
            }
            for tile in ranks {
                let draws = &draws[tile.group];
                work.slowdown.0 = [tile.tile.slowdown.0[row]; STEPS];
                if !stalls_s.is_empty() {
                    work.stall = Tile::NEUTRAL.stall;
                }
                draws.apply_all(step, &tile.gpus, &mut drawn, &mut work);
                let here = first * self.stages.len()..n.min(first + STEPS) * self.stages.len();
                let factors = &mut self.microbatches[here.clone()];
                raise_all(factors, self.stages.len(), &tile.spots, &work.slowdown, 1.0);
                if let Some(stalls_s) = stalls_s.get_mut(here) {
                    let unit_s = draws.group().compute_s();
                    raise_all(
                        stalls_s,
                        self.stages.len(),
                        &tile.spots,
                        &work.stall,
                        unit_s,
                    );
                }
            }
        }
        self.add_stalls(&stalls_s);
        Ok(())
    }

    fn add_stalls(&mut self, more_s: &[Lanes<REPLICAS>]) {
        for (stalls_s, more_s) in self.stalls_s.iter_mut().zip(more_s) {
            for (stall_s, more_s) in stalls_s.0.iter_mut().zip(&more_s.0) {
                *stall_s += more_s;
            }
        }
    }

    /// Factors of each pass: the mean over its layers of the slowest rank's.
    fn fill_layers(
        &mut self,
        ranks: &[Ranks],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        let n_microbatches = self.n_microbatches();
        let n_layers = self.stage_of_layer.len();
        let spec = self.pipeline.spec();
        let (stages, n_virtual) = (spec.shape.stages as usize, spec.layers.len());
        let n_indices = 2 * n_microbatches * n_layers;
        self.fill_passes_without_layers();
        for first in (0..n_indices).step_by(STEPS) {
            let mut slowest = [Lanes::<REPLICAS>::all(0.0); STEPS];
            let indices = first..n_indices.min(first + STEPS);
            for tile in ranks {
                let here = |index: usize| {
                    let stage = self.stage_of_layer[index % n_layers] % stages;
                    tile.spots.iter().any(|spot| spot.stage == stage)
                };
                if !indices.clone().any(here) {
                    continue;
                }
                let work = self.layers_of(tile, step, row, &indices);
                for index in indices.clone() {
                    let stage = self.stage_of_layer[index % n_layers] % stages;
                    for spot in tile.spots.iter().filter(|spot| spot.stage == stage) {
                        let values = &work.slowdown.0[index - first][spot.places.clone()];
                        raise(&mut slowest[index - first].0[spot.lane], greatest(values));
                    }
                }
            }
            for index in indices {
                let (pass, layer) = (index / n_layers, index % n_layers);
                let (microbatch, direction) = (pass / 2, pass % 2);
                let k = self.stage_of_layer[layer];
                let share = 1.0 / f64::from(spec.layers[k]);
                // Gradients of weights share the draws of those of inputs.
                let directions = if direction == 1 { 1..3 } else { 0..1 };
                for direction in directions {
                    let class = direction * n_virtual + k;
                    let factors = &mut self.passes[microbatch * 3 * n_virtual + class].0;
                    for (factor, slowest) in factors.iter_mut().zip(&slowest[index - first].0) {
                        *factor += share * slowest;
                    }
                }
            }
            control.advance(0)?;
        }
        Ok(())
    }

    /// Factors of passes through a chunk that holds no layer: its stage's.
    fn fill_passes_without_layers(&mut self) {
        let (layers, stages) = (&self.pipeline.spec().layers, self.stages.len());
        let by_microbatch = self.passes.chunks_exact_mut(3 * layers.len());
        for (passes, of_stages) in by_microbatch.zip(self.microbatches.chunks_exact(stages)) {
            for (class, factors) in passes.iter_mut().enumerate() {
                let k = class % layers.len();
                if layers[k] == 0 {
                    *factors = of_stages[k % stages];
                }
            }
        }
    }

    /// Factors of a tile's ranks for four consecutive layers.
    fn layers_of(
        &self,
        ranks: &Ranks,
        step: u32,
        row: usize,
        indices: &std::ops::Range<usize>,
    ) -> Tile {
        let acting = &self.acting[ranks.group];
        let mut drawn = Drawn::Nothing;
        let mut work = repeated(&ranks.tile, row);
        if !acting.microbatch.is_empty() {
            let mut draws = acting.microbatch.clone();
            for index in indices.clone() {
                let microbatch = index / self.stage_of_layer.len() / 2;
                let mut of_microbatch = repeated(&ranks.tile, row);
                draws.turn_to((microbatch - microbatch % STEPS) as u32);
                draws.apply_all(step, &ranks.gpus, &mut drawn, &mut of_microbatch);
                let values = of_microbatch.slowdown.0[microbatch % STEPS];
                work.slowdown.0[index - indices.start] = values;
            }
        }
        let mut draws = acting.layer.clone();
        draws.turn_to(indices.start as u32);
        draws.apply_all(step, &ranks.gpus, &mut drawn, &mut work);
        work
    }

    /// Applies causes that a whole crew shares in a microbatch.
    fn share(&mut self, batch: &Batch, ranks: &[Ranks], step: u32) {
        // Where replicas spread over groups, they have the words of the first.
        let Some(first) = ranks.first() else { return };
        let group = match self.pipeline.spec().placement {
            Placement::Aligned => first.group,
            Placement::Mixed => 0,
        };
        let mut draws = self.acting[group].shared.clone();
        let n = self.n_microbatches();
        for first in (0..n).step_by(STEPS) {
            draws.turn_to(first as u32);
            for index in 0..draws.len() {
                let cause = draws.cause(index);
                for lane in 0..batch.n_crews {
                    let unit = match cause.scope() {
                        Scope::Replica => batch.first_crew + lane as u32,
                        _ => 0,
                    };
                    let values = draws.of_unit(index, step, unit).map(f64::from);
                    for (value, microbatch) in values.into_iter().zip(first..n) {
                        match cause.effect() {
                            Effect::Slowdown => self.slow_all(lane, microbatch, value),
                            Effect::Stall => self.whole_s.0[lane] += value,
                        }
                    }
                }
            }
        }
    }

    fn slow_all(&mut self, lane: usize, microbatch: usize, factor: f64) {
        let factors = match self.pipeline.detail() {
            Detail::Pass => &mut self.passes,
            _ => &mut self.microbatches,
        };
        let n = factors.len() / self.pipeline.spec().shape.microbatches as usize;
        for factors in &mut factors[microbatch * n..(microbatch + 1) * n] {
            factors.0[lane] *= factor;
        }
    }
}

/// A tile whose rows are all one row of another, and in which nothing stalls.
fn repeated(tile: &Tile, row: usize) -> Tile {
    Tile {
        slowdown: Block([tile.slowdown.0[row]; STEPS]),
        stall: Block([[0.0; UNITS]; STEPS]),
    }
}

/// Raises the lanes of stages, microbatch after microbatch, to the greatest of
/// their ranks, a row each.
fn raise_all(
    lanes: &mut [Lanes<REPLICAS>],
    n_stages: usize,
    spots: &[Spot],
    rows: &Block<f32>,
    unit: f64,
) {
    for spot in spots {
        let (place, lane) = (spot.places.start % UNITS, spot.lane % REPLICAS);
        let of_stage = lanes.iter_mut().skip(spot.stage).step_by(n_stages);
        if spot.places.len() == 1 {
            for (lanes, row) in of_stage.zip(&rows.0) {
                raise(&mut lanes.0[lane], unit * f64::from(row[place]));
            }
        } else {
            for (lanes, row) in of_stage.zip(&rows.0) {
                raise(
                    &mut lanes.0[lane],
                    unit * greatest(&row[spot.places.clone()]),
                );
            }
        }
    }
}

#[inline(always)]
fn raise(value: &mut f64, other: f64) {
    if other > *value {
        *value = other;
    }
}
