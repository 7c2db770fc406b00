//! The engine that draws the slowest rank of all without drawing the others.
//!
//! Where a step is a tree of maxima, the law of a pool's slowest rank is
//! compiled given what a run fixes, and drawn with one number. What occurs
//! rarely is drawn one by one over it.

mod census;
mod compiled;
mod crews;
mod grid;
mod hits;
mod lasting;
mod laws;
mod layers;
mod members;
mod nested;
mod parts;
mod pass;
mod rare;
mod reason;
mod rest;
mod simulated;
mod slow;
mod words;

use std::sync::Arc;

use rayon::prelude::*;

pub use reason::Reason;

use crate::control::Control;
use crate::curve::Curve;
use crate::error::{Error, Result};
use crate::kernel::STEPS;
use crate::kernel::best::{SlowestRank, WorstPorts};
use crate::plan::{Affects, Plan, SlowestPort};
use crate::random::{MAX_RUNS, Random};
use crate::sample::{Sampled, expected_times_of};
use compiled::Compiled;
use crews::{Crews, Fixed};
use hits::Scratch;
use laws::Laws;
use members::Members;
use simulated::Looked;

/// Steps of one task.
const TASK: usize = 4096;

/// A plan whose slowest ranks are compiled.
pub struct OrderStatistics {
    plan: Arc<Plan>,
    /// Where ranks wait for each other inside of a step.
    crews: Option<Crews>,
    ranks: Vec<Compiled>,
    ports: Vec<Compiled>,
}

impl OrderStatistics {
    /// Compiles a plan.
    ///
    /// # Errors
    /// Why the law of the slowest rank is not exact.
    pub fn new(plan: Arc<Plan>) -> std::result::Result<Self, Reason> {
        let crews = Crews::new(&plan)?;
        let mut laws = Laws::new();
        let ranks = match &crews {
            Some(crews) => crews.compile(&plan, &mut laws)?,
            None => {
                let groups = 0..plan.groups().len();
                groups
                    .map(|index| Compiled::new(&plan, index, Affects::Compute, &mut laws))
                    .collect::<std::result::Result<_, _>>()?
            }
        };
        let ports = Self::ports(&plan, &mut laws)?;
        Ok(Self {
            plan,
            crews,
            ranks,
            ports,
        })
    }

    /// Compiles a plan whose replicas wait inside of a step, with the law of a
    /// replica's time from replicas that are sampled under `seed`. How far that is
    /// from the truth is to be seen from steps that are sampled.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it; inside of it what stands
    /// against drawing the slowest replica from such a law.
    pub fn simulated(
        plan: Arc<Plan>,
        seed: u64,
        control: &Control,
    ) -> Result<std::result::Result<Self, Reason>> {
        // What refuses the ports refuses before anything is sampled.
        let ports = match Self::ports(&plan, &mut Laws::new()) {
            Ok(ports) => ports,
            Err(reason) => return Ok(Err(reason)),
        };
        let crews = match Crews::simulated(&plan, seed, control)? {
            Ok(crews) => crews,
            Err(reason) => return Ok(Err(reason)),
        };
        let ranks = crews
            .compile(&plan, &mut Laws::new())
            .map_err(Reason::of_sampled_crews);
        Ok(ranks.map(|ranks| Self {
            plan,
            crews: Some(crews),
            ranks,
            ports,
        }))
    }

    /// Steps that [`OrderStatistics::simulated`] samples.
    #[must_use]
    pub fn simulated_steps(plan: &Plan) -> u32 {
        plan.pipeline()
            .map_or(0, |pipeline| Looked::at(plan, pipeline).all())
    }

    fn ports(plan: &Plan, laws: &mut Laws) -> std::result::Result<Vec<Compiled>, Reason> {
        let groups = 0..plan.groups().len();
        groups
            .map(|index| Compiled::new(plan, index, Affects::Network, laws))
            .collect()
    }

