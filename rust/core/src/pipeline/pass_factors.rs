//! What makes passes of single ranks slower: causes that change within a step.

use std::ops::Range;

use crate::draw::{Drawn, Draws, Tile, When};
use crate::plan::Pipeline;
use crate::simd::{QUAD_STEPS, TILE_UNITS, TileArray};

/// Causes of span microbatch and layer on the ranks of one pool.
pub(super) struct PassFactors<'a> {
    microbatch: Draws<'a>,
    layer: Draws<'a>,
}

impl<'a> PassFactors<'a> {
    pub(super) fn new(microbatch: Draws<'a>, layer: Draws<'a>) -> Self {
        Self { microbatch, layer }
    }

    /// The causes of span microbatch.
    pub(super) fn microbatch(&self) -> &Draws<'a> {
        &self.microbatch
    }

    /// The causes of span layer.
    pub(super) fn layer(&self) -> &Draws<'a> {
        &self.layer
    }

    /// Sets the slowdowns of a tile to those of four microbatches from `first` on,
    /// its rows, and adds their stalls to the tile's.
    ///
    /// `of_step` are the factors of the ranks on `gpus` in the whole step.
    pub(super) fn apply_microbatches(
        &self,
        step: u32,
        first: usize,
        gpus: &Range<u32>,
        of_step: &[f32; TILE_UNITS],
        drawn: &mut Drawn,
        tile: &mut Tile,
    ) {
        tile.slowdown.0 = [*of_step; QUAD_STEPS];
        self.microbatch
            .apply_all(When::within_step(step, first), gpus, drawn, tile);
    }

    /// Multiplies the slowdowns of a tile, whose rows are the factors in four
    /// consecutive layers from `first` on without causes of span layer, by these.
    pub(super) fn apply_layers(
        &self,
        step: u32,
        first: usize,
        gpus: &Range<u32>,
        drawn: &mut Drawn,
        tile: &mut Tile,
    ) {
        self.layer
            .apply_all(When::within_step(step, first), gpus, drawn, tile);
    }

    /// Factors of ranks in consecutive layers, `layers` from `first` on, from
    /// those that they have in the whole step.
    pub(super) fn in_layers(
        &self,
        step: u32,
        first: usize,
        layers: &[LayerPass],
        gpus: &Range<u32>,
        of_step: &[f32; TILE_UNITS],
    ) -> Tile {
        let mut drawn = Drawn::Nothing;
        let mut tile = Tile {
            slowdown: TileArray([*of_step; QUAD_STEPS]),
            stall: TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]),
        };
        if !self.microbatch.is_empty() {
            let mut of_four = Tile::NEUTRAL;
            let mut known = None;
            for (row, layer) in layers.iter().enumerate() {
                let first_of_four = layer.microbatch - layer.microbatch % QUAD_STEPS;
                if known != Some(first_of_four) {
                    self.apply_microbatches(
                        step,
                        first_of_four,
                        gpus,
                        of_step,
                        &mut drawn,
                        &mut of_four,
                    );
                    known = Some(first_of_four);
                }
                tile.slowdown.0[row] = of_four.slowdown.0[layer.microbatch % QUAD_STEPS];
            }
        }
        self.apply_layers(step, first, gpus, &mut drawn, &mut tile);
        tile
    }
}

/// One layer of one pass of a microbatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerPass {
    pub(super) microbatch: usize,
    /// Whether it is of the backward pass.
    pub(super) is_backward: bool,
    /// The virtual stage that holds the layer.
    pub(super) virtual_stage: usize,
}

/// The order in which the layers of a step's passes have random addresses:
/// `(microbatch x 2 + direction) x n_layers + layer`.
pub(super) struct LayerOrder {
    n_microbatches: usize,
    /// The virtual stage of each layer.
    stage_of_layer: Vec<usize>,
}

impl LayerOrder {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        Self {
            n_microbatches: pipeline.spec().shape.microbatches as usize,
            stage_of_layer: pipeline.stages_of_layers(),
        }
    }

    /// All layers of a step's passes.
    pub(super) fn len(&self) -> usize {
        2 * self.n_microbatches * self.stage_of_layer.len()
    }

    /// The layer at an index.
    pub(super) fn at(&self, index: usize) -> LayerPass {
        let n_layers = self.stage_of_layer.len();
        let (pass, layer) = (index / n_layers, index % n_layers);
        LayerPass {
            microbatch: pass / 2,
            is_backward: pass % 2 == 1,
            virtual_stage: self.stage_of_layer[layer],
        }
    }

    /// All layers, four at a time, each four with its first index.
    pub(super) fn fours(&self) -> impl Iterator<Item = (usize, FourLayers)> {
        (0..self.len()).step_by(QUAD_STEPS).map(|first| {
            let n = QUAD_STEPS.min(self.len() - first);
            let at = |row: usize| self.at(first + row.min(n - 1));
            let passes = std::array::from_fn(at);
            (first, FourLayers { passes, n })
        })
    }
}

/// Up to four layers with consecutive random addresses.
pub(super) struct FourLayers {
    passes: [LayerPass; QUAD_STEPS],
    n: usize,
}

impl FourLayers {
    pub(super) fn as_slice(&self) -> &[LayerPass] {
        &self.passes[..self.n]
    }
}
