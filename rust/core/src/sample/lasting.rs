//! What a run fixes for the ranks or the ports of a group, and the means of
//! what it leaves open.

use rayon::prelude::*;

use crate::control::Control;
use crate::error::Result;
use crate::kernel::UNITS;
use crate::kernel::slowest::{Lasting, for_each_stretch};
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::plan::{Affects, Effect, Plan, Span};

/// Tiles whose draws one task makes.
pub(super) const TILES_PER_TASK: usize = 64;
/// Their ranks, at most.
const RANKS_PER_TASK: usize = TILES_PER_TASK * UNITS;

/// Factors and stalls, by rank, of run-span causes; empty where there is none.
pub(super) fn lasting(draws: &Draws, control: &Control) -> Result<Lasting> {
    let group = draws.group();
    let column = |effect, neutral| {
        let lasts = draws.causes().any(|cause| cause.effect() == effect);
        if lasts {
            vec![neutral; group.n_ranks() as usize]
        } else {
            vec![]
        }
    };
    let mut lasting = Lasting {
        slowdown: column(Effect::Slowdown, 1.0),
        stall: column(Effect::Stall, 0.0),
    };
    // An absent column has no chunks, so each is filled by a pass of its own.
    let fill = |column: &mut Vec<f32>, of_tile: fn(&Tile) -> &[f32; UNITS]| {
        let tasks = column.par_chunks_mut(RANKS_PER_TASK).enumerate();
        tasks.try_for_each(|(task, column)| {
            let first = (task * RANKS_PER_TASK) as u32;
            let ranks = first..first + column.len() as u32;
            for_each_stretch(group, ranks, |rank, gpus| {
                let mut tile = Tile::NEUTRAL;
                // A draw that lasts a run takes word 0 of its block.
                draws.apply_all(0, &gpus, &mut Drawn::Nothing, &mut tile);
                let start = (rank - first) as usize;
                column[start..start + gpus.len()].copy_from_slice(&of_tile(&tile)[..gpus.len()]);
            });
            control.advance(column.len() as u64)
        })
    };
    fill(&mut lasting.slowdown, |tile| &tile.slowdown.0[0])?;
    fill(&mut lasting.stall, |tile| &tile.stall.0[0])?;
    Ok(lasting)
}

/// Expected busy and stalled seconds of a group's average rank in a step,
/// given what the run fixed: the laws' means, not a sampled sum.
pub(super) fn expected_times(plan: &Plan, index: usize, lasting: &[&Lasting]) -> (f64, f64) {
    let (mut slowdown, mut stall) = (1.0, 0.0);
    for lasting in lasting {
        slowdown *= mean(&lasting.slowdown).unwrap_or(1.0);
        stall += mean(&lasting.stall).unwrap_or(0.0);
    }
    expected_times_of(plan, index, (slowdown, stall))
}

/// The same, given the mean slowdown and the mean stall of what the run fixed.
pub(crate) fn expected_times_of(
    plan: &Plan,
    index: usize,
    (slowdown, stall): (f64, f64),
) -> (f64, f64) {
    let compute_s = plan.groups()[index].compute_s();
    let work_s = plan.pipeline().map_or(compute_s, |pipeline| {
        let stages = pipeline.spec().shape.stages;
        let all_s: f64 = (0..stages).map(|stage| pipeline.busy_s(index, stage)).sum();
        all_s / f64::from(stages)
    });
    let mut busy_s = work_s * slowdown;
    let mut stall_s = compute_s * stall;
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
    (busy_s, stall_s)
}

fn mean(column: &[f32]) -> Option<f64> {
    if column.is_empty() {
        return None;
    }
    let sum: f64 = column.iter().map(|&x| f64::from(x)).sum();
    Some(sum / column.len() as f64)
}