    /// Draws `steps` steps of each of `runs` runs on the current rayon pool.
    ///
    /// The rows depend on the plan and the seed only, not on the number of
    /// threads.
    ///
    /// # Errors
    /// [`Error::Domain`] for no runs or steps or more runs than addresses;
    /// [`Error::Stopped`] once `control` asks for it.
    pub fn run(&self, seed: u64, runs: u32, steps: u32, control: &Control) -> Result<Sampled> {
        if !(1..=MAX_RUNS).contains(&runs) {
            let requirement = format!(">= 1 and <= {MAX_RUNS}");
            return Err(Error::domain("runs", f64::from(runs), requirement));
        }
        if steps == 0 {
            return Err(Error::domain("steps", 0.0, ">= 1"));
        }
        let random = Random::new(seed);
        let n_groups = self.plan.groups().len();
        let mut sampled = Sampled::zeros(runs as usize, steps as usize, n_groups);
        let steps = steps as usize;
        let columns = (
            sampled.step_time_s.par_chunks_mut(steps),
            sampled.compute_s.par_chunks_mut(steps),
            sampled.exposed_comm_s.par_chunks_mut(steps),
            sampled.stall_s.par_chunks_mut(steps),
            sampled.slowest.par_chunks_mut(steps),
            sampled.busy_s.par_chunks_mut(n_groups),
            sampled.own_stall_s.par_chunks_mut(n_groups),
        );
        columns.into_par_iter().enumerate().try_for_each(
            |(run, (step_time_s, compute_s, exposed_comm_s, stall_s, slowest, busy_s, own_s))| {
                let fixed = self.fixed(&random, run as u32, control)?;
                let state = State::new(self, &random, run as u32, fixed.as_ref(), control)?;
                for (index, ranks) in state.ranks.iter().enumerate() {
                    (busy_s[index], own_s[index]) = match &fixed {
                        Some(fixed) => fixed.expected_s[index],
                        None => expected_times_of(&self.plan, index, ranks.means()),
                    };
                }
                let rows = (
                    step_time_s.par_chunks_mut(TASK),
                    compute_s.par_chunks_mut(TASK),
                    exposed_comm_s.par_chunks_mut(TASK),
                    stall_s.par_chunks_mut(TASK),
                    slowest.par_chunks_mut(TASK),
                );
                rows.into_par_iter().enumerate().try_for_each(
                    |(task, (step_time_s, compute_s, exposed_comm_s, stall_s, slowest))| {
                        let mut scratch = Scratch::default();
                        let first = (task * TASK / STEPS) as u32;
                        let mut row = 0;
                        for block in first.. {
                            if row >= step_time_s.len() {
                                break;
                            }
                            for drawn in state.draw(block, &mut scratch) {
                                if row < step_time_s.len() {
                                    step_time_s[row] = drawn.compute_s + drawn.exposed_comm_s;
                                    compute_s[row] = drawn.compute_s;
                                    exposed_comm_s[row] = drawn.exposed_comm_s;
                                    stall_s[row] = drawn.stall_s;
                                    slowest[row] = drawn.group;
                                    row += 1;
                                }
                            }
                        }
                        control.advance(row as u64)
                    },
                )
            },
        )?;
        Ok(sampled)
    }

    /// Pools of the plan.
    #[must_use]
    pub fn n_groups(&self) -> usize {
        self.ranks.len()
    }

    /// The law of the slowest rank of a group in one run, among those whom no
    /// rare cause hits and without what the whole group shares in a step, over
    /// its noiseless time; none where nothing changes from step to step.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it.
    pub fn law(
        &self,
        group: usize,
        seed: u64,
        run: u32,
        control: &Control,
    ) -> Result<Option<Curve>> {
        let random = Random::new(seed);
        let fixed = self.fixed(&random, run, control)?;
        let given = fixed.as_ref().map(|fixed| fixed.given[group].as_slice());
        let (plan, compiled) = (self.plan_of_ranks(), &self.ranks[group]);
        let members = Members::new(plan, compiled, group, &random, run, given, control)?;
        Ok(members.law().cloned())
    }

