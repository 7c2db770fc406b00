//! Plans of crews: each as one rank, where all its ranks share what changes.

use super::{Affects, Cause, Effect, Group, GroupSpec, Pipeline, Placement, Plan, Scope, Span};
use crate::error::Result;

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
