//! Causes of variation: what varies, for whom, and for how long.

use super::{Group, check_name};
use crate::error::{Error, Result};
use crate::law::Law;
use crate::random::{Stream, Use};
use crate::table::Table;

/// What a cause acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// The time that a rank computes.
    Compute,
    /// The transfers through a GPU's port.
    Network,
}

/// How a cause acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A factor on time; 1 is neutral.
    Slowdown,
    /// Added seconds; 0 is neutral.
    Stall,
}

/// Who shares one draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each GPU has its own.
    Gpu,
    /// The GPUs of one host.
    Node,
    /// The GPUs behind one scale-up switch.
    Domain,
    /// The GPUs of one rack.
    Rack,
    /// The ranks of one replica.
    Replica,
    /// All GPUs of one pool.
    Pool,
    /// All GPUs.
    Cluster,
}

impl Scope {
    /// The pool part of an address: empty where pools share the draw.
    pub(super) fn pool_of_address(self, pool: &str) -> &str {
        if self == Self::Cluster { "" } else { pool }
    }
}

/// How long one draw lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A whole run.
    Run,
    /// One step.
    Step,
}

/// A cause in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseSpec {
    /// Name of the cause, the second part of its random addresses.
    pub name: String,
    /// What it acts on.
    pub affects: Affects,
    /// How it acts.
    pub effect: Effect,
    /// Who shares one draw.
    pub scope: Scope,
    /// How long one draw lasts.
    pub span: Span,
    /// Probability that it occurs, for each draw.
    pub probability: f64,
    /// Its size where it occurs; seconds for a stall.
    pub law: Law,
    /// Indices of the groups that it acts in.
    pub groups: Vec<usize>,
}

/// The random streams of a cause in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Words of the size.
    pub value: Stream,
    /// Words of the occurrence.
    pub occurrence: Stream,
    /// 32 more bits for either.
    pub refine: Stream,
}

/// One law that a draw may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The greatest 64-bit occurrence that chooses this component or one
    /// before it.
    last: u64,
    table: Table,
}

/// A cause whose laws are tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    name: String,
    affects: Affects,
    effect: Effect,
    scope: Scope,
    span: Span,
    components: Vec<Component>,
    mean: f64,
    /// By group; none where the cause does not act.
    streams: Vec<Option<Streams>>,
}

impl Cause {
    pub(super) fn compile(spec: CauseSpec, groups: &[Group]) -> Result<Self> {
        check_name("causes", &spec.name)?;
        let path = format!("causes.{}", spec.name);
        if !(0.0..=1.0).contains(&spec.probability) {
            return Err(
                Error::domain("probability", spec.probability, ">= 0 and <= 1").within(&path),
            );
        }
        let mut streams = vec![None; groups.len()];
        for &index in &spec.groups {
            let Some(group) = groups.get(index) else {
                let value = index as f64;
                return Err(Error::domain("groups", value, "the index of a group").within(&path));
            };
            if spec.scope == Scope::Rack && !group.has_racks() {
                let path = format!("groups.{}", group.name());
                return Err(Error::Field {
                    field: "rack_gpus".to_owned(),
                    missing: true,
                }
                .within(&path));
            }
            let pool = spec.scope.pool_of_address(group.name());
            let stream = |usage| Stream::new(pool, &spec.name, usage);
            streams[index] = Some(Streams {
                value: stream(Use::Value),
                occurrence: stream(Use::Occurrence),
                refine: stream(Use::Refine),
            });
        }
        let components = compile_components(&spec.law, spec.probability)
            .map_err(|error| error.within("law").within(&path))?;
        let neutral = match spec.effect {
            Effect::Slowdown => 1.0,
            Effect::Stall => 0.0,
        };
        let mean = if components.is_empty() {
            neutral
        } else {
            neutral + spec.probability * (spec.law.mean() - neutral)
        };
        Ok(Self {
            name: spec.name,
            affects: spec.affects,
            effect: spec.effect,
            scope: spec.scope,
            span: spec.span,
            components,
            mean,
            streams,
        })
    }

    /// Name of the cause.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it acts on.
    #[must_use]
    pub fn affects(&self) -> Affects {
        self.affects
    }

    /// How it acts.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Who shares one draw.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How long one draw lasts.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Expected factor or expected seconds of one draw, occurrence included.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Its random streams in a group, if it acts there.
    #[must_use]
    pub fn streams(&self, group: usize) -> Option<Streams> {
        self.streams[group]
    }

