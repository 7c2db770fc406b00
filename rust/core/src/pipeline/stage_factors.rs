//! Factors and stalls of a batch of gangs in one step: each stage goes at the pace
//! of its slowest rank.

use std::ops::Range;

use super::pass_factors::LayerOrder;
use super::pool_causes::PoolCauses;
use super::rank_map::{Batch, StageRanks};
use crate::control::Control;
use crate::draw::{Drawn, Tile, When};
use crate::error::Result;
use crate::plan::{Effect, Pipeline, Placement, Scope};
use crate::schedule::Pass;
use crate::schedule::recursion::{Detail, Lanes, Times};
use crate::simd::{QUAD_STEPS, TILE_UNITS, TileArray, WALK_LANES};

/// Ranks of a batch on consecutive GPUs, with their effects in the steps of a quad.
pub(super) struct BatchTile {
    pub(super) pool: usize,
    pub(super) gpus: Range<u32>,
    pub(super) effects: Tile,
    pub(super) stage_ranks: Vec<StageRanks>,
}

/// Factors and stalls of a batch in one step, by lane.
pub(super) struct StageFactors<'a> {
    pipeline: &'a Pipeline,
    causes: &'a [PoolCauses<'a>],
    /// By stage: the factor of its slowest rank in the whole step.
    stages: Vec<Lanes<WALK_LANES>>,
    /// By microbatch and stage: the factor of its slowest rank, causes of span
    /// microbatch included; empty where there are none within a step.
    microbatches: Vec<Lanes<WALK_LANES>>,
    /// By microbatch and class of passes: the mean over its layers of the factor of
    /// their slowest rank; empty where no cause has span layer.
    passes: Vec<Lanes<WALK_LANES>>,
    /// By microbatch and stage: seconds for which it stops; empty where no stage
    /// stalls by itself. Stalls of the whole step are in microbatch 0.
    stalls_s: Vec<Lanes<WALK_LANES>>,
    /// Seconds for which gangs stop as a whole, in all microbatches together.
    gang_stall_s: Lanes<WALK_LANES>,
    layers: LayerOrder,
}

