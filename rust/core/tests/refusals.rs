//! Constructors of laws refuse what is no law: under which name, and what would
//! do instead.

mod common;

use common::laws::{capped, constant, empirical, fine_grid, mixture, pareto, uniform};
use hindmost_core::law::{
    Capped, Constant, Distribution, Empirical, Exponential, Gamma, Law, LogNormal, LogUniform,
    Mixture, Normal, Pareto, Tabulated, Uniform, Weibull, with_pareto_tail,
};
use hindmost_core::{Error, Result};

const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const NOT_POSITIVE: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0];
const NEGATIVE: [f64; 4] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-300];

/// Asserts a refusal of this value under this name, and returns what would do.
fn refused<T>(result: Result<T>, name: &str, bad: f64) -> String {
    match result {
        Err(Error::Domain {
            field,
            value,
            requirement,
        }) => {
            assert_eq!(field, name, "for {bad}");
            assert!(
                value == bad || value.is_nan() && bad.is_nan(),
                "{name}: {value} was named, {bad} was given"
            );
            assert!(!requirement.is_empty());
            requirement
        }
        Err(other) => panic!("{name} = {bad}: {other}"),
        Ok(_) => panic!("{name} = {bad} was taken"),
    }
}

#[test]
fn a_constant_is_finite_and_positive() {
    for bad in NOT_POSITIVE {
        refused(Constant::new(bad), "value", bad);
    }
}

#[test]
fn a_lognormal_law_has_a_positive_median_and_no_negative_sigma() {
    for bad in NOT_POSITIVE {
        refused(LogNormal::new(bad, 0.1), "median", bad);
    }
    for bad in NEGATIVE {
        refused(LogNormal::new(1.0, bad), "sigma", bad);
    }
    assert!(LogNormal::new(1.0, 0.0).is_ok());
}

#[test]
fn an_exponential_law_has_a_positive_mean_and_no_negative_shift() {
    for bad in NOT_POSITIVE {
        refused(Exponential::new(bad, 0.0), "mean", bad);
    }
    for bad in NEGATIVE {
        refused(Exponential::new(1.0, bad), "shift", bad);
    }
    assert!(Exponential::new(1.0, 0.0).is_ok());
}

#[test]
fn a_gamma_law_has_a_positive_scale_and_a_shape_up_to_10000() {
    for bad in NOT_POSITIVE.into_iter().chain([10_001.0]) {
        refused(Gamma::new(bad, 1.0), "shape", bad);
    }
    for bad in NOT_POSITIVE {
        refused(Gamma::new(1.0, bad), "scale", bad);
    }
    assert!(Gamma::new(10_000.0, 1.0).is_ok());
}

#[test]
fn a_pareto_law_has_a_positive_minimum_and_alpha() {
    for bad in NOT_POSITIVE {
        refused(Pareto::new(bad, 3.0), "minimum", bad);
        refused(Pareto::new(1.0, bad), "alpha", bad);
    }
}

#[test]
fn a_bounded_pareto_law_has_a_finite_maximum_above_its_minimum() {
    for bad in NOT_POSITIVE.into_iter().chain([0.5, 1.0]) {
        refused(Pareto::bounded(1.0, 3.0, bad), "maximum", bad);
    }
    for bad in NOT_POSITIVE {
        refused(Pareto::bounded(bad, 3.0, 2.0), "minimum", bad);
        refused(Pareto::bounded(1.0, bad, 2.0), "alpha", bad);
    }
    refused(Pareto::bounded(1e-300, 1.0, 1e300), "maximum", 1e300);
    assert!(Pareto::bounded(1.0, 0.1, 1.0 + 1e-15).is_ok());
}

#[test]
fn a_weibull_law_has_a_positive_shape_and_scale() {
    for bad in NOT_POSITIVE {
        refused(Weibull::new(bad, 1.0), "shape", bad);
        refused(Weibull::new(1.0, bad), "scale", bad);
    }
}

#[test]
fn a_normal_law_has_a_positive_mean_and_sigma() {
    for bad in NOT_POSITIVE {
        refused(Normal::new(bad, 1.0), "mean", bad);
        refused(Normal::new(1.0, bad), "sigma", bad);
    }
}

