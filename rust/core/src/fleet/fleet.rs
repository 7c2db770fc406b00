//! A job on a cluster whose units fail: what a caller hands over.

use super::clock::UnitFailures;
use super::shape::{FleetPool, Shape};
use crate::error::{Error, Result};
use crate::renewal::Checkpoints;

/// What a job does where there are no spares left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// It waits until something has been repaired.
    Wait,
    /// It goes on without the parts that are not whole.
    Shrink,
}

/// How a part comes back that the job has gone on without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regrow {
    /// The job saves its state and restarts, as soon as a part is whole.
    Restart,
    /// The part joins at the next checkpoint, and nobody waits.
    Checkpoint,
}

/// Whether the job goes on while a replica is away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replicas {
    /// Seconds for which the others stop, and lose nothing.
    pub stall_s: f64,
    /// Seconds after which a replica joins again that is whole.
    pub rejoin_s: f64,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Seconds until it is noticed.
    pub detection_s: f64,
    /// Seconds of the restart after that.
    pub restart_s: f64,
    /// Seconds of a restart from a global checkpoint.
    pub global_restart_s: f64,
    /// Whether clocks run while the job is down, so that a restart may fail.
    pub can_fail: bool,
    /// Seconds that a restart takes longer in which spares are swapped in.
    pub swap_s: f64,
    /// What happens without spares.
    pub exhausted: Exhausted,
    /// How parts come back.
    pub regrow: Regrow,
    /// Recovery of single replicas, instead of a restart of the job.
    pub replicas: Option<Replicas>,
}

/// A job on a cluster whose units fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    pub(super) shape: Shape,
    pub(super) failures: Vec<UnitFailures>,
    pub(super) recovery: Recovery,
    pub(super) checkpoints: Option<Checkpoints>,
}

impl Fleet {
    /// A job of `n_parts` parts on some pools; without checkpoints each failure takes all.
    ///
    /// # Errors
    /// [`Error::Domain`] for numbers out of their domains, or that do not fit together.
    pub fn new(
        pools: &[FleetPool],
        n_parts: u32,
        failures: Vec<UnitFailures>,
        recovery: Recovery,
        checkpoints: Option<Checkpoints>,
    ) -> Result<Self> {
        let shape = Shape::new(pools, n_parts)?;
        recovery.check().map_err(|error| error.within("recovery"))?;
        if let Some(checkpoints) = &checkpoints {
            checkpoints
                .check()
                .map_err(|error| error.within("checkpoint"))?;
        }
        for (index, kind) in failures.iter().enumerate() {
            let within = |error: Error| error.within(&format!("failures.{index}"));
            check_units(&shape, kind).map_err(within)?;
            if failures[..index]
                .iter()
                .any(|other| other.stream() == kind.stream())
            {
                let requirement = "others: two kinds would share random numbers";
                return Err(within(Error::domain("name", 0.0, requirement)));
            }
        }
        Ok(Self {
            shape,
            failures,
            recovery,
            checkpoints,
        })
    }

    /// How many pools there are.
    #[must_use]
    pub fn n_pools(&self) -> usize {
        self.shape.pools.len()
    }

    /// How many kinds of failures there are.
    #[must_use]
    pub fn n_kinds(&self) -> usize {
        self.failures.len()
    }
}

/// Refuses units that are no whole nodes, or that are not in their pool.
fn check_units(shape: &Shape, kind: &UnitFailures) -> Result<()> {
    let Some(pool) = kind.pool() else {
        return Ok(());
    };
    let Some(pool) = shape.pools.get(pool) else {
        return Err(Error::domain("pool", pool as f64, "the index of a pool"));
    };
    let gpus = kind.unit_gpus();
    if gpus == 0 || (gpus > 1 && !gpus.is_multiple_of(pool.node_gpus)) {
        let requirement = format!("1, or a multiple of {}, the GPUs of a node", pool.node_gpus);
        return Err(Error::domain("unit_gpus", f64::from(gpus), requirement));
    }
    if kind.n_units() != pool.n_gpus.div_ceil(gpus) {
        let requirement = "as many as the pool has";
        return Err(Error::domain(
            "n_units",
            f64::from(kind.n_units()),
            requirement,
        ));
    }
    Ok(())
}

impl Recovery {
    fn check(&self) -> Result<()> {
        let replicas = self.replicas.unwrap_or(Replicas {
            stall_s: 0.0,
            rejoin_s: 0.0,
        });
        for (field, value) in [
            ("detection_s", self.detection_s),
            ("restart_s", self.restart_s),
            ("global_restart_s", self.global_restart_s),
            ("swap_s", self.swap_s),
            ("replica_stall_s", replicas.stall_s),
            ("rejoin_s", replicas.rejoin_s),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::domain(field, value, "finite and >= 0"));
            }
        }
        Ok(())
    }
}
