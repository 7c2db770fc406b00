//! What a plan and a sample refuse, and under which path.

mod common;

use common::laws::{capped, constant, exponential, lognormal, mixture, pareto};
use common::plans::{jitter, plan, pool, term, with_probability};
use hindmost_core::control::Control;
use hindmost_core::plan::{
    CauseSpec, Communication, Effect, PeriodSpec, Phase, Plan, PoolSpec, Scope, Span,
};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::{Error, Result};

fn good_pool() -> PoolSpec {
    pool("a", 16, 4, 8, 8, 1.0)
}

fn good_cause() -> CauseSpec {
    jitter("jitter", lognormal(1.0, 0.1), &[0])
}

fn with_pool(pool: PoolSpec) -> Result<Plan> {
    Plan::new(vec![pool], vec![], Communication::default())
}

fn with_cause(cause: CauseSpec) -> Result<Plan> {
    Plan::new(vec![good_pool()], vec![cause], Communication::default())
}

fn with_communication(communication: Communication) -> Result<Plan> {
    Plan::new(vec![good_pool()], vec![], communication)
}

/// Asserts a refusal of this value under this path.
fn refused<T>(result: Result<T>, path: &str, bad: f64) {
    match result {
        Err(Error::Domain { field, value, .. }) => {
            assert_eq!(field, path, "for {bad}");
            assert!(value == bad || value.is_nan() && bad.is_nan(), "{path}");
        }
        Err(other) => panic!("{path} = {bad}: {other}"),
        Ok(_) => panic!("{path} = {bad} was taken"),
    }
}

#[test]
fn a_plan_has_a_pool() {
    let nothing = Plan::new(vec![], vec![], Communication::default());
    refused(nothing, "pools", 0.0);
    assert!(with_pool(good_pool()).is_ok());
}

#[test]
fn sizes_of_a_pool_are_at_least_one() {
    let good = good_pool;
    for (field, spec) in [
        (
            "node_gpus",
            PoolSpec {
                node_gpus: 0,
                ..good()
            },
        ),
        (
            "domain_gpus",
            PoolSpec {
                domain_gpus: 0,
                ..good()
            },
        ),
        (
            "rack_gpus",
            PoolSpec {
                rack_gpus: Some(0),
                ..good()
            },
        ),
        (
            "tensor_gpus",
            PoolSpec {
                tensor_gpus: 0,
                ..good()
            },
        ),
    ] {
        refused(with_pool(spec), &format!("pools.a.{field}"), 0.0);
    }
}

#[test]
fn a_pool_fills_a_domain_and_a_domain_holds_a_replica() {
    refused(with_pool(pool("a", 7, 4, 8, 8, 1.0)), "pools.a.n_gpus", 7.0);
    refused(with_pool(pool("a", 0, 4, 8, 8, 1.0)), "pools.a.n_gpus", 0.0);
    let wide = pool("a", 16, 4, 8, 9, 1.0);
    refused(with_pool(wide), "pools.a.tensor_gpus", 9.0);
    assert!(with_pool(pool("a", 8, 4, 8, 8, 1.0)).is_ok());
}

#[test]
fn a_pool_computes_for_a_positive_time() {
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let spec = pool("a", 16, 4, 8, 8, bad);
        refused(with_pool(spec), "pools.a.compute_s", bad);
    }
}

#[test]
fn a_probability_lies_between_zero_and_one() {
    for bad in [f64::NAN, f64::INFINITY, -1e-300, 1.0 + f64::EPSILON] {
        let cause = with_probability(good_cause(), bad);
        refused(with_cause(cause), "causes.jitter.probability", bad);
    }
    for good in [0.0, -0.0, 1e-300, 0.5, 1.0] {
        assert!(with_cause(with_probability(good_cause(), good)).is_ok());
    }
}

#[test]
fn what_drifts_has_a_scope_a_span_and_one_law_for_each_step() {
    let drifting = |spec: CauseSpec| CauseSpec {
        correlation_steps: Some(5.0),
        ..spec
    };
    let of = |scope| CauseSpec {
        scope,
        ..good_cause()
    };
    for scope in [Scope::Node, Scope::Pool, Scope::Cluster] {
        assert!(with_cause(drifting(of(scope))).is_ok());
    }
    let path = "causes.jitter.correlation_steps";
    for scope in [Scope::Gpu, Scope::Domain, Scope::Rack, Scope::Replica] {
        refused(with_cause(drifting(of(scope))), path, 5.0);
    }
    let cluster = || of(Scope::Cluster);
    let of_run = CauseSpec {
        span: Span::Run,
        ..cluster()
    };
    let regular = CauseSpec {
        period: Some(PeriodSpec {
            steps: 3,
            phase: Phase::Any,
        }),
        ..cluster()
    };
    let law = mixture(vec![(0.5, constant(1.0)), (0.5, constant(2.0))]);
    let mixed = CauseSpec {
        law: law.into(),
        ..cluster()
    };
    for spec in [of_run, regular, mixed] {
        refused(with_cause(drifting(spec)), path, 5.0);
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.1e8] {
        let spec = CauseSpec {
            correlation_steps: Some(bad),
            ..cluster()
        };
        refused(with_cause(spec), path, bad);
    }
}

