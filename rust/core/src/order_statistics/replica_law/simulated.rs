//! Laws of gangs whose time has no closed form, from gangs that are sampled.
//!
//! A gang takes its persistent time, times a random factor, plus what stalls cost it now
//! and then. The law of the factor is that of sampled gangs, each weighed by how likely a
//! gang with its persistent time is to be the slowest of all. That one law holds for all
//! gangs of a pool is the approximation.

use super::gang_causes::{persistent_only, shared_within_step, without_pool_wide};
use crate::control::Control;
use crate::error::Result;
use crate::law::{Weighted, fit_weighted};
use crate::pipeline::{RunGangTimes, Which, gang_steps};
use crate::plan::{Effect, GangLaw, Pipeline, Plan, Pool, Scope};
use crate::random::{MAX_RUNS, Random};
use crate::simd::{QUAD_STEPS, WALK_LANES};
use crate::step::ReplicaTime;

/// Runs that are sampled, at least.
const MIN_RUNS: u32 = 8;
/// Runs that are sampled where there are few gangs.
const MAX_RUNS_OF_FEW_GANGS: u32 = 64;
/// Gangs of all sampled runs together that should differ persistently.
const WANTED_GANGS: u32 = 1024;
/// Steps of gangs that are sampled in all runs, if draws allow.
const WANTED_GANG_STEPS: u64 = 1 << 20;
/// Steps of gangs that are kept in all runs, at most: of more gangs only some are sampled.
const MAX_GANG_STEPS: u64 = 2 * WANTED_GANG_STEPS;
/// Steps in which a factor that all gangs share is sampled, at most.
const MAX_SHARED_STEPS: u64 = 1 << 14;
/// Steps in which such a factor is sampled, at least.
const MIN_SHARED_STEPS: u64 = 1 << 11;
/// Draws that each of these samples costs, at most, as long as enough steps remain.
const MAX_DRAWS: u64 = 1 << 31;
/// Steps of a run that are sampled, at least.
const MIN_STEPS_PER_RUN: u64 = 16;
/// Steps of a run that are sampled, at most.
const MAX_STEPS_PER_RUN: u64 = 1 << 12;
/// Rounds in which the weights of samples are found.
const WEIGHT_ROUNDS: usize = 4;
/// Effective number of weighted samples, at least; weights that leave fewer are not used.
const MIN_EFFECTIVE_SAMPLES: f64 = 1024.0;
/// Share of a step below which a stall is rounding.
const NEGLIGIBLE_STALL: f64 = 1e-9;

/// Laws that were found by simulation.
pub struct SimulatedLaws {
    /// Of gangs by themselves, and of what they share within a step.
    pub laws: Vec<GangLaw>,
    /// By pool: how much gangs differ persistently, as a standard deviation in ln.
    pub spreads: Vec<f64>,
}

/// One gang in one step.
struct Sample {
    /// Seconds with persistent causes alone, stalls excluded.
    persistent_s: f64,
    /// Factor on these by all that changes, stalls excluded.
    factor: f64,
    /// Seconds that stalls of this step add.
    stall_s: f64,
}

impl SimulatedLaws {
    /// Samples the gangs of a plan with stages under `seed`.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn new(plan: &Plan, pipeline: &Pipeline, seed: u64, control: &Control) -> Result<Self> {
        let random = Random::new(seed);
        let size = SimulationSize::of(plan, pipeline);
        let samples = sampled(plan, &random, size, control)?;
        let level_s = level_s(&samples, size);
        let (mut laws, mut spreads) = (Vec::new(), Vec::new());
        for (index, samples) in samples.iter().enumerate() {
            control.advance(0)?;
            let of_gangs = |effect, probability, law| GangLaw {
                scope: Scope::Gpu,
                pools: vec![index],
                effect,
                probability,
                law,
            };
            let factors = fit_weighted(weighted(samples, level_s))?;
            laws.push(of_gangs(Effect::Slowdown, 1.0, factors));
            let least_s = NEGLIGIBLE_STALL * plan.pools()[index].compute_s();
            let stalls = samples.iter().filter(|sample| sample.stall_s > least_s);
            let stalls_s: Vec<Weighted> = stalls
                .map(|sample| Weighted::once(sample.stall_s))
                .collect();
            if !stalls_s.is_empty() {
                let share = stalls_s.len() as f64 / samples.len() as f64;
                laws.push(of_gangs(Effect::Stall, share, fit_weighted(stalls_s)?));
            }
            spreads.push(spread(samples));
        }
        laws.extend(shared_laws(plan, &random, size, control)?);
        Ok(Self { laws, spreads })
    }
}

