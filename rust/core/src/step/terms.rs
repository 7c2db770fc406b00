//! What each step is made of: enough to say how long it would take with another network.

use rayon::prelude::*;

use super::columns::Rows;
use super::slowest::FrontierTime;
use crate::error::Result;
use crate::plan::SlowestPort;
use crate::room::{filled, reserved};

/// Steps whose times one parallel task brings into columns.
const STEPS_AT_ONCE: usize = 4096;

/// What one step is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct TermsRow {
    /// By pool, the times of the replicas of which no other computes and is stalled at least as
    /// long.
    pub frontier: Vec<FrontierTime>,
    /// The worst ports of each pool; none where nothing goes through the network.
    pub ports: Vec<SlowestPort>,
    /// Factors on the latencies of the communication terms.
    pub hops: Vec<f64>,
}

/// What steps are made of, in columns, runs one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// How many times of replicas each step has.
    pub n_times: Vec<u32>,
    /// Index of the pool of each time, steps one after another.
    pub pool: Vec<u32>,
    /// Seconds of compute, stalls excluded, of each time.
    pub compute_s: Vec<f64>,
    /// Seconds of stalls of each time.
    pub stall_s: Vec<f64>,
    /// Greatest factor on transfers through a port, by step and pool; empty where nothing goes
    /// through the network.
    pub port_slowdown: Vec<f64>,
    /// Longest stall of a port, by step and pool, in seconds.
    pub port_stall_s: Vec<f64>,
    /// Factor on the latency of each communication term, by step and term.
    pub hop_factor: Vec<f64>,
}

/// Rows of steps before they are brought into columns.
pub(super) struct TermsBuffer {
    frontiers: Vec<Vec<FrontierTime>>,
    n_ports: usize,
    ports: Vec<SlowestPort>,
    n_hops: usize,
    hops: Vec<f64>,
}

/// Times of replicas of some steps, in columns.
struct Times {
    n_times: Vec<u32>,
    pool: Vec<u32>,
    compute_s: Vec<f64>,
    stall_s: Vec<f64>,
}

impl Times {
    /// Takes the times out of the lists of some steps, each of which is freed.
    fn of(frontiers: &mut [Vec<FrontierTime>]) -> Self {
        let n_times = frontiers.iter().map(Vec::len).sum();
        let mut times = Self {
            n_times: Vec::with_capacity(frontiers.len()),
            pool: Vec::with_capacity(n_times),
            compute_s: Vec::with_capacity(n_times),
            stall_s: Vec::with_capacity(n_times),
        };
        for frontier in frontiers {
            let frontier = std::mem::take(frontier);
            times.n_times.push(frontier.len() as u32);
            for time in frontier {
                times.pool.push(time.pool);
                times.compute_s.push(time.compute_s);
                times.stall_s.push(time.stall_s);
            }
        }
        times
    }
}

impl TermsBuffer {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for them.
    pub fn new(n_steps: usize, n_ports: usize, n_hops: usize) -> Result<Self> {
        Ok(Self {
            frontiers: filled(Vec::new(), n_steps)?,
            n_ports,
            ports: filled(SlowestPort::IDEAL, n_steps.saturating_mul(n_ports))?,
            n_hops,
            hops: filled(1.0, n_steps.saturating_mul(n_hops))?,
        })
    }

    pub fn rows(&mut self) -> TermsRows<'_> {
        TermsRows {
            frontiers: &mut self.frontiers,
            n_ports: self.n_ports,
            ports: &mut self.ports,
            n_hops: self.n_hops,
            hops: &mut self.hops,
        }
    }

    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for the columns.
    pub fn into_columns(mut self) -> Result<Terms> {
        let n_times = self.frontiers.iter().map(Vec::len).sum();
        let mut terms = Terms {
            n_times: reserved(self.frontiers.len())?,
            pool: reserved(n_times)?,
            compute_s: reserved(n_times)?,
            stall_s: reserved(n_times)?,
            port_slowdown: reserved(self.ports.len())?,
            port_stall_s: reserved(self.ports.len())?,
            hop_factor: self.hops,
        };
        let parts: Vec<Times> = self
            .frontiers
            .par_chunks_mut(STEPS_AT_ONCE)
            .map(Times::of)
            .collect();
        for part in parts {
            terms.n_times.extend(part.n_times);
            terms.pool.extend(part.pool);
            terms.compute_s.extend(part.compute_s);
            terms.stall_s.extend(part.stall_s);
        }
        for port in self.ports {
            terms.port_slowdown.push(port.slowdown);
            terms.port_stall_s.push(port.stall_s);
        }
        Ok(terms)
    }
}

/// Rows of a [`TermsBuffer`].
pub(super) struct TermsRows<'a> {
    frontiers: &'a mut [Vec<FrontierTime>],
    n_ports: usize,
    ports: &'a mut [SlowestPort],
    n_hops: usize,
    hops: &'a mut [f64],
}

impl Rows for TermsRows<'_> {
    type Row = TermsRow;

    fn n_steps(&self) -> usize {
        self.frontiers.len()
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let frontiers = self.frontiers.split_at_mut(steps);
        let ports = self.ports.split_at_mut(steps * self.n_ports);
        let hops = self.hops.split_at_mut(steps * self.n_hops);
        (
            Self {
                frontiers: frontiers.0,
                ports: ports.0,
                hops: hops.0,
                ..self
            },
            Self {
                frontiers: frontiers.1,
                ports: ports.1,
                hops: hops.1,
                ..self
            },
        )
    }

    fn write(&mut self, step: usize, row: TermsRow) {
        self.frontiers[step] = row.frontier;
        self.ports[step * self.n_ports..][..self.n_ports].copy_from_slice(&row.ports);
        self.hops[step * self.n_hops..][..self.n_hops].copy_from_slice(&row.hops);
    }
}
