//! Means and variances: of draws, of closed forms and of the quantiles.

mod common;

use common::draws::{draws, mean_and_error, variance_and_error};
use common::laws::{
    bounded_pareto, capped, constant, continuous, empirical, exponential, gamma, log_uniform,
    lognormal, mixture, normal, pareto, shapes, tabulated_weibull, uniform, weibull, with_atoms,
};
use common::plans::{cause, jitter, plan, pool, with_probability};
use hindmost_core::control::Control;
use hindmost_core::law::{Distribution, Law};
use hindmost_core::plan::{Effect, Scope, Span};
use hindmost_core::sample::{rank_times, sample};

const N_DRAWS: usize = 1_000_000;
/// Passed by one mean in 16,000 by chance.
const ERRORS: f64 = 4.0;

#[test]
fn draws_have_the_mean_and_the_variance_of_their_law() {
    let continuous = continuous().into_iter();
    let with_atoms = with_atoms().into_iter().map(|(name, law, _)| (name, law));
    for (seed, (name, law)) in (300..).zip(continuous.chain(with_atoms)) {
        let draws: Vec<f64> = draws(&law, seed, N_DRAWS)
            .into_iter()
            .map(f64::from)
            .collect();
        for (what, (sampled, error), exact) in [
            ("mean", mean_and_error(&draws), law.mean()),
            ("variance", variance_and_error(&draws), law.variance()),
        ] {
            // Rounding to f32 does not average out where all draws are equal.
            let limit = ERRORS * error + 1e-7 * exact;
            assert!(
                (sampled - exact).abs() <= limit,
                "{name}: {what} {exact}, of draws {sampled} +- {error}"
            );
        }
    }
}

