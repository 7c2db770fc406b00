//! The engine that draws every rank of every step.

mod barrier;
mod crew_times;
mod crews;
mod inside;
mod lasting;
mod lineup;
mod replay;
mod replicas;
mod work;

use rayon::prelude::*;

pub(crate) use crew_times::{CrewTimes, Which, crew_steps};
pub(crate) use lasting::expected_times_of;
pub use replay::rank_times;
pub use replicas::{Replicas, slowest_replicas};

use crate::control::{Control, DRAWS_BETWEEN_LOOKS};
use crate::error::{Error, Result};
use crate::kernel::best::{Best, WorstPorts};
use crate::kernel::slowest::Searched;
use crate::kernel::tile::Draws;
use crate::kernel::{Kernel, STEPS};
use crate::plan::{Affects, Plan, SlowestPort, Span};
use crate::random::{MAX_RUNS, Random};
use crews::Crews;
use lasting::{expected_times, lasting};

/// What was sampled: one row a step, runs one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// Seconds of the whole step.
    pub step_time_s: Vec<f64>,
    /// Seconds of the slowest replica's computing, stalls included.
    pub compute_s: Vec<f64>,
    /// Seconds of transfers that nothing hid.
    pub exposed_comm_s: Vec<f64>,
    /// Seconds that stalls cost: those of the slowest rank, or what the slowest
    /// replica's stages would have taken less without theirs.
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

