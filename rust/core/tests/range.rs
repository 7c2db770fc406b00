//! Laws whose quantiles no table of f32 can hold, and what would do instead.

mod common;

use common::laws::{
    bounded_pareto, capped, constant, empirical, exponential, gamma, log_uniform, lognormal,
    mixture, normal, pareto, uniform, weibull,
};
use hindmost_core::Error;
use hindmost_core::law::{Distribution, Law};
use hindmost_core::table::Table;

/// The field that is refused, and what would do.
fn refused(law: &Law) -> (String, String) {
    let refusals = [law.check_drawable(), Table::compile(law).map(|_| ())];
    assert_eq!(refusals[0], refusals[1]);
    match law.check_drawable() {
        Err(Error::Domain {
            field, requirement, ..
        }) => (field, requirement),
        other => panic!("{law:?}: {other:?}"),
    }
}

#[test]
fn a_law_that_f32_cannot_hold_at_all_is_refused() {
    for law in [
        constant(1e-39),
        constant(1e39),
        lognormal(1e39, 0.1),
        lognormal(1e-39, 0.1),
        exponential(1e38, 0.0),
        exponential(1e-30, 0.0),
        gamma(2.0, 1e38),
        gamma(2.0, 1e-36),
        pareto(1e39, 3.0),
        weibull(2.0, 1e38),
        weibull(2.0, 1e-30),
        normal(1e39, 1.0),
        normal(1e-39, 1.0e-39),
        normal(1.0, 1e38),
        normal(1e-19, 1e-19),
        bounded_pareto(1.0, 0.5, 1e39),
        bounded_pareto(1e-39, 0.5, 1.0),
        uniform(0.0, 1e-20),
        uniform(0.0, 1e39),
        empirical(&[1e-39, 1e-39, 1.0]),
        empirical(&[1.0, 1e39]),
        capped(pareto(1e-39, 3.0), 1.0),
        capped(pareto(1.0, 0.5), 1e39),
    ] {
        assert!(law.check_drawable().is_err(), "{law:?}");
        assert!(Table::compile(&law).is_err(), "{law:?}");
    }
}

/// The number in a requirement such as `<= 9.4, so that ...` on this field.
fn number_in(law: &Law, expected_field: &str) -> f64 {
    let (field, requirement) = refused(law);
    assert_eq!(field, expected_field);
    let number = requirement.split([' ', ',']).nth(1).unwrap();
    assert!(number.split('e').next().unwrap().len() <= 7, "{number}");
    number.parse().unwrap()
}

#[test]
fn a_law_out_of_the_range_of_f32_is_refused_with_the_number_that_works() {
    let mut scales = vec![1e-20, 1e-9, 0.002, 0.03, 0.5, 1.0, 1.7, 42.0, 1e7, 1e20];
    scales.extend((1..20).map(|i| 0.37 * f64::from(i)));
    for scale in scales {
        let sigma = number_in(&lognormal(scale, 50.0), "sigma");
        assert_is_the_border(sigma, 1.001, |sigma| lognormal(scale, sigma));
        if scale <= 1.0 {
            let shape = number_in(&gamma(1e-3, scale), "shape");
            assert_is_the_border(shape, 0.999, |shape| gamma(shape, scale));
        }
        let shape = number_in(&weibull(1e-3, scale), "shape");
        assert_is_the_border(shape, 0.999, |shape| weibull(shape, scale));
        let sigma = number_in(&normal(scale, 1e38), "sigma");
        assert_is_the_border(sigma, 1.001, |sigma| normal(scale, sigma));
        let tiny = 1e-20 * scale.clamp(1e-9, 1.0);
        let sigma = number_in(&normal(tiny, tiny), "sigma");
        assert_is_the_border(sigma, 1.001, |sigma| normal(tiny, sigma));
        let minimum = 1e29 * (1.0 + scale.min(1e6));
        let alpha = number_in(&pareto(minimum, 2.01), "alpha");
        assert_is_the_border(alpha, 0.999, |alpha| pareto(minimum, alpha));
    }
}

/// The law works with the number itself and not a little further out.
fn assert_is_the_border(number: f64, further: f64, law: impl Fn(f64) -> Law) {
    let works = law(number).check_drawable();
    assert!(works.is_ok(), "{number} was named, but {works:?}");
    let further = law(number * further);
    assert!(further.check_drawable().is_err(), "{further:?} works too");
}