#[test]
fn samples_with_a_tail_have_an_alpha_and_a_cap_from_the_greatest_sample_on() {
    let samples = || vec![1.0, 3.0, 2.0];
    for bad in NOT_POSITIVE.into_iter().chain([0.049, 1.1e6]) {
        refused(with_pareto_tail(samples(), bad, 5.0), "tail_alpha", bad);
    }
    for bad in NOT_POSITIVE.into_iter().chain([2.0, 2.999]) {
        let requirement = refused(with_pareto_tail(samples(), 1.0, bad), "cap", bad);
        assert_eq!(requirement, "finite and >= 3, the greatest sample");
    }
    for bad in NOT_POSITIVE {
        let samples = vec![1.0, 2.0, bad];
        refused(with_pareto_tail(samples, 1.0, 5.0), "samples.2", bad);
    }
    refused(with_pareto_tail(vec![1.0], 1.0, 5.0), "samples", 1.0);
    assert!(with_pareto_tail(samples(), 0.05, 3.0).is_ok());
    assert!(with_pareto_tail(samples(), 1e6, 3.0).is_ok());
}

#[test]
fn a_uniform_law_has_a_lower_end_that_is_not_negative_and_a_greater_upper_end() {
    for bad in NEGATIVE {
        refused(Uniform::new(bad, 2.0), "low", bad);
    }
    for bad in NOT_FINITE.into_iter().chain([1.0, 0.5]) {
        refused(Uniform::new(1.0, bad), "high", bad);
    }
    assert!(Uniform::new(0.0, 2.0).is_ok());
}

#[test]
fn a_log_uniform_law_has_a_positive_lower_end_and_a_greater_upper_end() {
    for bad in NOT_POSITIVE {
        refused(LogUniform::new(bad, 2.0), "low", bad);
    }
    for bad in NOT_FINITE.into_iter().chain([1.0, 0.5]) {
        refused(LogUniform::new(1.0, bad), "high", bad);
    }
}

#[test]
fn a_log_uniform_law_spans_what_f64_can_divide() {
    refused(LogUniform::new(1e-300, 1e300), "high", 1e300);
    let law = Law::LogUniform(LogUniform::new(1e-150, 1e150).unwrap());
    for p in [0.1, 0.4, 0.6, 0.9] {
        let (lower, upper) = (law.quantile(p), law.upper_quantile(1.0 - p));
        assert!((lower / upper - 1.0).abs() < 1e-9, "{p}: {lower} {upper}");
    }
}

#[test]
fn an_empirical_law_has_2_to_1048576_positive_samples() {
    for bad in NOT_POSITIVE {
        refused(Empirical::new(vec![1.0, 2.0, bad]), "samples.2", bad);
    }
    for length in [0, 1, (1 << 20) + 1] {
        refused(Empirical::new(vec![1.0; length]), "samples", length as f64);
    }
    assert!(Empirical::new(vec![1.0; 1 << 20]).is_ok());
}

#[test]
fn a_tabulated_law_has_rising_quantiles_that_meet_in_the_median() {
    let good = || fine_of(32, |p| 1.0 + p, |q| 2.0 - q);
    let (lower, upper) = good();
    assert!(Tabulated::new(lower, upper).is_ok());
    for length in [0, 1, 2048, 2050, 64 * 33 + 1, 64 * 16 + 1, 64 * 1024 + 1] {
        refused(
            Tabulated::new(vec![1.0; length], good().1),
            "lower",
            length as f64,
        );
    }
    refused(Tabulated::new(good().0, vec![1.5; 7]), "upper", 7.0);
    for bad in NOT_POSITIVE {
        let (mut lower, upper) = good();
        lower[5] = bad;
        refused(Tabulated::new(lower, upper), "lower.5", bad);
        let (lower, mut upper) = good();
        upper[7] = bad;
        refused(Tabulated::new(lower, upper), "upper.7", bad);
    }
    let (mut lower, upper) = good();
    lower[2000] = 0.5;
    refused(Tabulated::new(lower, upper), "lower.2000", 0.5);
    let (lower, mut upper) = good();
    upper[2000] = 2.5;
    refused(Tabulated::new(lower, upper), "upper.2000", 2.5);
    let (lower, mut upper) = good();
    upper[2048] = 1.49;
    refused(Tabulated::new(lower, upper), "upper.2048", 1.49);
    let apart = Tabulated::new(vec![1.000_000_9; 2049], vec![1.0; 2049]);
    refused(apart, "upper.2048", 1.0);
    assert!(Tabulated::new(vec![1.0; 2049], vec![1.0; 2049]).is_ok());
}