impl Sampled {
    /// Rows to be filled in.
    pub(crate) fn zeros(runs: usize, steps: usize, n_groups: usize) -> Self {
        let zeros = |n: usize| vec![0.0; n];
        Self {
            step_time_s: zeros(runs * steps),
            compute_s: zeros(runs * steps),
            exposed_comm_s: zeros(runs * steps),
            stall_s: zeros(runs * steps),
            slowest: vec![0; runs * steps],
            busy_s: zeros(runs * n_groups),
            own_stall_s: zeros(runs * n_groups),
        }
    }
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
    let n_groups = plan.groups().len();
    let mut sampled = Sampled::zeros(runs as usize, steps, n_groups);
    for run in 0..runs {
        let state = State::new(plan, &random, run, control)?;
        for (index, times) in state.expected_times().into_iter().enumerate() {
            let place = run as usize * n_groups + index;
            (sampled.busy_s[place], sampled.own_stall_s[place]) = times;
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
                let n_steps = step_time_s.len();
                let results = state.slowest(block as u32, n_steps, control)?;
                for (row, result) in results.iter().take(n_steps).enumerate() {
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

/// Who a step waited for.
#[derive(Clone, Copy)]
struct Slowest {
    group: u32,
    compute_s: f64,
    stall_s: f64,
    exposed_comm_s: f64,
}

impl Slowest {
    const NOBODY: Self = Self {
        group: 0,
        compute_s: 0.0,
        stall_s: 0.0,
        exposed_comm_s: 0.0,
    };

    /// Gives way to who is slower; ties stay with the first.
    fn meet(&mut self, other: Self) {
        if other.compute_s > self.compute_s {
            *self = other;
        }
    }
}

/// A job in one run.
struct State<'a> {
    plan: &'a Plan,
    random: &'a Random,
    run: u32,
    ranks: Ranks<'a>,
    ports: Vec<Searched<'a>>,
}

/// The ranks of all groups, by what a step is.
enum Ranks<'a> {
    /// One barrier.
    Barrier(Vec<Searched<'a>>),
    /// Crews that wait inside of a step.
    Crews(Crews<'a>),
}

impl<'a> State<'a> {
    fn new(plan: &'a Plan, random: &'a Random, run: u32, control: &Control) -> Result<Self> {
        let ranks = match plan.pipeline() {
            None => Ranks::Barrier(searched(plan, Affects::Compute, random, run, control)?),
            Some(pipeline) => Ranks::Crews(Crews::new(plan, pipeline, random, run, control)?),
        };
        let ports = searched(plan, Affects::Network, random, run, control)?;
        Ok(Self {
            plan,
            random,
            run,
            ranks,
            ports,
        })
    }

    /// Expected busy and stalled seconds of each group's average rank.
    fn expected_times(&self) -> Vec<(f64, f64)> {
        match &self.ranks {
            Ranks::Barrier(groups) => {
                let of = |(index, ranks): (usize, &Searched)| {
                    expected_times(self.plan, index, &[ranks.lasting()])
                };
                groups.iter().enumerate().map(of).collect()
            }
            Ranks::Crews(crews) => crews.expected_times(),
        }
    }

    /// The slowest replica of the first `n_steps` of four steps, and what its
    /// transfers add.
    fn slowest(&self, block: u32, n_steps: usize, control: &Control) -> Result<[Slowest; STEPS]> {
        let mut slowest = match &self.ranks {
            Ranks::Barrier(groups) => barrier::slowest_ranks(self.plan, groups, block, control)?,
            Ranks::Crews(crews) => crews.slowest(block, n_steps, control)?,
        };
        let communication = self.plan.communication();
        let ports = self
            .ports
            .iter()
            .map(|ports| worst_ports(self.plan, ports, block, control))
            .collect::<Result<Vec<_>>>()?;
        let hops = self.plan.hops().factors(self.random, self.run, block);
        for (step, slowest) in slowest.iter_mut().enumerate() {
            let ports: Vec<SlowestPort> = ports.iter().map(|steps| steps[step]).collect();
            let own_compute_s = slowest.compute_s - slowest.stall_s;
            let group = slowest.group as usize;
            slowest.exposed_comm_s =
                communication.exposed_s(group, own_compute_s, &ports, &hops[step]);
        }
        Ok(slowest)
    }
}

/// The ranks or ports of all groups, ready to be searched.
fn searched<'a>(
    plan: &'a Plan,
    affects: Affects,
    random: &'a Random,
    run: u32,
    control: &Control,
) -> Result<Vec<Searched<'a>>> {
    (0..plan.groups().len())
        .map(|group| {
            let lasts = Draws::new(plan, group, affects, Span::Run, random, run);
            let draws = Draws::new(plan, group, affects, Span::Step, random, run);
            let kernel = Kernel::new(plan.instructions());
            Ok(Searched::new(draws, lasting(&lasts, control)?, kernel))
        })
        .collect()
}

/// The greatest factor and the longest stall of a group's ports.
fn worst_ports(
    plan: &Plan,
    ports: &Searched,
    block: u32,
    control: &Control,
) -> Result<[SlowestPort; STEPS]> {
    if ports.is_ideal() || plan.communication().terms.is_empty() {
        return Ok([SlowestPort::IDEAL; STEPS]);
    }
    let worst: [WorstPorts; STEPS] = search(ports, block, control)?;
    Ok(worst.map(|port| SlowestPort {
        slowdown: f64::from(port.slowdown),
        stall_s: f64::from(port.stall_s),
    }))
}

/// Searches the ranks or the ports of a group, and counts what it draws.
fn search<B: Best>(searched: &Searched, block: u32, control: &Control) -> Result<[B; STEPS]> {
    search_from(searched, B::NONE, block, control)
}

/// The same, where nothing seen yet is `none`.
fn search_from<B: Best>(
    searched: &Searched,
    none: B,
    block: u32,
    control: &Control,
) -> Result<[B; STEPS]> {
    // Without a cause there is still a rank to look at.
    let per_rank = (STEPS * searched.n_causes().max(1)) as u64;
    let mut draws = 0;
    let best = searched.search_from(none, block, |n_ranks| {
        draws += u64::from(n_ranks) * per_rank;
        if draws > DRAWS_BETWEEN_LOOKS / 4 {
            control.advance(std::mem::take(&mut draws))?;
        }
        Ok(())
    })?;
    control.advance(draws)?;
    Ok(best)
}
