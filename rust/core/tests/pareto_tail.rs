//! Samples with a Pareto tail beyond them.

mod common;

use common::laws::{constant, empirical};
use hindmost_core::law::{Distribution, Law, Mixture, with_pareto_tail};
use hindmost_core::table::Table;

/// Five samples with a tail of exponent 1.5, up to 9.
fn extended() -> Law {
    with_pareto_tail(vec![1.0, 2.0, 1.25, 1.75, 3.0], 1.5, 9.0).unwrap()
}

#[test]
fn all_but_one_in_as_many_numbers_follow_the_samples() {
    let (law, samples) = (extended(), empirical(&[1.0, 1.25, 1.75, 2.0, 3.0]));
    for x in [0.5, 1.1, 1.75, 2.5, 2.999] {
        assert!((law.cdf(x) - 0.8 * samples.cdf(x)).abs() < 1e-15, "{x}");
    }
    assert!((law.cdf(3.0) - 0.8).abs() < 1e-15);
}

#[test]
fn nine_tenths_of_the_rest_follow_the_tail_as_far_as_the_cap() {
    let law = extended();
    // The tail of one in five numbers, less what is rarer than one in fifty.
    for x in [3.5_f64, 5.0, 8.999] {
        let expected = 0.2 * (3.0 / x).powf(1.5);
        assert!((law.sf(x) - expected).abs() < 1e-14, "{x}: {}", law.sf(x));
    }
    assert_eq!((law.sf(9.0), law.upper_quantile(1e-9)), (0.0, 9.0));
}

#[test]
fn what_is_ten_times_rarer_than_the_samples_lies_on_the_cap() {
    // The tail ends at 3 * 10^(1 / 1.5) = 13.92.
    let law = with_pareto_tail(vec![1.0, 2.0, 1.25, 1.75, 3.0], 1.5, 1e3).unwrap();
    for x in [13.925, 100.0, 999.0] {
        assert!((law.sf(x) - 0.02).abs() < 1e-15, "{x}: {}", law.sf(x));
    }
    assert_eq!(law.upper_quantile(0.019), 1e3);
    assert!(law.upper_quantile(0.021) < 13.925);
}

#[test]
fn the_cap_may_be_the_greatest_sample() {
    let law = with_pareto_tail(vec![1.0, 2.0, 3.0], 1.5, 3.0).unwrap();
    assert_eq!((law.cdf(2.999) < 0.67, law.sf(3.0)), (true, 0.0));
    assert!((law.mean() - (2.0 / 3.0 * 2.0 + 1.0)).abs() < 1e-12);
}

#[test]
fn tables_follow_every_part_of_samples_with_a_tail() {
    for alpha in [0.05, 0.3, 1.0, 2.0, 20.0, 1e3, 1e6] {
        for cap in [3.0, 3.1, 50.0, 1e30] {
            let law = with_pareto_tail(vec![1.0, 2.0, 3.0], alpha, cap).unwrap();
            law.check_drawable().unwrap();
            for (_, part) in law.components() {
                Table::compile(&part).unwrap();
            }
            assert!(law.mean().is_finite() && law.variance() >= 0.0);
        }
    }
}

#[test]
fn a_tail_in_a_mixture_is_refused() {
    let components = vec![(0.5, constant(1.0)), (0.5, extended())];
    assert!(Mixture::new(components).is_err());
}