/// Every 1024/bins-th quantile of the fine grid.
fn fine_of(
    bins: usize,
    lower: impl Fn(f64) -> f64,
    upper: impl Fn(f64) -> f64,
) -> (Vec<f64>, Vec<f64>) {
    let (lower, upper) = fine_grid(lower, upper);
    let every = |side: Vec<f64>| side.into_iter().step_by(1024 / bins).collect();
    (every(lower), every(upper))
}

#[test]
fn a_fit_takes_the_fine_grid_alone() {
    let (lower, upper) = fine_grid(|p| 1.0 + p, |q| 2.0 - q);
    let short = || vec![1.0; 2049];
    refused(Tabulated::fit(&short(), &upper), "lower", 2049.0);
    refused(Tabulated::fit(&lower, &short()), "upper", 2049.0);
    assert_eq!(Tabulated::fit(&lower, &upper).unwrap().bins(), 32);
}

#[test]
fn a_fit_refuses_a_kink_and_a_jump_between_its_knots() {
    // Both lie between 3/8 and 3/8 + 2^-10 of one octave, where no knot is.
    let at = 0.375 + 0.375 * 0.000_7;
    let kink = |p: f64| 1.0 + 200.0 * (p - at).max(0.0);
    let jump = |p: f64| if p < at { 1.0 } else { 1.5 };
    for lower in [&kink as &dyn Fn(f64) -> f64, &jump] {
        let median = lower(0.5);
        let (lower, upper) = fine_grid(lower, |_| median);
        match Tabulated::fit(&lower, &upper) {
            Err(Error::Domain { field, .. }) => assert_eq!(field, "ppf"),
            other => panic!("{:?}", other.map(|law| law.bins())),
        }
    }
}

#[test]
fn a_mixture_has_1_to_16_laws_whose_weights_add_up_to_one() {
    let one = || constant(1.0);
    for length in [0, 17] {
        let components = (0..length).map(|_| (1.0 / 17.0, one())).collect();
        refused(Mixture::new(components), "components", f64::from(length));
    }
    for bad in NOT_POSITIVE.into_iter().chain([1.1]) {
        let components = vec![(0.5, one()), (bad, one())];
        refused(Mixture::new(components), "components.1.weight", bad);
    }
    for bad in [0.5, 0.25 + 1e-8] {
        let components = vec![(0.5, one()), (bad, one()), (0.25, one())];
        refused(Mixture::new(components), "components", 0.75 + bad);
    }
    let sixteen = (0..16).map(|_| (0.0625, one())).collect();
    assert!(Mixture::new(sixteen).is_ok());
}

#[test]
fn a_mixture_holds_no_mixture() {
    let inner = mixture(vec![(0.5, constant(1.0)), (0.5, constant(2.0))]);
    for inner in [inner.clone(), capped(inner, 1.5)] {
        let components = vec![(0.5, constant(1.0)), (0.5, inner)];
        refused(Mixture::new(components), "components.1.law.components", 2.0);
    }
}

#[test]
fn a_cap_is_finite_and_above_the_least_number_of_the_law() {
    for bad in NOT_POSITIVE.into_iter().chain([0.5, 1.0]) {
        refused(Capped::new(pareto(1.0, 1.0), bad), "cap", bad);
        refused(Capped::new(constant(1.0), bad), "cap", bad);
        refused(Capped::new(empirical(&[1.0, 2.0]), bad), "cap", bad);
    }
    assert!(Capped::new(uniform(0.0, 1.0), 1e-9).is_ok());
}
