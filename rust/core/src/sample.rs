//! The engine that draws every rank of every step.

use std::ops::Range;

use rayon::prelude::*;

use crate::control::{Control, DRAWS_BETWEEN_LOOKS};
use crate::error::{Error, Result};
use crate::kernel::{Draw, STEPS, TILE, Tile};
use crate::plan::{Affects, Effect, Group, Plan, SlowestPort, Span};
use crate::random::{MAX_RUNS, Random};

/// Ranks whose draws of one run one task makes.
const RANKS_PER_TASK: usize = 64 * TILE;

/// What was sampled: one row a step, runs one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// Seconds of the whole step.
    pub step_time_s: Vec<f64>,
    /// Seconds of the slowest replica's computing, stalls included.
    pub compute_s: Vec<f64>,
    /// Seconds of transfers that nothing hid.
    pub exposed_comm_s: Vec<f64>,
    /// Seconds that the slowest rank was stalled.
    pub stall_s: Vec<f64>,
    /// Index of the group that the barrier waited for.
    pub slowest: Vec<u32>,
    /// Expected seconds that a rank computes in a step of a run, by run and
    /// group: stalls excluded, slowdowns included.
    pub busy_s: Vec<f64>,
    /// Expected seconds that a rank is stalled in a step of a run, by run and
    /// group.
    pub own_stall_s: Vec<f64>,
}

/// Samples `steps` steps of each of `runs` runs on the current rayon pool.
///
/// The rows depend on the plan and the seed only, not on the number of
/// threads: each step writes its own row.
///
/// # Errors
/// [`Error::Domain`] for no runs or steps or more runs than addresses;
/// [`Error::Stopped`] once `control` asks for it.
pub fn sample(plan: &Plan, seed: u64, runs: u32, steps: u32, control: &Control) -> Result<Sampled> {
    if !(1..=MAX_RUNS).contains(&runs) {
        let requirement = format!(">= 1 and <= {MAX_RUNS}");
        return Err(Error::domain("runs", f64::from(runs), requirement));
    }
    if steps == 0 {
        return Err(Error::domain("steps", 0.0, ">= 1"));
    }
    let random = Random::new(seed);
    let steps = steps as usize;
    let n_rows = runs as usize * steps;
    let zeros = || vec![0.0; n_rows];
    let mut sampled = Sampled {
        step_time_s: zeros(),
        compute_s: zeros(),
        exposed_comm_s: zeros(),
        stall_s: zeros(),
        slowest: vec![0; n_rows],
        busy_s: Vec::with_capacity(runs as usize * plan.groups().len()),
        own_stall_s: Vec::with_capacity(runs as usize * plan.groups().len()),
    };
    for run in 0..runs {
        let states = persistent_states(plan, &random, run, control)?;
        for (index, state) in states.iter().enumerate() {
            let (busy_s, own_stall_s) = expected_times(plan, index, &state.ranks);
            sampled.busy_s.push(busy_s);
            sampled.own_stall_s.push(own_stall_s);
        }
        let rows = run as usize * steps..(run as usize + 1) * steps;
        let columns = (
            sampled.step_time_s[rows.clone()].par_chunks_mut(STEPS),
            sampled.compute_s[rows.clone()].par_chunks_mut(STEPS),
            sampled.exposed_comm_s[rows.clone()].par_chunks_mut(STEPS),
            sampled.stall_s[rows.clone()].par_chunks_mut(STEPS),
            sampled.slowest[rows].par_chunks_mut(STEPS),
        );
        columns.into_par_iter().enumerate().try_for_each(
            |(block, (step_time_s, compute_s, exposed_comm_s, stall_s, slowest))| {
                let block = Block {
                    plan,
                    random: &random,
                    run,
                    block: block_word(block),
                    states: &states,
                };
                let results = block.slowest(control)?;
                for (row, result) in results.iter().take(step_time_s.len()).enumerate() {
                    step_time_s[row] = result.compute_s + result.exposed_comm_s;
                    compute_s[row] = result.compute_s;
                    exposed_comm_s[row] = result.exposed_comm_s;
                    stall_s[row] = result.stall_s;
                    slowest[row] = result.group;
                }
                Ok(())
            },
        )?;
    }
    Ok(sampled)
}

/// Replays the compute time of every rank, stalls included, in seconds, into
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
    let states = persistent_states(plan, &random, run, control)?;
    let mut tasks = Vec::new();
    let mut rest = times;
    for steps in steps.chunk_by(|a, b| a / 4 == b / 4) {
        let (rows, later) = rest.split_at_mut(steps.len() * n_ranks);
        tasks.push((steps, rows));
        rest = later;
    }
    tasks.into_par_iter().try_for_each(|(steps, rows)| {
        let block = Block {
            plan,
            random: &random,
            run,
            block: steps[0] / 4,
            states: &states,
        };
        let mut first = 0;
        for (index, group) in plan.groups().iter().enumerate() {
            block.each_tile(index, Affects::Compute, control, |rank, n, tile| {
                for (row, &step) in steps.iter().enumerate() {
                    let step = (step % 4) as usize;
                    let start = row * n_ranks + first + rank;
                    for (time, lane) in rows[start..start + n].iter_mut().zip(0..) {
                        let time_rel = tile.slowdown[step][lane] + tile.stall[step][lane];
                        *time = seconds(group, time_rel);
                    }
                }
            })?;
            first += group.n_ranks() as usize;
        }
        Ok(())
    })
}