#[test]
fn moments_are_the_closed_forms() {
    // E min(X, c) = m (1 + ln (c / m)) for alpha 1, else m alpha / (alpha - 1)
    // - (m / c)^alpha c / (alpha - 1); E min(X, c)^2 alike with alpha / 2.
    let capped_mean = |m: f64, alpha: f64, c: f64| {
        if alpha == 1.0 {
            return m * (1.0 + (c / m).ln());
        }
        (m * alpha - (m / c).powf(alpha) * c) / (alpha - 1.0)
    };
    let capped_moments = |m: f64, alpha: f64, c: f64| {
        let mean = capped_mean(m, alpha, c);
        (mean, capped_mean(m * m, 0.5 * alpha, c * c) - mean * mean)
    };
    let weibull_moment = |power: f64| libm::tgamma(1.0 + power / 1.7);
    for (law, (mean, variance)) in [
        (constant(1.25), (1.25, 0.0)),
        (
            lognormal(1.5, 0.4),
            (
                1.5 * 0.08_f64.exp(),
                2.25 * 0.16_f64.exp() * (0.16_f64.exp() - 1.0),
            ),
        ),
        (lognormal(1.25, 0.0), (1.25, 0.0)),
        (exponential(2.0, 0.5), (2.5, 4.0)),
        (gamma(2.5, 0.8), (2.0, 1.6)),
        (pareto(1.0, 3.0), (1.5, 0.75)),
        (uniform(0.5, 3.0), (1.75, 6.25 / 12.0)),
        (
            log_uniform(1.0, std::f64::consts::E),
            (
                std::f64::consts::E - 1.0,
                0.5 * (std::f64::consts::E.powi(2) - 1.0) - (std::f64::consts::E - 1.0).powi(2),
            ),
        ),
        // Two uniform halves, [1, 2] and [2, 6].
        (
            empirical(&[6.0, 1.0, 2.0]),
            (2.75, 0.5 * (7.0 + 52.0) / 3.0 - 2.75 * 2.75),
        ),
        (
            mixture(vec![(0.25, constant(2.0)), (0.75, exponential(1.0, 1.0))]),
            (2.0, 0.75),
        ),
        // E min(X, 1) = 1 - 1/e, E min(X, 1)^2 = 2 - 4/e.
        (capped(exponential(1.0, 0.0), 1.0), {
            let on_cap = (-1.0_f64).exp();
            (1.0 - on_cap, 2.0 - 4.0 * on_cap - (1.0 - on_cap).powi(2))
        }),
        (capped(pareto(1.0, 1.0), 8.0), capped_moments(1.0, 1.0, 8.0)),
        (
            capped(pareto(1.0, 0.75), 8.0),
            capped_moments(1.0, 0.75, 8.0),
        ),
        (capped(pareto(2.0, 0.1), 1e6), capped_moments(2.0, 0.1, 1e6)),
        (capped(pareto(0.5, 2.0), 1e3), capped_moments(0.5, 2.0, 1e3)),
        (
            capped(pareto(1.0, 5.0), 1.01),
            capped_moments(1.0, 5.0, 1.01),
        ),
        (
            weibull(1.7, 2.0),
            (
                2.0 * weibull_moment(1.0),
                4.0 * (weibull_moment(2.0) - weibull_moment(1.0).powi(2)),
            ),
        ),
        (weibull(1.0, 3.0), (3.0, 9.0)),
        (weibull(0.5, 1.0), (2.0, 20.0)),
        // With shape k: mean 1 - 0.5772.../k, variance pi^2 / 6 k^2 in the limit.
        (
            weibull(1e11, 1.0),
            (
                1.0 - 0.577_215_664_901_532_9e-11,
                std::f64::consts::PI.powi(2) / 6.0 * 1e-22,
            ),
        ),
        // Half of a normal number: sqrt(2 / pi) and 1 - 2 / pi in the limit.
        (
            normal(1e-12, 1.0),
            (
                std::f64::consts::FRAC_2_PI.sqrt(),
                1.0 - std::f64::consts::FRAC_2_PI,
            ),
        ),
        (normal(2.0, 1e-3), (2.0, 1e-6)),
        // Density c / x^2 with c = 4/3, then c / x^3 with c = 32/15, and
        // c / x^4 with c = 192/63, all on [1, 4].
        (bounded_pareto(1.0, 1.0, 4.0), {
            let mean = 4.0_f64.ln() * 4.0 / 3.0;
            (mean, 4.0 - mean * mean)
        }),
        (bounded_pareto(1.0, 2.0, 4.0), {
            (1.6, 32.0 / 15.0 * 4.0_f64.ln() - 2.56)
        }),
        (bounded_pareto(2.0, 3.0, 8.0), {
            let mean = 192.0 / 63.0 * 0.5 * 15.0 / 16.0;
            (2.0 * mean, 4.0 * (192.0 / 63.0 * 0.75 - mean * mean))
        }),
        // So narrow that it is uniform.
        (
            bounded_pareto(1.0, 1e-7, 1.0 + 0.5_f64.powi(24)),
            (1.0 + 0.5_f64.powi(25), 0.5_f64.powi(48) / 12.0),
        ),
        (
            tabulated_weibull(1.7),
            (
                weibull_moment(1.0),
                weibull_moment(2.0) - weibull_moment(1.0).powi(2),
            ),
        ),
    ] {
        // The fit of a tabulated law may be off by 1e-5.
        let limit = if matches!(law, Law::Tabulated(_)) {
            1e-5
        } else {
            1e-9
        };
        assert_near(&format!("mean of {law:?}"), law.mean(), mean, limit);
        assert_near(
            &format!("variance of {law:?}"),
            law.variance(),
            variance,
            limit,
        );
    }
}

#[test]
fn moments_are_the_integrals_of_the_quantiles_over_the_probability() {
    let with_atoms = with_atoms()
        .into_iter()
        .map(|(name, law, _)| (name.to_owned(), law));
    let laws = shapes()
        .into_iter()
        .chain(with_atoms)
        // Their variance comes from tail probabilities below 2^-200.
        .filter(|(name, _)| !["lognormal 1 9", "pareto 1 2.01"].contains(&name.as_str()));
    for (name, law) in laws {
        // Corners and jumps take short steps, but some quantiles are slow.
        let (steps_per_octave, limit) = match name.as_str() {
            name if name.starts_with("gamma") => (64, 1e-5),
            name if name.contains("mixture") => (256, 1e-3),
            _ => (2048, 1e-4),
        };
        let integral = |f: &dyn Fn(f64) -> f64| integral_of_quantiles(&law, steps_per_octave, f);
        let mean = integral(&|x| x);
        assert_near(&format!("mean of {name}"), law.mean(), mean, limit);
        let variance = integral(&|x| (x - mean) * (x - mean));
        // Squared deviations lose what the mean's digits do not carry.
        let lost = 1e-14 * mean * mean;
        assert!(
            (law.variance() - variance).abs() <= limit * variance + lost,
            "variance of {name}: {} but the integral is {variance}",
            law.variance()
        );
    }
}