/// Standard deviation of the logarithm of the persistent times of gangs.
fn spread(samples: &[Sample]) -> f64 {
    let n = samples.len() as f64;
    let logs = || samples.iter().map(|sample| libm::log(sample.persistent_s));
    let mean = logs().sum::<f64>() / n;
    libm::sqrt(logs().map(|log| (log - mean) * (log - mean)).sum::<f64>() / n)
}

/// How much is sampled to find the laws of gangs.
#[derive(Debug, Clone, Copy)]
pub struct SimulationSize {
    runs: u32,
    /// Quads of each run.
    n_quads: u32,
    /// Quads of each run in which factors that all gangs share are sampled.
    n_shared_quads: u32,
    /// Of very many gangs one batch in so many is sampled.
    every: usize,
}

impl SimulationSize {
    /// The size for a plan with stages.
    #[must_use]
    pub fn of(plan: &Plan, pipeline: &Pipeline) -> Self {
        let gangs = |pool: &Pool| pool.n_ranks().div_ceil(pipeline.gang_gpus(pool));
        let n_gangs = plan.pools().iter().map(gangs).sum::<u32>().max(1);
        let runs = (WANTED_GANGS / n_gangs).clamp(MIN_RUNS, MAX_RUNS_OF_FEW_GANGS);
        let per_step = plan.cost_per_step().max(1);
        let steps = (WANTED_GANG_STEPS / u64::from(n_gangs)).min(MAX_DRAWS / per_step);
        let steps = (steps / u64::from(runs)).clamp(MIN_STEPS_PER_RUN, MAX_STEPS_PER_RUN);
        // For one gang its whole batch is drawn, and twice: with the factor and without.
        let per_batch = per_step * WALK_LANES as u64 / u64::from(n_gangs.max(WALK_LANES as u32));
        let shared = MAX_SHARED_STEPS.min(MAX_DRAWS / (2 * per_batch).max(1));
        let shared = shared.max(MIN_SHARED_STEPS) / u64::from(runs);
        let quads = |steps: u64| steps as u32 / QUAD_STEPS as u32;
        let gang_steps = steps * u64::from(runs) * u64::from(n_gangs);
        Self {
            runs,
            n_quads: quads(steps),
            n_shared_quads: quads(shared),
            every: gang_steps.div_ceil(MAX_GANG_STEPS) as usize,
        }
    }

    /// Steps of all runs.
    #[must_use]
    pub fn n_steps(self) -> u32 {
        self.runs * self.n_quads * QUAD_STEPS as u32
    }

    /// The last runs that there are, so that a result seldom has them itself.
    fn runs(self) -> std::ops::Range<u32> {
        MAX_RUNS - self.runs..MAX_RUNS
    }
}

/// Steps of gangs, by pool.
fn sampled(
    plan: &Plan,
    random: &Random,
    size: SimulationSize,
    control: &Control,
) -> Result<Vec<Vec<Sample>>> {
    let (persistent, own) = (persistent_only(plan), without_pool_wide(plan, &[]));
    let every = Which::Every(size.every);
    let mut samples: Vec<Vec<Sample>> = plan.pools().iter().map(|_| Vec::new()).collect();
    for run in size.runs() {
        let Some(fixed) = RunGangTimes::of_run(plan, &persistent, random, run, control)? else {
            continue;
        };
        for gang in gang_steps(&own, random, run, size.n_quads, every, control)? {
            let time = fixed.times[gang.pool as usize][gang.replica as usize];
            let persistent_s = time.step_s - time.stall_s;
            samples[gang.pool as usize].push(Sample {
                persistent_s,
                factor: (gang.compute_s - gang.stall_s) / persistent_s,
                stall_s: gang.stall_s - time.stall_s,
            });
        }
    }
    Ok(samples)
}

