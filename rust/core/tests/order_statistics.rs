//! Order statistics against worked values, closed forms and the sampler.

mod common;

use std::sync::Arc;

use common::draws::mean_and_error;
use common::laws::{capped, exponential, lognormal, normal, uniform};
use common::plans::{cause, jitter, network, plan, pool, term, with_probability};
use common::slowest::{ERRORS, assert_share, run, speed, stall};
use hindmost_core::Error;
use hindmost_core::control::Control;
use hindmost_core::curve::exceedances;
use hindmost_core::law::Distribution;
use hindmost_core::order_statistics::OrderStatistics;
use hindmost_core::plan::{
    CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, SlowestPort, Span,
};
use hindmost_core::random::MAX_RUNS;
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::simd::InstructionSet;
use hindmost_core::step::Columns;

const SEED: u64 = 900;
fn assert_worked(sampled: &Columns, mean_s: f64, shares: &[f64]) {
    let (mean, error) = mean_and_error(&sampled.step_time_s);
    assert!(
        (mean - mean_s).abs() <= ERRORS * error,
        "{mean} +- {error}, worked {mean_s}"
    );
    for (pool, &share) in shares.iter().enumerate() {
        let count = sampled
            .slowest
            .iter()
            .filter(|&&slowest| slowest == pool as u32)
            .count();
        assert_share(&format!("pool {pool}"), count, sampled.slowest.len(), share);
    }
}

#[test]
fn three_persistent_speeds_with_a_residual_are_the_worked_ones() {
    let pools = [("a", 1.0), ("b", 1.02), ("c", 1.05)];
    let pools = pools
        .map(|(name, compute_s)| pool(name, 1, 1, 1, 1, compute_s))
        .to_vec();
    let residual = jitter("residual", lognormal(1.0, 0.01), &[0, 1, 2]);
    let sampled = run(plan(pools, vec![residual]), SEED, 1, 1_000_000);
    assert_worked(&sampled, 1.050_161_8, &[0.000_195, 0.020_165, 0.979_639]);
}

#[test]
fn the_slowest_of_two_exponential_pools_is_the_worked_one() {
    let pools = vec![pool("a", 1000, 1, 1, 1, 1.0), pool("b", 10, 1, 1, 1, 2.0)];
    let wait = jitter("wait", exponential(1.0, 0.0), &[0, 1]);
    let sampled = run(plan(pools, vec![wait]), SEED + 1, 1, 1_000_000);
    assert_worked(&sampled, 8.003_96, &[0.760_17, 0.239_83]);
}

/// Two pools with causes of every kind that the engine takes.
fn large_plan() -> Plan {
    let both = [0, 1];
    let law = || lognormal(1.0, 0.02);
    let of = |name, scope, span, law| cause(name, scope, span, Effect::Slowdown, law, &both);
    let communication = Communication {
        terms: vec![term(&[0.01, 0.02], &[0.1, 0.2], 0.5, 8)],
        overlap_fraction: 0.5,
        hidden_cost: 0.0,
    };
    let rare_slowdown = jitter("hiccup", lognormal(1.3, 0.1), &[0]);
    let causes = vec![
        jitter("jitter", law(), &both),
        of("speed", Scope::Gpu, Span::Run, law()),
        of("host", Scope::Node, Span::Step, law()),
        of("grid", Scope::Cluster, Span::Step, law()),
        with_probability(rare_slowdown, 1e-4),
        with_probability(stall(Scope::Domain, exponential(0.3, 0.1)), 1e-3),
        network(jitter("port", law(), &both)),
        network(of("link", Scope::Gpu, Span::Run, law())),
    ];
    let pools = vec![
        pool("a", 70_003, 8, 8, 8, 1.0),
        pool("b", 500, 4, 72, 8, 0.9),
    ];
    Plan::new(pools, causes, communication).unwrap()
}

fn on_threads(n_threads: usize, work: impl FnOnce() -> Columns + Send) -> Columns {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
    pool.build().unwrap().install(work)
}

#[test]
fn threads_and_instructions_change_no_row() {
    // More steps than one task takes, and no multiple of four.
    let of = |n_threads, set| {
        on_threads(n_threads, || {
            run(large_plan().with_instructions(set), SEED + 2, 2, 4_103)
        })
    };
    let expected = of(1, InstructionSet::Portable);
    assert_eq!(expected.step_time_s.len(), 2 * 4_103);
    for n_threads in [2, 7] {
        assert!(
            of(n_threads, InstructionSet::best()) == expected,
            "{n_threads} threads"
        );
    }
    for set in InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
    {
        assert!(of(1, set) == expected, "{}", set.name());
    }
}

