//! What each step is made of: enough to say how long it would take with another network.

use super::columns::Rows;
use super::slowest::FrontierTime;
use crate::error::Result;
use crate::plan::SlowestPort;
use crate::room::{filled, reserved};

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
    n_times: Vec<u32>,
    /// The times of all steps of a parallel task are in the place of its first step: so many
    /// short lists would take longer to make than to fill.
    times: Vec<Option<Box<Times>>>,
    n_ports: usize,
    port_slowdown: Vec<f64>,
    port_stall_s: Vec<f64>,
    n_hops: usize,
    hops: Vec<f64>,
}

/// Times of replicas, in columns.
#[derive(Debug, Clone, Default)]
struct Times {
    pool: Vec<u32>,
    compute_s: Vec<f64>,
    stall_s: Vec<f64>,
}

impl Times {
    fn extend(&mut self, times: &[FrontierTime]) {
        self.pool.extend(times.iter().map(|time| time.pool));
        self.compute_s
            .extend(times.iter().map(|time| time.compute_s));
        self.stall_s.extend(times.iter().map(|time| time.stall_s));
    }
}

impl TermsBuffer {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for them.
    pub fn new(n_steps: usize, n_ports: usize, n_hops: usize) -> Result<Self> {
        Ok(Self {
            n_times: filled(0, n_steps)?,
            times: filled(None, n_steps)?,
            n_ports,
            port_slowdown: filled(1.0, n_steps.saturating_mul(n_ports))?,
            port_stall_s: filled(0.0, n_steps.saturating_mul(n_ports))?,
            n_hops,
            hops: filled(1.0, n_steps.saturating_mul(n_hops))?,
        })
    }

    pub fn rows(&mut self) -> TermsRows<'_> {
        TermsRows {
            n_times: &mut self.n_times,
            times: &mut self.times,
            n_ports: self.n_ports,
            port_slowdown: &mut self.port_slowdown,
            port_stall_s: &mut self.port_stall_s,
            n_hops: self.n_hops,
            hops: &mut self.hops,
        }
    }

    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for the columns.
    pub fn into_columns(self) -> Result<Terms> {
        let n_times = self.n_times.iter().map(|&n| n as usize).sum();
        let times: Vec<Box<Times>> = self.times.into_iter().flatten().collect();
        let (pool, (compute_s, stall_s)) = rayon::join(
            || joined(n_times, times.iter().map(|times| &times.pool)),
            || {
                rayon::join(
                    || joined(n_times, times.iter().map(|times| &times.compute_s)),
                    || joined(n_times, times.iter().map(|times| &times.stall_s)),
                )
            },
        );
        Ok(Terms {
            n_times: self.n_times,
            pool: pool?,
            compute_s: compute_s?,
            stall_s: stall_s?,
            port_slowdown: self.port_slowdown,
            port_stall_s: self.port_stall_s,
            hop_factor: self.hops,
        })
    }
}

/// Columns one after another, which have `n` values together.
fn joined<'t, T: Copy + 't>(n: usize, parts: impl Iterator<Item = &'t Vec<T>>) -> Result<Vec<T>> {
    let mut column = reserved(n)?;
    parts.for_each(|part| column.extend_from_slice(part));
    Ok(column)
}

/// Rows of a [`TermsBuffer`].
pub(super) struct TermsRows<'a> {
    n_times: &'a mut [u32],
    times: &'a mut [Option<Box<Times>>],
    n_ports: usize,
    port_slowdown: &'a mut [f64],
    port_stall_s: &'a mut [f64],
    n_hops: usize,
    hops: &'a mut [f64],
}

impl Rows for TermsRows<'_> {
    type Row = TermsRow;

    fn n_steps(&self) -> usize {
        self.n_times.len()
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let n_times = self.n_times.split_at_mut(steps);
        let times = self.times.split_at_mut(steps);
        let port_slowdown = self.port_slowdown.split_at_mut(steps * self.n_ports);
        let port_stall_s = self.port_stall_s.split_at_mut(steps * self.n_ports);
        let hops = self.hops.split_at_mut(steps * self.n_hops);
        (
            Self {
                n_times: n_times.0,
                times: times.0,
                port_slowdown: port_slowdown.0,
                port_stall_s: port_stall_s.0,
                hops: hops.0,
                ..self
            },
            Self {
                n_times: n_times.1,
                times: times.1,
                port_slowdown: port_slowdown.1,
                port_stall_s: port_stall_s.1,
                hops: hops.1,
                ..self
            },
        )
    }

    fn write(&mut self, step: usize, row: TermsRow) {
        self.n_times[step] = row.frontier.len() as u32;
        // A task writes its steps one after another.
        self.times[0].get_or_insert_default().extend(&row.frontier);
        for (place, port) in (step * self.n_ports..).zip(&row.ports) {
            self.port_slowdown[place] = port.slowdown;
            self.port_stall_s[place] = port.stall_s;
        }
        self.hops[step * self.n_hops..][..self.n_hops].copy_from_slice(&row.hops);
    }
}
