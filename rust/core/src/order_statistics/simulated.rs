//! The law of a crew's time where it has no closed form: of crews that were
//! sampled.
//!
//! A crew takes its time without anything that changes, times a random factor, plus
//! what stalls cost it now and then. The factor's law is that of sampled crews, each
//! weighed by how likely a crew so slow is to be the slowest of all; that it is one
//! law for all of a pool's crews is what is approximate.

use crate::control::Control;
use crate::error::Result;
use crate::kernel::{REPLICAS, STEPS};
use crate::law::{Weighted, fit_weighted};
use crate::plan::{CrewLaw, Effect, Group, Pipeline, Plan, Scope};
use crate::random::{MAX_RUNS, Random};
use crate::sample::{CrewTimes, Which, crew_steps};

/// Runs that are sampled, the last of all there are: at least and at most so many,
/// and more of few crews.
const FEWEST_RUNS: u32 = 8;
const MOST_RUNS: u32 = 64;
const CREWS: u32 = 1024;
/// Steps of crews that are sampled, in all runs, and steps of a factor that all
/// share, at most.
const CREW_STEPS: u64 = 1 << 20;
const MOST_CREW_STEPS: u64 = 2 * CREW_STEPS;
const WIDE_STEPS: u64 = 1 << 14;
/// What each of them costs in draws, at most, if enough steps remain.
const MOST_DRAWS: u64 = 1 << 31;
/// Steps of a run, at least and at most; and of the factor that all share.
const FEWEST_STEPS: u64 = 16;
const MOST_STEPS: u64 = 1 << 12;
const FEWEST_WIDE: u64 = 1 << 11;
/// Rounds in which weights are found.
const ROUNDS: usize = 4;
/// Steps of crews whose weights count, at least.
const FEWEST: f64 = 1024.0;
/// Stalls below this share of a step are none but for rounding.
const LEAST_STALL: f64 = 1e-9;

/// What was found by simulation.
pub(super) struct Simulated {
    pub(super) laws: Vec<CrewLaw>,
    /// By group: how much crews differ by what lasts, as a standard deviation in ln.
    pub(super) spreads: Vec<f64>,
}

/// One crew in one step.
struct Sample {
    /// Seconds without what changes from step to step.
    own_s: f64,
    /// What they are multiplied by; both without stalls.
    factor: f64,
    /// Seconds that stalls of this step add.
    stall_s: f64,
}

impl Simulated {
    pub(super) fn new(
        plan: &Plan,
        pipeline: &Pipeline,
        seed: u64,
        control: &Control,
    ) -> Result<Self> {
        let random = Random::new(seed);
        let looked = Looked::at(plan, pipeline);
        let samples = sampled(plan, &random, looked, control)?;
        let level_s = level_s(&samples, looked);
        let (mut laws, mut spreads) = (Vec::new(), Vec::new());
        for (index, samples) in samples.iter().enumerate() {
            control.advance(0)?;
            let of_crews = |effect, probability, law| CrewLaw {
                scope: Scope::Gpu,
                groups: vec![index],
                effect,
                probability,
                law,
            };
            let factors = fit_weighted(weighted(samples, level_s))?;
            laws.push(of_crews(Effect::Slowdown, 1.0, factors));
            let least_s = LEAST_STALL * plan.groups()[index].compute_s();
            let stalls = samples.iter().filter(|sample| sample.stall_s > least_s);
            let stalls_s: Vec<Weighted> = stalls
                .map(|sample| Weighted::once(sample.stall_s))
                .collect();
            if !stalls_s.is_empty() {
                let share = stalls_s.len() as f64 / samples.len() as f64;
                laws.push(of_crews(Effect::Stall, share, fit_weighted(stalls_s)?));
            }
            spreads.push(spread(samples));
        }
        laws.extend(wide(plan, &random, looked, control)?);
        Ok(Self { laws, spreads })
    }
}

/// The standard deviation of ln seconds from crew to crew.
fn spread(samples: &[Sample]) -> f64 {
    let n = samples.len() as f64;
    let logs = || samples.iter().map(|sample| libm::log(sample.own_s));
    let mean = logs().sum::<f64>() / n;
    libm::sqrt(logs().map(|log| (log - mean) * (log - mean)).sum::<f64>() / n)
}

/// How much is sampled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    runs: u32,
    /// Of each run, in fours: steps, and steps of what all crews share.
    n_blocks: u32,
    n_wide_blocks: u32,
    /// One of so many crews, of very many.
    every: usize,
}

impl Looked {
    pub(super) fn at(plan: &Plan, pipeline: &Pipeline) -> Self {
        let crews = |group: &Group| group.n_ranks().div_ceil(pipeline.crew_gpus(group));
        let n_crews = plan.groups().iter().map(crews).sum::<u32>().max(1);
        let runs = (CREWS / n_crews).clamp(FEWEST_RUNS, MOST_RUNS);
        let per_step = plan.cost_per_step().max(1);
        let steps = (CREW_STEPS / u64::from(n_crews)).min(MOST_DRAWS / per_step);
        let steps = (steps / u64::from(runs)).clamp(FEWEST_STEPS, MOST_STEPS);
        // All crews of a batch are drawn for one, and twice.
        let per_batch = per_step * REPLICAS as u64 / u64::from(n_crews.max(REPLICAS as u32));
        let wide = WIDE_STEPS.min(MOST_DRAWS / (2 * per_batch).max(1));
        let wide = wide.max(FEWEST_WIDE) / u64::from(runs);
        let blocks = |steps: u64| steps as u32 / STEPS as u32;
        Self {
            runs,
            n_blocks: blocks(steps),
            n_wide_blocks: blocks(wide),
            every: (steps * u64::from(runs) * u64::from(n_crews)).div_ceil(MOST_CREW_STEPS)
                as usize,
        }
    }