#[test]
fn what_grows_is_a_factor_that_a_pool_shares_in_every_step() {
    let growing = |spec: CauseSpec| CauseSpec {
        trend_per_step: 0.1,
        ..spec
    };
    let of = |scope| CauseSpec {
        scope,
        ..good_cause()
    };
    for scope in [Scope::Pool, Scope::Cluster] {
        assert!(with_cause(growing(of(scope))).is_ok());
    }
    let path = "causes.jitter.trend_per_step";
    for scope in [Scope::Gpu, Scope::Node, Scope::Rack, Scope::Replica] {
        refused(with_cause(growing(of(scope))), path, 0.1);
    }
    let cluster = || of(Scope::Cluster);
    let of_run = CauseSpec {
        span: Span::Run,
        ..cluster()
    };
    let stall = CauseSpec {
        effect: Effect::Stall,
        ..cluster()
    };
    let regular = CauseSpec {
        period: Some(PeriodSpec {
            steps: 3,
            phase: Phase::Any,
        }),
        ..cluster()
    };
    let rare = with_probability(cluster(), 0.5);
    for spec in [of_run, stall, regular, rare] {
        refused(with_cause(growing(spec)), path, 0.1);
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let spec = CauseSpec {
            trend_per_step: bad,
            ..cluster()
        };
        refused(with_cause(spec), path, bad);
    }
}

#[test]
fn a_cause_acts_in_pools_that_there_are() {
    let cause = jitter("jitter", constant(1.0), &[0, 1]);
    refused(with_cause(cause), "causes.jitter.pools", 1.0);
}

#[test]
fn a_cause_of_a_rack_takes_racks() {
    let pool = PoolSpec {
        rack_gpus: None,
        ..good_pool()
    };
    let cause = CauseSpec {
        scope: Scope::Rack,
        ..good_cause()
    };
    let result = Plan::new(vec![pool], vec![cause.clone()], Communication::default());
    let expected = Error::Field {
        field: "pools.a.rack_gpus".to_owned(),
        missing: true,
    };
    assert_eq!(result.unwrap_err(), expected);
    assert!(with_cause(cause).is_ok());
}

#[test]
fn a_law_that_no_table_holds_is_refused_under_the_path_of_its_cause() {
    let cause = |law| jitter("jitter", law, &[0]);
    let path = |field: &str| format!("causes.jitter.law.{field}");
    refused(
        with_cause(cause(lognormal(1.0, 50.0))),
        &path("sigma"),
        50.0,
    );
    refused(with_cause(cause(pareto(1.0, 1.5))), &path("alpha"), 1.5);
    assert!(with_cause(cause(capped(pareto(1.0, 1.5), 9.0))).is_ok());
    let law = mixture(vec![(0.5, constant(1.0)), (0.5, pareto(1.0, 1.5))]);
    refused(with_cause(cause(law)), &path("components.1.law.alpha"), 1.5);
    // Even where it never occurs: laws are validated whatever their probability.
    let never = with_probability(cause(pareto(1.0, 1.5)), 0.0);
    refused(with_cause(never), &path("alpha"), 1.5);
}

#[test]
fn an_overlap_and_its_cost_are_shares() {
    for bad in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        let costly = Communication {
            hidden_cost: bad,
            ..Communication::default()
        };
        refused(with_communication(costly), "hidden_cost", bad);
        let communication = Communication {
            terms: vec![],
            overlap_fraction: bad,
            hidden_cost: 0.0,
        };
        refused(with_communication(communication), "overlap_fraction", bad);
    }
}

#[test]
fn a_term_has_buckets_and_numbers_for_each_pool() {
    let check = |term| {
        with_communication(Communication {
            terms: vec![common::plans::term(&[0.1], &[0.2], 0.5, 4), term],
            overlap_fraction: 0.5,
            hidden_cost: 0.0,
        })
    };
    assert!(check(term(&[0.0], &[0.0], 0.0, 1)).is_ok());
    refused(
        check(term(&[0.1], &[0.2], 0.5, 0)),
        "terms.1.n_buckets",
        0.0,
    );
    for bad in [f64::NAN, f64::INFINITY, -1e-300] {
        refused(
            check(term(&[bad], &[0.2], 0.5, 4)),
            "terms.1.latency_s",
            bad,
        );
        refused(
            check(term(&[0.1], &[bad], 0.5, 4)),
            "terms.1.transfer_s",
            bad,
        );
        let share = check(term(&[0.1], &[0.2], bad, 4));
        refused(share, "terms.1.window_share", bad);
    }
    let share = check(term(&[0.1], &[0.2], 1.1, 4));
    refused(share, "terms.1.window_share", 1.1);
    let longer = || vec![0.1, 0.1];
    let good = || term(&[0.1], &[0.2], 0.5, 4);
    let mut latency = good();
    latency.latency_s = longer();
    refused(check(latency), "terms.1.latency_s", 2.0);
    let mut transfer = good();
    transfer.transfer_s = vec![];
    refused(check(transfer), "terms.1.transfer_s", 0.0);
    let mut window = good();
    window.window_share = longer();
    refused(check(window), "terms.1.window_share", 2.0);
}