#[test]
fn rows_are_the_same_with_terms_of_which_one_is_the_slowest() {
    let plan = Arc::new(large_plan());
    let engine = OrderStatistics::new(plan.clone()).unwrap();
    let control = Control::default();
    let (rows, terms) = engine.run_with_terms(SEED + 4, 2, 4_103, &control).unwrap();
    assert_eq!(rows, run(large_plan(), SEED + 4, 2, 4_103));
    // Stalls of 0.1 s or more hit some hundred domains a step in the larger pool.
    assert!(terms.n_times.iter().any(|&n_times| n_times > 4));
    let mut first = 0;
    for (step, &n_times) in terms.n_times.iter().enumerate() {
        let times = first..first + n_times as usize;
        first = times.end;
        let ports: Vec<SlowestPort> = (2 * step..2 * step + 2)
            .map(|place| SlowestPort {
                slowdown: terms.port_slowdown[place],
                stall_s: terms.port_stall_s[place],
            })
            .collect();
        let times_s = plan
            .communication()
            .times_s(&ports, &[terms.hop_factor[step]]);
        let longest_s = times
            .map(|time| {
                let pool = terms.pool[time] as usize;
                let compute_s = terms.compute_s[time];
                let exposed_s = plan.communication().exposed_s(pool, compute_s, &times_s);
                compute_s + terms.stall_s[time] + exposed_s
            })
            .fold(0.0, f64::max);
        let step_s = rows.step_time_s[step];
        assert!(
            (longest_s / step_s - 1.0).abs() < 1e-6,
            "{longest_s} {step_s}"
        );
    }
}

/// Plans of three pools, of which the later ones can be slower than the first, or equal, or much
/// faster: of laws with and without a cap, and of a cause that makes some ranks faster.
fn plans_of_unlike_pools() -> Vec<Plan> {
    let all = [0, 1, 2];
    let speed = |law| cause("speed", Scope::Gpu, Span::Run, Effect::Slowdown, law, &all);
    let mut plans = Vec::new();
    for later_s in [1.02, 1.0, 0.9, 0.5] {
        for persistent in [
            speed(lognormal(1.0, 0.02)),
            speed(capped(lognormal(1.0, 0.02), 1.05)),
        ] {
            let residual = jitter("residual", lognormal(1.0, 0.002), &all);
            let boost = with_probability(jitter("boost", uniform(0.7, 0.9), &all), 0.01);
            let hiccup = with_probability(jitter("hiccup", uniform(1.1, 2.0), &all), 1e-5);
            let causes = vec![
                persistent,
                residual,
                boost,
                hiccup,
                cause(
                    "grid",
                    Scope::Pool,
                    Span::Step,
                    Effect::Slowdown,
                    lognormal(1.0, 0.03),
                    &all,
                ),
                with_probability(stall(Scope::Node, exponential(0.3, 0.1)), 1e-5),
            ];
            let pools = [
                ("a", 70_003, 1.0),
                ("b", 9_000, later_s),
                ("c", 150_000, later_s),
            ];
            let pools = pools.map(|(name, n, compute_s)| pool(name, n, 8, 8, 8, compute_s));
            plans.push(plan(pools.to_vec(), causes));
        }
    }
    plans
}

#[test]
fn pools_that_cannot_be_the_slowest_are_skipped_without_a_trace() {
    // With terms every pool is looked at.
    for (place, plan) in plans_of_unlike_pools().into_iter().enumerate() {
        let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
        let control = Control::default();
        let rows = engine.run(SEED + 5, 2, 501, &control).unwrap();
        let (expected, _) = engine.run_with_terms(SEED + 5, 2, 501, &control).unwrap();
        assert!(rows == expected, "plan {place}");
    }
}

#[test]
fn seconds_alone_are_those_of_whole_rows() {
    for (place, plan) in plans_of_unlike_pools()
        .into_iter()
        .chain([large_plan()])
        .enumerate()
    {
        let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
        let control = Control::default();
        let rows = engine.run(SEED + 6, 3, 101, &control).unwrap();
        let seconds = engine.run_seconds(SEED + 6, 3, 101, &control).unwrap();
        assert!(seconds == rows.step_time_s, "plan {place}");
    }
}

#[test]
fn rows_do_not_depend_on_how_many_steps_and_runs_are_asked_for() {
    let all = run(large_plan(), SEED + 3, 2, 37);
    let fewer = run(large_plan(), SEED + 3, 1, 6);
    assert_eq!(all.step_time_s[..6], fewer.step_time_s);
}

