//! What drifts: its covariance, found in any order, and its law.

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::draws::ks_distance;
use common::laws::{capped, empirical, exponential, gamma, lognormal, uniform};
use common::plans::{cause, jitter, network, plan, pool, term};
use hindmost_core::control::Control;
use hindmost_core::drift::{Drift, DriftPath, MAX_CORRELATION_STEPS};
use hindmost_core::law::{Distribution, Law};
use hindmost_core::order_statistics::OrderStatistics;
use hindmost_core::plan::{CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::simd::InstructionSet;
use hindmost_core::step::Columns;

/// Correlation times in steps, from none at all to more steps than any run has.
const CORRELATION_STEPS: [f64; 14] = [
    1e-300, 0.01, 0.026, 0.03, 0.1, 0.5, 1.0, 3.0, 10.0, 37.0, 100.0, 1234.5, 1e5, 1e8,
];

/// The weights of the innovations that the number of a step is made of, found without a path.
fn weights(drift: &Drift, step: u32) -> BTreeMap<u64, f64> {
    let asked = RefCell::new(Vec::new());
    DriftPath::default().at(drift, step, |innovation| {
        asked.borrow_mut().push(innovation);
        0.0
    });
    let asked = asked.into_inner();
    let different: BTreeSet<u64> = asked.iter().copied().collect();
    assert_eq!(
        different.len(),
        asked.len(),
        "each innovation is asked for once"
    );
    assert!(asked.len() <= drift.most_innovations());
    let response = |&unit: &u64| {
        let x = DriftPath::default().at(drift, step, |other| f64::from(u8::from(other == unit)));
        (unit, x)
    };
    different.iter().map(response).collect()
}

fn covariance(a: &BTreeMap<u64, f64>, b: &BTreeMap<u64, f64>) -> f64 {
    a.iter()
        .filter_map(|(step, weight)| Some(weight * b.get(step)?))
        .sum()
}

#[test]
fn unit_responses_have_the_covariance_of_an_autoregressive_process() {
    for correlation_steps in CORRELATION_STEPS {
        let drift = Drift::new(correlation_steps).unwrap();
        // Around the start, an anchor far away, the middle between two, and the last step of all.
        let anchor = drift.anchor_steps().min(1 << 31) as u32;
        let far = 4_000_000_000 / anchor * anchor;
        let starts = [0, anchor / 2, anchor, far.saturating_sub(20), u32::MAX - 39];
        let mut steps: BTreeSet<u32> = BTreeSet::new();
        for start in starts {
            let first = start.saturating_sub(20);
            steps.extend((0..40).map(|more| first.saturating_add(more)));
            // Lags as long as the correlation.
            let lag = |part: f64| (part * correlation_steps).min(1e9) as u32;
            steps.extend([0.1, 0.7, 1.0, 3.0, 30.0].map(|part| start.saturating_add(lag(part))));
        }
        let responses: Vec<(u32, BTreeMap<u64, f64>)> = steps
            .into_iter()
            .map(|step| (step, weights(&drift, step)))
            .collect();
        for (first, of_first) in &responses {
            for (second, of_second) in &responses {
                let lag = f64::from(first.abs_diff(*second));
                let expected = libm::exp(-lag / correlation_steps);
                let miss = (covariance(of_first, of_second) - expected).abs();
                assert!(
                    miss < 1e-12,
                    "{correlation_steps} {first} {second}: {miss:e}"
                );
            }
        }
    }
}

#[test]
fn neighbours_are_weighed_by_powers_of_rho() {
    // The step between two anchors 2 apart, from the formula as it is written.
    let rho = libm::exp(-20.0);
    let drift = Drift::new(1.0 / 20.0).unwrap();
    assert_eq!(drift.anchor_steps(), 2);
    let x = DriftPath::default().at(&drift, 7, |step| [0.3, -1.2, 0.7][step as usize - 6]);
    let expected = rho / (1.0 + rho * rho) * (0.3 + 0.7)
        + libm::sqrt((1.0 - rho * rho) / (1.0 + rho * rho)) * -1.2;
    assert!((x - expected).abs() < 1e-15);
}

#[test]
fn anchors_are_so_far_apart_that_they_are_independent() {
    for correlation_steps in CORRELATION_STEPS {
        let drift = Drift::new(correlation_steps).unwrap();
        let correlation = |steps: f64| -steps / correlation_steps / std::f64::consts::LN_2;
        let apart = drift.anchor_steps() as f64;
        assert!(correlation(apart) < -54.0);
        assert!(apart == 1.0 || correlation(apart / 2.0) >= -54.0);
        assert!(drift.is_anchor(0) && drift.is_anchor(1) == (apart == 1.0));
        assert!(drift.most_innovations() <= 34);
    }
    assert_eq!(Drift::new(1e8).unwrap().anchor_steps(), 1 << 32);
}

#[test]
fn a_path_changes_no_bit() {
    let innovation = |step: u64| ((step as f64 + 0.5) * 0.754_877_666).fract() - 0.5;
    for correlation_steps in CORRELATION_STEPS {
        let drift = Drift::new(correlation_steps).unwrap();
        let mut path = DriftPath::default();
        let onwards = 0..600;
        let back = (0..600).rev().step_by(7);
        let anywhere = (0..600_u32).map(|n| n.wrapping_mul(2_654_435_761));
        for step in onwards.chain(back).chain(anywhere) {
            let alone = DriftPath::default().at(&drift, step, innovation);
            let along = path.at(&drift, step, innovation);
            assert_eq!(
                along.to_bits(),
                alone.to_bits(),
                "{correlation_steps} {step}"
            );
        }
    }
}

#[test]
fn steps_one_after_the_other_take_one_innovation_each() {
    let drift = Drift::new(300.0).unwrap();
    let (mut path, asked) = (DriftPath::default(), RefCell::new(0));
    let n = 10 * drift.anchor_steps() as u32;
    for step in 0..n {
        path.at(&drift, step, |_| {
            *asked.borrow_mut() += 1;
            0.0
        });
    }
    // Anchors are asked for from both sides.
    assert!(asked.into_inner() <= n + 20);
}

#[test]
fn correlation_times_without_a_process_are_refused() {
    let too_long = MAX_CORRELATION_STEPS * 1.001;
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, too_long] {
        let refusal = Drift::new(bad).unwrap_err().to_string();
        assert!(
            refusal.starts_with("correlation_steps must be > 0 and <= 1e8"),
            "{refusal}"
        );
    }
}

