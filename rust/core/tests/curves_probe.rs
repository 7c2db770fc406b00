//! Curves against closed forms and brute force, far tails included.

mod common;

use common::laws::{
    bounded_pareto, capped, constant, continuous, empirical, exponential, gamma, lognormal, normal,
    pareto, shapes, uniform, with_atoms,
};
use hindmost_core::curve::{Curve, exceedances};
use hindmost_core::law::Law;
use hindmost_core::law::special::normal_cdf;

/// Relative miss of a law's exceedances.
const LAW_LIMIT: f64 = 2e-5;
/// Relative miss of a product's exceedances.
const PRODUCT_LIMIT: f64 = 1e-4;
/// Exceedances of what happens once in 10^20 numbers.
const CERTAIN: f64 = 46.0;
/// Tail probability of the slowest of 10^12 once in 10^20 times.
const RAREST: f64 = 1e-32;

/// Tail probabilities from one half down to `least`, a few in each octave.
fn tails(least: f64) -> Vec<f64> {
    let tail = |place: i32| (-0.37 * f64::from(place)).exp2() * 0.499;
    (0..).map(tail).take_while(|&p| p >= least).collect()
}

/// Numbers all over both tails of a law.
fn points(law: &Law) -> Vec<f64> {
    let lower = tails(1e-20).into_iter().map(|p| law.quantile(p));
    let upper = tails(RAREST).into_iter().map(|q| law.upper_quantile(q));
    lower.chain(upper).collect()
}

/// Where exceedances are asked for, the greatest relative miss and its place.
fn greatest_miss(
    curve: &Curve,
    xs: impl IntoIterator<Item = f64>,
    least: f64,
    expected: impl Fn(f64) -> f64,
) -> (f64, f64, f64) {
    let mut greatest = (0.0, 0.0, 0.0);
    for x in xs {
        let exact = expected(x);
        if !(least..=CERTAIN).contains(&exact) {
            continue;
        }
        let miss = (curve.exceedances(x) / exact - 1.0).abs();
        if !(miss <= greatest.0) {
            greatest = (miss, x, exact);
        }
    }
    greatest
}

fn all_laws() -> Vec<(String, Law)> {
    let owned = |name: &str, law: Law| (name.to_owned(), law);
    let continuous = continuous().into_iter().map(|(name, law)| owned(name, law));
    let with_atoms = with_atoms().into_iter().map(|(name, law, _)| owned(name, law));
    continuous.chain(with_atoms).chain(shapes()).collect()
}

#[test]
fn a_curve_follows_its_law_in_both_tails() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let exact = |x: f64| exceedances(law.cdf(x), law.sf(x));
        let (miss, x, at) = greatest_miss(&curve, points(&law), RAREST, exact);
        println!("{name}: {miss:e} at {x}, exceedances {at:e}");
    }
}

#[test]
fn quantiles_of_both_sides_are_inverse_to_cdf_and_survival_function() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let lower = tails(1e-20).into_iter().map(|p| (-p.ln(), curve.quantile(p)));
        let upper = tails(RAREST).into_iter().map(|q| (-(-q).ln_1p(), curve.upper_quantile(q)));
        for (exceedances, x) in lower.chain(upper) {
            let room = 8.0 * f64::EPSILON * x;
            let (most, least) = (curve.exceedances(x - room), curve.exceedances(x + room));
            assert!(
                least <= exceedances * (1.0 + 1e-9) && most >= exceedances * (1.0 - 1e-9),
                "{name}: {exceedances:e} is not in [{least:e}, {most:e}], around {x}"
            );
        }
    }
}