fn seconds(group: &Group, time_rel: f32) -> f32 {
    (group.compute_s() * f64::from(time_rel)) as f32
}

fn block_word(block: usize) -> u32 {
    block as u32
}

/// What a run fixes for the ranks and the ports of a group; empty where
/// nothing lasts that long.
struct State {
    ranks: Persistent,
    ports: Persistent,
}

#[derive(Default)]
struct Persistent {
    slowdown: Vec<f32>,
    stall: Vec<f32>,
}

fn persistent_states(
    plan: &Plan,
    random: &Random,
    run: u32,
    control: &Control,
) -> Result<Vec<State>> {
    let of = |group, affects| persistent(plan, group, affects, random, run, control);
    (0..plan.groups().len())
        .map(|group| {
            Ok(State {
                ranks: of(group, Affects::Compute)?,
                ports: of(group, Affects::Network)?,
            })
        })
        .collect()
}

fn persistent(
    plan: &Plan,
    index: usize,
    affects: Affects,
    random: &Random,
    run: u32,
    control: &Control,
) -> Result<Persistent> {
    let group = &plan.groups()[index];
    let n_ranks = group.n_ranks() as usize;
    let lasting = |effect| {
        plan.causes(index, affects, Span::Run)
            .any(|cause| cause.effect() == effect)
    };
    let column = |effect, neutral| {
        if lasting(effect) {
            vec![neutral; n_ranks]
        } else {
            vec![]
        }
    };
    let mut state = Persistent {
        slowdown: column(Effect::Slowdown, 1.0),
        stall: column(Effect::Stall, 0.0),
    };
    let draw = Draw {
        plan,
        group: index,
        affects,
        random,
        run,
    };
    // An absent column has no chunks, so each is filled by a pass of its own.
    let fill = |column: &mut Vec<f32>, of_tile: fn(&Tile) -> &[f32; TILE]| {
        column
            .par_chunks_mut(RANKS_PER_TASK)
            .enumerate()
            .try_for_each(|(task, column)| {
                let first = task * RANKS_PER_TASK;
                for_each_stretch(group, first..first + column.len(), |rank, gpus| {
                    let mut tile = Tile::NEUTRAL;
                    let n = gpus.len();
                    draw.run_effects(&mut tile, gpus);
                    let start = rank - first;
                    column[start..start + n].copy_from_slice(&of_tile(&tile)[..n]);
                    Ok(())
                })?;
                control.advance(column.len() as u64)
            })
    };
    fill(&mut state.slowdown, |tile| &tile.slowdown[0])?;
    fill(&mut state.stall, |tile| &tile.stall[0])?;
    Ok(state)
}

/// Calls `f` with the first rank and the GPUs of each tile of `ranks`.
fn for_each_stretch(
    group: &Group,
    ranks: Range<usize>,
    mut f: impl FnMut(usize, Range<u32>) -> Result<()>,
) -> Result<()> {
    let mut rank = ranks.start;
    while rank < ranks.end {
        let (gpu, n_consecutive) = group.stretch(rank as u32);
        let n = (n_consecutive as usize).min(TILE).min(ranks.end - rank);
        f(rank, gpu..gpu + n as u32)?;
        rank += n;
    }
    Ok(())
}

