//! One step in detail: what every replica computes, and what makes single GPUs slow.

use rayon::prelude::*;

use super::sampler::SampledRun;
use crate::control::Control;
use crate::draw::{Drawn, Draws, Tile, When, episode_factor};
use crate::error::{Error, Result};
use crate::pipeline::{GangPasses, Gangs, GpuPlace, RankWork};
use crate::plan::{Affects, Effect, Exposure, Plan, SlowestPort, Span, StepDuration};
use crate::random::{MAX_RUNS, Random};
use crate::search::{Best, PoolSearch, SlowestRank};
use crate::simd::QUAD_STEPS;
use crate::step::{QuadNetwork, ReplicaTime, Slowest, rank_durations};

/// Tiles that one parallel task draws.
const TILES_PER_TASK: usize = 64;

/// The replicas of a job in one step, and the network.
#[derive(Debug, Clone, PartialEq)]
pub struct OneStep {
    /// Times of all replicas, or of all gangs where replicas wait for each other within a step:
    /// pools one after another.
    pub times: Vec<ReplicaTime>,
    /// By replica, the GPU of the rank that it waits for; empty where a step is more than one
    /// barrier.
    pub gpus: Vec<u32>,
    /// Seconds of the step if it waited for each of them.
    pub durations_s: Vec<f64>,
    /// Seconds after which each of them has computed: those of its last rank.
    pub ends_s: Vec<f64>,
    /// The one that the step waits for, by its place in `times`.
    pub slowest: usize,
    /// The communication terms, in order of time.
    pub terms: Vec<Exposure>,
    /// The worst ports of each pool; none where nothing goes through the network.
    pub ports: Vec<SlowestPort>,
    /// Factors on the latencies of the terms.
    pub hops: Vec<f64>,
}

/// What one cause does to a GPU in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuEffect {
    /// Name of the cause.
    pub cause: String,
    /// What it changes.
    pub effect: Effect,
    /// Its slowdown, or its stall in seconds; of what changes within the step the mean slowdown,
    /// or all stalls together.
    pub value: f64,
    /// Whether it changes within the step.
    pub is_within_step: bool,
    /// Whether it stops all stages of a replica at once.
    pub stops_all_stages: bool,
}

/// Draws one step of a run, as [`sample`](super::sample) does.
///
/// # Errors
/// [`Error::Domain`] for a run without an address, [`Error::Stopped`] once `control` asks for it.
pub fn one_step(plan: &Plan, seed: u64, run: u32, step: u32, control: &Control) -> Result<OneStep> {
    check_run(run)?;
    let random = Random::new(seed);
    let job = SampledRun::new(plan, &random, run, &(step..step.saturating_add(1)), control)?;
    let (quad, row) = (step / QUAD_STEPS as u32, step as usize % QUAD_STEPS);
    let network = job.network(quad, control)?;
    let durations = network.as_ref().map_or_else(
        || vec![[StepDuration::COMPUTE_ALONE; QUAD_STEPS]; plan.pools().len()],
        QuadNetwork::durations,
    );
    let (times, gpus, ends_s) = match job.ranks_of_pools() {
        Some(pools) => replica_times(plan, pools, (quad, row), &durations, control)?,
        None => {
            let times = job.gang_times(quad, row, control)?;
            let ends_s = times.iter().map(|time| time.compute_s).collect();
            (times, Vec::new(), ends_s)
        }
    };
    let mut slowest = (0, Slowest::NOBODY);
    let mut durations_s = Vec::with_capacity(times.len());
    for (place, time) in times.iter().enumerate() {
        let duration = &durations[time.pool as usize][row];
        let duration_s = duration.seconds(time.compute_s - time.stall_s, time.stall_s);
        durations_s.push(duration_s);
        if slowest.1.yields_to(duration_s, time.compute_s) {
            let found = Slowest {
                pool: time.pool,
                compute_s: time.compute_s,
                stall_s: time.stall_s,
                duration_s,
                ..Slowest::NOBODY
            };
            slowest = (place, found);
        }
    }
    let terms = network
        .as_ref()
        .map_or_else(Vec::new, |network| network.exposures(row, &slowest.1));
    let (ports, hops) = network.map_or_else(Default::default, |network| {
        std::mem::take(&mut network.into_ports_and_hops()[row])
    });
    Ok(OneStep {
        times,
        gpus,
        durations_s,
        ends_s,
        slowest: slowest.0,
        terms,
        ports,
        hops,
    })
}