#[test]
fn an_atom_is_where_it_is_and_as_heavy_as_it_is() {
    for (name, law, atoms) in with_atoms() {
        let curve = Curve::of(&law);
        for atom in atoms {
            for x in [atom * (1.0 - 1e-12), atom] {
                let (cdf, sf) = (curve.cdf(x), curve.sf(x));
                assert!((cdf - law.cdf(x)).abs() <= 1e-9, "{name} at {x}: {cdf}");
                assert!((sf - law.sf(x)).abs() <= 1e-9, "{name} at {x}: {sf}");
            }
        }
    }
    let known = Curve::constant(1.25);
    assert_eq!((known.cdf(1.25_f64.next_down()), known.cdf(1.25)), (0.0, 1.0));
    assert_eq!((known.quantile(1e-9), known.upper_quantile(1e-9)), (1.25, 1.25));
    let cap = Curve::of(&capped(pareto(1.0, 0.75), 8.0));
    assert_eq!((cap.sf(8.0), cap.upper_quantile(1e-9)), (0.0, 8.0));
}

#[test]
fn what_does_not_occur_lies_on_what_is_neutral() {
    for probability in [1e-9, 0.01, 0.7] {
        let law = lognormal(1.2, 0.1);
        let curve = Curve::of_choice(&[(probability, law.clone())], Some(1.0));
        let below = probability * law.cdf(1.0);
        let cdf = curve.cdf(1.0_f64.next_down());
        assert!((cdf / below - 1.0).abs() <= CERTAIN * LAW_LIMIT, "{cdf} {below}");
        let exact = |x: f64| {
            let left = if x < 1.0 { 0.0 } else { 1.0 - probability };
            let above = 1.0 - probability - left;
            exceedances(left + probability * law.cdf(x), above + probability * law.sf(x))
        };
        let xs = points(&law).into_iter().chain([1.0, 1.0_f64.next_down()]);
        let (miss, x, _) = greatest_miss(&curve, xs, RAREST, exact);
        println!("{probability}: {miss:e} at {x}");
    }
}

#[test]
fn the_slowest_of_n_follows_the_nth_power_of_the_law() {
    for (name, law) in all_laws() {
        let one = Curve::of(&law);
        for n in [2.0, 8.0, 72.0, 220e3, 1e9, 1e12] {
            let slowest = one.slowest_of(n);
            let exact = |x: f64| n * exceedances(law.cdf(x), law.sf(x));
            let (miss, x, at) = greatest_miss(&slowest, points(&law), n * RAREST, exact);
            println!("{name}, {n}: {miss:e} at {x}, exceedances {at:e}");
        }
    }
}

/// The mean: the integral of the survival function, by Simpson's rule.
fn mean(curve: &Curve) -> f64 {
    const PARTS: u32 = 8;
    let of_knots = |pair: &[f64]| -> f64 {
        let width = (pair[1] - pair[0]) / f64::from(PARTS);
        let at = |place: f64| curve.sf(pair[0] + width * place);
        let part = |k: u32| {
            let k = f64::from(k);
            let last = if k + 1.0 == f64::from(PARTS) { pair[1].next_down() } else { 0.0 };
            let end = if last > 0.0 { curve.sf(last.max(pair[0])) } else { at(k + 1.0) };
            width * (at(k) + 4.0 * at(k + 0.5) + end) / 6.0
        };
        (0..PARTS).map(part).sum()
    };
    curve.xs()[0] + curve.xs().windows(2).map(of_knots).sum::<f64>()
}

#[test]
fn the_slowest_of_n_exponentials_takes_a_harmonic_number() {
    let one = Curve::of(&exponential(1.0, 0.0));
    for n in [1_u64, 2, 8, 100, 10_000, 1_000_000_000_000] {
        let harmonic = if n <= 10_000 {
            (1..=n).map(|k| 1.0 / k as f64).sum()
        } else {
            (n as f64).ln() + 0.577_215_664_901_532_9 + 0.5 / n as f64
        };
        let mean = mean(&one.slowest_of(n as f64));
        assert!((mean - harmonic).abs() < 2e-5, "{n}: {mean}, exactly {harmonic}");
    }
}