#[test]
fn streams_of_one_hash_are_refused() {
    // Two addresses of one FNV-1a hash, found by search.
    let causes = ["cause-14482", "cause-27219"].map(|name| jitter(name, constant(1.0), &[0]));
    let one = vec![pool("pool", 8, 4, 8, 8, 1.0)];
    let result = Plan::new(one, causes.to_vec(), Communication::default());
    let expected = Error::Streams {
        first: "pool/cause-14482/refine".to_owned(),
        second: "pool/cause-27219/occurrence".to_owned(),
    };
    assert_eq!(result.unwrap_err(), expected);
    // In pools of their own they have other addresses.
    let [first, second] = causes;
    let second = CauseSpec {
        pools: vec![1],
        ..second
    };
    let pools = vec![pool("pool", 8, 4, 8, 8, 1.0), pool("loop", 8, 4, 8, 8, 1.0)];
    assert!(Plan::new(pools, vec![first, second], Communication::default()).is_ok());
}

#[test]
fn causes_that_would_share_random_words_are_refused() {
    let twins = ["jitter", "jitter"].map(|name| jitter(name, lognormal(1.0, 0.1), &[0]));
    let pool = || pool("a", 8, 4, 8, 8, 1.0);
    let twins = Plan::new(vec![pool()], twins.to_vec(), Communication::default());
    assert!(twins.is_err(), "two causes of one name in one pool");
}

#[test]
fn pools_that_would_share_random_words_are_refused() {
    let cause = jitter("jitter", lognormal(1.0, 0.1), &[0, 1]);
    let pool = || pool("a", 8, 4, 8, 8, 1.0);
    let plan = Plan::new(vec![pool(), pool()], vec![cause], Communication::default());
    assert!(plan.is_err(), "two pools of one name");
}

#[test]
fn names_that_an_address_cannot_hold_are_refused() {
    for bad in ["", "a/b", "A", "a_b", "a b", "\u{e4}"] {
        let in_pool = with_pool(pool(bad, 16, 4, 8, 8, 1.0));
        let in_cause = with_cause(jitter(bad, constant(1.0), &[0]));
        for (result, path) in [(in_pool, "pools.name"), (in_cause, "causes.name")] {
            match result.unwrap_err() {
                Error::Text { field, value, .. } => assert_eq!((&*field, &*value), (path, bad)),
                other => panic!("{path} {bad:?}: {other}"),
            }
        }
    }
    assert!(with_pool(pool("h100-sxm-2", 16, 4, 8, 8, 1.0)).is_ok());
}

#[test]
fn a_sample_has_runs_with_an_address_and_steps() {
    let plan = plan(vec![good_pool()], vec![]);
    let control = Control::default();
    refused(sample(&plan, 0, 0, 1, &control), "runs", 0.0);
    refused(sample(&plan, 0, 65_537, 1, &control), "runs", 65_537.0);
    refused(sample(&plan, 0, 1, 0, &control), "steps", 0.0);
    assert!(sample(&plan, 0, 1, 1, &control).is_ok());
}

#[test]
fn a_replay_has_a_run_with_an_address_and_room_for_its_times() {
    let plan = plan(vec![good_pool()], vec![]);
    let control = Control::default();
    let mut times = [0.0; 33];
    let late = rank_times(&plan, 0, 65_536, &[0, 1], &mut times[..32], &control);
    refused(late, "run", 65_536.0);
    for wrong in [0, 16, 31, 33] {
        let result = rank_times(&plan, 0, 0, &[0, 1], &mut times[..wrong], &control);
        refused(result, "times", wrong as f64);
    }
    assert!(rank_times(&plan, 0, 65_535, &[0, 1], &mut times[..32], &control).is_ok());
}

#[test]
fn a_refusal_names_the_path_the_value_and_what_would_do() {
    let law = exponential(1.0, 0.0);
    let cause = with_probability(jitter("jitter", law, &[0]), 1.5);
    assert_eq!(
        with_cause(cause).unwrap_err().to_string(),
        "causes.jitter.probability must be >= 0 and <= 1, got 1.5"
    );
}