/// All passes of some gangs in one step of a run, each named by its pool and its number there, or
/// in the job where stages are spread over pools.
///
/// # Errors
/// As [`one_step`]; [`Error::Domain`] for a gang that the job has not, and where a step is one
/// barrier.
pub fn gang_passes(
    plan: &Plan,
    seed: u64,
    run: u32,
    step: u32,
    gangs: &[(u32, u32)],
    control: &Control,
) -> Result<Vec<GangPasses>> {
    check_run(run)?;
    let missing = |gang: u32| Error::domain("gangs", f64::from(gang), "gangs of the job");
    let Some(pipeline) = plan.pipeline() else {
        let gang = gangs.first().map_or(0, |&(_, gang)| gang);
        return Err(missing(gang));
    };
    let random = Random::new(seed);
    let all = Gangs::new(
        plan,
        pipeline,
        &random,
        run,
        &(step..step.saturating_add(1)),
        control,
    )?;
    let passes = |&(pool, gang): &(u32, u32)| {
        let found = all.passes(pool as usize, gang, step, control)?;
        found.ok_or_else(|| missing(gang))
    };
    gangs.iter().map(passes).collect()
}

/// What causes do to one GPU in one step of a run; those that do nothing are left out.
///
/// # Errors
/// [`Error::Domain`] for a run without an address, and for a GPU that the job has not.
pub fn gpu_effects(
    plan: &Plan,
    seed: u64,
    run: u32,
    step: u32,
    at: GpuPlace,
) -> Result<Vec<GpuEffect>> {
    check_run(run)?;
    let n_pools = plan.pools().len();
    let Some(pool) = plan.pools().get(at.pool as usize) else {
        let requirement = format!("< {n_pools}");
        return Err(Error::domain("pool", f64::from(at.pool), requirement));
    };
    let last = pool.stretch(pool.n_ranks().saturating_sub(1)).0;
    if at.gpu > last || pool.n_ranks() == 0 {
        let requirement = format!("<= {last}, a GPU of the job");
        return Err(Error::domain("gpu", f64::from(at.gpu), requirement));
    }
    let random = Random::new(seed);
    let gpus = at.gpu..at.gpu + 1;
    let pool_index = at.pool as usize;
    let mut found = Vec::new();
    for (span, when, row) in [
        (Span::Run, When::RUN, 0),
        (
            Span::Step,
            When::quad(step / QUAD_STEPS as u32),
            step as usize % QUAD_STEPS,
        ),
    ] {
        let draws = Draws::new(plan, pool_index, Affects::Compute, span, &random, run);
        for (index, cause) in draws.causes().enumerate() {
            let (mut drawn, mut tile) = (Drawn::Nothing, Tile::NEUTRAL);
            draws.draw(index, when, &gpus, &mut drawn);
            draws.apply(index, when, &gpus, &drawn, &mut tile);
            let (value, neutral) = match cause.effect() {
                Effect::Slowdown => (f64::from(tile.slowdown.0[row][0]), 1.0),
                Effect::Stall => {
                    let stall_s = pool.compute_s() * f64::from(tile.stall.0[row][0]);
                    (stall_s, 0.0)
                }
            };
            if value != neutral {
                let pipeline = plan.pipeline().filter(|_| cause.effect() == Effect::Stall);
                found.push(GpuEffect {
                    cause: cause.name().to_owned(),
                    effect: cause.effect(),
                    value,
                    is_within_step: false,
                    stops_all_stages: pipeline.is_some_and(|pipeline| {
                        pipeline.reaches_several_stages(cause, pool_index, pool)
                    }),
                });
            }
        }
    }
    for cause in plan.causes(pool_index, Affects::Compute, Span::Episode) {
        let value = episode_factor(plan, pool_index, cause, &random, (run, step), at.gpu);
        if value != 1.0 {
            found.push(GpuEffect {
                cause: cause.name().to_owned(),
                effect: cause.effect(),
                value: f64::from(value),
                is_within_step: false,
                stops_all_stages: false,
            });
        }
    }
    if let Some(pipeline) = plan.pipeline() {
        let work = RankWork::new(plan, pipeline, at.pool as usize, &random, run);
        let within = work.within_step(pool.rank_from(at.gpu), at.gpu, step);
        let acting = within.into_iter().filter(|(cause, value)| {
            let neutral = f64::from(cause.effect().neutral());
            *value != neutral
        });
        found.extend(acting.map(|(cause, value)| GpuEffect {
            cause: cause.name().to_owned(),
            effect: cause.effect(),
            value,
            is_within_step: true,
            stops_all_stages: cause.effect() == Effect::Stall && pipeline.is_shared(cause),
        }));
    }
    Ok(found)
}