    /// The table of a cause that always occurs and has one law.
    #[must_use]
    pub fn only_table(&self) -> Option<&Table> {
        match self.components.as_slice() {
            [component] if component.last == u64::MAX => Some(&component.table),
            _ => None,
        }
    }

    /// Whether an occurrence word alone already says that nothing occurs.
    #[must_use]
    pub fn is_absent(&self, word: u32) -> bool {
        self.components
            .last()
            .is_none_or(|component| u64::from(word) > component.last >> 32)
    }

    /// The table that an occurrence chooses, or none. `refine` gives the lower
    /// 32 bits, asked for only where the word ties with a threshold.
    #[must_use]
    pub fn chosen_table(&self, word: u32, refine: impl Fn() -> u32) -> Option<&Table> {
        let reaches = |component: &&Component| {
            let top = component.last >> 32;
            match u64::from(word).cmp(&top) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                std::cmp::Ordering::Equal => {
                    u64::from(refine()) <= component.last & u64::from(u32::MAX)
                }
            }
        };
        let component = self.components.iter().find(reaches)?;
        Some(&component.table)
    }
}

/// Thresholds and tables of a law under a probability of occurrence.
fn compile_components(law: &Law, probability: f64) -> Result<Vec<Component>> {
    law.check_drawable()?;
    let parts = law.components();
    let whole: f64 = parts.iter().map(|(weight, _)| weight).sum();
    let mut compiled = Vec::with_capacity(parts.len());
    let mut sum = 0.0;
    for (index, (weight, part)) in parts.iter().enumerate() {
        sum += weight;
        // The last part ends at the probability itself, whatever the rounding.
        let share = if index + 1 == parts.len() {
            1.0
        } else {
            sum / whole
        };
        if let Some(last) = last_occurrence(probability * share) {
            compiled.push(Component {
                last,
                table: Table::compile(part)?,
            });
        }
    }
    Ok(compiled)
}

/// The greatest of the 2^64 occurrences that make up `probability`; none where
/// there is no such.
fn last_occurrence(probability: f64) -> Option<u64> {
    let count = libm::ldexp(probability, 64) as u128;
    count.checked_sub(1).map(|last| last as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Constant, Mixture};

    fn constant(value: f64) -> Law {
        Law::Constant(Constant::new(value).unwrap())
    }

    fn cause(law: Law, probability: f64) -> Cause {
        let spec = CauseSpec {
            name: "cause".to_owned(),
            affects: Affects::Compute,
            effect: Effect::Slowdown,
            scope: Scope::Gpu,
            span: Span::Step,
            probability,
            law,
            groups: vec![],
        };
        Cause::compile(spec, &[]).unwrap()
    }

    #[test]
    fn an_occurrence_is_an_exact_comparison_of_64_bits() {
        // 2^-3 + 2^-40: the word decides but for one tie.
        let cause = cause(constant(2.0), 0.125 + libm::ldexp(1.0, -40));
        let occurs = |word, refine| cause.chosen_table(word, || refine).is_some();
        assert!(occurs((1 << 29) - 1, u32::MAX));
        assert!(occurs(1 << 29, (1 << 24) - 1));
        assert!(!occurs(1 << 29, 1 << 24));
        assert!(!occurs((1 << 29) + 1, 0));
    }

    #[test]
    fn probabilities_zero_and_one_need_no_word() {
        assert!(cause(constant(2.0), 0.0).is_absent(0));
        assert!(cause(constant(2.0), 1.0).only_table().is_some());
        assert!(cause(constant(2.0), 1.0 - 1e-9).only_table().is_none());
        assert_eq!(cause(constant(2.0), 0.25).mean(), 1.25);
    }

    #[test]
    fn a_mixture_is_a_choice_by_the_same_word() {
        let law = Mixture::new(vec![(0.75, constant(1.0)), (0.25, constant(3.0))]).unwrap();
        let cause = cause(Law::Mixture(law), 0.5);
        let value = |word| {
            cause
                .chosen_table(word, || 0)
                .map(|table| table.coarse_value(1 << 31))
        };
        assert_eq!(value(0), Some(1.0));
        assert_eq!(value((3 << 29) - 1), Some(1.0));
        assert_eq!(value((3 << 29) + 1), Some(3.0));
        assert_eq!(value((1 << 31) + 1), None);
        assert_eq!(cause.mean(), 1.25);
    }
}
