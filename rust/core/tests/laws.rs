//! Draws follow their law, and a law is one law from both of its sides.

mod common;

use common::draws::{draws, ks_distance};
use common::laws::{
    capped, continuous, lognormal, mixture as mixture_of_laws, shapes, tabulated_weibull,
    with_atoms,
};
use hindmost_core::law::{Capped, Constant, Distribution, Law, LogNormal, Mixture};

const N_DRAWS: usize = 1_000_000;
/// Passed by one law in 1,000 by chance.
const KS_LIMIT: f64 = 1.95;
/// Passed by one count in 150,000 by chance.
const COUNT_ERRORS: f64 = 4.5;

#[test]
fn draws_of_a_continuous_law_follow_its_cdf() {
    for (seed, (name, law)) in (100..).zip(continuous()) {
        let draws: Vec<f64> = draws(&law, seed, N_DRAWS)
            .into_iter()
            .map(f64::from)
            .collect();
        let distance = ks_distance(&draws, |x| law.cdf(x));
        let limit = KS_LIMIT / (N_DRAWS as f64).sqrt();
        assert!(distance < limit, "{name}: {distance} >= {limit}");
    }
}

#[test]
fn draws_of_a_law_with_atoms_fall_below_and_on_each_number_as_often_as_it_says() {
    for (seed, (name, law, atoms)) in (200..).zip(with_atoms()) {
        let draws = draws(&law, seed, N_DRAWS);
        let quantiles = (1..20).map(|i| law.quantile(f64::from(i) / 20.0));
        for x in quantiles.chain(atoms) {
            // A draw is rounded to f32, so numbers that close are one number.
            let (least, most) = ((x * (1.0 - 1e-6)) as f32, (x * (1.0 + 1e-6)) as f32);
            let below = draws.iter().filter(|&&draw| draw < least).count();
            let up_to = draws.iter().filter(|&&draw| draw <= most).count();
            for (count, p, side) in [
                (below, law.cdf(f64::from(least) * (1.0 - 1e-9)), "below"),
                (up_to, law.cdf(f64::from(most)), "up to"),
            ] {
                let n = N_DRAWS as f64;
                let error = (n * p * (1.0 - p)).sqrt();
                let miss = (count as f64 - n * p).abs();
                assert!(
                    miss <= COUNT_ERRORS * error + 1e-6,
                    "{name}: {count} draws {side} {x}, expected {} +- {error}",
                    n * p
                );
            }
        }
    }
}

#[test]
fn the_cdf_of_a_quantile_is_its_probability_on_both_tails_down_to_2_to_minus_65() {
    for (name, law) in invertible() {
        for exponent in 1..=65 {
            for fraction in [1.0, 0.83, 0.61] {
                let p = fraction * (-f64::from(exponent)).exp2();
                assert_lies_around(&name, p, law.quantile(p), |x| law.cdf(x));
                assert_lies_around(&name, p, -law.upper_quantile(p), |x| law.sf(-x));
            }
        }
    }
}

/// Asserts that a quantile is exact to the last digits of f64, and with it its
/// probability.
fn assert_lies_around(name: &str, p: f64, quantile: f64, rising_cdf: impl Fn(f64) -> f64) {
    let rounding = 4.0 * f64::EPSILON * quantile.abs();
    let (below, above) = (
        rising_cdf(quantile - rounding),
        rising_cdf(quantile + rounding),
    );
    assert!(
        below <= p * (1.0 + 1e-9) && above >= p * (1.0 - 1e-9),
        "{name}: {p:e} is not in [{below:e}, {above:e}], the CDF around {quantile}"
    );
}

#[test]
fn the_quantiles_of_both_sides_are_one_function() {
    for (name, law) in shapes() {
        for i in 1..64 {
            // Complements of multiples of 2^-6 are exact.
            let p = f64::from(i) / 64.0;
            let (lower, upper) = (law.quantile(p), law.upper_quantile(1.0 - p));
            assert!(
                (lower / upper - 1.0).abs() < 1e-9,
                "{name} at {p}: {lower} from below, {upper} from above"
            );
        }
    }
}

