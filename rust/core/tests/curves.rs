//! Curves against closed forms and brute force, far tails included.

mod common;

use common::curves::{CERTAIN, LAW_LIMIT, RAREST, greatest_miss, points, tails};
use common::laws::{capped, continuous, exponential, lognormal, pareto, shapes, with_atoms};
use hindmost_core::curve::{Curve, exceedances};
use hindmost_core::law::{Distribution, Law};

fn all_laws() -> Vec<(String, Law)> {
    let owned = |name: &str, law: Law| (name.to_owned(), law);
    let continuous = continuous().into_iter().map(|(name, law)| owned(name, law));
    let with_atoms = with_atoms()
        .into_iter()
        .map(|(name, law, _)| owned(name, law));
    continuous.chain(with_atoms).chain(shapes()).collect()
}

#[test]
fn a_curve_follows_its_law_in_both_tails() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let exact = |x: f64| exceedances(law.cdf(x), law.sf(x));
        let (miss, x, at) = greatest_miss(&curve, points(&law), (CERTAIN, RAREST), exact);
        assert!(
            miss <= LAW_LIMIT,
            "{name}: {miss:e} at {x}, exceedances {at:e}"
        );
    }
}

#[test]
fn quantiles_of_both_sides_are_inverse_to_cdf_and_survival_function() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let lower = tails(3e-20)
            .into_iter()
            .map(|p| (-p.ln(), curve.quantile(p)));
        let upper = tails(RAREST)
            .into_iter()
            .map(|q| (-(-q).ln_1p(), curve.upper_quantile(q)));
        for (exceedances, x) in lower.chain(upper) {
            let rounding = 8.0 * f64::EPSILON * x;
            let (most, least) = (
                curve.exceedances(x - rounding),
                curve.exceedances(x + rounding),
            );
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
    assert_eq!(
        (known.cdf(1.25_f64.next_down()), known.cdf(1.25)),
        (0.0, 1.0)
    );
    assert_eq!(
        (known.quantile(1e-9), known.upper_quantile(1e-9)),
        (1.25, 1.25)
    );
    let cap = Curve::of(&capped(pareto(1.0, 0.75), 8.0));
    assert_eq!((cap.sf(8.0), cap.upper_quantile(1e-9) as f32), (0.0, 8.0));
}

#[test]
fn what_does_not_occur_lies_on_what_is_neutral() {
    for probability in [1e-9, 0.01, 0.7] {
        let law = lognormal(1.2, 0.1);
        let curve = Curve::of_choice(&[(probability, law.clone())], Some(1.0));
        let below = probability * law.cdf(1.0);
        let cdf = curve.cdf(1.0_f64.next_down());
        assert!(
            (cdf / below - 1.0).abs() <= CERTAIN * LAW_LIMIT,
            "{cdf} {below}"
        );
        let exact = |x: f64| {
            let below = if x < 1.0 { 0.0 } else { 1.0 - probability };
            let above = 1.0 - probability - below;
            exceedances(
                below + probability * law.cdf(x),
                above + probability * law.sf(x),
            )
        };
        let xs = points(&law).into_iter().chain([1.0, 1.0_f64.next_down()]);
        let (miss, x, _) = greatest_miss(&curve, xs, (CERTAIN, RAREST), exact);
        assert!(miss <= LAW_LIMIT, "{probability}: {miss:e} at {x}");
    }
}

#[test]
fn the_slowest_of_n_follows_the_nth_power_of_the_law() {
    for (name, law) in all_laws() {
        let one = Curve::of(&law);
        for n in [2.0, 8.0, 72.0, 220e3, 1e9, 1e12] {
            let slowest = one.slowest_of(n);
            let exact = |x: f64| n * exceedances(law.cdf(x), law.sf(x));
            let (miss, x, at) =
                greatest_miss(&slowest, points(&law), (n * CERTAIN, n * RAREST), exact);
            assert!(
                miss <= LAW_LIMIT,
                "{name}, {n}: {miss:e} at {x}, exceedances {at:e}"
            );
        }
    }
}

/// The mean: the integral of the survival function, by Simpson's rule.
fn mean(curve: &Curve) -> f64 {
    const PARTS: u32 = 8;
    let of_knots = |pair: &[f64]| -> f64 {
        let width = (pair[1] - pair[0]) / f64::from(PARTS);
        let at = |place: f64| curve.sf(pair[0] + width * place);
        let part = |k: f64| width * (at(k) + 4.0 * at(k + 0.5) + at(k + 1.0)) / 6.0;
        (0..PARTS).map(|k| part(f64::from(k))).sum()
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
        assert!(
            (mean - harmonic).abs() < 2e-5,
            "{n}: {mean}, exactly {harmonic}"
        );
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
        assert!(
            (found - exact).abs() < 1e-7,
            "{what}: {found}, exactly {exact}"
        );
    }
}

#[test]
fn the_slowest_of_two_laws_is_the_worked_one() {
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
fn exceedances_of_several_laws_add_up() {
    let laws = [
        lognormal(1.0, 0.1),
        exponential(0.1, 0.9),
        capped(pareto(0.8, 5.0), 2.0),
    ];
    let curves = laws.each_ref().map(Curve::of);
    let ns = [1000.0, 8.0, 1e6];
    let sets: Vec<(f64, &Curve)> = ns.into_iter().zip(&curves).collect();
    let slowest = Curve::slowest_of_all(&sets);
    let exact = |x: f64| -> f64 {
        let of = |(n, law): (&f64, &Law)| n * exceedances(law.cdf(x), law.sf(x));
        ns.iter().zip(&laws).map(of).sum()
    };
    let xs = laws.iter().flat_map(points);
    let (miss, x, at) = greatest_miss(&slowest, xs, (CERTAIN, 1e-20), exact);
    assert!(
        miss <= 2.0 * LAW_LIMIT,
        "{miss:e} at {x}, exceedances {at:e}"
    );
}

#[test]
fn scaled_and_shifted_numbers_keep_their_probabilities() {
    for (name, law) in all_laws() {
        let curve = Curve::of(&law);
        let (scaled, shifted) = (curve.scaled(4.0), curve.shifted(0.25));
        for e in [45.0, 3.0, 0.7, 1e-3, 1e-9, 1e-20] {
            let x = curve.place(e).x;
            assert_eq!(scaled.place(e).x, 4.0 * x, "{name}");
            assert_eq!(scaled.exceedances(4.0 * x), curve.exceedances(x), "{name}");
            let by = (shifted.place(e).x - x - 0.25).abs();
            assert!(by <= 4.0 * f64::EPSILON * (x + 0.25), "{name}: {by:e}");
        }
    }
}
