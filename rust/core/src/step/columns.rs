//! What a simulation gives: one row a step, in columns.

use super::expected::ExpectedTime;
use super::slowest::Slowest;
use crate::error::Result;
use crate::plan::{Affects, Plan};
use crate::room::filled;

/// Rows of steps, runs one after another, and expected times by run and pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Seconds of the whole step.
    pub step_time_s: Vec<f64>,
    /// Seconds that the slowest replica computes, stalls included.
    pub compute_s: Vec<f64>,
    /// Seconds of transfers that nothing hid.
    pub exposed_comm_s: Vec<f64>,
    /// Seconds that stalls cost: those of the slowest rank or, with stages, what
    /// the slowest replica would have taken less without them.
    pub stall_s: Vec<f64>,
    /// Index of the pool that the barrier waited for.
    pub slowest: Vec<u32>,
    /// Whether the replica that it waited for is in an episode; empty where there are none that
    /// slow computing.
    pub in_episode: Vec<bool>,
    /// Expected seconds that a rank computes in a step, by run and pool: stalls
    /// excluded, slowdowns included.
    pub busy_s: Vec<f64>,
    /// Expected seconds that a rank is stalled in a step, by run and pool.
    pub own_stall_s: Vec<f64>,
    /// Those of `busy_s` that are because of episodes; empty where there are none that slow
    /// computing.
    pub episode_s: Vec<f64>,
}

impl Columns {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is none for them.
    pub(super) fn zeros(runs: usize, steps: usize, n_pools: usize) -> Result<Self> {
        let zeros = |n: usize| filled(0.0, n);
        Ok(Self {
            step_time_s: zeros(runs * steps)?,
            compute_s: zeros(runs * steps)?,
            exposed_comm_s: zeros(runs * steps)?,
            stall_s: zeros(runs * steps)?,
            slowest: filled(0, runs * steps)?,
            in_episode: filled(false, runs * steps)?,
            busy_s: zeros(runs * n_pools)?,
            own_stall_s: zeros(runs * n_pools)?,
            episode_s: zeros(runs * n_pools)?,
        })
    }

    /// Sets expected times by run and pool, which are those of first steps.
    pub(super) fn set_expected(&mut self, plan: &Plan, expected: &[ExpectedTime]) {
        let n_pools = plan.pools().len();
        let n_runs = expected.len() / n_pools.max(1);
        let n_steps = (self.step_time_s.len() / n_runs.max(1)) as u32;
        for (row, expected) in expected.iter().enumerate() {
            let expected = expected.over_steps(plan, row % n_pools, n_steps);
            self.busy_s[row] = expected.busy_s;
            self.own_stall_s[row] = expected.stall_s;
            self.episode_s[row] = expected.episode_s;
        }
    }

    /// Drops what episodes make of steps where there are none.
    pub(super) fn drop_what_cannot_be(&mut self, plan: &Plan) {
        if !plan.has_episodes(Affects::Compute) {
            self.in_episode = Vec::new();
            self.episode_s = Vec::new();
        }
    }

    pub(super) fn rows(&mut self) -> StepRows<'_> {
        StepRows {
            step_time_s: &mut self.step_time_s,
            compute_s: &mut self.compute_s,
            exposed_comm_s: &mut self.exposed_comm_s,
            stall_s: &mut self.stall_s,
            slowest: &mut self.slowest,
            in_episode: &mut self.in_episode,
        }
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The replica that it waited for.
    pub slowest: Slowest,
    /// Seconds of transfers that nothing hid.
    pub exposed_comm_s: f64,
}

impl Row {
    /// Seconds of the whole step.
    fn step_time_s(&self) -> f64 {
        self.slowest.compute_s + self.exposed_comm_s
    }
}

/// Rows of consecutive steps that can be divided among parallel tasks, each of
/// which writes its own.
pub trait Rows: Send + Sized {
    /// What is written for one step.
    type Row;

    /// How many steps the rows are of.
    fn n_steps(&self) -> usize;

    /// The rows of the first `steps` steps, and those of the others.
    fn split_at(self, steps: usize) -> (Self, Self);

    /// Writes the row of a step, counted from the first of these rows.
    fn write(&mut self, step: usize, row: Self::Row);
}

/// Rows of two kinds of the same steps.
impl<A: Rows, B: Rows> Rows for (A, B) {
    type Row = (A::Row, B::Row);

    fn n_steps(&self) -> usize {
        self.0.n_steps()
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let (early, late) = (self.0.split_at(steps), self.1.split_at(steps));
        ((early.0, late.0), (early.1, late.1))
    }

    fn write(&mut self, step: usize, (first, second): Self::Row) {
        self.0.write(step, first);
        self.1.write(step, second);
    }
}

/// Rows of [`Columns`].
pub(super) struct StepRows<'a> {
    step_time_s: &'a mut [f64],
    compute_s: &'a mut [f64],
    exposed_comm_s: &'a mut [f64],
    stall_s: &'a mut [f64],
    slowest: &'a mut [u32],
    in_episode: &'a mut [bool],
}

impl Rows for StepRows<'_> {
    type Row = Row;

    fn n_steps(&self) -> usize {
        self.step_time_s.len()
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let step_time_s = self.step_time_s.split_at_mut(steps);
        let compute_s = self.compute_s.split_at_mut(steps);
        let exposed_comm_s = self.exposed_comm_s.split_at_mut(steps);
        let stall_s = self.stall_s.split_at_mut(steps);
        let slowest = self.slowest.split_at_mut(steps);
        let in_episode = self.in_episode.split_at_mut(steps);
        (
            Self {
                step_time_s: step_time_s.0,
                compute_s: compute_s.0,
                exposed_comm_s: exposed_comm_s.0,
                stall_s: stall_s.0,
                slowest: slowest.0,
                in_episode: in_episode.0,
            },
            Self {
                step_time_s: step_time_s.1,
                compute_s: compute_s.1,
                exposed_comm_s: exposed_comm_s.1,
                stall_s: stall_s.1,
                slowest: slowest.1,
                in_episode: in_episode.1,
            },
        )
    }

    fn write(&mut self, step: usize, row: Row) {
        self.step_time_s[step] = row.step_time_s();
        self.compute_s[step] = row.slowest.compute_s;
        self.exposed_comm_s[step] = row.exposed_comm_s;
        self.stall_s[step] = row.slowest.stall_s;
        self.slowest[step] = row.slowest.pool;
        self.in_episode[step] = row.slowest.in_episode;
    }
}

/// Seconds of steps.
pub(super) struct StepSeconds<'a>(pub &'a mut [f64]);

impl Rows for StepSeconds<'_> {
    type Row = Row;

    fn n_steps(&self) -> usize {
        self.0.len()
    }

    fn split_at(self, steps: usize) -> (Self, Self) {
        let (early, late) = self.0.split_at_mut(steps);
        (Self(early), Self(late))
    }

    fn write(&mut self, step: usize, row: Row) {
        self.0[step] = row.step_time_s();
    }
}
