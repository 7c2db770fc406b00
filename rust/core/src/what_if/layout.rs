//! Places of operations: each worker of a stage does the same ones in every step.

use std::ops::Range;

use super::kind::Kind;
use super::records::Records;
use crate::error::{Error, Result};

/// Most stages, replicas and operations of one type of a worker in a step, so that tables stay small.
const MOST: u32 = 1 << 20;

/// Which operations a replica has. Its *slots* are numbered by stage, type and number.
#[derive(Debug)]
pub struct Layout {
    /// Steps, in ascending order.
    pub steps: Vec<i64>,
    pub n_replicas: usize,
    pub n_stages: usize,
    /// First slot of each stage and type, and the number of all slots at the end.
    first: Vec<usize>,
    /// Stage and type of each slot.
    whose: Vec<(u32, Kind)>,
}

impl Layout {
    /// The layout of a trace, by its first replica in its first step.
    ///
    /// # Errors
    /// [`Error::Domain`] for no rows, or a number out of its domain; [`Error::Field`] for an
    /// operation that is missing.
    pub fn of(records: &Records<'_>) -> Result<Self> {
        let n_replicas = n_of("dp_rank", records.replica)?;
        let n_stages = n_of("stage", records.stage)?;
        let steps = steps(records.step);
        let mut count = vec![0; n_stages * Kind::ALL.len()];
        for row in 0..records.step.len() {
            if records.step[row] != steps[0] || records.replica[row] != 0 {
                continue;
            }
            let kind = Kind::numbered(records.kind[row])?;
            let number = records.number[row];
            let most = if kind.may_repeat() { MOST } else { 1 };
            if number >= most {
                let field = format!("seq_id of {}", kind.name());
                return Err(Error::domain(
                    &field,
                    f64::from(number),
                    format!("< {most}"),
                ));
            }
            let count = &mut count[records.stage[row] as usize * Kind::ALL.len() + kind as usize];
            *count = (*count).max(number as usize + 1);
        }
        let mut first = vec![0];
        let mut whose = vec![];
        for (place, &n) in count.iter().enumerate() {
            let (stage, kind) = (place / Kind::ALL.len(), Kind::ALL[place % Kind::ALL.len()]);
            whose.extend(std::iter::repeat_n((stage as u32, kind), n));
            first.push(whose.len());
        }
        Ok(Self {
            steps,
            n_replicas,
            n_stages,
            first,
            whose,
        })
    }

    pub fn n_slots(&self) -> usize {
        self.whose.len()
    }

    /// Slots of a type on a stage, by number.
    pub fn slots(&self, stage: usize, kind: Kind) -> Range<usize> {
        let place = stage * Kind::ALL.len() + kind as usize;
        self.first[place]..self.first[place + 1]
    }

    /// The slot of an operation, if its stage has it.
    pub fn slot(&self, stage: u32, kind: Kind, number: u32) -> Option<usize> {
        self.slots(stage as usize, kind).nth(number as usize)
    }

    /// Stage and type of a slot.
    pub fn whose(&self, slot: usize) -> (usize, Kind) {
        let (stage, kind) = self.whose[slot];
        (stage as usize, kind)
    }

    /// Number of a slot among those of its stage and type.
    pub fn number(&self, slot: usize) -> usize {
        let (stage, kind) = self.whose(slot);
        slot - self.slots(stage, kind).start
    }

    /// An operation, in words.
    pub fn words(&self, slot: usize, replica: usize, step: usize) -> String {
        let (stage, kind) = self.whose(slot);
        let (name, number, step) = (kind.name(), self.number(slot), self.steps[step]);
        format!("{name} {number} of dp_rank {replica}, stage {stage} in step {step}")
    }
}

/// How many replicas or stages there are.
fn n_of(field: &str, numbers: &[u32]) -> Result<usize> {
    let Some(&last) = numbers.iter().max() else {
        return Err(Error::domain("operations", 0.0, "> 0"));
    };
    if last >= MOST {
        return Err(Error::domain(field, f64::from(last), format!("< {MOST}")));
    }
    Ok(last as usize + 1)
}

/// The different steps, in ascending order.
fn steps(numbers: &[i64]) -> Vec<i64> {
    // Rows of a step mostly stand together.
    let mut steps = numbers.to_vec();
    steps.dedup();
    steps.sort_unstable();
    steps.dedup();
    steps
}
