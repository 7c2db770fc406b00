//! The times of single ranks, drawn anew.

use rayon::prelude::*;

use super::lasting::TILES_PER_TASK;
use super::searched;
use super::work::Work;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::kernel::slowest::Piece;
use crate::kernel::{Kernel, STEPS};
use crate::plan::{Affects, Plan};
use crate::random::{MAX_RUNS, Random};

/// Replays the time that every rank works, stalls included, in seconds, into
/// `times` as `[step][rank]`, ranks in order of the groups.
///
/// # Errors
/// [`Error::Domain`] for a run without an address or a buffer of the wrong
/// size; [`Error::Stopped`] once `control` asks for it.
pub fn rank_times(
    plan: &Plan,
    seed: u64,
    run: u32,
    steps: &[u32],
    times: &mut [f32],
    control: &Control,
) -> Result<()> {
    if run >= MAX_RUNS {
        return Err(Error::domain(
            "run",
            f64::from(run),
            format!("< {MAX_RUNS}"),
        ));
    }
    let n_ranks: usize = plan
        .groups()
        .iter()
        .map(|group| group.n_ranks() as usize)
        .sum();
    if times.len() != steps.len() * n_ranks {
        let requirement = format!("{} steps x {n_ranks} ranks", steps.len());
        return Err(Error::domain("times", times.len() as f64, requirement));
    }
    let random = Random::new(seed);
    let groups = searched(plan, Affects::Compute, &random, run, control)?;
    let pieces: Vec<(usize, Piece)> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, ranks)| {
            let pieces = ranks.pieces(TILES_PER_TASK).into_iter();
            pieces.map(move |piece| (group, piece))
        })
        .collect();
    let mut tasks = Vec::new();
    let mut rest = times;
    for steps in steps.chunk_by(|a, b| a / 4 == b / 4) {
        let (rows, later) = rest.split_at_mut(steps.len() * n_ranks);
        rest = later;
        // Each task fills the same ranks of up to four rows.
        let mut targets: Vec<Vec<&mut [f32]>> = pieces.iter().map(|_| Vec::new()).collect();
        for mut row in rows.chunks_exact_mut(n_ranks) {
            for ((_, piece), target) in pieces.iter().zip(&mut targets) {
                let (ranks, others) = row.split_at_mut(piece.n_ranks);
                target.push(ranks);
                row = others;
            }
        }
        tasks.extend(
            pieces
                .iter()
                .zip(targets)
                .map(|(piece, rows)| (steps, piece, rows)),
        );
    }
    let kernel = Kernel::new(plan.instructions());
    tasks
        .into_par_iter()
        .try_for_each(|(steps, (group, piece), mut rows)| {
            let ranks = &groups[*group];
            let unit_s = plan.groups()[*group].compute_s();
            let work = plan
                .pipeline()
                .map(|pipeline| Work::new(plan, pipeline, *group, &random, run));
            let mut first = 0;
            ranks.each_tile(steps[0] / 4, piece, |n, tile| {
                for (row, &step) in rows.iter_mut().zip(steps) {
                    let times = &mut row[first..first + n];
                    if let Some(work) = &work {
                        let rank = (piece.first_rank + first) as u32;
                        let gpu = plan.groups()[*group].stretch(rank).0;
                        work.write(rank, &(gpu..gpu + n as u32), step, tile, times);
                        continue;
                    }
                    let step = (step % 4) as usize;
                    let (slowdown, stall) = (&tile.slowdown.0[step], &tile.stall.0[step]);
                    kernel.seconds(slowdown, stall, unit_s, times);
                }
                first += n;
            });
            control.advance((piece.n_ranks * STEPS * ranks.n_causes().max(1)) as u64)
        })
}
