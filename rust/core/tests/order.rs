//! The slowest of many follows the product of the laws of all.

mod common;

use common::draws::{ks_distance, mean_and_error};
use common::laws::{constant, exponential, lognormal};
use common::plans::{cause, jitter, plan, pool};
use hindmost_core::control::Control;
use hindmost_core::law::Distribution;
use hindmost_core::plan::{Effect, Plan, PoolSpec, Scope, Span};
use hindmost_core::sample::sample;
use hindmost_core::step::Columns;

const KS_LIMIT: f64 = 1.95;
const ERRORS: f64 = 4.0;

fn sampled(plan: &Plan, seed: u64, steps: u32) -> Columns {
    sample(plan, seed, 1, steps, &Control::default()).unwrap()
}

fn gpus(name: &str, n_gpus: u32, compute_s: f64) -> PoolSpec {
    pool(name, n_gpus, 1, 1, 1, compute_s)
}

fn assert_mean(numbers: &[f64], golden: f64) {
    let (mean, error) = mean_and_error(numbers);
    assert!(
        (mean - golden).abs() < ERRORS * error,
        "{golden}, sampled {mean} +- {error}"
    );
}

/// Asserts how often something happened in `n` independent steps.
fn assert_share(count: usize, n: usize, golden: f64) {
    let n = n as f64;
    let error = (n * golden * (1.0 - golden)).sqrt();
    assert!(
        (count as f64 - n * golden).abs() < ERRORS * error,
        "{count} of {n}, expected {} +- {error}",
        n * golden
    );
}

#[test]
fn the_slowest_of_220000_lognormal_ranks_has_its_golden_mean_and_quantiles() {
    const N_RANKS: u32 = 220_000;
    const N_STEPS: usize = 2_000;
    let law = lognormal(1.0, 0.003);
    let pool = pool("h100", N_RANKS, 8, 8, 8, 1.0);
    let plan = plan(vec![pool], vec![jitter("jitter", law.clone(), &[0])]);
    let slowest = sampled(&plan, 900, N_STEPS as u32).compute_s;

    assert_mean(&slowest, 1.013_754_4);
    let above = |x: f64| slowest.iter().filter(|&&time_s| time_s > x).count();
    assert_share(above(1.013_640_3), N_STEPS, 0.5);
    // Two are expected, and more than eight one time in 4,000.
    assert!(above(1.017_389_8) <= 8);

    let to_the_nth = |x: f64| (f64::from(N_RANKS) * (-law.sf(x)).ln_1p()).exp();
    let distance = ks_distance(&slowest, to_the_nth);
    let limit = KS_LIMIT / (N_STEPS as f64).sqrt();
    assert!(distance < limit, "{distance} >= {limit}");
}

#[test]
fn the_quantiles_of_the_slowest_are_far_quantiles_of_the_law() {
    let law = lognormal(1.0, 0.003);
    for (p, golden) in [(0.5_f64, 1.013_640_3), (0.999, 1.017_389_8)] {
        let q = -(p.ln() / 220_000.0).exp_m1();
        let quantile = law.upper_quantile(q);
        assert!((quantile - golden).abs() < 1e-7, "{p}: {quantile}");
    }
}

#[test]
fn the_slowest_of_two_pools_is_the_one_with_the_heavier_tail_as_often_as_it_should() {
    const N_STEPS: usize = 100_000;
    let pools = vec![gpus("many", 1_000, 1.0), gpus("few", 10, 2.0)];
    let causes = vec![jitter("wait", exponential(1.0, 0.0), &[0, 1])];
    let sampled = sampled(&plan(pools, causes), 901, N_STEPS as u32);

    assert_mean(&sampled.compute_s, 8.003_96);
    let second = sampled.slowest.iter().filter(|&&pool| pool == 1);
    assert_share(second.count(), N_STEPS, 0.239_83);

    let product = |t: f64| (-(-t).exp_m1()).powi(1_000) * (-(-t / 2.0).exp_m1()).powi(10);
    let distance = ks_distance(&sampled.compute_s, product);
    let limit = KS_LIMIT / (N_STEPS as f64).sqrt();
    assert!(distance < limit, "{distance} >= {limit}");
}

#[test]
fn three_gpus_of_lasting_speeds_are_the_slowest_in_their_golden_shares() {
    const N_STEPS: usize = 400_000;
    let speeds = [1.00, 1.02, 1.05];
    let pools = ["a", "b", "c"].map(|name| gpus(name, 1, 1.0)).to_vec();
    let mut causes = vec![jitter("residual", lognormal(1.0, 0.01), &[0, 1, 2])];
    for (pool, speed) in speeds.into_iter().enumerate() {
        let name = format!("speed-{pool}");
        let law = constant(speed);
        let (span, effect) = (Span::Run, Effect::Slowdown);
        causes.push(cause(&name, Scope::Gpu, span, effect, law, &[pool]));
    }
    let sampled = sampled(&plan(pools, causes), 902, N_STEPS as u32);

    assert_mean(&sampled.compute_s, 1.050_161_8);
    for (pool, golden) in [0.000_195, 0.020_165, 0.979_639].into_iter().enumerate() {
        let slowest = sampled.slowest.iter();
        let count = slowest.filter(|&&slowest| slowest as usize == pool).count();
        assert_share(count, N_STEPS, golden);
    }
}

#[test]
fn the_slowest_of_ranks_that_share_a_node_is_the_slowest_node() {
    const N_STEPS: usize = 20_000;
    let pools = vec![pool("a", 512, 8, 8, 8, 1.0)];
    let shared = exponential(1.0, 0.0);
    let causes = vec![cause(
        "host",
        Scope::Node,
        Span::Step,
        Effect::Slowdown,
        shared,
        &[0],
    )];
    let slowest = sampled(&plan(pools, causes), 903, N_STEPS as u32).compute_s;
    let distance = ks_distance(&slowest, |t| (-(-t).exp_m1()).powi(64));
    let limit = KS_LIMIT / (N_STEPS as f64).sqrt();
    assert!(distance < limit, "{distance} >= {limit}");
    // The 64th harmonic number.
    let harmonic = (1..=64).map(|i| 1.0 / f64::from(i)).sum();
    assert_mean(&slowest, harmonic);
}