/// Expected busy and stalled seconds of a group's average rank in a step,
/// given what the run fixed: the laws' means, not a sampled sum.
fn expected_times(plan: &Plan, index: usize, ranks: &Persistent) -> (f64, f64) {
    let compute_s = plan.groups()[index].compute_s();
    let mut busy_s = compute_s * mean(&ranks.slowdown).unwrap_or(1.0);
    let mut stall_s = compute_s * mean(&ranks.stall).unwrap_or(0.0);
    for cause in plan.causes(index, Affects::Compute, Span::Step) {
        match cause.effect() {
            Effect::Slowdown => busy_s *= cause.mean(),
            Effect::Stall => stall_s += cause.mean(),
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

/// Four consecutive steps of one run.
struct Block<'a> {
    plan: &'a Plan,
    random: &'a Random,
    run: u32,
    block: u32,
    states: &'a [State],
}

/// Who a barrier waited for.
#[derive(Clone, Copy)]
struct Slowest {
    group: u32,
    compute_s: f64,
    stall_s: f64,
    exposed_comm_s: f64,
}

impl Block<'_> {
    fn slowest(&self, control: &Control) -> Result<[Slowest; STEPS]> {
        let nobody = Slowest {
            group: 0,
            compute_s: 0.0,
            stall_s: 0.0,
            exposed_comm_s: 0.0,
        };
        let mut slowest = [nobody; STEPS];
        let mut ports = Vec::with_capacity(self.plan.groups().len());
        for (index, group) in self.plan.groups().iter().enumerate() {
            for (step, rank) in self.slowest_rank(index, control)?.iter().enumerate() {
                let compute_s = group.compute_s() * f64::from(rank.time_rel);
                // Ties go to the first group.
                if compute_s > slowest[step].compute_s {
                    slowest[step] = Slowest {
                        group: block_word(index),
                        compute_s,
                        stall_s: group.compute_s() * f64::from(rank.stall_rel),
                        exposed_comm_s: 0.0,
                    };
                }
            }
            ports.push(self.slowest_port(index, control)?);
        }
        for (step, slowest) in slowest.iter_mut().enumerate() {
            let ports: Vec<SlowestPort> = ports.iter().map(|steps| steps[step]).collect();
            let own_compute_s = slowest.compute_s - slowest.stall_s;
            slowest.exposed_comm_s =
                self.plan
                    .communication()
                    .exposed_s(slowest.group as usize, own_compute_s, &ports);
        }
        Ok(slowest)
    }

    /// The group's slowest rank in each step; ties go to the lowest index.
    fn slowest_rank(&self, group: usize, control: &Control) -> Result<[SlowestRank; STEPS]> {
        let mut best = [SlowestRank {
            time_rel: f32::NEG_INFINITY,
            stall_rel: 0.0,
        }; STEPS];
        self.each_tile(group, Affects::Compute, control, |_, n, tile| {
            for (step, best) in best.iter_mut().enumerate() {
                let (slowdown, stall) = (&tile.slowdown[step][..n], &tile.stall[step][..n]);
                for (slowdown, &stall_rel) in slowdown.iter().zip(stall) {
                    let time_rel = slowdown + stall_rel;
                    if time_rel > best.time_rel {
                        *best = SlowestRank {
                            time_rel,
                            stall_rel,
                        };
                    }
                }
            }
        })?;
        Ok(best)
    }

    /// The greatest factor and the longest stall of the group's ports.
    fn slowest_port(&self, group: usize, control: &Control) -> Result<[SlowestPort; STEPS]> {
        let n_causes = [Span::Run, Span::Step]
            .map(|span| self.plan.causes(group, Affects::Network, span).count());
        if n_causes == [0, 0] || self.plan.communication().terms.is_empty() {
            return Ok([SlowestPort::IDEAL; STEPS]);
        }
        let mut worst = [(0.0_f32, 0.0_f32); STEPS];
        self.each_tile(group, Affects::Network, control, |_, n, tile| {
            for (step, (slowdown, stall)) in worst.iter_mut().enumerate() {
                for rank in 0..n {
                    *slowdown = slowdown.max(tile.slowdown[step][rank]);
                    *stall = stall.max(tile.stall[step][rank]);
                }
            }
        })?;
        Ok(worst.map(|(slowdown, stall)| SlowestPort {
            slowdown: f64::from(slowdown),
            stall_s: f64::from(stall),
        }))
    }

    /// Calls `f` with the first rank, the number of ranks and the drawn tile,
    /// for all tiles of a group in order.
    fn each_tile(
        &self,
        index: usize,
        affects: Affects,
        control: &Control,
        mut f: impl FnMut(usize, usize, &Tile),
    ) -> Result<()> {
        let group = &self.plan.groups()[index];
        let state = match affects {
            Affects::Compute => &self.states[index].ranks,
            Affects::Network => &self.states[index].ports,
        };
        let draw = Draw {
            plan: self.plan,
            group: index,
            affects,
            random: self.random,
            run: self.run,
        };
        let n_causes = self.plan.causes(index, affects, Span::Step).count();
        let mut draws = 0;
        for_each_stretch(group, 0..group.n_ranks() as usize, |rank, gpus| {
            let n = gpus.len();
            let mut tile = Tile::NEUTRAL;
            for step in 0..STEPS {
                if !state.slowdown.is_empty() {
                    tile.slowdown[step][..n].copy_from_slice(&state.slowdown[rank..rank + n]);
                }
                if !state.stall.is_empty() {
                    tile.stall[step][..n].copy_from_slice(&state.stall[rank..rank + n]);
                }
            }
            draw.step_effects(&mut tile, self.block, gpus);
            f(rank, n, &tile);
            draws += (n * STEPS * n_causes) as u64;
            if draws > DRAWS_BETWEEN_LOOKS / 4 {
                control.advance(std::mem::take(&mut draws))?;
            }
            Ok(())
        })?;
        control.advance(draws)
    }
}

#[derive(Clone, Copy)]
struct SlowestRank {
    /// Time in units of the group's noiseless compute time.
    time_rel: f32,
    stall_rel: f32,
}
