//! The walk through a schedule that gives the time of a step.
//!
//! With passes in an order in which each comes after what it waits for, the end of
//! pass i of stage s in microbatch m is
//!
//! ```text
//! end_i = max(end_before(i), end_needs(i) + transfer_s(i)) + stall_s + base_s factor
//! ```
//!
//! where `before(i)` is the stage's pass before it and `needs(i)` the pass in
//! another stage whose data it needs; a pass without either has 0 and minus
//! infinity. This is a product of matrices in max-plus algebra, with one maximum
//! and two or three sums a pass. The step lasts until the last stage is done.
//!
//! Several replicas are walked through at once, one to a lane, because passes of
//! one replica wait for each other while replicas do not.

use super::op::Direction;
use super::schedule::{NO_DATA, Pass, Schedule};
use crate::error::{Error, Result};

/// One number for each of `L` replicas, aligned for vector loads.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes<const L: usize>(pub [f64; L]);

impl<const L: usize> Lanes<L> {
    /// One number for all.
    #[must_use]
    pub fn all(value: f64) -> Self {
        Self([value; L])
    }
}

/// In how much detail factors are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One factor a stage.
    Stage,
    /// One factor a microbatch and stage.
    Microbatch,
    /// One factor a microbatch and class of passes: a direction and a virtual
    /// stage.
    Pass,
}

/// What a walk reads: seconds of each pass, and what slows it.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a, const L: usize> {
    /// Seconds by class, without any cause.
    pub base_s: &'a [Lanes<L>],
    /// Factors, by [`Detail`]; those of one microbatch side by side.
    pub factors: &'a [Lanes<L>],
    /// What a factor is for.
    pub detail: Detail,
    /// Seconds for which a stage stalls before the forward pass of its first
    /// chunk, by microbatch and stage; empty where nothing stalls.
    pub stalls_s: &'a [Lanes<L>],
    /// By link: seconds until a result has reached another stage. Link s joins stage s and the next
    /// one, and the last link the last stage and the first one, in both directions.
    pub transfers_s: &'a [f64],
}

/// Scratch buffers of a walk, reused between steps to avoid allocation, and the
/// times at which the stages are done.
#[derive(Debug, Clone)]
pub struct WalkScratch<const L: usize> {
    /// By slot: seconds at which a pass ends whose end some pass has still to
    /// read.
    slots: Vec<Lanes<L>>,
    /// By stage: seconds at which it has done its last pass.
    pub ends_s: Vec<Lanes<L>>,
}

impl<const L: usize> WalkScratch<L> {
    /// Buffers for walks through this schedule.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        let mut slots = vec![Lanes::all(0.0); schedule.n_slots()];
        slots[NO_DATA as usize] = Lanes::all(f64::NEG_INFINITY);
        Self {
            slots,
            ends_s: vec![Lanes::all(0.0); schedule.shape().stages as usize],
        }
    }
}

/// Walks through a schedule and leaves the end of each stage in `scratch.ends_s`.
///
/// Inlined, so that callers compile it for the instruction set that they have.
#[inline(always)]
pub fn walk<const L: usize>(schedule: &Schedule, times: &Times<L>, scratch: &mut WalkScratch<L>) {
    walk_observed(schedule, times, scratch, |_, _| {});
}

/// When a pass has what it needs, when its stage has stopped stalling, and when it ends, in seconds
/// of each replica.
#[derive(Debug, Clone, Copy)]
pub struct PassWalk<const L: usize> {
    /// Its stage is free and its data have arrived.
    pub ready_s: [f64; L],
    /// It begins, after stalls.
    pub begins_s: [f64; L],
    /// It ends.
    pub ends_s: [f64; L],
}