fn check_run(run: u32) -> Result<()> {
    if run < MAX_RUNS {
        return Ok(());
    }
    let requirement = format!("< {MAX_RUNS}");
    Err(Error::domain("run", f64::from(run), requirement))
}

/// Times of all replicas, by the rank that a step would wait for; the GPUs of these ranks; and when
/// the last rank of each has computed.
type ReplicaTimes = (Vec<ReplicaTime>, Vec<u32>, Vec<f64>);

/// Times of all replicas where a step is one barrier.
fn replica_times(
    plan: &Plan,
    pools: &[PoolSearch],
    (quad, row): (u32, usize),
    durations: &[[StepDuration; QUAD_STEPS]],
    control: &Control,
) -> Result<ReplicaTimes> {
    let (mut times, mut gpus, mut ends_s) = (Vec::new(), Vec::new(), Vec::new());
    for (index, ranks) in pools.iter().enumerate() {
        let pool = &plan.pools()[index];
        let nobody = SlowestRank::nobody(rank_durations(plan, index, durations)[row]);
        let mut slowest = vec![nobody; pool.n_replicas() as usize];
        let mut ends_rel = vec![0.0_f32; slowest.len()];
        let effects = rank_effects(ranks, quad, row, control)?;
        for ((slowdown, stall), rank) in effects.into_iter().zip(0..) {
            let place = pool.replica_of(rank) as usize;
            ends_rel[place] = ends_rel[place].max(slowdown + stall);
            let replica = &mut slowest[place];
            if replica.yields_to(slowdown, stall, rank) {
                replica.take(slowdown, stall, rank);
            }
        }
        for (replica, rank) in (0..).zip(&slowest) {
            times.push(ReplicaTime {
                pool: index as u32,
                replica,
                compute_s: pool.compute_s() * f64::from(rank.time_rel()),
                stall_s: pool.compute_s() * f64::from(rank.stall_rel),
            });
            gpus.push(pool.stretch(rank.rank).0);
        }
        let ends = ends_rel.into_iter().map(f64::from);
        ends_s.extend(ends.map(|end| pool.compute_s() * end));
    }
    Ok((times, gpus, ends_s))
}

/// Slowdown and stall of each rank of a pool in one step.
fn rank_effects(
    ranks: &PoolSearch,
    quad: u32,
    row: usize,
    control: &Control,
) -> Result<Vec<(f32, f32)>> {
    let of_ranges = ranks
        .tile_ranges(TILES_PER_TASK)
        .into_par_iter()
        .map(|range| {
            let mut effects = Vec::with_capacity(range.n_ranks);
            ranks.for_each_drawn(quad, &range, |n, tile| {
                let (slowdown, stall) = (&tile.slowdown.0[row][..n], &tile.stall.0[row][..n]);
                effects.extend(slowdown.iter().copied().zip(stall.iter().copied()));
            });
            control.advance((range.n_ranks * QUAD_STEPS) as u64 * ranks.draws_per_rank())?;
            Ok(effects)
        });
    Ok(of_ranges.collect::<Result<Vec<_>>>()?.concat())
}
