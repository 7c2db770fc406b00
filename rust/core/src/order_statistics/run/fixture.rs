//! Small plans in one run, for the tests of this folder.

use super::bulk_law::BulkLaw;
use super::persistent_source::PersistentSource;
use super::survey::{Survey, Surveyed};
use crate::control::Control;
use crate::draw::Draws;
use crate::law::{Law, LogNormal};
use crate::order_statistics::law::{LawMemory, PoolLaw};
use crate::plan::{Affects, CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span};
use crate::random::Random;

/// A lognormal law with median 1.
pub fn lognormal(sigma: f64) -> Law {
    Law::LogNormal(LogNormal::new(1.0, sigma).unwrap())
}

/// A lognormal slowdown of compute that always occurs.
pub fn slowdown(name: &str, sigma: f64, scope: Scope, span: Span) -> CauseSpec {
    CauseSpec {
        name: name.to_owned(),
        affects: Affects::Compute,
        effect: Effect::Slowdown,
        scope,
        span,
        probability: 1.0,
        law: lognormal(sigma).into(),
        pools: vec![0],
        units: None,
        period: None,
        correlation_steps: None,
        trend_per_step: 0.0,
        episode: None,
    }
}

/// A plan of one pool in domains of eight, whose ranks compute two seconds.
pub fn plan(n_gpus: u32, causes: Vec<CauseSpec>) -> Plan {
    let spec = PoolSpec {
        name: "pool".to_owned(),
        n_gpus,
        node_gpus: 8,
        domain_gpus: 8,
        domain_gpus_used: 8,
        held_back_gpus: 0,
        rack_gpus: None,
        tensor_gpus: 1,
        compute_s: 2.0,
    };
    Plan::new(vec![spec], causes, Communication::default()).unwrap()
}

/// Calls `check` with what a run of a plan fixes for the ranks of its pool.
pub fn in_run<T>(
    plan: &Plan,
    random: &Random,
    run: u32,
    check: impl Fn(&PersistentSource, &Surveyed, &BulkLaw) -> T,
) -> T {
    let law = PoolLaw::new(
        plan,
        0,
        Affects::Compute,
        LawMemory::default().curves(),
        &Control::default(),
    )
    .unwrap();
    let draws = || Draws::new(plan, 0, Affects::Compute, Span::Run, random, run);
    let persistent = PersistentSource {
        pool: &plan.pools()[0],
        slowdowns: draws().only(|cause| cause.effect() == Effect::Slowdown),
        stalls: draws().only(|cause| cause.effect() == Effect::Stall),
        given: None,
    };
    let survey = Survey {
        law: &law,
        persistent: &persistent,
        steps_differ: true,
        all_separate: false,
        without_means: false,
    };
    let control = Control::default();
    let surveyed = survey.run(None, &control).unwrap();
    let bulk = BulkLaw::new(&law, &surveyed, &persistent, &control).unwrap();
    check(&persistent, &surveyed, &bulk)
}