#[test]
fn cdf_and_survival_function_add_up_to_one() {
    let with_atoms = with_atoms().into_iter();
    let laws = shapes()
        .into_iter()
        .chain(with_atoms.map(|(name, law, _)| (name.to_owned(), law)));
    for (name, law) in laws {
        for i in 1..200 {
            let x = law.quantile(f64::from(i) / 200.0);
            for x in [x, x * 0.999, x * 1.001] {
                let sum = law.cdf(x) + law.sf(x);
                // A law whose width is 1e-4 of its numbers loses four of sixteen
                // digits.
                assert!((sum - 1.0).abs() < 1e-11, "{name} at {x}: {sum}");
            }
        }
    }
}

#[test]
fn no_weight_lies_at_or_below_zero_or_at_infinity() {
    let with_atoms = with_atoms().into_iter();
    let laws = shapes()
        .into_iter()
        .chain(with_atoms.map(|(name, law, _)| (name.to_owned(), law)));
    for (name, law) in laws {
        for x in [-1.0, 0.0] {
            assert_eq!((law.cdf(x), law.sf(x)), (0.0, 1.0), "{name} at {x}");
        }
        let greatest = f64::MAX;
        let both = (law.cdf(greatest), law.sf(greatest));
        assert!(both.0 == 1.0 && both.1 < 1e-300, "{name}: {both:?}");
    }
}

#[test]
fn a_tabulated_law_follows_the_law_that_it_was_fitted_to() {
    let shape = 1.7;
    let law = tabulated_weibull(shape);
    for exponent in 1..=64 {
        let p = 0.77 * (-f64::from(exponent)).exp2();
        let exact_lower = (-(-p).ln_1p()).powf(1.0 / shape);
        let exact_upper = (-p.ln()).powf(1.0 / shape);
        for (fitted, exact) in [
            (law.quantile(p), exact_lower),
            (law.upper_quantile(p), exact_upper),
        ] {
            assert!((fitted / exact - 1.0).abs() < 1e-5, "{p:e}");
        }
    }
}

#[test]
fn caps_and_mixtures_of_one_kind_of_law_are_those_of_the_enum() {
    let part = |median| LogNormal::new(median, 0.2).unwrap();
    let mixture = Mixture::new(vec![(0.75, part(1.0)), (0.25, part(1.5))]).unwrap();
    let typed = Capped::new(mixture, 1.75).unwrap();
    let of_enum = capped(
        mixture_of_laws(vec![
            (0.75, lognormal(1.0, 0.2)),
            (0.25, lognormal(1.5, 0.2)),
        ]),
        1.75,
    );
    for p in [1e-12, 0.01, 0.5, 0.9] {
        assert_eq!(typed.quantile(p), of_enum.quantile(p), "{p}");
        assert_eq!(typed.upper_quantile(p), of_enum.upper_quantile(p), "{p}");
    }
    assert_eq!(
        (typed.mean(), typed.variance()),
        (of_enum.mean(), of_enum.variance())
    );
    assert_eq!(typed.n_components(), Some(2));
    assert!(Mixture::new(vec![(1.0, typed)]).is_err());
    assert_eq!(Constant::new(1.0).unwrap().split_cap().1, None);
}

#[test]
fn a_lognormal_law_has_the_median_it_was_given() {
    let law = lognormal(2.5, 0.7);
    assert_eq!(law.quantile(0.5), 2.5);
    assert_eq!(law.cdf(2.5), 0.5);
}

/// Laws whose CDF rises where their quantile function does.
fn invertible() -> Vec<(String, Law)> {
    let of_one_number = ["lognormal 1 0", "constant"];
    let mut laws: Vec<(String, Law)> = shapes()
        .into_iter()
        .filter(|(name, _)| !of_one_number.contains(&name.as_str()))
        .filter(|(name, _)| !name.starts_with("capped"))
        .collect();
    laws.extend(
        with_atoms()
            .into_iter()
            .filter(|(name, _, _)| name.contains("mixture"))
            .map(|(name, law, _)| (name.to_owned(), law)),
    );
    laws
}