#[test]
fn a_law_out_of_the_range_of_f32_names_a_parameter_of_its_own() {
    let mut wrong = Vec::new();
    for (law, parameters) in [
        (constant(1e-39), vec!["value"]),
        (exponential(1e-30, 0.0), vec!["mean", "shift"]),
        (exponential(1e38, 0.0), vec!["mean"]),
        (gamma(2.0, 1e38), vec!["scale"]),
        (pareto(1e39, 3.0), vec!["minimum"]),
        (lognormal(1e39, 0.0), vec!["median"]),
        (weibull(2.0, 1e39), vec!["scale"]),
        (weibull(2.0, 1e-39), vec!["scale"]),
        (normal(1e39, 1.0), vec!["mean"]),
        (normal(1e-40, 1e-20), vec!["mean"]),
        (bounded_pareto(1.0, 0.5, 1e39), vec!["maximum"]),
        (uniform(0.0, 1e-20), vec!["low", "high"]),
        (empirical(&[1.0, 1e39]), vec!["samples.1"]),
    ] {
        let (field, requirement) = refused(&law);
        if !parameters.contains(&field.as_str()) {
            wrong.push(format!("{law:?}: {field} must be {requirement}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_law_out_of_the_range_of_f32_names_a_number_that_works() {
    let mut wrong = Vec::new();
    for law in [
        exponential(1e-30, 0.0),
        exponential(1e38, 0.0),
        gamma(2.0, 1e38),
        gamma(2.0, 1e-45),
        lognormal(1e39, 0.5),
        pareto(1e39, 3.0),
        weibull(2.0, 1e39),
        weibull(2.0, 1e-45),
        normal(1e39, 1.0),
        normal(1e-40, 1e-20),
        uniform(0.0, 1e-20),
    ] {
        let (field, requirement) = refused(&law);
        let number = requirement
            .split([' ', ',', ';'])
            .find_map(|word| word.parse::<f64>().ok());
        let works = number.is_some_and(|number| {
            let law = match (&law, field.as_str()) {
                (Law::LogNormal(_), "sigma") if number >= 0.0 => lognormal(1e39, number),
                (Law::LogNormal(_), "median") => lognormal(number, 0.5),
                (Law::Gamma(_), "scale") => gamma(2.0, number),
                (Law::Gamma(_), "shape") => gamma(number.min(1e4), 1e-45),
                (Law::Exponential(_), "mean") => exponential(number, 0.0),
                (Law::Exponential(_), "shift") => exponential(1e-30, number),
                (Law::Weibull(_), "scale") => weibull(2.0, number),
                (Law::Weibull(_), "shape") => weibull(number, 1e-45),
                (Law::Normal(_), "mean") if number > 1.0 => normal(number, 1.0),
                (Law::Normal(_), "mean") => normal(number, 1e-20),
                (Law::Pareto(_), "minimum") => pareto(number, 3.0),
                (Law::Uniform(_), "high") => uniform(0.0, number),
                (Law::Uniform(_), "low") => uniform(number, 1e-20),
                _ => return false,
            };
            law.check_drawable().is_ok()
        });
        if !works {
            wrong.push(format!("{law:?}: {field} must be {requirement}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_pareto_law_below_the_range_of_f32_is_refused() {
    // f32 holds 1e-42 with nine bits only.
    assert_eq!(refused(&pareto(1e-42, 3.0)).0, "minimum");
    assert_eq!(refused(&capped(pareto(1e-42, 3.0), 1.0)).0, "minimum");
}

#[test]
fn an_infinite_variance_takes_a_cap() {
    for alpha in [0.5, 1.0, 2.0] {
        let (field, requirement) = refused(&pareto(1.0, alpha));
        assert!(field == "alpha" && requirement.contains("cap"));
        assert!(Table::compile(&capped(pareto(1.0, alpha), 100.0)).is_ok());
        let law = mixture(vec![(0.5, constant(1.0)), (0.5, pareto(1.0, alpha))]);
        assert_eq!(refused(&law).0, "components.1.law.alpha");
        assert!(capped(law, 100.0).check_drawable().is_ok());
    }
}

#[test]
fn a_cap_mends_the_upper_tail_of_any_law() {
    let mut wrong = Vec::new();
    for law in [
        capped(lognormal(1e30, 2.0), 1e31),
        capped(gamma(2.0, 1e37), 1e38),
        capped(exponential(1e37, 0.0), 1e38),
        capped(uniform(1.0, 1e39), 1e38),
        capped(weibull(2.0, 1e38), 1e38),
        capped(normal(1.0, 1e38), 1e38),
        capped(bounded_pareto(1.0, 0.5, 1e39), 1e38),
        capped(empirical(&[1.0, 1e39]), 1e38),
    ] {
        if let Err(error) = law.check_drawable() {
            wrong.push(error.to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_refusal_inside_a_capped_mixture_names_the_component_as_without_a_cap() {
    let law = mixture(vec![(0.5, constant(1.0)), (0.5, lognormal(1.0, 30.0))]);
    let path = refused(&law).0;
    assert_eq!(path, "components.1.law.sigma");
    assert_eq!(refused(&capped(law, 100.0)).0, path);
}

#[test]
fn a_table_that_takes_too_many_bins_names_a_parameter_of_the_law() {
    for (law, parameters) in [
        (capped(pareto(1.0, 0.03), 1e6), ["alpha", "cap"]),
        (log_uniform(1e-19, 1e19), ["low", "high"]),
    ] {
        match Table::compile(&law) {
            Ok(_) => {}
            Err(Error::Domain { field, .. }) if parameters.contains(&field.as_str()) => {}
            Err(other) => panic!("{law:?}: {other}"),
        }
    }
}

#[test]
fn a_table_follows_a_weibull_law_of_any_shape_that_f32_holds() {
    for scale in [1e-30, 1e-3, 1.0, 1e9, 1e30] {
        let least = number_in(&weibull(1e-3, scale), "shape");
        for shape in [least, 1.0_f64.max(least), 20.0, 21.0, 1e4, 1e15, 1e300] {
            let bins = Table::compile(&weibull(shape.max(least), scale))
                .unwrap()
                .bins();
            assert!(bins.is_some_and(|bins| bins <= 512), "{shape} {scale}");
        }
    }
}

#[test]
fn a_table_follows_a_normal_law_however_much_is_cut_off() {
    for exponent in -12..=12 {
        let table = Table::compile(&normal(1.0, 10.0_f64.powi(exponent))).unwrap();
        assert!(table.bins().unwrap() <= 64, "1e{exponent}");
    }
}
