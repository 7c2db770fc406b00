//! Quantiles of a whole grid are those one by one.

mod common;

use common::laws::{exponential, gamma, lognormal, normal, pareto, weibull};
use hindmost_core::law::{Distribution, Law, Quantiles, tail_probability};

#[test]
fn quantiles_of_a_whole_grid_are_those_one_by_one() {
    let mut laws = vec![lognormal(1.5, 0.4), exponential(2.0, 0.5), pareto(1.2, 9.5)];
    laws.extend([0.26, 0.55, 1.0, 3.5, 40.0, 1e3, 1e4].map(|shape| gamma(shape, 0.8)));
    laws.extend([0.26, 0.55, 1.0, 1.7, 9.0, 1e4].map(|shape| weibull(shape, 0.8)));
    laws.extend([1e-3, 0.1, 0.3, 1.0, 1e3].map(|sigma| normal(1.0, sigma)));
    for law in laws {
        let bins = 32;
        let quantiles = Quantiles::of(&law);
        let (knots, halfway) = (quantiles.on_grid(bins), quantiles.halfway(bins));
        for index in 0..64 * bins {
            let p = tail_probability(bins, index);
            assert_same(&law, p, [knots[0][index], knots[1][index]]);
            let p = tail_probability(2 * bins, 2 * index + 1);
            assert_same(&law, p, [halfway[0][index], halfway[1][index]]);
        }
        let median = law.quantile(0.5);
        assert_eq!(knots[0][64 * bins], median);
        assert!((knots[1][64 * bins] / median - 1.0).abs() < 1e-12);
    }
}

fn assert_same(law: &Law, p: f64, [lower, upper]: [f64; 2]) {
    for (ours, exact) in [(lower, law.quantile(p)), (upper, law.upper_quantile(p))] {
        let miss = (ours / exact - 1.0).abs();
        // Single quantiles of a gamma law of shape 10,000 have no more digits.
        assert!(miss < 3e-12, "{law:?} at {p:e}: {ours}, exactly {exact}");
    }
}
