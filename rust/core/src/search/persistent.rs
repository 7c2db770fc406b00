//! Persistent effects: what a run fixes for the ranks or the ports of a pool.

use std::ops::Range;

use rayon::prelude::*;

use crate::control::Control;
use crate::draw::{Drawn, Draws, Tile, When, for_each_tile};
use crate::error::Result;
use crate::plan::Effect;
use crate::room::filled;
use crate::simd::{QUAD_STEPS, TILE_UNITS};

/// Tiles that one parallel task draws.
const TILES_PER_TASK: usize = 64;
/// Ranks of such a task, at most.
const RANKS_PER_TASK: usize = TILES_PER_TASK * TILE_UNITS;

/// Persistent slowdowns and stalls by rank; a column is empty where no cause of
/// span run has that effect.
#[derive(Debug, Default)]
pub struct Persistent {
    /// Product of the slowdowns of each rank.
    pub slowdown: Vec<f32>,
    /// Sum of the stalls of each rank.
    pub stall: Vec<f32>,
}

impl Persistent {
    /// Draws the causes of span run for all ranks, on the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for the ranks;
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn draw(draws: &Draws, control: &Control) -> Result<Self> {
        let pool = draws.pool();
        let column = |effect, neutral| {
            let is_there = draws.causes().any(|cause| cause.effect() == effect);
            if is_there {
                filled(neutral, pool.n_ranks() as usize)
            } else {
                Ok(vec![])
            }
        };
        let mut persistent = Self {
            slowdown: column(Effect::Slowdown, 1.0)?,
            stall: column(Effect::Stall, 0.0)?,
        };
        // An absent column has no chunks, so the columns are filled one after the
        // other instead of side by side.
        let fill = |column: &mut Vec<f32>, of_tile: fn(&Tile) -> &[f32; TILE_UNITS]| {
            let tasks = column.par_chunks_mut(RANKS_PER_TASK).enumerate();
            tasks.try_for_each(|(task, column)| {
                let first = (task * RANKS_PER_TASK) as u32;
                let ranks = first..first + column.len() as u32;
                for_each_tile(pool, ranks, |rank, gpus| {
                    let mut tile = Tile::NEUTRAL;
                    draws.apply_all(When::RUN, &gpus, &mut Drawn::Nothing, &mut tile);
                    let start = (rank - first) as usize;
                    column[start..start + gpus.len()]
                        .copy_from_slice(&of_tile(&tile)[..gpus.len()]);
                });
                control.advance(column.len() as u64)
            })
        };
        fill(&mut persistent.slowdown, |tile| &tile.slowdown.0[0])?;
        fill(&mut persistent.stall, |tile| &tile.stall.0[0])?;
        Ok(persistent)
    }

    /// Sets a tile to the persistent effects of `ranks` in all four steps; its
    /// stalls only if `stalls` says that there may be any.
    pub fn load(&self, ranks: Range<usize>, stalls: bool, tile: &mut Tile) {
        for (array, column, neutral) in [
            (&mut tile.slowdown, &self.slowdown, 1.0),
            (&mut tile.stall, &self.stall, 0.0),
        ] {
            match column.get(ranks.clone()) {
                None if neutral == 0.0 && !stalls => {}
                Some(persistent) => {
                    for row in &mut array.0 {
                        let (ranks, rest) = row.split_at_mut(persistent.len());
                        ranks.copy_from_slice(persistent);
                        rest.fill(neutral);
                    }
                }
                None => array.0 = [[neutral; TILE_UNITS]; QUAD_STEPS],
            }
        }
    }

    /// Mean slowdown of the ranks.
    #[must_use]
    pub fn mean_slowdown(&self) -> f64 {
        mean(&self.slowdown).unwrap_or(1.0)
    }

    /// Mean stall of the ranks.
    #[must_use]
    pub fn mean_stall(&self) -> f64 {
        mean(&self.stall).unwrap_or(0.0)
    }
}

fn mean(column: &[f32]) -> Option<f64> {
    if column.is_empty() {
        return None;
    }
    let sum: f64 = column.iter().map(|&x| f64::from(x)).sum();
    Some(sum / column.len() as f64)
}
