//! Pools and causes in one line each.

use hindmost_core::law::Law;
use hindmost_core::plan::{
    Affects, CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span, Term,
};

/// A pool with racks of two domains.
pub fn pool(
    name: &str,
    n_gpus: u32,
    node_gpus: u32,
    domain_gpus: u32,
    tensor_gpus: u32,
    compute_s: f64,
) -> PoolSpec {
    PoolSpec {
        name: name.to_owned(),
        n_gpus,
        node_gpus,
        domain_gpus,
        domain_gpus_used: domain_gpus,
        held_back_gpus: 0,
        rack_gpus: Some(2 * domain_gpus),
        tensor_gpus,
        compute_s,
    }
}

/// A cause of compute time that always occurs.
pub fn cause(
    name: &str,
    scope: Scope,
    span: Span,
    effect: Effect,
    law: Law,
    pools: &[usize],
) -> CauseSpec {
    CauseSpec {
        name: name.to_owned(),
        affects: Affects::Compute,
        effect,
        scope,
        span,
        probability: 1.0,
        law: law.into(),
        pools: pools.to_vec(),
        units: None,
        period: None,
        correlation_steps: None,
        trend_per_step: 0.0,
        episode: None,
    }
}

/// The cause that each GPU draws anew at each step as a slowdown.
pub fn jitter(name: &str, law: Law, pools: &[usize]) -> CauseSpec {
    cause(name, Scope::Gpu, Span::Step, Effect::Slowdown, law, pools)
}

/// That cause on the network.
pub fn network(cause: CauseSpec) -> CauseSpec {
    CauseSpec {
        affects: Affects::Network,
        ..cause
    }
}

/// That cause with this probability.
pub fn with_probability(cause: CauseSpec, probability: f64) -> CauseSpec {
    CauseSpec {
        probability,
        ..cause
    }
}

/// A plan that exchanges nothing.
pub fn plan(pools: Vec<PoolSpec>, causes: Vec<CauseSpec>) -> Plan {
    Plan::new(pools, causes, Communication::default()).unwrap()
}

/// One collective with the same window in all pools.
pub fn term(latency_s: &[f64], transfer_s: &[f64], window_share: f64, n_buckets: u32) -> Term {
    Term {
        latency_s: latency_s.to_vec(),
        transfer_s: transfer_s.to_vec(),
        window_share: vec![window_share; latency_s.len()],
        n_buckets,
        hops: None,
    }
}
