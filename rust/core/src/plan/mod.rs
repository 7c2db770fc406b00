//! What a caller hands over: plain numbers, judged and compiled once.

mod cause;
mod communication;
mod group;
mod share;

pub use cause::{Affects, Cause, CauseSpec, Effect, Scope, Span, Streams};
pub use communication::{Communication, SlowestPort, Term};
pub use group::{Group, GroupSpec};

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::instructions::InstructionSet;
use crate::random::{Stream, Use};

/// A step of a whole job, ready to be sampled.
#[derive(Debug, Clone)]
pub struct Plan {
    groups: Vec<Group>,
    causes: Vec<Cause>,
    communication: Communication,
    instructions: InstructionSet,
}

impl Plan {
    /// Judges and compiles a plan: GPUs by pool, what makes them vary, and
    /// what they exchange.
    ///
    /// # Errors
    /// Any number out of its domain, under the path of its group, cause or
    /// term; [`Error::Streams`] where two causes would share random words.
    pub fn new(
        groups: Vec<GroupSpec>,
        causes: Vec<CauseSpec>,
        communication: Communication,
    ) -> Result<Self> {
        if groups.is_empty() {
            return Err(Error::domain("groups", 0.0, "at least one group"));
        }
        let groups = groups
            .into_iter()
            .map(Group::new)
            .collect::<Result<Vec<_>>>()?;
        let causes = causes
            .into_iter()
            .map(|cause| Cause::compile(cause, &groups))
            .collect::<Result<Vec<_>>>()?;
        communication.check(groups.len())?;
        let plan = Self {
            groups,
            causes,
            communication,
            instructions: InstructionSet::best(),
        };
        plan.check_streams()?;
        plan.check_range()?;
        Ok(plan)
    }

    /// The pools, in document order.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What the ranks exchange in a step.
    #[must_use]
    pub fn communication(&self) -> &Communication {
        &self.communication
    }

    /// The plan, to be run in other instructions than the best ones; in the
    /// portable ones where the processor has not got them.
    #[must_use]
    pub fn with_instructions(self, instructions: InstructionSet) -> Self {
        let instructions = if instructions.is_available() {
            instructions
        } else {
            InstructionSet::Portable
        };
        Self {
            instructions,
            ..self
        }
    }

    /// The instructions that the plan is run in.
    #[must_use]
    pub fn instructions(&self) -> InstructionSet {
        self.instructions
    }

    /// The causes of one kind that act in a group, in document order.
    pub fn causes(
        &self,
        group: usize,
        affects: Affects,
        span: Span,
    ) -> impl Iterator<Item = &Cause> {
        self.causes.iter().filter(move |cause| {
            cause.affects() == affects && cause.span() == span && cause.streams(group).is_some()
        })
    }

    /// Effects of step-span causes on ranks and ports in one step: a draw that
    /// several share counts for each of them.
    #[must_use]
    pub fn draws_per_step(&self) -> u64 {
        let of_group = |(index, group): (usize, &Group)| {
            let causes = [Affects::Compute, Affects::Network]
                .map(|affects| self.causes(index, affects, Span::Step).count() as u64);
            u64::from(group.n_ranks()) * causes.iter().sum::<u64>()
        };
        self.groups.iter().enumerate().map(of_group).sum()
    }

    /// Refuses causes whose factors or stalls f32 cannot hold together.
    fn check_range(&self) -> Result<()> {
        const MOST: f64 = f32::MAX as f64 / 4.0;
        const LEAST: f64 = f32::MIN_POSITIVE as f64;
        for (index, group) in self.groups.iter().enumerate() {
            for affects in [Affects::Compute, Affects::Network] {
                let causes = || {
                    let spans = [Span::Run, Span::Step];
                    spans
                        .into_iter()
                        .flat_map(move |span| self.causes(index, affects, span))
                };
                let slowdowns = || causes().filter(|cause| cause.effect() == Effect::Slowdown);
                let stalls = causes().filter(|cause| cause.effect() == Effect::Stall);
                let greatest: f64 = slowdowns()
                    .map(|cause| f64::from(cause.greatest()))
                    .product();
                let least: f64 = slowdowns().map(|cause| f64::from(cause.least())).product();
                let longest_s: f64 = stalls.map(|cause| f64::from(cause.greatest())).sum();
                // What a stall is multiplied by must be a number itself.
                if affects == Affects::Compute && (1.0 / group.compute_s()) > MOST {
                    let requirement = format!(">= {:e}", 1.0 / MOST);
                    let error = Error::domain("compute_s", group.compute_s(), requirement);
                    return Err(error.within(&format!("groups.{}", group.name())));
                }
                let longest = match affects {
                    Affects::Compute => longest_s / group.compute_s(),
                    Affects::Network => longest_s,
                };
                if !(0.0..=MOST).contains(&(greatest + longest)) {
                    let requirement =
                        "less extreme together: their greatest effects are beyond f32";
                    return Err(Error::domain("causes", greatest + longest, requirement));
                }
                if !(LEAST..).contains(&least) {
                    let requirement = "less extreme together: their least effects are beyond f32";
                    return Err(Error::domain("causes", least, requirement));
                }
            }
        }
        Ok(())
    }

    /// Refuses causes that would share random words.
    fn check_streams(&self) -> Result<()> {
        let mut seen: HashMap<Stream, (String, (usize, usize))> = HashMap::new();
        for (cause_index, cause) in self.causes.iter().enumerate() {
            for (index, group) in self.groups.iter().enumerate() {
                if cause.streams(index).is_none() {
                    continue;
                }
                let pool = cause.scope().pool_of_address(group.name());
                // Groups share the words of a cause of scope cluster, and no others.
                let owner = (cause_index, if pool.is_empty() { 0 } else { index });
                for usage in Use::ALL {
                    let address = Stream::address(pool, cause.name(), usage);
                    let stream = Stream::new(pool, cause.name(), usage);
                    let new = (address.clone(), owner);
                    let (first, first_owner) = seen.entry(stream).or_insert(new);
                    if *first_owner != owner || *first != address {
                        return Err(Error::Streams {
                            first: first.clone(),
                            second: address,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Refuses a name that an address cannot hold.
fn check_name(path: &str, name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) {
        return Ok(());
    }
    let error = Error::Text {
        field: "name".to_owned(),
        value: name.to_owned(),
        requirement: "have a-z, 0-9 and - only",
    };
    Err(error.within(path))
}