/// Persistent factors of the ranks of the only pool.
fn factors(pools: &[PoolSpec], persistent: CauseSpec, seed: u64) -> Vec<f64> {
    let plan = plan(pools.to_vec(), vec![persistent]);
    let mut times = vec![0.0; plan.pools()[0].n_ranks() as usize];
    rank_times(&plan, seed, 0, &[0], &mut times, &Control::default()).unwrap();
    times.into_iter().map(f64::from).collect()
}

/// Asserts that a law of a run gives the probabilities of `exact`.
fn assert_law(plan: Plan, seed: u64, xs: &[f64], exact: impl Fn(f64) -> (f64, f64)) {
    let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
    let law = engine
        .law(0, seed, 0, &Control::default())
        .unwrap()
        .unwrap();
    for &x in xs {
        let (cdf, sf) = exact(x);
        assert!(
            (law.cdf(x) - cdf).abs() <= 1e-3,
            "{x}: {}, exactly {cdf}",
            law.cdf(x)
        );
        let miss = (law.sf(x) / sf - 1.0).abs();
        assert!(
            sf < 1e-12 || miss <= 2e-3,
            "{x}: {:e}, exactly {sf:e}",
            law.sf(x)
        );
    }
}

#[test]
fn the_law_of_the_slowest_is_that_of_ranks_with_their_own_speeds() {
    let pools = [pool("a", 200, 4, 8, 8, 1.0)];
    let speed = || speed(lognormal(1.0, 0.02), &[0]);
    let factors = factors(&pools, speed(), SEED + 30);
    let own = lognormal(1.0, 0.01);
    let xs: Vec<f64> = (0..40).map(|k| 1.03 + 0.003 * f64::from(k)).collect();
    let causes = || vec![speed(), jitter("jitter", own.clone(), &[0])];
    let of_ranks = |ranks: &[f64], x: f64| -> f64 {
        ranks
            .iter()
            .map(|factor| exceedances(own.cdf(x / factor), own.sf(x / factor)))
            .sum()
    };
    let both = |e: f64| ((-e).exp(), -(-e).exp_m1());
    let plan_of = |causes| plan(pools.to_vec(), causes);
    assert_law(plan_of(causes()), SEED + 30, &xs, |x| {
        both(of_ranks(&factors, x))
    });
    // With a factor that hosts share, by quadrature.
    let host = cause(
        "host",
        Scope::Node,
        Span::Step,
        Effect::Slowdown,
        normal(1.0, 0.01),
        &[0],
    );
    let nested = plan_of(causes().into_iter().chain([host]).collect());
    assert_law(nested, SEED + 30, &xs, |x| {
        let of_host = |ranks: &[f64]| {
            let (mut cdf, mut sf) = (0.0, 0.0);
            for k in -640..=640 {
                let z = f64::from(k) / 64.0;
                let weight = (-0.5 * z * z).exp() / 64.0 / (2.0 * std::f64::consts::PI).sqrt();
                let (one, rest) = both(of_ranks(ranks, x / (1.0 + 0.01 * z)));
                cdf += weight * one;
                sf += weight * rest;
            }
            exceedances(cdf, sf)
        };
        both(factors.chunks(4).map(of_host).sum())
    });
}

/// `E[f(Z)]` of exceedances given a normal number, as exceedances, by the trapezoidal rule.
fn exceedances_given_normal(f: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 0.25;
    let (mut cdf, mut sf) = (0.0, 0.0);
    for k in -34..=40 {
        let z = f64::from(k) * STEP;
        let weight = STEP * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let e = f(z);
        cdf += weight * (-e).exp();
        sf -= weight * (-e).exp_m1();
    }
    exceedances(cdf, sf)
}

#[test]
fn racks_of_nodes_of_unlike_ranks_are_as_slow_as_quadrature_says() {
    // Nodes of six ranks and two spares, and most ranks too fast to be the slowest ever.
    let pools = [pool("a", 1200, 8, 8, 3, 1.0)];
    let speed = || speed(lognormal(1.0, 0.03), &[0]);
    let factors = factors(&pools, speed(), SEED + 31);
    assert_eq!(factors.len(), 150 * 6);
    let sigmas = [0.004, 0.005, 0.003];
    let [own, of_node, of_rack] = sigmas.map(|sigma| lognormal(1.0, sigma));
    let of = |name, scope, law| cause(name, scope, Span::Step, Effect::Slowdown, law, &[0]);
    let causes = vec![
        speed(),
        jitter("jitter", own.clone(), &[0]),
        of("node", Scope::Node, of_node),
        of("rack", Scope::Rack, of_rack),
    ];
    let engine = OrderStatistics::new(Arc::new(plan(pools.to_vec(), causes))).unwrap();
    let law = engine.law(0, SEED + 31, 0, &Control::default());
    let law = law.unwrap().unwrap();
    let node = |ranks: &[f64], log: f64| {
        exceedances_given_normal(|z| {
            let x = (log - sigmas[1] * z).exp();
            let of = |factor: &f64| exceedances(own.cdf(x / factor), own.sf(x / factor));
            ranks.iter().map(of).sum()
        })
    };
    let rack = |ranks: &[f64], log: f64| {
        exceedances_given_normal(|z| {
            let nodes = ranks.chunks(6);
            nodes.map(|ranks| node(ranks, log - sigmas[2] * z)).sum()
        })
    };
    for p in [0.9, 0.5, 0.1, 1e-3, 1e-6] {
        let log = law.upper_quantile(p).ln();
        let exact: f64 = factors.chunks(12).map(|ranks| rack(ranks, log)).sum();
        let miss = -(-p).ln_1p() / exact - 1.0;
        assert!(miss.abs() < 2e-4, "{p}: {miss:e}");
    }
}

