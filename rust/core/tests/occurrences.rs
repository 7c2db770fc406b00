//! Rare causes under order statistics.

mod common;

use common::laws::{constant, lognormal, uniform};
use common::plans::{cause, jitter, plan, pool, with_probability};
use common::slowest::{ERRORS, assert_share, run, speed, stall};
use hindmost_core::control::Control;
use hindmost_core::law::Distribution;
use hindmost_core::plan::{CauseSpec, Effect, PoolSpec, Scope, Span};
use hindmost_core::sample::rank_times;

const SEED: u64 = 950;

#[test]
fn the_longest_of_binomially_many_stalls_stalls_a_step() {
    // Of K stalls, all at most x: E F(x)^K, which tells all of the law of K.
    let n_steps = 200_000;
    let cases = [(100, 0.3), (100, 1.0), (1000, 0.002), (2_000_000, 1e-6)];
    for (seed, (n, p)) in (SEED + 4..).zip(cases) {
        let law = lognormal(0.5, 0.6);
        let pause = with_probability(stall(Scope::Gpu, law.clone()), p);
        let sampled = run(
            plan(vec![pool("a", n, 1, 1, 1, 1.0)], vec![pause]),
            seed,
            1,
            n_steps,
        );
        for x in [0.0, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0, 3.0] {
            let count = sampled
                .stall_s
                .iter()
                .filter(|&&stall_s| stall_s <= x)
                .count();
            let none = f64::from(n) * libm::log1p(-p * law.sf(x));
            assert_share(&format!("{n} {p} {x}"), count, n_steps as usize, none.exp());
        }
    }
}

/// Persistent factors of the ranks of the only pool.
fn factors(pools: &[PoolSpec], persistent: CauseSpec, seed: u64) -> Vec<f64> {
    let plan = plan(pools.to_vec(), vec![persistent]);
    let mut times = vec![0.0; plan.pools()[0].n_ranks() as usize];
    rank_times(&plan, seed, 0, &[0], &mut times, &Control::default()).unwrap();
    times.into_iter().map(f64::from).collect()
}

#[test]
fn stalls_hit_each_unit_alike() {
    // Persistent speeds show which rank was hit; of several, the slowest.
    let n_steps = 400_000;
    for (seed, scope, unit) in [(SEED + 10, Scope::Gpu, 1), (SEED + 11, Scope::Node, 4)] {
        let pools = [pool("a", 96, 4, 8, 8, 1.0)];
        let speed = || speed(uniform(1.0, 1.5), &[0]);
        let factors = factors(&pools, speed(), seed);
        let of_unit = |ranks: &[f64]| ranks.iter().copied().fold(0.0, f64::max);
        let mut units: Vec<f64> = factors.chunks(unit).map(of_unit).collect();
        units.sort_by(|a, b| b.total_cmp(a));
        let p = 0.02;
        let pause = with_probability(stall(scope, constant(1.0)), p);
        let sampled = run(plan(pools.to_vec(), vec![speed(), pause]), seed, 1, n_steps);
        let mut counts = vec![0.0; units.len() + 1];
        for (&compute_s, &stall_s) in sampled.compute_s.iter().zip(&sampled.stall_s) {
            let miss = |&place: &usize| (compute_s - stall_s - units[place]).abs();
            let nearer = |a: &usize, b: &usize| miss(a).total_cmp(&miss(b));
            let place = (0..units.len()).min_by(nearer).unwrap();
            assert!(stall_s == 1.0 || (stall_s == 0.0 && place == 0));
            counts[if stall_s > 0.0 { place } else { units.len() }] += 1.0;
        }
        let chi_squared: f64 = (0..counts.len())
            .map(|place| {
                let of_one = if place < units.len() { p } else { 1.0 };
                let expected = f64::from(n_steps) * of_one * (1.0 - p).powi(place as i32);
                (counts[place] - expected).powi(2) / expected
            })
            .sum();
        let freedom = units.len() as f64;
        let limit = freedom + ERRORS * (2.0 * freedom).sqrt();
        assert!(chi_squared < limit, "{scope:?}: {chi_squared} of {freedom}");
    }
}

#[test]
fn slowdowns_that_occur_now_and_then_multiply_what_each_step_draws() {
    // With few ranks the cause is rare, with many it is compiled.
    let n_steps = 200_000;
    for (seed, p) in [(SEED + 20, 0.01), (SEED + 21, 0.5)] {
        let (always, both) = (lognormal(1.0, 0.05), lognormal(1.2, f64::hypot(0.05, 0.1)));
        let now_and_then = with_probability(jitter("hiccup", lognormal(1.2, 0.1), &[0]), p);
        let causes = vec![jitter("jitter", always.clone(), &[0]), now_and_then];
        let sampled = run(
            plan(vec![pool("a", 1000, 1, 1, 1, 1.0)], causes),
            seed,
            1,
            n_steps,
        );
        for x in [1.15, 1.2, 1.3, 1.4, 1.5, 1.6, 1.65, 1.7, 1.8, 1.9] {
            let sf = (1.0 - p) * always.sf(x) + p * both.sf(x);
            let exact = (1000.0 * libm::log1p(-sf)).exp();
            let count = sampled
                .compute_s
                .iter()
                .filter(|&&compute_s| compute_s <= x)
                .count();
            assert_share(&format!("{p} {x}"), count, n_steps as usize, exact);
        }
    }
}

#[test]
fn domains_slow_down_as_a_whole_now_and_then() {
    // More than 256 ranks in a step, so that domains are compiled.
    let n_steps = 200_000;
    let own = lognormal(1.0, 0.05);
    let hot = cause(
        "hot",
        Scope::Domain,
        Span::Step,
        Effect::Slowdown,
        constant(1.2),
        &[0],
    );
    let causes = vec![
        jitter("jitter", own.clone(), &[0]),
        with_probability(hot, 0.5),
    ];
    let sampled = run(
        plan(vec![pool("a", 576, 4, 144, 8, 1.0)], causes),
        SEED + 30,
        1,
        n_steps,
    );
    for x in [1.1, 1.12, 1.14, 1.16, 1.2, 1.25, 1.3, 1.35, 1.4, 1.45] {
        let of_domain = 0.5 * own.cdf(x).powi(144) + 0.5 * own.cdf(x / 1.2).powi(144);
        let count = sampled
            .compute_s
            .iter()
            .filter(|&&compute_s| compute_s <= x)
            .count();
        assert_share(&format!("{x}"), count, n_steps as usize, of_domain.powi(4));
    }
}
