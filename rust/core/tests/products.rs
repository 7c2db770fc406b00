//! Curves of products against closed forms and quadrature, far tails included.

mod common;

use common::curves::{greatest_miss, points};
use common::laws::{bounded_pareto, constant, empirical, gamma, lognormal, pareto, uniform};
use hindmost_core::curve::{Curve, exceedances, product};
use hindmost_core::law::Distribution;

/// Greatest relative miss of a product's exceedances.
const PRODUCT_LIMIT: f64 = 1e-4;
/// Greatest exceedances at which a product is judged: draws end at 2^-65, 45
/// exceedances, and either factor may be low.
const CERTAIN_PRODUCT: f64 = 40.0;

/// Asserts that a product follows its exceedances from 40 down to 1e-20.
fn assert_product(name: &str, product: &Curve, xs: Vec<f64>, exact: impl Fn(f64) -> f64) {
    let (miss, x, at) = greatest_miss(product, xs, (CERTAIN_PRODUCT, 1e-20), exact);
    assert!(
        miss <= PRODUCT_LIMIT,
        "{name}: {miss:e} at {x}, exceedances {at:e}"
    );
}

#[test]
fn the_product_of_lognormals_is_lognormal() {
    for (a, b) in [
        (0.1, 0.1),
        (0.003, 0.003),
        (0.3, 0.05),
        (0.001, 0.5),
        (0.5, 0.001),
        (1.0, 0.9),
    ] {
        let product = product(
            &Curve::of(&lognormal(1.1, a)),
            &Curve::of(&lognormal(0.7, b)),
        );
        let law = lognormal(0.77, f64::hypot(a, b));
        let exact = |x: f64| exceedances(law.cdf(x), law.sf(x));
        assert_product(&format!("{a} {b}"), &product, points(&law), exact);
    }
}

#[test]
fn a_product_with_what_does_not_always_occur_has_its_parts() {
    let rare = Curve::of_choice(&[(0.1, lognormal(1.2, 0.1))], Some(1.0));
    let always = lognormal(1.0, 0.05);
    let both = lognormal(1.2, f64::hypot(0.1, 0.05));
    let exact = |x: f64| {
        let of = |bulk: f64, hit: f64| 0.9 * bulk + 0.1 * hit;
        exceedances(of(always.cdf(x), both.cdf(x)), of(always.sf(x), both.sf(x)))
    };
    let xs = || points(&always).into_iter().chain(points(&both)).collect();
    assert_product("one", &product(&rare, &Curve::of(&always)), xs(), exact);
    assert_product(
        "the other",
        &product(&Curve::of(&always), &rare),
        xs(),
        exact,
    );
}

#[test]
fn the_product_of_two_atoms_is_an_atom() {
    let rare = |p| Curve::of_choice(&[(p, lognormal(1.2, 0.1))], Some(1.0));
    let product = product(&rare(0.1), &rare(0.2));
    let (one, two) = (lognormal(1.2, 0.1), lognormal(1.44, 0.1 * 2_f64.sqrt()));
    let exact = |x: f64| {
        let of = |none: f64, one: f64, two: f64| 0.72 * none + 0.26 * one + 0.02 * two;
        let atom = if x < 1.0 { (0.0, 1.0) } else { (1.0, 0.0) };
        exceedances(
            of(atom.0, one.cdf(x), two.cdf(x)),
            of(atom.1, one.sf(x), two.sf(x)),
        )
    };
    let xs = points(&one).into_iter().chain(points(&two));
    let xs = xs.chain([1.0 - 1e-12, 1.0 + 1e-12]).collect();
    assert_product("two atoms", &product, xs, exact);
}