/// [`walk`], and calls `met` with each pass.
#[inline(always)]
pub fn walk_observed<const L: usize>(
    schedule: &Schedule,
    times: &Times<L>,
    scratch: &mut WalkScratch<L>,
    mut met: impl FnMut(&Pass, &PassWalk<L>),
) {
    let shape = schedule.shape();
    let stages = shape.stages as usize;
    // Virtual stages of a single stage hand over in place.
    let transfers_s = if stages > 1 {
        times.transfers_s
    } else {
        &[0.0]
    };
    let (row, by_class) = match times.detail {
        Detail::Stage => (0, false),
        Detail::Microbatch => (stages, false),
        Detail::Pass => (times.base_s.len(), true),
    };
    let WalkScratch { slots, ends_s } = scratch;
    for pass in schedule.passes() {
        let (stage, class) = (pass.stage as usize, pass.class as usize);
        let microbatch = pass.op.microbatch as usize;
        let factor = microbatch * row + if by_class { class } else { stage };
        let (base, factor) = (&times.base_s[class].0, &times.factors[factor].0);
        let mut time = slots[pass.before as usize].0;
        let needs = &slots[pass.needs as usize].0;
        let transfer_s = transfers_s[pass.link as usize];
        for (time, &end) in time.iter_mut().zip(needs) {
            let arrived = end + transfer_s;
            // A comparison, not `f64::max`: it is one vector instruction.
            *time = if arrived > *time { arrived } else { *time };
        }
        let ready_s = time;
        if !times.stalls_s.is_empty()
            && pass.op.direction == Direction::Forward
            && pass.op.chunk == 0
        {
            let stalls = &times.stalls_s[microbatch * stages + stage].0;
            for (time, stall) in time.iter_mut().zip(stalls) {
                *time += stall;
            }
        }
        let begins_s = time;
        for ((time, base), factor) in time.iter_mut().zip(base).zip(factor) {
            *time += base * factor;
        }
        slots[pass.end as usize].0 = time;
        let ends_s = time;
        met(
            pass,
            &PassWalk {
                ready_s,
                begins_s,
                ends_s,
            },
        );
    }
    for (end, &last) in ends_s.iter_mut().zip(schedule.last()) {
        *end = slots[last as usize];
    }
}

/// Seconds of each pass of one replica, by virtual stage and microbatch.
#[derive(Debug, Clone, Default)]
pub struct PassTimes {
    /// Forward passes.
    pub forward_s: Vec<f64>,
    /// Backward passes; without the gradients of weights where those are
    /// passes of their own.
    pub backward_s: Vec<f64>,
    /// Gradients of weights, where they are passes of their own.
    pub weight_s: Vec<f64>,
}

impl PassTimes {
    /// Seconds of a step: from the first pass to the end of the last one, with the seconds until a
    /// result has reached another stage by link.
    ///
    /// # Errors
    /// [`Error::Domain`] for a wrong number of times, or one that is not
    /// finite or negative; [`Error::Field`] for weight gradients that are
    /// missing or have no passes.
    pub fn step_seconds(&self, schedule: &Schedule, transfers_s: &[f64]) -> Result<f64> {
        let shape = schedule.shape();
        let expected = shape.virtual_stages() as usize * shape.microbatches as usize;
        let weight = schedule.kind().has_weight_passes();
        let n_classes = 3 * shape.virtual_stages() as usize;
        let mut factors = vec![Lanes([0.0]); n_classes * shape.microbatches as usize];
        for (direction, (field, times, there)) in [
            ("forward_s", &self.forward_s, true),
            ("backward_s", &self.backward_s, true),
            ("weight_s", &self.weight_s, weight),
        ]
        .into_iter()
        .enumerate()
        {
            if there == times.is_empty() {
                return Err(Error::Field {
                    field: field.to_owned(),
                    missing: there,
                });
            }
            if there && times.len() != expected {
                let requirement = format!("of {expected} times");
                return Err(Error::domain(field, times.len() as f64, requirement));
            }
            check_times(field, times)?;
            let by_class = times.chunks_exact(shape.microbatches as usize);
            let first = direction * shape.virtual_stages() as usize;
            for (class, times) in (first..).zip(by_class) {
                for (microbatch, &time) in times.iter().enumerate() {
                    factors[microbatch * n_classes + class] = Lanes([time]);
                }
            }
        }
        check_transfers(transfers_s, shape.stages)?;
        // Each pass has a time of its own, as a factor on one second.
        let base_s = vec![Lanes([1.0]); n_classes];
        let mut scratch = WalkScratch::<1>::new(schedule);
        let times = Times {
            base_s: &base_s,
            factors: &factors,
            detail: Detail::Pass,
            stalls_s: &[],
            transfers_s,
        };
        walk(schedule, &times, &mut scratch);
        let ends_s = scratch.ends_s.iter();
        Ok(ends_s.fold(0.0, |last, end| end.0[0].max(last)))
    }
}

/// Refuses transfers that are not those of as many links as there are stages.
///
/// # Errors
/// [`Error::Domain`] for another number of links, and for a time that is negative or not finite.
pub fn check_transfers(transfers_s: &[f64], stages: u32) -> Result<()> {
    if transfers_s.len() != stages as usize {
        let requirement = format!("of {stages} links, one a stage");
        let value = transfers_s.len() as f64;
        return Err(Error::domain("transfer_s", value, requirement));
    }
    check_times("transfer_s", transfers_s)
}

/// Refuses a time that is negative or not finite.
fn check_times(field: &str, times: &[f64]) -> Result<()> {
    match times
        .iter()
        .find(|&&time| !(time >= 0.0 && time.is_finite()))
    {
        Some(&time) => Err(Error::domain(field, time, "finite and >= 0")),
        None => Ok(()),
    }
}