impl<'a> StageFactors<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        causes: &'a [PoolCauses<'a>],
        has_stalls: bool,
    ) -> Self {
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
        let n_stalls = if has_stalls { stages * microbatches } else { 0 };
        Self {
            pipeline,
            causes,
            stages: vec![Lanes::all(0.0); stages],
            microbatches: vec![Lanes::all(0.0); n_microbatches],
            passes: vec![Lanes::all(0.0); n_passes],
            stalls_s: vec![Lanes::all(0.0); n_stalls],
            gang_stall_s: Lanes::all(0.0),
            layers: LayerOrder::new(pipeline),
        }
    }

    /// The factor of each stage's slowest rank in the whole step.
    pub(super) fn of_stages(&self) -> &[Lanes<WALK_LANES>] {
        &self.stages
    }

    /// Whether any stage of a gang stalls in this step.
    pub(super) fn has_stalled(&self) -> bool {
        let stalled = |stall_s: &Lanes<WALK_LANES>| stall_s.0.iter().any(|&stall_s| stall_s > 0.0);
        self.stalls_s.iter().any(stalled)
    }

    /// Seconds for which gangs stop as a whole by causes of span microbatch.
    pub(super) fn gang_stall_s(&self) -> &Lanes<WALK_LANES> {
        &self.gang_stall_s
    }

    /// The factor of one pass of a lane: that of its slowest ranks.
    pub(super) fn of_pass(&self, pass: &Pass, lane: usize) -> f64 {
        let (microbatch, stage) = (pass.op.microbatch as usize, pass.stage as usize);
        let n_stages = self.stages.len();
        let factors = match self.pipeline.detail() {
            Detail::Stage => self.stages[stage],
            Detail::Microbatch => self.microbatches[microbatch * n_stages + stage],
            Detail::Pass => {
                let n_classes = self.passes.len() / self.n_microbatches();
                self.passes[microbatch * n_classes + pass.class as usize]
            }
        };
        factors.0[lane]
    }

    /// The times that a walk through the schedule takes.
    pub(super) fn times<'t>(
        &'t self,
        base_s: &'t [Lanes<WALK_LANES>],
        transfers_s: &'t [f64],
    ) -> Times<'t, WALK_LANES> {
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
            transfers_s,
        }
    }

    /// Draws one step: number `step` of its run, `row` of the tiles' effects.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn draw(
        &mut self,
        batch: &Batch,
        tiles: &[BatchTile],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        self.stages.fill(Lanes::all(0.0));
        self.microbatches.fill(Lanes::all(0.0));
        self.passes.fill(Lanes::all(0.0));
        self.stalls_s.fill(Lanes::all(0.0));
        self.gang_stall_s = Lanes::all(0.0);
        for tile in tiles {
            let unit_s = self.causes[tile.pool].step.pool().compute_s();
            for ranks in &tile.stage_ranks {
                let slowest = greatest(&tile.effects.slowdown.0[row][ranks.places.clone()]);
                raise(&mut self.stages[ranks.stage].0[ranks.lane], slowest);
                if let Some(stall) = self.stalls_s.get_mut(ranks.stage) {
                    let longest = greatest(&tile.effects.stall.0[row][ranks.places.clone()]);
                    raise(&mut stall.0[ranks.lane], unit_s * longest);
                }
            }
        }
        if self.pipeline.detail() == Detail::Stage {
            return Ok(());
        }
        self.draw_microbatches(tiles, step, row, control)?;
        if self.pipeline.detail() == Detail::Pass {
            self.draw_layers(tiles, step, row, control)?;
        }
        self.apply_shared(batch, tiles, step);
        Ok(())
    }

    fn n_microbatches(&self) -> usize {
        self.pipeline.spec().shape.microbatches as usize
    }

    /// Factors and stalls of each stage and microbatch: those of its slowest rank.
    fn draw_microbatches(
        &mut self,
        tiles: &[BatchTile],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        let (n, n_stages) = (self.n_microbatches(), self.stages.len());
        let mut stalls_s = vec![Lanes::all(0.0); self.stalls_s.len()];
        let mut drawn = Drawn::Nothing;
        let mut effects = Tile::NEUTRAL;
        // Microbatches are the outer loop, so that the rows written to stay in the
        // cache.
        for first in (0..n).step_by(QUAD_STEPS) {
            control.advance(0)?;
            for tile in tiles {
                let causes = &self.causes[tile.pool];
                if !stalls_s.is_empty() {
                    effects.stall = Tile::NEUTRAL.stall;
                }
                causes.passes.apply_microbatches(
                    step,
                    first,
                    &tile.gpus,
                    &tile.effects.slowdown.0[row],
                    &mut drawn,
                    &mut effects,
                );
                let here = first * n_stages..n.min(first + QUAD_STEPS) * n_stages;
                let factors = &mut self.microbatches[here.clone()];
                raise_all(factors, n_stages, &tile.stage_ranks, &effects.slowdown, 1.0);
                if let Some(stalls_s) = stalls_s.get_mut(here) {
                    let unit_s = causes.step.pool().compute_s();
                    raise_all(
                        stalls_s,
                        n_stages,
                        &tile.stage_ranks,
                        &effects.stall,
                        unit_s,
                    );
                }
            }
        }
        for (sums_s, stalls_s) in self.stalls_s.iter_mut().zip(&stalls_s) {
            for (sum_s, stall_s) in sums_s.0.iter_mut().zip(&stalls_s.0) {
                *sum_s += stall_s;
            }
        }
        Ok(())
    }

    /// Factors of each pass: the mean over its layers of those of their slowest rank.
    fn draw_layers(
        &mut self,
        tiles: &[BatchTile],
        step: u32,
        row: usize,
        control: &Control,
    ) -> Result<()> {
        let spec = self.pipeline.spec();
        let (n_stages, n_virtual) = (spec.shape.stages as usize, spec.layers.len());
        self.copy_factors_of_passes_without_layers();
        for (first, four) in self.layers.fours() {
            let layers = four.as_slice();
            let mut slowest = [Lanes::<WALK_LANES>::all(0.0); QUAD_STEPS];
            for tile in tiles {
                let works_here = layers.iter().any(|layer| {
                    let stage = layer.virtual_stage % n_stages;
                    tile.stage_ranks.iter().any(|ranks| ranks.stage == stage)
                });
                if !works_here {
                    continue;
                }
                let effects = self.causes[tile.pool].passes.in_layers(
                    step,
                    first,
                    layers,
                    &tile.gpus,
                    &tile.effects.slowdown.0[row],
                );
                for (row, layer) in layers.iter().enumerate() {
                    let stage = layer.virtual_stage % n_stages;
                    for ranks in tile.stage_ranks.iter().filter(|ranks| ranks.stage == stage) {
                        let values = &effects.slowdown.0[row][ranks.places.clone()];
                        raise(&mut slowest[row].0[ranks.lane], greatest(values));
                    }
                }
            }
            for (layer, slowest) in layers.iter().zip(&slowest) {
                let share = 1.0 / f64::from(spec.layers[layer.virtual_stage]);
                // Weight-gradient passes share the draws of backward passes.
                let directions = if layer.is_backward { 1..3 } else { 0..1 };
                for direction in directions {
                    let class = direction * n_virtual + layer.virtual_stage;
                    let factors = &mut self.passes[layer.microbatch * 3 * n_virtual + class].0;
                    for (factor, slowest) in factors.iter_mut().zip(&slowest.0) {
                        *factor += share * slowest;
                    }
                }
            }
            control.advance(0)?;
        }
        Ok(())
    }

    /// Passes through a chunk that holds no layer have the factor of their stage.
    fn copy_factors_of_passes_without_layers(&mut self) {
        let (layers, stages) = (&self.pipeline.spec().layers, self.stages.len());
        let by_microbatch = self.passes.chunks_exact_mut(3 * layers.len());
        for (passes, of_stages) in by_microbatch.zip(self.microbatches.chunks_exact(stages)) {
            for (class, factors) in passes.iter_mut().enumerate() {
                let virtual_stage = class % layers.len();
                if layers[virtual_stage] == 0 {
                    *factors = of_stages[virtual_stage % stages];
                }
            }
        }
    }

    /// Applies causes of span microbatch that whole gangs share.
    fn apply_shared(&mut self, batch: &Batch, tiles: &[BatchTile], step: u32) {
        // Replicas that spread over pools have the random words of the first pool.
        let Some(first) = tiles.first() else { return };
        let pool = match self.pipeline.spec().placement {
            Placement::Aligned => first.pool,
            Placement::Mixed => 0,
        };
        let draws = &self.causes[pool].shared;
        let n = self.n_microbatches();
        for first in (0..n).step_by(QUAD_STEPS) {
            let when = When::within_step(step, first);
            for index in 0..draws.len() {
                let cause = draws.cause(index);
                for lane in 0..batch.n_gangs {
                    let unit = match cause.scope() {
                        Scope::Replica => batch.first_gang + lane as u32,
                        _ => 0,
                    };
                    let values = draws.unit_values(index, when, unit).map(f64::from);
                    for (value, microbatch) in values.into_iter().zip(first..n) {
                        match cause.effect() {
                            Effect::Slowdown => self.slow_all_passes(lane, microbatch, value),
                            Effect::Stall => self.gang_stall_s.0[lane] += value,
                        }
                    }
                }
            }
        }
    }

    fn slow_all_passes(&mut self, lane: usize, microbatch: usize, factor: f64) {
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

/// Raises the lanes of stages, microbatch after microbatch, to `unit` times the
/// greatest value of their ranks, one row a microbatch.
fn raise_all(
    lanes: &mut [Lanes<WALK_LANES>],
    n_stages: usize,
    stage_ranks: &[StageRanks],
    rows: &TileArray<f32>,
    unit: f64,
) {
    for ranks in stage_ranks {
        // The remainders tell the compiler that both are within bounds.
        let (place, lane) = (ranks.places.start % TILE_UNITS, ranks.lane % WALK_LANES);
        let of_stage = lanes.iter_mut().skip(ranks.stage).step_by(n_stages);
        if ranks.places.len() == 1 {
            for (lanes, row) in of_stage.zip(&rows.0) {
                raise(&mut lanes.0[lane], unit * f64::from(row[place]));
            }
        } else {
            for (lanes, row) in of_stage.zip(&rows.0) {
                let greatest = greatest(&row[ranks.places.clone()]);
                raise(&mut lanes.0[lane], unit * greatest);
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

/// The greatest of some slowdowns or stalls, at least 0.
#[inline]
pub(super) fn greatest(values: &[f32]) -> f64 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    // Four at once, which the compiler vectorizes.
    let (fours, rest) = values.as_chunks::<4>();
    let mut most = [0.0; 4];
    for four in fours {
        for (most, &value) in most.iter_mut().zip(four) {
            *most = larger(*most, value);
        }
    }
    f64::from(most.iter().chain(rest).copied().fold(0.0, larger))
}
