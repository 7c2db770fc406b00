//! Curves of sums against closed forms, tails included.

mod common;

use common::laws::{
    bounded_pareto, capped, constant, exponential, gamma, lognormal, mixture, normal, pareto,
    uniform, weibull,
};
use hindmost_core::curve::{Curve, sum, sum_of};
use hindmost_core::law::Distribution;
use hindmost_core::law::special::normal_cdf;

/// Greatest relative miss of a tail probability of 1e-9 or more.
const LIMIT: f64 = 0.01;
const TAILS: [f64; 5] = [0.5, 0.1, 1e-3, 1e-6, 1e-9];

fn assert_close(what: &str, found: f64, exact: f64, limit: f64) {
    let miss = (found / exact - 1.0).abs();
    assert!(miss <= limit, "{what}: {found:e}, exactly {exact:e}");
}

#[test]
fn the_sum_of_exponentials_is_gamma_above_its_median() {
    for n in [16, 64, 252] {
        let (sum, law) = (
            sum_of(&Curve::of(&exponential(1.0, 0.0)), n).unwrap(),
            gamma(f64::from(n), 1.0),
        );
        for q in TAILS {
            let x = law.upper_quantile(q);
            assert_close(&format!("{n} above {x}"), sum.sf(x), q, LIMIT);
        }
    }
}

#[test]
fn the_sum_of_exponentials_is_gamma_below_its_median() {
    for n in [64, 252] {
        let (sum, law) = (
            sum_of(&Curve::of(&exponential(1.0, 0.0)), n).unwrap(),
            gamma(f64::from(n), 1.0),
        );
        for p in TAILS {
            let x = law.quantile(p);
            assert_close(&format!("{n} below {x}"), sum.cdf(x), p, LIMIT);
        }
    }
}

#[test]
fn the_sum_of_normals_is_normal() {
    for sigma in [0.003, 0.05] {
        let one = Curve::of(&normal(1.0, sigma));
        for n in [2_u32, 16, 252] {
            let (sum, mean) = (sum_of(&one, n).unwrap(), f64::from(n));
            let deviation = sigma * mean.sqrt();
            for z in [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0] {
                let (tail, what) = (normal_cdf(-z), format!("{sigma} {n} {z}"));
                assert_close(&what, sum.sf(mean + z * deviation), tail, LIMIT);
                assert_close(&what, sum.cdf(mean - z * deviation), tail, LIMIT);
            }
        }
    }
}

/// Probability that `n` uniform numbers add up to at most `x`, for small `x`.
fn irwin_hall(n: u32, x: f64) -> f64 {
    let (mut sum, mut binomial, mut factorial) = (0.0, 1.0, 1.0);
    for k in 0..=n {
        let left = x - f64::from(k);
        if left > 0.0 {
            sum += binomial * left.powi(n as i32);
        }
        binomial *= -f64::from(n - k) / f64::from(k + 1);
        factorial *= f64::from(k.max(1));
    }
    sum / factorial
}

#[test]
fn the_sum_of_uniforms_is_piecewise_polynomial() {
    let one = Curve::of(&uniform(0.0, 1.0));
    for (n, xs) in [
        (2_u32, vec![0.1, 0.3, 0.5, 0.9]),
        (12, vec![2.0, 2.5, 3.0, 4.5, 5.9]),
    ] {
        let sum = sum_of(&one, n).unwrap();
        for x in xs {
            let (exact, what) = (irwin_hall(n, x), format!("{n} at {x}"));
            assert_close(&what, sum.cdf(x), exact, LIMIT);
            assert_close(&what, sum.sf(f64::from(n) - x), exact, LIMIT);
        }
    }
}

#[test]
fn the_sum_of_constants_is_constant() {
    for curve in [Curve::constant(1.25), Curve::of(&constant(1.25))] {
        for n in [1, 2, 7, 1000] {
            let (sum, exact) = (sum_of(&curve, n).unwrap(), 1.25 * f64::from(n));
            assert_eq!(
                (sum.cdf(exact * (1.0 - 1e-12)), sum.cdf(exact)),
                (0.0, 1.0),
                "{n}"
            );
        }
    }
}

#[test]
fn the_sum_of_two_lognormals_is_as_slow_as_quadrature_says() {
    const STEP: f64 = 1.0 / 1024.0;
    for sigma in [0.01, 0.1] {
        let law = lognormal(1.0, sigma);
        let sum = sum_of(&Curve::of(&law), 2).unwrap();
        for z in [0.0, 1.0, 2.0, 4.0, 6.0] {
            let x = 2.0 * (z * sigma / 2_f64.sqrt()).exp();
            let mut sf = 0.0;
            for k in -12_288..=12_288 {
                let z = f64::from(k) * STEP;
                let weight = STEP * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
                sf += weight * law.sf(x - (sigma * z).exp());
            }
            assert_close(&format!("{sigma} above {x}"), sum.sf(x), sf, LIMIT);
        }
    }
}

#[test]
fn a_sum_has_the_mean_and_the_variance_of_its_numbers() {
    for law in [
        lognormal(1.0, 0.05),
        exponential(1.0, 0.5),
        weibull(1.5, 1.0),
        bounded_pareto(1.0, 1.5, 5.0),
        capped(pareto(1.0, 0.75), 8.0),
        uniform(1.0, 1.001),
        mixture(vec![(0.99, constant(1.0)), (0.01, lognormal(1.2, 0.05))]),
    ] {
        for n in [2_u32, 16] {
            let sum = sum_of(&Curve::of(&law), n).unwrap();
            // Knots of a sum lie closely: each interval counts as its middle.
            let (mut mean, mut square) = (0.0, 0.0);
            let (mut above, mut x) = (1.0, sum.xs()[0]);
            for &next in sum.xs() {
                let sf = sum.sf(next);
                let (weight, middle) = (above - sf, 0.5 * (x + next));
                mean += weight * middle;
                square += weight * middle * middle;
                (above, x) = (sf, next);
            }
            let n = f64::from(n);
            assert_close(&format!("{law:?}, mean"), mean, n * law.mean(), 1e-3);
            let (variance, exact) = (square - mean * mean, n * law.variance());
            // As much as the tail of 1 / x^3 leaves out.
            assert_close(&format!("{law:?}, variance"), variance, exact, 0.01);
        }
    }
}

#[test]
fn the_sum_of_two_different_normals_is_normal() {
    let of = |mean, sigma| Curve::of(&normal(mean, sigma));
    let deviation = f64::hypot(0.05, 0.1);
    for sum in [
        sum(&of(1.0, 0.05), &of(2.0, 0.1)).unwrap(),
        sum(&of(2.0, 0.1), &of(1.0, 0.05)).unwrap(),
    ] {
        for z in [0.0, 1.0, 2.0, 4.0, 6.0] {
            let (tail, what) = (normal_cdf(-z), format!("{z}"));
            assert_close(&what, sum.sf(3.0 + z * deviation), tail, LIMIT);
            assert_close(&what, sum.cdf(3.0 - z * deviation), tail, LIMIT);
        }
    }
}

#[test]
fn a_tail_too_heavy_for_even_steps_has_no_sum() {
    for law in [lognormal(1.0, 1.0), pareto(1.0, 3.0)] {
        assert_eq!(sum_of(&Curve::of(&law), 2), None, "{law:?}");
    }
}
