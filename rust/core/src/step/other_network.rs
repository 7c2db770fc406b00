//! Steps of the same ranks with another network: the slowest is looked for again, among the times
//! that no other exceeds.

use super::columns::Rows;
use super::slowest::{FrontierTime, Slowest};
use crate::error::{Error, Result};
use crate::plan::{Communication, Plan, SlowestPort, StepDuration};

/// A network as it is in all steps of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherNetwork<'a> {
    communication: Communication,
    n_pools: usize,
    drawn: DrawnNetwork<'a>,
}

/// What varies in a network from step to step, steps one after another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnNetwork<'a> {
    /// Greatest factor on transfers through a port, by step and pool.
    pub port_slowdown: &'a [f64],
    /// Longest stall of a port, by step and pool, in seconds.
    pub port_stall_s: &'a [f64],
    /// Factor on the latency of each communication term, by step and term.
    pub hop_factor: &'a [f64],
}

impl<'a> OtherNetwork<'a> {
    /// The network of one plan behind the windows of another one, that of the ranks.
    ///
    /// # Errors
    /// [`Error::Domain`] for plans of different jobs.
    pub fn new(ranks: &Plan, network: &Plan, drawn: DrawnNetwork<'a>) -> Result<Self> {
        let communication = ranks.communication();
        Ok(Self {
            communication: communication.with_times_of(network.communication())?,
            n_pools: ranks.pools().len(),
            drawn,
        })
    }

    /// Refuses a network that was drawn for another number of steps.
    ///
    /// # Errors
    /// [`Error::Domain`] for one.
    pub(super) fn check(&self, n_steps: usize) -> Result<()> {
        let n_terms = self.communication.terms.len();
        // Without terms nothing goes through the network, and nothing of it is drawn.
        let n_ports = if n_terms == 0 { 0 } else { self.n_pools };
        for (field, found, each) in [
            ("port_slowdown", self.drawn.port_slowdown, n_ports),
            ("port_stall_s", self.drawn.port_stall_s, n_ports),
            ("hop_factor", self.drawn.hop_factor, n_terms),
        ] {
            if found.len() != n_steps * each {
                let requirement = format!("{} numbers, those of {n_steps} steps", n_steps * each);
                return Err(Error::domain(field, found.len() as f64, requirement));
            }
        }
        Ok(())
    }

    /// Seconds of a step, counted through all runs, whose slowest replica is one of some times by
    /// pool.
    pub(super) fn step_s(&self, step: usize, times: &[FrontierTime]) -> f64 {
        let communication = &self.communication;
        let n_terms = communication.terms.len();
        if n_terms == 0 {
            return times.iter().fold(0.0, |most, time| time.total_s.max(most));
        }
        let of_pool = |pool| SlowestPort {
            slowdown: self.drawn.port_slowdown[step * self.n_pools + pool],
            stall_s: self.drawn.port_stall_s[step * self.n_pools + pool],
        };
        let ports: Vec<SlowestPort> = (0..self.n_pools).map(of_pool).collect();
        let hops = &self.drawn.hop_factor[step * n_terms..][..n_terms];
        let times_s = communication.times_s(&ports, hops);
        let mut slowest = Slowest::NOBODY;
        for of_pool in times.chunk_by(|one, next| one.pool == next.pool) {
            let pool = of_pool[0].pool;
            let duration = StepDuration::new(communication, pool as usize, &times_s);
            for time in of_pool {
                let duration_s = duration.seconds(time.compute_s, time.stall_s);
                if slowest.yields_to(duration_s, time.total_s) {
                    slowest = Slowest {
                        pool,
                        compute_s: time.total_s,
                        stall_s: time.stall_s,
                        duration_s,
                        ..Slowest::NOBODY
                    };
                }
            }
        }
        let own_compute_s = slowest.compute_s - slowest.stall_s;
        let pool = slowest.pool as usize;
        slowest.compute_s + communication.exposed_s(pool, own_compute_s, &times_s)
    }
}

/// Seconds of steps by network.
pub(super) struct NetworkRows<'a> {
    columns: Vec<&'a mut [f64]>,
    n_steps: usize,
}

impl<'a> NetworkRows<'a> {
    pub fn new(columns: &'a mut [Vec<f64>], n_steps: usize) -> Self {
        Self {
            columns: columns.iter_mut().map(Vec::as_mut_slice).collect(),
            n_steps,
        }
    }
}

impl Rows for NetworkRows<'_> {
    type Row = Vec<f64>;

    fn n_steps(&self) -> usize {
        self.n_steps
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let columns = self.columns.into_iter();
        let (early, late) = columns.map(|column| column.split_at_mut(steps)).unzip();
        (
            Self {
                columns: early,
                n_steps: steps,
            },
            Self {
                columns: late,
                n_steps: self.n_steps - steps,
            },
        )
    }

    fn write(&mut self, step: usize, row: Vec<f64>) {
        for (column, seconds) in self.columns.iter_mut().zip(row) {
            column[step] = seconds;
        }
    }
}