/// Median over steps of the time of the slowest gang, stalls excluded, in seconds.
fn level_s(samples: &[Vec<Sample>], size: SimulationSize) -> f64 {
    let all = samples.iter().flatten();
    let mut times_s: Vec<f64> = all
        .map(|sample| sample.persistent_s * sample.factor)
        .collect();
    times_s.sort_by(|a, b| b.total_cmp(a));
    // With ln 2 gangs a step beyond it on average, there is none in half of the steps.
    let n_steps = f64::from(size.n_steps()) / size.every as f64;
    let n_beyond = (core::f64::consts::LN_2 * n_steps) as usize;
    times_s
        .get(n_beyond)
        .or(times_s.last())
        .copied()
        .unwrap_or(0.0)
}

/// Factors, each weighed by the probability that a gang with its persistent time takes
/// longer than `level_s`; all equally where hardly any does.
///
/// That probability follows from the law that is looked for, so it is found in rounds.
fn weighted(samples: &[Sample], level_s: f64) -> Vec<Weighted> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    let mut weights = vec![1.0; sorted.len()];
    for _ in 0..WEIGHT_ROUNDS {
        // Cumulative weight from the greatest factor on.
        let mut beyond = vec![0.0];
        for weight in &weights {
            beyond.push(beyond[beyond.len() - 1] + weight);
        }
        let all = beyond[sorted.len()];
        let chance = |sample: &&Sample| {
            let needed = level_s / sample.persistent_s;
            beyond[sorted.partition_point(|other| other.factor >= needed)] / all
        };
        let next: Vec<f64> = sorted.iter().map(chance).collect();
        let sum: f64 = next.iter().sum();
        let squares: f64 = next.iter().map(|weight| weight * weight).sum();
        if sum * sum <= MIN_EFFECTIVE_SAMPLES * squares {
            break;
        }
        weights = next;
    }
    let factors = sorted.iter().map(|sample| sample.factor);
    factors
        .zip(weights)
        .map(|(value, weight)| Weighted { value, weight })
        .collect()
}

/// Laws of what all gangs of some pools share within a step: how much longer the slowest
/// gang of a run takes with it.
fn shared_laws(
    plan: &Plan,
    random: &Random,
    size: SimulationSize,
    control: &Control,
) -> Result<Vec<GangLaw>> {
    shared_within_step(plan)
        .into_iter()
        .map(|shared| {
            let with = without_pool_wide(plan, &shared.names);
            let factors = shared_factors(plan, &with, &shared.pools, random, size, control)?;
            Ok(GangLaw {
                scope: shared.scope,
                pools: shared.pools,
                effect: Effect::Slowdown,
                probability: 1.0,
                law: fit_weighted(factors)?,
            })
        })
        .collect()
}

/// Factors on the time of the slowest gang of some pools: what `with`, a plan with shared
/// causes, makes of it.
fn shared_factors(
    plan: &Plan,
    with: &Plan,
    pools: &[usize],
    random: &Random,
    size: SimulationSize,
    control: &Control,
) -> Result<Vec<Weighted>> {
    let (persistent, without) = (persistent_only(plan), without_pool_wide(plan, &[]));
    let mut factors = Vec::new();
    for run in size.runs() {
        let Some(fixed) = RunGangTimes::of_run(plan, &persistent, random, run, control)? else {
            continue;
        };
        let gangs = pools.iter().flat_map(|&pool| {
            let times = (0..).zip(&fixed.times[pool]);
            times.map(move |(gang, time)| (time.step_s, (pool as u32, gang)))
        });
        let slowest = gangs.max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, (pool, gang))) = slowest else {
            continue;
        };
        let which = Which::One { pool, gang };
        let [before, after] = [&without, with]
            .map(|plan| gang_steps(plan, random, run, size.n_shared_quads, which, control));
        let pairs = before?.into_iter().zip(after?);
        let ratio =
            |(before, after): (ReplicaTime, ReplicaTime)| after.compute_s / before.compute_s;
        factors.extend(pairs.map(ratio).map(Weighted::once));
    }
    Ok(factors)
}