fn drifting(scope: Scope, law: Law, correlation_steps: f64, pools: &[usize]) -> CauseSpec {
    CauseSpec {
        correlation_steps: Some(correlation_steps),
        ..cause("drift", scope, Span::Step, Effect::Slowdown, law, pools)
    }
}

fn two_pools() -> Vec<PoolSpec> {
    vec![pool("a", 64, 4, 8, 8, 1.0), pool("b", 40, 4, 8, 8, 0.9)]
}

fn by_law(plan: Plan, seed: u64, runs: u32, steps: u32) -> Columns {
    let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
    engine.run(seed, runs, steps, &Control::default()).unwrap()
}

#[test]
fn without_correlation_it_is_span_step_bit_for_bit() {
    let law = || lognormal(1.0, 0.1);
    let of = |cause: CauseSpec| {
        let causes = vec![jitter("jitter", lognormal(1.0, 0.02), &[0, 1]), cause];
        plan(two_pools(), causes)
    };
    for scope in [Scope::Node, Scope::Pool, Scope::Cluster] {
        let drift = || drifting(scope, law(), 1e-3, &[0, 1]);
        let step = || CauseSpec {
            correlation_steps: None,
            trend_per_step: 0.0,
            episode: None,
            ..drift()
        };
        let sampled = |cause| sample(&of(cause), 71, 2, 50, &Control::default()).unwrap();
        assert_eq!(sampled(drift()), sampled(step()));
        if scope != Scope::Node {
            assert_eq!(
                by_law(of(drift()), 71, 2, 50),
                by_law(of(step()), 71, 2, 50)
            );
        }
    }
}

#[test]
fn both_engines_have_the_same_drift() {
    // Nothing else varies, so rows are equal bit by bit; ports drift, too.
    let both = [0, 1];
    let ports = CauseSpec {
        name: "ports".to_owned(),
        ..network(drifting(
            Scope::Cluster,
            gamma(400.0, 1.0 / 400.0),
            40.0,
            &both,
        ))
    };
    let stalls = CauseSpec {
        name: "stalls".to_owned(),
        effect: Effect::Stall,
        ..drifting(Scope::Pool, exponential(0.1, 0.0), 11.0, &[1])
    };
    let communication = || Communication {
        terms: vec![term(&[0.01, 0.02], &[0.5, 0.6], 0.5, 8)],
        overlap_fraction: 0.5,
        hidden_cost: 0.0,
    };
    for scope in [Scope::Pool, Scope::Cluster] {
        let drift = drifting(scope, lognormal(1.0, 0.05), 7.0, &both);
        let causes = vec![drift, ports.clone(), stalls.clone()];
        let plan = || Plan::new(two_pools(), causes.clone(), communication()).unwrap();
        let sampled = sample(&plan(), 72, 3, 4_200, &Control::default()).unwrap();
        let drawn = by_law(plan(), 72, 3, 4_200);
        assert_eq!(drawn.step_time_s, sampled.step_time_s);
        assert_eq!(drawn.slowest, sampled.slowest);
        assert_eq!(drawn.stall_s, sampled.stall_s);
    }
}

