//! The engine that draws every rank of every step.

use rayon::prelude::*;

use crate::control::{Control, DRAWS_BETWEEN_LOOKS};
use crate::error::{Error, Result};
use crate::kernel::best::{Best, SlowestRank, WorstPorts};
use crate::kernel::slowest::{Lasting, Piece, Searched, for_each_stretch};
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::kernel::{Kernel, STEPS, UNITS};
use crate::plan::{Affects, Effect, Plan, SlowestPort, Span};
use crate::random::{MAX_RUNS, Random};

/// Tiles whose draws one task makes.
const TILES_PER_TASK: usize = 64;
/// Their ranks, at most.
const RANKS_PER_TASK: usize = TILES_PER_TASK * UNITS;

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
        let states = states(plan, &random, run, control)?;
        for (index, state) in states.iter().enumerate() {
            let (busy_s, own_stall_s) = expected_times(plan, index, state.ranks.lasting());
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
                let results = slowest_replicas(plan, &states, block as u32, control)?;
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
    let states = states(plan, &random, run, control)?;
    let pieces: Vec<(usize, Piece)> = states
        .iter()
        .enumerate()
        .flat_map(|(group, state)| {
            let pieces = state.ranks.pieces(TILES_PER_TASK).into_iter();
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
            let unit_s = plan.groups()[*group].compute_s();
            let ranks = &states[*group].ranks;
            let mut first = 0;
            ranks.each_tile(steps[0] / 4, piece, |n, tile| {
                for (row, &step) in rows.iter_mut().zip(steps) {
                    let step = (step % 4) as usize;
                    let (slowdown, stall) = (&tile.slowdown.0[step], &tile.stall.0[step]);
                    kernel.seconds(slowdown, stall, unit_s, &mut row[first..first + n]);
                }
                first += n;
            });
            control.advance((piece.n_ranks * STEPS * ranks.n_causes().max(1)) as u64)
        })
}

/// A group in one run: its ranks and its ports.
struct State<'a> {
    ranks: Searched<'a>,
    ports: Searched<'a>,
}

fn states<'a>(
    plan: &'a Plan,
    random: &'a Random,
    run: u32,
    control: &Control,
) -> Result<Vec<State<'a>>> {
    let searched = |group, affects| {
        let lasting = lasting(plan, group, affects, random, run, control)?;
        let draws = Draws::new(plan, group, affects, Span::Step, random, run);
        let kernel = Kernel::new(plan.instructions());
        Ok(Searched::new(draws, lasting, kernel))
    };
    (0..plan.groups().len())
        .map(|group| {
            Ok(State {
                ranks: searched(group, Affects::Compute)?,
                ports: searched(group, Affects::Network)?,
            })
        })
        .collect()
}

/// What a run fixes for the ranks or the ports of a group.
fn lasting(
    plan: &Plan,
    index: usize,
    affects: Affects,
    random: &Random,
    run: u32,
    control: &Control,
) -> Result<Lasting> {
    let draws = Draws::new(plan, index, affects, Span::Run, random, run);
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
fn expected_times(plan: &Plan, index: usize, lasting: &Lasting) -> (f64, f64) {
    let compute_s = plan.groups()[index].compute_s();
    let mut busy_s = compute_s * mean(&lasting.slowdown).unwrap_or(1.0);
    let mut stall_s = compute_s * mean(&lasting.stall).unwrap_or(0.0);
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

/// Who a barrier waited for.
#[derive(Clone, Copy)]
struct Slowest {
    group: u32,
    compute_s: f64,
    stall_s: f64,
    exposed_comm_s: f64,
}

/// The slowest replica of each of four steps, and what its transfers add.
fn slowest_replicas(
    plan: &Plan,
    states: &[State],
    block: u32,
    control: &Control,
) -> Result<[Slowest; STEPS]> {
    let nobody = Slowest {
        group: 0,
        compute_s: 0.0,
        stall_s: 0.0,
        exposed_comm_s: 0.0,
    };
    let mut slowest = [nobody; STEPS];
    let mut ports = Vec::with_capacity(states.len());
    for (index, (group, state)) in plan.groups().iter().zip(states).enumerate() {
        let ranks: [SlowestRank; STEPS] = search(&state.ranks, block, control)?;
        for (slowest, rank) in slowest.iter_mut().zip(ranks) {
            let compute_s = group.compute_s() * f64::from(rank.time_rel);
            // Ties go to the first group.
            if compute_s > slowest.compute_s {
                *slowest = Slowest {
                    group: index as u32,
                    compute_s,
                    stall_s: group.compute_s() * f64::from(rank.stall_rel),
                    exposed_comm_s: 0.0,
                };
            }
        }
        ports.push(worst_ports(plan, state, block, control)?);
    }
    for (step, slowest) in slowest.iter_mut().enumerate() {
        let ports: Vec<SlowestPort> = ports.iter().map(|steps| steps[step]).collect();
        let own_compute_s = slowest.compute_s - slowest.stall_s;
        let group = slowest.group as usize;
        slowest.exposed_comm_s = plan.communication().exposed_s(group, own_compute_s, &ports);
    }
    Ok(slowest)
}

/// The greatest factor and the longest stall of a group's ports.
fn worst_ports(
    plan: &Plan,
    state: &State,
    block: u32,
    control: &Control,
) -> Result<[SlowestPort; STEPS]> {
    if state.ports.is_ideal() || plan.communication().terms.is_empty() {
        return Ok([SlowestPort::IDEAL; STEPS]);
    }
    let worst: [WorstPorts; STEPS] = search(&state.ports, block, control)?;
    Ok(worst.map(|port| SlowestPort {
        slowdown: f64::from(port.slowdown),
        stall_s: f64::from(port.stall_s),
    }))
}

/// Searches the ranks or the ports of a group, and counts what it draws.
fn search<B: Best>(searched: &Searched, block: u32, control: &Control) -> Result<[B; STEPS]> {
    // Without a cause there is still a rank to look at.
    let per_rank = (STEPS * searched.n_causes().max(1)) as u64;
    let mut draws = 0;
    let best = searched.search(block, |n_ranks| {
        draws += u64::from(n_ranks) * per_rank;
        if draws > DRAWS_BETWEEN_LOOKS / 4 {
            control.advance(std::mem::take(&mut draws))?;
        }
        Ok(())
    })?;
    control.advance(draws)?;
    Ok(best)
}