    /// The plan whose ranks, or crews, wait for each other once a step.
    fn plan_of_ranks(&self) -> &Plan {
        self.crews.as_ref().map_or(&self.plan, |crews| &crews.plan)
    }

    /// What a run fixes for crews.
    fn fixed(&self, random: &Random, run: u32, control: &Control) -> Result<Option<Fixed>> {
        match &self.crews {
            None => Ok(None),
            Some(crews) => crews.fixed(&self.plan, random, run, control),
        }
    }
}

/// One step.
#[derive(Clone, Copy)]
struct Row {
    group: u32,
    compute_s: f64,
    stall_s: f64,
    exposed_comm_s: f64,
}

/// A job in one run.
struct State<'a> {
    plan: &'a Plan,
    random: &'a Random,
    run: u32,
    ranks: Vec<Members<'a>>,
    ports: Vec<Members<'a>>,
}

impl<'a> State<'a> {
    fn new(
        engine: &'a OrderStatistics,
        random: &'a Random,
        run: u32,
        fixed: Option<&'a Fixed>,
        control: &Control,
    ) -> Result<Self> {
        let of = |plan: &'a Plan, all: &'a [Compiled], fixed: Option<&'a Fixed>| {
            all.iter()
                .enumerate()
                .map(|(index, compiled)| {
                    let given = fixed.map(|fixed| fixed.given[index].as_slice());
                    Members::new(plan, compiled, index, random, run, given, control)
                })
                .collect::<Result<Vec<_>>>()
        };
        let has_transfers = !engine.plan.communication().terms.is_empty();
        Ok(Self {
            plan: &engine.plan,
            random,
            run,
            ranks: of(engine.plan_of_ranks(), &engine.ranks, fixed)?,
            ports: if has_transfers {
                of(&engine.plan, &engine.ports, None)?
            } else {
                Vec::new()
            },
        })
    }

    /// Four steps.
    fn draw(&self, block: u32, scratch: &mut Scratch) -> [Row; STEPS] {
        let mut rows = [Row {
            group: 0,
            compute_s: 0.0,
            stall_s: 0.0,
            exposed_comm_s: 0.0,
        }; STEPS];
        for (index, (group, ranks)) in self.plan.groups().iter().zip(&self.ranks).enumerate() {
            let best: [SlowestRank; STEPS] = ranks.best(block, scratch);
            for (row, rank) in rows.iter_mut().zip(best) {
                let compute_s = group.compute_s() * f64::from(rank.time_rel);
                if compute_s > row.compute_s {
                    *row = Row {
                        group: index as u32,
                        compute_s,
                        stall_s: group.compute_s() * f64::from(rank.stall_rel),
                        exposed_comm_s: 0.0,
                    };
                }
            }
        }
        if self.plan.communication().terms.is_empty() {
            return rows;
        }
        let ports: Vec<[SlowestPort; STEPS]> = self
            .ports
            .iter()
            .map(|ports| {
                if ports.is_ideal() {
                    return [SlowestPort::IDEAL; STEPS];
                }
                let worst: [WorstPorts; STEPS] = ports.best(block, scratch);
                worst.map(|port| SlowestPort {
                    slowdown: f64::from(port.slowdown),
                    stall_s: f64::from(port.stall_s),
                })
            })
            .collect();
        let hops = self.plan.hops().factors(self.random, self.run, block);
        for (step, row) in rows.iter_mut().enumerate() {
            let ports: Vec<SlowestPort> = ports.iter().map(|steps| steps[step]).collect();
            row.exposed_comm_s = self.plan.communication().exposed_s(
                row.group as usize,
                row.compute_s - row.stall_s,
                &ports,
                &hops[step],
            );
        }
        rows
    }
}