#[test]
fn a_heavy_tail_has_an_infinite_mean_or_variance_and_a_cap_makes_them_finite() {
    for (alpha, mean, variance) in [
        (0.5, false, false),
        (1.0, false, false),
        (1.5, true, false),
        (2.0, true, false),
        (2.5, true, true),
    ] {
        let law = pareto(1.0, alpha);
        assert_eq!(law.mean().is_finite(), mean, "mean for {alpha}");
        assert_eq!(law.variance().is_finite(), variance, "variance for {alpha}");
        assert!(law.mean() > 0.0 && law.variance() > 0.0);
        let capped = capped(law.clone(), 50.0);
        assert!(capped.mean() < 50.0 && capped.variance() < 2500.0);
        let mixture = mixture(vec![(0.5, law), (0.5, constant(1.0))]);
        assert_eq!(mixture.mean().is_finite(), mean, "mixture for {alpha}");
        assert_eq!(mixture.variance().is_finite(), variance);
    }
}

#[test]
fn a_cap_far_above_a_law_changes_no_moment() {
    for (name, law) in [
        ("lognormal", lognormal(1.5, 0.4)),
        ("exponential", exponential(2.0, 0.5)),
        ("gamma", gamma(2.5, 0.8)),
        ("uniform", uniform(0.5, 3.0)),
        ("mixture", with_atoms().swap_remove(5).1),
    ] {
        let capped = capped(law.clone(), 1e4);
        assert_near(name, capped.mean(), law.mean(), 1e-10);
        assert_near(name, capped.variance(), law.variance(), 1e-10);
    }
}

#[test]
fn a_cap_that_nothing_reaches_keeps_the_moments_of_an_empirical_law() {
    let mut samples = [1.0; 11];
    samples[10] = 100.0;
    let law = empirical(&samples);
    let capped = capped(law.clone(), 1e4);
    for (what, ours, exact) in [
        ("mean", capped.mean(), law.mean()),
        ("variance", capped.variance(), law.variance()),
    ] {
        assert!((ours / exact - 1.0).abs() < 1e-9, "{what}: {ours}, {exact}");
    }
}

#[test]
fn busy_and_stalled_seconds_are_the_means_of_the_ranks_times() {
    let causes = vec![
        jitter("jitter", lognormal(1.0, 0.2), &[0]),
        with_probability(jitter("slow", uniform(1.5, 2.0), &[0]), 0.1),
        cause(
            "speed",
            Scope::Gpu,
            Span::Run,
            Effect::Slowdown,
            gamma(50.0, 0.02),
            &[0],
        ),
        cause(
            "wait",
            Scope::Gpu,
            Span::Run,
            Effect::Stall,
            uniform(0.1, 0.3),
            &[0],
        ),
        with_probability(
            cause(
                "pause",
                Scope::Gpu,
                Span::Step,
                Effect::Stall,
                exponential(0.5, 0.1),
                &[0],
            ),
            0.25,
        ),
    ];
    let plan = plan(vec![pool("pool", 16, 4, 8, 8, 2.0)], causes);
    let n_steps = 20_000;
    let steps: Vec<u32> = (0..n_steps).collect();
    let mut times = vec![0.0; 16 * steps.len()];
    rank_times(&plan, 401, 0, &steps, &mut times, &Control::default()).unwrap();
    let of_step: Vec<f64> = times
        .chunks(16)
        .map(|ranks| ranks.iter().map(|&time| f64::from(time)).sum::<f64>() / 16.0)
        .collect();
    let (mean, error) = mean_and_error(&of_step);
    let sampled = sample(&plan, 401, 1, 1, &Control::default()).unwrap();
    let expected = sampled.busy_s[0] + sampled.own_stall_s[0];
    assert!(
        (mean - expected).abs() < ERRORS * error,
        "{expected}, of ranks {mean} +- {error}"
    );
}

fn assert_near(what: &str, ours: f64, exact: f64, limit: f64) {
    assert!(
        (ours - exact).abs() <= limit * exact.abs(),
        "{what}: {ours}, exactly {exact}"
    );
}

/// Trapezoidal rule over the logarithm of both tail probabilities, from 2^-121
/// to 1/2.
fn integral_of_quantiles(law: &Law, steps_per_octave: i32, f: &dyn Fn(f64) -> f64) -> f64 {
    let step = std::f64::consts::LN_2 / f64::from(steps_per_octave);
    let mut sum = 0.0;
    for index in 0..=120 * steps_per_octave {
        let p = 0.5 * (-f64::from(index) * step).exp();
        let weight = if index == 0 { 0.5 } else { 1.0 };
        sum += weight * p * (f(law.quantile(p)) + f(law.upper_quantile(p)));
    }
    sum * step
}