#[test]
fn threads_and_instruction_sets_change_no_byte() {
    let both = [0, 1];
    let causes = |scope| {
        vec![
            jitter("jitter", lognormal(1.0, 0.02), &both),
            drifting(scope, lognormal(1.0, 0.05), 90.0, &both),
        ]
    };
    let sets = InstructionSet::ALL.into_iter();
    let sets: Vec<InstructionSet> = sets.filter(|set| set.is_available()).collect();
    let on_threads = |n: usize, work: &(dyn Fn() -> Columns + Sync)| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(n);
        threads.build().unwrap().install(work)
    };
    let same = |draw: &(dyn Fn(InstructionSet) -> Columns + Sync)| {
        let first = on_threads(1, &|| draw(InstructionSet::Portable));
        for &set in &sets {
            for n in [1, 2, 7] {
                assert_eq!(on_threads(n, &|| draw(set)), first, "{set:?} {n}");
            }
        }
    };
    // More steps than one task of either engine draws.
    for scope in [Scope::Pool, Scope::Cluster] {
        same(&|set| {
            let plan = plan(two_pools(), causes(scope)).with_instructions(set);
            by_law(plan, 82, 3, 9_001)
        });
    }
    for scope in [Scope::Node, Scope::Cluster] {
        same(&|set| {
            let plan = plan(two_pools(), causes(scope)).with_instructions(set);
            sample(&plan, 82, 3, 41, &Control::default()).unwrap()
        });
    }
}

#[test]
fn any_law_is_the_law_of_what_drifts() {
    // One step of each of many runs, so that draws are independent; 31 is no anchor.
    const N: u32 = 20_000;
    let laws = [
        lognormal(1.0, 0.2),
        exponential(0.5, 0.5),
        gamma(2.5, 0.4),
        uniform(0.5, 1.5),
    ];
    for (seed, law) in (73..).zip(laws) {
        for scope in [Scope::Node, Scope::Cluster] {
            let plan = plan(
                vec![pool("a", 1, 1, 1, 1, 1.0)],
                vec![drifting(scope, law.clone(), 25.0, &[0])],
            );
            let draw = |run| {
                let mut time = [0.0];
                rank_times(&plan, seed, run, &[31], &mut time, &Control::default()).unwrap();
                f64::from(time[0])
            };
            let draws: Vec<f64> = (0..N).map(draw).collect();
            let distance = ks_distance(&draws, |x| law.cdf(x));
            assert!(distance < 1.95 / f64::from(N).sqrt(), "{law:?}: {distance}");
        }
    }
}

#[test]
fn atoms_have_their_probability() {
    const N: u32 = 20_000;
    let law = capped(empirical(&[1.0, 1.0, 1.0, 2.0, 5.0]), 3.0);
    let p = law.sf(3.0 - 1e-12);
    let plan = plan(
        vec![pool("a", 1, 1, 1, 1, 1.0)],
        vec![drifting(Scope::Cluster, law, 25.0, &[0])],
    );
    let draw = |run| {
        let mut time = [0.0];
        rank_times(&plan, 80, run, &[13], &mut time, &Control::default()).unwrap();
        time[0]
    };
    let at_cap = (0..N).map(draw).filter(|&time| time == 3.0).count();
    let error = libm::sqrt(p * (1.0 - p) / f64::from(N));
    assert!(
        (at_cap as f64 / f64::from(N) - p).abs() < 4.0 * error,
        "{at_cap}"
    );
}

#[test]
fn normal_numbers_of_a_drift_are_correlated_as_they_should() {
    // ln of a log-normal slowdown, through words and tables: at fixed steps, over runs.
    const RUNS: u32 = 20_000;
    let correlation_steps = 12.0;
    let steps = [8, 9, 13, 37, 513, 514];
    let plan = plan(
        vec![pool("a", 1, 1, 1, 1, 1.0)],
        vec![drifting(
            Scope::Pool,
            lognormal(1.0, 0.25),
            correlation_steps,
            &[0],
        )],
    );
    let draws: Vec<Vec<f64>> = (0..RUNS)
        .map(|run| {
            let mut times = [0.0; 6];
            rank_times(&plan, 81, run, &steps, &mut times, &Control::default()).unwrap();
            times
                .iter()
                .map(|&time| f64::from(time).ln() / 0.25)
                .collect()
        })
        .collect();
    for (i, &first) in steps.iter().enumerate() {
        for (j, &second) in steps.iter().enumerate() {
            let mean = draws.iter().map(|x| x[i] * x[j]).sum::<f64>() / f64::from(RUNS);
            let rho = libm::exp(-f64::from(first.abs_diff(second)) / correlation_steps);
            let error = libm::sqrt((1.0 + rho * rho) / f64::from(RUNS));
            assert!(
                (mean - rho).abs() < 4.5 * error,
                "{first} {second}: {mean} {rho}"
            );
        }
    }
}
