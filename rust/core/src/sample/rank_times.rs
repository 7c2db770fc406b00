//! The times of single ranks, drawn anew.

use rayon::prelude::*;

use super::sampler::searches;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::pipeline::RankWork;
use crate::plan::{Affects, Plan};
use crate::random::{MAX_RUNS, Random};
use crate::search::TileRange;
use crate::simd::{Kernel, QUAD_STEPS};

/// Tiles that one parallel task draws.
const TILES_PER_TASK: usize = 64;

/// Replays the time that every rank works, stalls included, in seconds, into
/// `times` as `[step][rank]`, ranks in order of the pools.
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
        .pools()
        .iter()
        .map(|pool| pool.n_ranks() as usize)
        .sum();
    if times.len() != steps.len() * n_ranks {
        let requirement = format!("{} steps x {n_ranks} ranks", steps.len());
        return Err(Error::domain("times", times.len() as f64, requirement));
    }
    let random = Random::new(seed);
    let first = steps.iter().min().copied().unwrap_or(0);
    let end = steps.iter().max().map_or(0, |last| last.saturating_add(1));
    let pools = searches(plan, Affects::Compute, &random, run, &(first..end), control)?;
    let ranges: Vec<(usize, TileRange)> = pools
        .iter()
        .enumerate()
        .flat_map(|(pool, ranks)| {
            let ranges = ranks.tile_ranges(TILES_PER_TASK).into_iter();
            ranges.map(move |range| (pool, range))
        })
        .collect();
    let mut tasks = Vec::new();
    let mut rest = times;
    for steps in steps.chunk_by(|a, b| a / 4 == b / 4) {
        let (rows, later) = rest.split_at_mut(steps.len() * n_ranks);
        rest = later;
        // Each task fills the same ranks of up to four rows.
        let mut targets: Vec<Vec<&mut [f32]>> = ranges.iter().map(|_| Vec::new()).collect();
        for mut row in rows.chunks_exact_mut(n_ranks) {
            for ((_, range), target) in ranges.iter().zip(&mut targets) {
                let (ranks, others) = row.split_at_mut(range.n_ranks);
                target.push(ranks);
                row = others;
            }
        }
        tasks.extend(
            ranges
                .iter()
                .zip(targets)
                .map(|(range, rows)| (steps, range, rows)),
        );
    }
    let kernel = Kernel::new(plan.instructions());
    tasks
        .into_par_iter()
        .try_for_each(|(steps, (pool, range), mut rows)| {
            let ranks = &pools[*pool];
            let unit_s = plan.pools()[*pool].compute_s();
            let work = plan
                .pipeline()
                .map(|pipeline| RankWork::new(plan, pipeline, *pool, &random, run));
            let mut first = 0;
            ranks.for_each_drawn(steps[0] / 4, range, |n, tile| {
                for (row, &step) in rows.iter_mut().zip(steps) {
                    let times = &mut row[first..first + n];
                    if let Some(work) = &work {
                        let rank = (range.first_rank + first) as u32;
                        let gpu = plan.pools()[*pool].stretch(rank).0;
                        work.write(rank, &(gpu..gpu + n as u32), step, tile, times);
                        continue;
                    }
                    let step = (step % 4) as usize;
                    let (slowdown, stall) = (&tile.slowdown.0[step], &tile.stall.0[step]);
                    kernel.seconds(slowdown, stall, unit_s, times);
                }
                first += n;
            });
            control.advance((range.n_ranks * QUAD_STEPS) as u64 * ranks.draws_per_rank())
        })
}