#[test]
fn the_slowest_of_220_000_is_the_worked_one() {
    let slowest = Curve::of(&lognormal(1.0, 0.003)).slowest_of(220e3);
    for (what, found, exact) in [
        ("mean", mean(&slowest), 1.013_754_4),
        ("median", slowest.quantile(0.5), 1.013_640_3),
        ("p99.9", slowest.upper_quantile(1e-3), 1.017_389_8),
    ] {
        assert!((found - exact).abs() < 1e-7, "{what}: {found}, exactly {exact}");
    }
}

#[test]
fn the_slowest_of_two_groups_is_the_worked_one() {
    let (first, second) = (
        Curve::of(&exponential(1.0, 0.0)).slowest_of(1000.0),
        Curve::of(&exponential(2.0, 0.0)).slowest_of(10.0),
    );
    let both = Curve::slowest_of_all(&[(1.0, &first), (1.0, &second)]);
    let mean = mean(&both);
    assert!((mean - 8.003_96).abs() < 2e-5, "{mean}");
    let mut share = 0.0;
    for pair in second.xs().windows(2) {
        for part in 0..16 {
            let at = |place: f64| pair[0] + (pair[1] - pair[0]) * place / 16.0;
            let (from, to) = (at(f64::from(part)), at(f64::from(part) + 1.0));
            share += first.cdf(0.5 * (from + to)) * (second.cdf(to) - second.cdf(from));
        }
    }
    assert!((share - 0.239_83).abs() < 2e-5, "{share}");
}

#[test]
fn exceedances_of_groups_add_up() {
    let laws = [lognormal(1.0, 0.1), exponential(0.1, 0.9), capped(pareto(0.8, 5.0), 2.0)];
    let curves = laws.each_ref().map(Curve::of);
    let ns = [1000.0, 8.0, 1e6];
    let groups: Vec<(f64, &Curve)> = ns.into_iter().zip(&curves).collect();
    let slowest = Curve::slowest_of_all(&groups);
    let exact = |x: f64| -> f64 {
        let of = |(n, law): (&f64, &Law)| n * exceedances(law.cdf(x), law.sf(x));
        ns.iter().zip(&laws).map(of).sum()
    };
    let xs = laws.iter().flat_map(points);
    let (miss, x, at) = greatest_miss(&slowest, xs, 1e-20, exact);
    println!("{miss:e} at {x}, exceedances {at:e}");
}

/// Asserts that a product follows its exceedances from 46 down to 1e-20.
fn assert_product(name: &str, product: &Curve, xs: Vec<f64>, exact: impl Fn(f64) -> f64) {
    let (miss, x, at) = greatest_miss(product, xs, 1e-20, exact);
    println!("{name}: {miss:e} at {x}, exceedances {at:e}");
}

#[test]
fn the_product_of_lognormals_is_lognormal() {
    for (a, b) in [(0.1, 0.1), (0.003, 0.003), (0.3, 0.05), (0.001, 0.5), (0.5, 0.001), (1.0, 0.9)] {
        let product = Curve::of(&lognormal(1.1, a)).times(&Curve::of(&lognormal(0.7, b)));
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
        let of = |rest: f64, hit: f64| 0.9 * rest + 0.1 * hit;
        exceedances(of(always.cdf(x), both.cdf(x)), of(always.sf(x), both.sf(x)))
    };
    let xs = || points(&always).into_iter().chain(points(&both)).collect();
    assert_product("one", &rare.times(&Curve::of(&always)), xs(), exact);
    assert_product("the other", &Curve::of(&always).times(&rare), xs(), exact);
}

#[test]
fn the_product_of_two_atoms_is_an_atom() {
    let rare = |p| Curve::of_choice(&[(p, lognormal(1.2, 0.1))], Some(1.0));
    let product = rare(0.1).times(&rare(0.2));
    let (one, two) = (lognormal(1.2, 0.1), lognormal(1.44, 0.1 * 2_f64.sqrt()));
    let exact = |x: f64| {
        let of = |rest: f64, one: f64, two: f64| 0.72 * rest + 0.26 * one + 0.02 * two;
        let atom = if x < 1.0 { (0.0, 1.0) } else { (1.0, 0.0) };
        exceedances(of(atom.0, one.cdf(x), two.cdf(x)), of(atom.1, one.sf(x), two.sf(x)))
    };
    let xs = points(&one).into_iter().chain(points(&two));
    let xs = xs.chain([1.0 - 1e-12, 1.0 + 1e-12]).collect();
    assert_product("two atoms", &product, xs, exact);
}