    /// Steps of all runs.
    pub(super) fn all(self) -> u32 {
        self.runs * self.n_blocks * STEPS as u32
    }

    fn runs(self) -> std::ops::Range<u32> {
        MAX_RUNS - self.runs..MAX_RUNS
    }
}

/// Steps of crews, by group.
fn sampled(
    plan: &Plan,
    random: &Random,
    looked: Looked,
    control: &Control,
) -> Result<Vec<Vec<Sample>>> {
    let (lasting, inside) = (plan.lasting(), plan.without_wide(&[]));
    let every = Which::Every(looked.every);
    let mut samples: Vec<Vec<Sample>> = plan.groups().iter().map(|_| Vec::new()).collect();
    for run in looked.runs() {
        let Some(own) = CrewTimes::of_run(plan, &lasting, random, run, control)? else {
            continue;
        };
        for crew in crew_steps(&inside, random, run, looked.n_blocks, every, control)? {
            let (all_s, stalled_s) = own.times_s[crew.group as usize][crew.replica as usize];
            let own_s = all_s - stalled_s;
            samples[crew.group as usize].push(Sample {
                own_s,
                factor: (crew.compute_s - crew.stall_s) / own_s,
                stall_s: crew.stall_s - stalled_s,
            });
        }
    }
    Ok(samples)
}

/// Seconds that the slowest crew of a step takes but for stalls, as often more as
/// less.
fn level_s(samples: &[Vec<Sample>], looked: Looked) -> f64 {
    let all = samples.iter().flatten();
    let mut times_s: Vec<f64> = all.map(|sample| sample.own_s * sample.factor).collect();
    times_s.sort_by(|a, b| b.total_cmp(a));
    // Where ln 2 lie beyond it in a step, nobody does in half of the steps.
    let n_steps = f64::from(looked.all()) / looked.every as f64;
    let beyond = (core::f64::consts::LN_2 * n_steps) as usize;
    times_s
        .get(beyond)
        .or(times_s.last())
        .copied()
        .unwrap_or(0.0)
}

/// Factors, each with the chance that a crew as slow as its own takes longer than
/// `level_s`; all alike where hardly any does.
///
/// That chance is one of the law that is looked for, so it is found in rounds.
fn weighted(samples: &[Sample], level_s: f64) -> Vec<Weighted> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    let mut weights = vec![1.0; sorted.len()];
    for _ in 0..ROUNDS {
        // Weight of all factors that are as great, from the greatest on.
        let mut beyond = vec![0.0];
        for weight in &weights {
            beyond.push(beyond[beyond.len() - 1] + weight);
        }
        let all = beyond[sorted.len()];
        let chance = |sample: &&Sample| {
            let needed = level_s / sample.own_s;
            beyond[sorted.partition_point(|other| other.factor >= needed)] / all
        };
        let next: Vec<f64> = sorted.iter().map(chance).collect();
        let sum: f64 = next.iter().sum();
        let squares: f64 = next.iter().map(|weight| weight * weight).sum();
        if sum * sum <= FEWEST * squares {
            break;
        }
        weights = next;
    }
    let factors = sorted.iter().map(|sample| sample.factor);
    let pairs = factors.zip(weights);
    pairs
        .map(|(value, weight)| Weighted { value, weight })
        .collect()
}

/// Laws of what all crews of a pool, or all of the job, share inside of a step: by
/// how much longer the slowest crew of a run takes with it.
fn wide(plan: &Plan, random: &Random, looked: Looked, control: &Control) -> Result<Vec<CrewLaw>> {
    plan.wide_inside()
        .into_iter()
        .map(|(scope, groups, names)| {
            let with = plan.without_wide(&names);
            let factors = wide_factors(plan, &with, &groups, random, looked, control)?;
            Ok(CrewLaw {
                scope,
                groups,
                effect: Effect::Slowdown,
                probability: 1.0,
                law: fit_weighted(factors)?,
            })
        })
        .collect()
}

/// Factors on the time of the slowest crew of some groups.
fn wide_factors(
    plan: &Plan,
    with: &Plan,
    groups: &[usize],
    random: &Random,
    looked: Looked,
    control: &Control,
) -> Result<Vec<Weighted>> {
    let (lasting, without) = (plan.lasting(), plan.without_wide(&[]));
    let mut factors = Vec::new();
    for run in looked.runs() {
        let Some(own) = CrewTimes::of_run(plan, &lasting, random, run, control)? else {
            continue;
        };
        let crews = groups.iter().flat_map(|&group| {
            let times_s = own.times_s[group].iter();
            (0..)
                .zip(times_s)
                .map(move |(crew, &(all_s, _))| (all_s, (group as u32, crew)))
        });
        let slowest = crews.max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, (group, crew))) = slowest else {
            continue;
        };
        let slowest = Which::One { group, crew };
        let [before, after] = [&without, with]
            .map(|plan| crew_steps(plan, random, run, looked.n_wide_blocks, slowest, control));
        let pairs = before?.into_iter().zip(after?);
        factors.extend(
            pairs.map(|(before, after)| Weighted::once(after.compute_s / before.compute_s)),
        );
    }
    Ok(factors)
}
