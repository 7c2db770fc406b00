//! Reasons why a plan has no exact law of its slowest rank, and their words.

mod common;

use std::sync::Arc;

use common::laws::{constant, exponential, lognormal};
use common::plans::{cause, jitter, network, plan, pool, with_probability};
use hindmost_core::order_statistics::OrderStatistics;
use hindmost_core::plan::{
    CauseSpec, Communication, Effect, PipelineSpec, Placement, Plan, PoolSpec, RankOrder,
    ReplicaSpec, Scope, Span, StageTimes,
};
use hindmost_core::schedule::{Kind, Shape};

/// The reason against a plan, if there is one.
fn reason(plan: Plan) -> Option<String> {
    OrderStatistics::new(Arc::new(plan))
        .err()
        .map(|reason| reason.to_string())
}

/// Two stages of one second of work each, in a pool of 16 tensor groups.
fn staged(placement: Placement, causes: Vec<CauseSpec>) -> Plan {
    staged_in(vec![pool("a", 64, 4, 8, 4, 1.0)], placement, causes).unwrap()
}

fn staged_in(
    pools: Vec<PoolSpec>,
    placement: Placement,
    causes: Vec<CauseSpec>,
) -> hindmost_core::Result<Plan> {
    let times = StageTimes {
        forward_s: vec![0.1; 2],
        backward_s: vec![0.2; 2],
        weight_s: vec![],
        overhead_s: 0.0,
        transfer_s: vec![0.0; 2],
    };
    let pipeline = PipelineSpec {
        kind: Kind::OneFOneB,
        shape: Shape {
            stages: 2,
            chunks: 1,
            microbatches: 2,
        },
        context: 1,
        gang_replicas: 1,
        placement,
        order: RankOrder::BY_REPLICA,
        layers: vec![1; 2],
        times: vec![times; pools.len()],
    };
    let replica = ReplicaSpec::Pipeline(pipeline);
    Plan::of_replicas(pools, causes, Communication::default(), replica)
}

#[test]
fn a_pool_whose_stages_are_all_left_over_takes_no_part() {
    let in_pools = |n_gpus: [u32; 2]| {
        let [a, b] = n_gpus;
        let pools = vec![pool("a", a, 4, 8, 8, 1.0), pool("b", b, 4, 8, 8, 1.0)];
        staged_in(pools, Placement::Mixed, vec![])
    };
    // Replicas of two stages; the last stage of an odd number of them is left over.
    for (n_gpus, n_ranks) in [([16, 8], [16, 0]), ([24, 8], [24, 8]), ([16, 24], [16, 16])] {
        let plan = in_pools(n_gpus).unwrap();
        let of_pools: Vec<u32> = plan.pools().iter().map(|pool| pool.n_ranks()).collect();
        assert_eq!(of_pools, n_ranks);
        let words = "pipeline: stages wait for each other within a step";
        assert_eq!(reason(plan).as_deref(), Some(words));
    }
}

fn shared(name: &str, scope: Scope) -> CauseSpec {
    let law = lognormal(1.0, 0.1);
    cause(name, scope, Span::Step, Effect::Slowdown, law, &[0])
}

#[test]
fn stages_that_mix_pools_wait_for_each_other() {
    assert_eq!(
        reason(staged(Placement::Mixed, vec![])).as_deref(),
        Some("pipeline: stages wait for each other within a step")
    );
    assert_eq!(reason(staged(Placement::Aligned, vec![])), None);
}

#[test]
fn what_changes_inside_of_a_replica_changes_when_its_ranks_wait() {
    let jitter = jitter("jitter", lognormal(1.0, 0.1), &[0]);
    assert_eq!(
        reason(staged(Placement::Aligned, vec![jitter])).as_deref(),
        Some(
            "pipeline: ranks wait for each other within a step, which jitter changes from \
             step to step"
        )
    );
}

#[test]
fn units_that_overlap_have_no_law_of_their_slowest() {
    let overlapping = || vec![shared("host", Scope::Node), shared("data", Scope::Replica)];
    // Tensor groups of six GPUs on hosts of four.
    let of = |causes| plan(vec![pool("a", 48, 4, 12, 6, 1.0)], causes);
    let says = "the units that share host and those that share data overlap in pool a";
    assert_eq!(reason(of(overlapping())).as_deref(), Some(says));
    let ports = overlapping().into_iter().map(network).collect();
    assert_eq!(reason(of(ports)).as_deref(), Some(says));
    // Persistent causes need not nest, and neither need rare ones.
    let persistent = CauseSpec {
        span: Span::Run,
        ..shared("data", Scope::Replica)
    };
    let rare = with_probability(shared("data", Scope::Replica), 0.01);
    for data in [persistent, rare] {
        assert_eq!(reason(of(vec![shared("host", Scope::Node), data])), None);
    }
    let nesting = plan(vec![pool("a", 48, 4, 8, 8, 1.0)], overlapping());
    assert_eq!(reason(nesting), None);
}

#[test]
fn nodes_that_drift_by_themselves_have_no_law_of_a_step_alone() {
    let drifting = |scope, law| CauseSpec {
        correlation_steps: Some(9.0),
        ..cause("heat", scope, Span::Step, Effect::Slowdown, law, &[0])
    };
    let of = |cause| plan(vec![pool("a", 48, 4, 8, 8, 1.0)], vec![cause]);
    let says = "heat drifts by node, so that who is slow in a step depends on who was slow before";
    let law = || lognormal(1.0, 0.1);
    assert_eq!(
        reason(of(drifting(Scope::Node, law()))).as_deref(),
        Some(says)
    );
    assert_eq!(
        reason(of(network(drifting(Scope::Node, law())))).as_deref(),
        Some(says)
    );
    for scope in [Scope::Pool, Scope::Cluster] {
        assert_eq!(reason(of(drifting(scope, law()))), None);
    }
    let refusal = OrderStatistics::new(Arc::new(of(drifting(Scope::Node, law())))).err();
    let refusal = refusal.unwrap();
    assert_eq!(refusal.kind(), "units-drift");
    assert!(!refusal.allows_replica_law());
}

#[test]
fn stalls_of_more_than_ten_thousand_ranks_are_too_many() {
    let of = |scope, law, probability| {
        let pause = cause("pause", scope, Span::Step, Effect::Stall, law, &[0]);
        let pools = vec![pool("a", 200_000, 8, 8, 8, 1.0)];
        reason(plan(pools, vec![with_probability(pause, probability)]))
    };
    for scope in [Scope::Gpu, Scope::Node] {
        assert_eq!(
            of(scope, exponential(0.1, 0.0), 0.1).as_deref(),
            Some("pause stalls 2.000e4 ranks of pool a in a step, too many to draw one by one")
        );
        assert_eq!(of(scope, exponential(0.1, 0.0), 0.05), None);
    }
    for scope in [Scope::Pool, Scope::Cluster] {
        assert_eq!(of(scope, constant(0.1), 1.0), None);
    }
}