/// `v + (1 - v) ln(1 - v)`, accurate for small `v` of either sign.
fn corner(v: f64) -> f64 {
    if v.abs() > 0.1 {
        return v + (1.0 - v) * (-v).ln_1p();
    }
    (2..20).rev().map(|k| v.powi(k) / f64::from(k * (k - 1))).sum()
}

#[test]
fn the_product_of_uniforms_is_the_area_under_a_hyperbola() {
    let exact = |x: f64| {
        let upper = 4.0 * corner(1.0 - x / 4.0);
        let lower = corner(1.0 - x);
        if x < 2.0 { exceedances(lower, 1.0 - lower) } else { exceedances(1.0 - upper, upper) }
    };
    let one = Curve::of(&uniform(1.0, 2.0));
    let inner = (1..60).map(|k| 1.0 + 0.05 * f64::from(k));
    let ends = (1..20).flat_map(|k| [1.0 + 0.7_f64.powi(k), 4.0 - 0.7_f64.powi(k)]);
    assert_product("uniform", &one.times(&one), inner.chain(ends).collect(), exact);
}

#[test]
fn a_product_with_a_constant_is_scaled() {
    let laws = [pareto(1.0, 3.0), bounded_pareto(1.0, 0.7, 30.0), empirical(&[1.0, 2.0, 5.0])];
    for law in laws.into_iter().chain([uniform(0.5, 3.0), gamma(2.5, 0.8), constant(2.0)]) {
        let curve = Curve::of(&law);
        let known = Curve::constant(1.3);
        let exact = |x: f64| exceedances(law.cdf(x / 1.3), law.sf(x / 1.3));
        for product in [curve.times(&known), known.times(&curve), curve.scaled(1.3)] {
            // Not on the knots themselves: an atom may lie on either side.
            let xs = points(&law).into_iter().flat_map(|x| [x * 1.3 * (1.0 - 1e-9), x * 1.3 * (1.0 + 1e-9)]);
            assert_product(&format!("{law:?}"), &product, xs.collect(), exact);
        }
    }
}

#[test]
fn a_group_that_shares_a_factor_is_as_slow_as_quadrature_says() {
    const STEP: f64 = 1.0 / 512.0;
    for (shared, own, n) in
        [(0.02, 0.01, 8.0), (0.02, 0.01, 72.0), (0.003, 0.05, 72.0), (0.2, 0.02, 8.0)]
    {
        let law = lognormal(1.0, own);
        let slowest = Curve::of(&law).slowest_of(n);
        let product = Curve::of(&lognormal(1.0, shared)).times(&slowest);
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
        let xs = (-50..70).map(|k| (0.2 * f64::from(k) * wide).exp()).collect();
        assert_product(&format!("{shared} {own} {n}"), &product, xs, exact);
    }
}

#[test]
fn scaled_and_shifted_numbers_keep_their_probabilities() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let (scaled, shifted) = (curve.scaled(4.0), curve.shifted(0.25));
        for e in [46.0, 3.0, 0.7, 1e-3, 1e-9, 1e-20] {
            let x = curve.place(e).x;
            assert_eq!(scaled.place(e).x, 4.0 * x, "{name}");
            assert_eq!(scaled.exceedances(4.0 * x), curve.exceedances(x), "{name}");
            let by = (shifted.place(e).x - x - 0.25).abs();
            assert!(by <= 4.0 * f64::EPSILON * (x + 0.25), "{name}: {by:e}");
        }
    }
}
