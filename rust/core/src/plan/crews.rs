//! Plans of crews: each as one rank, where all its ranks share what changes.

use super::{
    Affects, Cause, CauseSpec, Effect, Group, GroupSpec, Pipeline, Placement, Plan, Scope, Span,
};
use crate::error::Result;
use crate::law::Law;

impl Plan {
    /// The same plan with what lasts a run alone.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let mut plan = self.clone();
        plan.causes.retain(|cause| cause.span() == Span::Run);
        plan
    }

    /// The plan in which each crew is one rank, with what changes from step to
    /// step and is shared by a crew; without stages.
    ///
    /// # Errors
    /// Those of a group.
    pub fn of_crews(&self, pipeline: &Pipeline) -> Result<Self> {
        let groups = self
            .groups
            .iter()
            .map(|group| {
                let crew_gpus = pipeline.crew_gpus(group);
                let per = |scope| {
                    let gpus = group.scope_gpus(scope);
                    if pipeline.holds_crews(group, scope) {
                        gpus / crew_gpus
                    } else {
                        1
                    }
                };
                let n_crews = group.n_ranks().div_ceil(crew_gpus);
                let per_domain = per(Scope::Domain).min(n_crews);
                let spec = GroupSpec {
                    name: group.name().to_owned(),
                    n_gpus: n_crews.next_multiple_of(per_domain),
                    node_gpus: 1,
                    domain_gpus: per_domain,
                    rack_gpus: group.has_racks().then(|| per(Scope::Rack)),
                    tensor_gpus: 1,
                    compute_s: group.compute_s(),
                };
                let mut crews = Group::new(spec, 1)?;
                crews.keep(n_crews);
                Ok(crews)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut plan = self.clone();
        plan.pipeline = None;
        plan.groups = groups;
        plan.causes
            .retain(|cause| cause.affects() == Affects::Compute);
        for cause in &mut plan.causes {
            cause.for_crews();
        }
        Ok(plan)
    }

    /// The plan without what changes from layer to layer.
    #[must_use]
    pub fn without_layers(mut self) -> Self {
        self.causes.retain(|cause| cause.span() != Span::Layer);
        self
    }

    /// The plan in which each crew is one rank that takes a random time of its
    /// own: `laws` has those of its factor and of its stalls by group, and of factors
    /// that all crews of a pool, or of all pools, share in a step. What all crews
    /// share for a whole step stays.
    ///
    /// # Errors
    /// Those of a group or of a cause.
    pub fn of_random_crews(&self, pipeline: &Pipeline, laws: Vec<CrewLaw>) -> Result<Self> {
        let mut plan = self.of_crews(pipeline)?;
        plan.causes.retain(|cause| {
            cause.span() == Span::Run || (cause.span() == Span::Step && is_wide(cause))
        });
        for (number, crew_law) in laws.into_iter().enumerate() {
            let CrewLaw {
                scope,
                groups,
                effect,
                probability,
                law,
            } = crew_law;
            // Longer than any other, so that none has its random words.
            let longest = self.causes.iter().map(|cause| cause.name().len()).max();
            let name = format!("{}-{number}", "c".repeat(longest.unwrap_or(0) + 1));
            let spec = CauseSpec {
                name,
                affects: Affects::Compute,
                effect,
                scope,
                span: Span::Step,
                probability,
                law,
                groups,
            };
            plan.causes.push(Cause::compile(spec, &plan.groups)?);
        }
        Ok(plan)
    }

    /// The plan without what all crews of a pool share anew in each step or
    /// inside of one, but for the causes of these names.
    #[must_use]
    pub fn without_wide(&self, kept: &[&str]) -> Self {
        let mut plan = self.clone();
        plan.causes.retain(|cause| {
            cause.span() == Span::Run || !is_wide(cause) || kept.contains(&cause.name())
        });
        plan
    }

    /// What all crews of a pool share inside of a step: the names of such slowdowns,
    /// with the scope and the groups in which they have one draw.
    #[must_use]
    pub fn wide_inside(&self) -> Vec<(Scope, Vec<usize>, Vec<&str>)> {
        let mut all: Vec<(Scope, Vec<usize>, Vec<&str>)> = Vec::new();
        for cause in self.causes.iter().filter(|cause| is_wide_inside(cause)) {
            let here = |&index: &usize| cause.streams(index).is_some();
            let groups: Vec<usize> = (0..self.groups.len()).filter(here).collect();
            let together = match cause.scope() {
                Scope::Cluster => vec![groups],
                _ => groups.into_iter().map(|index| vec![index]).collect(),
            };
            for groups in together {
                let same = |other: &&mut (Scope, Vec<usize>, Vec<&str>)| {
                    (other.0, &other.1) == (cause.scope(), &groups)
                };
                match all.iter_mut().find(same) {
                    Some((_, _, names)) => names.push(cause.name()),
                    None => all.push((cause.scope(), groups, vec![cause.name()])),
                }
            }
        }
        all
    }

    /// A stall that all crews of a pool share inside of a step.
    #[must_use]
    pub fn wide_stall_inside(&self) -> Option<&Cause> {
        self.causes
            .iter()
            .find(|cause| is_wide_inside(cause) && cause.effect() == Effect::Stall)
    }

    /// Whether anything that lasts a run acts on computing.
    #[must_use]
    pub fn has_lasting_causes(&self) -> bool {
        self.causes
            .iter()
            .any(|cause| cause.affects() == Affects::Compute && cause.span() == Span::Run)
    }

    /// A cause that changes from step to step or inside of one, and whose units
    /// hold several crews but not all of their pool.
    #[must_use]
    pub fn between_crews(&self, pipeline: &Pipeline) -> Option<&Cause> {
        self.causes.iter().find(|cause| {
            let holds_several = |(index, group): (usize, &Group)| {
                cause.streams(index).is_some()
                    && group.scope_gpus(cause.scope()) > pipeline.crew_gpus(group)
            };
            cause.affects() == Affects::Compute
                && cause.span() != Span::Run
                && !is_wide(cause)
                && cause.scope() != Scope::Replica
                && self.groups.iter().enumerate().any(holds_several)
        })
    }

    /// A cause that crews do not share, and that changes from step to step or
    /// inside of one; or a slowdown that transfers between stages do not follow.
    #[must_use]
    pub fn unshared(&self, pipeline: &Pipeline) -> Option<&Cause> {
        let slows = |cause: &&Cause| {
            cause.affects() == Affects::Compute
                && cause.effect() == Effect::Slowdown
                && cause.span() != Span::Run
        };
        let waits = pipeline
            .spec()
            .times
            .iter()
            .any(|times| times.transfer_s > 0.0)
            && pipeline.spec().shape.stages > 1;
        let stalls = |cause: &Cause| {
            let lasts = cause.span() == Span::Run && cause.effect() == Effect::Stall;
            lasts && self.causes.iter().any(|other| slows(&other))
        };
        self.causes.iter().find(|cause| {
            cause.affects() == Affects::Compute
                && match cause.span() {
                    Span::Run => stalls(cause),
                    Span::Step => {
                        let is_shared = (0..self.groups.len())
                            .filter(|&index| cause.streams(index).is_some())
                            .all(|index| {
                                pipeline.is_shared(cause)
                                    || pipeline.holds_crews(&self.groups[index], cause.scope())
                            });
                        !is_shared || (waits && slows(cause))
                    }
                    Span::Microbatch | Span::Layer => true,
                }
        })
    }
}

/// A random factor on the time of a crew, or a random stall, anew in each step.
#[derive(Debug, Clone, PartialEq)]
pub struct CrewLaw {
    /// [`Scope::Gpu`] for each crew by itself, [`Scope::Pool`] or
    /// [`Scope::Cluster`] for all of them.
    pub scope: Scope,
    /// Indices of the groups.
    pub groups: Vec<usize>,
    /// Which of both.
    pub effect: Effect,
    /// How often it occurs.
    pub probability: f64,
    /// Its law.
    pub law: Law,
}

/// Whether all crews of a pool share each draw.
fn is_wide(cause: &Cause) -> bool {
    matches!(cause.scope(), Scope::Pool | Scope::Cluster)
}

/// Whether that changes inside of a step.
fn is_wide_inside(cause: &Cause) -> bool {
    let inside = matches!(cause.span(), Span::Microbatch | Span::Layer);
    is_wide(cause) && inside && cause.affects() == Affects::Compute
}

impl Pipeline {
    /// GPUs of a crew.
    #[must_use]
    pub fn crew_gpus(&self, group: &Group) -> u32 {
        (self.spec.shape.stages.saturating_mul(self.stage_groups()))
            .saturating_mul(group.tensor_gpus())
    }

    /// Whether each domain, or each rack, holds whole crews and no spares.
    fn holds_crews(&self, group: &Group, scope: Scope) -> bool {
        let wide = match scope {
            Scope::Domain | Scope::Rack => group.scope_gpus(scope),
            _ => return false,
        };
        let gpus = self.crew_gpus(group);
        let domain = group.scope_gpus(Scope::Domain);
        let aligned = self.spec.placement == Placement::Aligned;
        aligned && wide.is_multiple_of(gpus) && domain.is_multiple_of(gpus)
    }
}