#[test]
fn a_wide_choice_between_two_numbers_is_two_narrow_laws() {
    let law = lognormal(1.0, 0.05);
    let slowest = Curve::of(&law).slowest_of(144.0);
    let choice = Curve::of_choice(&[(0.5, constant(1.2))], Some(1.0));
    let exact = |x: f64| {
        let of = |x: f64| 144.0 * exceedances(law.cdf(x), law.sf(x));
        let (a, b) = (of(x), of(x / 1.2));
        let sf = -0.5 * ((-a).exp_m1() + (-b).exp_m1());
        exceedances(0.5 * ((-a).exp() + (-b).exp()), sf)
    };
    let xs: Vec<f64> = (0..100).map(|k| 1.05 + 0.007 * f64::from(k)).collect();
    assert_product(
        "choice first",
        &product(&choice, &slowest),
        xs.clone(),
        exact,
    );
    assert_product("choice last", &product(&slowest, &choice), xs, exact);
}

/// `v + (1 - v) ln(1 - v)`, accurate for small `v` of either sign.
fn corner(v: f64) -> f64 {
    if v.abs() > 0.1 {
        return v + (1.0 - v) * (-v).ln_1p();
    }
    (2..20)
        .rev()
        .map(|k| v.powi(k) / f64::from(k * (k - 1)))
        .sum()
}

#[test]
fn the_product_of_uniforms_is_the_area_under_a_hyperbola() {
    let exact = |x: f64| {
        let upper = 4.0 * corner(1.0 - x / 4.0);
        let lower = corner(1.0 - x);
        if x < 2.0 {
            exceedances(lower, 1.0 - lower)
        } else {
            exceedances(1.0 - upper, upper)
        }
    };
    let one = Curve::of(&uniform(1.0, 2.0));
    let inner = (1..60).map(|k| 1.0 + 0.05 * f64::from(k));
    let ends = (1..20).flat_map(|k| [1.0 + 0.7_f64.powi(k), 4.0 - 0.7_f64.powi(k)]);
    assert_product(
        "uniform",
        &product(&one, &one),
        inner.chain(ends).collect(),
        exact,
    );
}

#[test]
fn a_product_with_a_constant_is_scaled() {
    let laws = [
        pareto(1.0, 3.0),
        bounded_pareto(1.0, 0.7, 30.0),
        empirical(&[1.0, 2.0, 5.0]),
    ];
    for law in laws
        .into_iter()
        .chain([uniform(0.5, 3.0), gamma(2.5, 0.8), constant(2.0)])
    {
        let curve = Curve::of(&law);
        let known = Curve::constant(1.3);
        let exact = |x: f64| exceedances(law.cdf(x / 1.3), law.sf(x / 1.3));
        for product in [
            product(&curve, &known),
            product(&known, &curve),
            curve.scaled(1.3),
        ] {
            // Next to the scaled numbers, not on them: rounding may move an atom to
            // either side.
            let xs = points(&law)
                .into_iter()
                .flat_map(|x| [x * 1.3 * (1.0 - 1e-9), x * 1.3 * (1.0 + 1e-9)]);
            assert_product(&format!("{law:?}"), &product, xs.collect(), exact);
        }
    }
}

#[test]
fn ranks_that_share_a_factor_are_as_slow_as_quadrature_says() {
    const STEP: f64 = 1.0 / 512.0;
    for (shared, own, n) in [
        (0.02, 0.01, 8.0),
        (0.02, 0.01, 72.0),
        (0.003, 0.05, 72.0),
        (0.2, 0.02, 8.0),
    ] {
        let law = lognormal(1.0, own);
        let slowest = Curve::of(&law).slowest_of(n);
        let product = product(&Curve::of(&lognormal(1.0, shared)), &slowest);
        let exact = |x: f64| {
            let (mut cdf, mut sf) = (0.0, 0.0);
            for k in -6144..=6144 {
                let z = f64::from(k) * STEP;
                let weight = STEP * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let at = x / (shared * z).exp();
                let exceedances = n * exceedances(law.cdf(at), law.sf(at));
                cdf += weight * (-exceedances).exp();
                sf -= weight * (-exceedances).exp_m1();
            }
            exceedances(cdf, sf)
        };
        let wide = f64::hypot(shared, own);
        let xs = (-50..70)
            .map(|k| (0.2 * f64::from(k) * wide).exp())
            .collect();
        assert_product(&format!("{shared} {own} {n}"), &product, xs, exact);
    }
}