#[test]
fn what_lasts_runs_only_gives_the_rows_of_all_ranks() {
    let both = [0, 1];
    let of = |name, scope, effect, law| cause(name, scope, Span::Run, effect, law, &both);
    let law = || lognormal(1.0, 0.05);
    let causes = vec![
        of("speed", Scope::Gpu, Effect::Slowdown, law()),
        of("host", Scope::Node, Effect::Stall, uniform(0.0, 0.1)),
        with_probability(of("rack", Scope::Rack, Effect::Slowdown, law()), 0.3),
        of("pool", Scope::Pool, Effect::Slowdown, law()),
        of("grid", Scope::Cluster, Effect::Stall, uniform(0.0, 0.1)),
        network(of("link", Scope::Gpu, Effect::Slowdown, law())),
        network(of(
            "switch",
            Scope::Domain,
            Effect::Stall,
            uniform(0.0, 0.01),
        )),
    ];
    let mut exchange = term(&[0.01, 0.02], &[0.1, 0.2], 0.5, 8);
    exchange.hops = Some(exponential(0.5, 0.5).into());
    let communication = Communication {
        terms: vec![exchange],
        overlap_fraction: 0.5,
        hidden_cost: 0.0,
    };
    let pools = vec![
        pool("a", 9_003, 8, 8, 8, 1.0),
        pool("b", 80_000, 4, 72, 10, 0.9),
    ];
    let plan = Plan::new(pools, causes, communication).unwrap();
    let all = sample(&plan, SEED + 40, 5, 9, &Control::default()).unwrap();
    let law = run(plan, SEED + 40, 5, 9);
    assert_eq!(law.step_time_s, all.step_time_s);
    assert_eq!(law.compute_s, all.compute_s);
    assert_eq!(law.exposed_comm_s, all.exposed_comm_s);
    assert_eq!(law.stall_s, all.stall_s);
    assert_eq!(law.slowest, all.slowest);
    assert_eq!(law.busy_s, all.busy_s);
    assert_eq!(law.own_stall_s, all.own_stall_s);
}

#[test]
fn a_pool_in_which_nothing_changes_has_no_law() {
    let plan = plan(
        vec![pool("a", 8, 4, 8, 8, 1.0)],
        vec![speed(lognormal(1.0, 0.1), &[0])],
    );
    let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
    assert_eq!(engine.n_pools(), 1);
    assert_eq!(engine.law(0, SEED, 0, &Control::default()), Ok(None));
}

#[test]
fn runs_and_steps_out_of_their_domain_are_refused() {
    let engine = OrderStatistics::new(Arc::new(large_plan())).unwrap();
    for (runs, steps, refusal) in [
        (0, 1, "runs must be >= 1 and <= 65536, got 0"),
        (MAX_RUNS + 1, 1, "runs must be >= 1 and <= 65536, got 65537"),
        (1, 0, "steps must be >= 1, got 0"),
    ] {
        let error = engine
            .run(SEED, runs, steps, &Control::default())
            .unwrap_err();
        assert_eq!(error.to_string(), refusal);
    }
}

#[test]
fn a_stopped_control_stops_a_run_and_a_law() {
    let quiet = plan(vec![pool("a", 8, 4, 8, 8, 1.0)], vec![]);
    let control = Control::default();
    control.stop();
    for plan in [quiet, large_plan()] {
        let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
        assert_eq!(
            engine.run(SEED, 1, 1, &control).unwrap_err(),
            Error::Stopped
        );
    }
    let engine = OrderStatistics::new(Arc::new(large_plan())).unwrap();
    assert_eq!(
        engine.law(0, SEED, 0, &control).unwrap_err(),
        Error::Stopped
    );
}
