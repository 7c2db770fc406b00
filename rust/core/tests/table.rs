//! The contract of tables: near the quantile, and never falling.

mod common;

use common::laws::{
    bounded_pareto, capped, constant, empirical, exponential, gamma, log_uniform, lognormal,
    mixture, normal, pareto, shapes, uniform, weibull,
};
use hindmost_core::law::{Distribution, Law, tail_probability};
use hindmost_core::random::{Random, Stream};
use hindmost_core::table::{REFINED_BELOW, Table};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Relative error that the contract allows, of the value and of its probability.
const TOLERANCE: f64 = 1e-5;
/// Pairs of random words whose values are compared, for each law.
const N_PAIRS: u32 = 1_000_000;

/// The magnitude of a word, and the 32 more bits that a small one takes.
type Address = (u32, u32);

#[test]
fn values_lie_within_1e_5_of_the_quantile_or_of_its_probability() {
    for (name, law) in shapes() {
        let table = Table::compile(&law).unwrap();
        for address in dense_addresses(&table) {
            assert_near_quantile(&name, &law, &table, address);
        }
    }
}

#[test]
fn values_never_fall_from_one_word_to_the_next() {
    for (name, law) in shapes() {
        let table = Table::compile(&law).unwrap();
        let octaves = (0..31).map(|octave| 1_u32 << octave);
        let bins = (5..31)
            .flat_map(|octave| (0..512).map(move |bin| ((512_u64 + bin) << octave >> 9) as u32));
        let middle = (1 << 31) - 12;
        for center in octaves.chain(bins).chain([REFINED_BELOW, middle]) {
            let refined = (0..8)
                .map(|i| u64::from(center).saturating_sub(4) + i)
                .map(|bits| ((bits >> 31) as u32, (bits << 1) as u32));
            assert_rises(&name, &table, refined);
            let refined_ends = (0..8)
                .map(|i| center.saturating_sub(4) + i)
                .flat_map(|magnitude| [(magnitude, 0), (magnitude, u32::MAX)]);
            assert_rises(&name, &table, refined_ends);
        }
        let least = (0..2_000).map(|bits| (0, bits));
        assert_rises(&name, &table, least);
        let to_the_middle = (0..2_000).map(|i| ((1 << 31) - 2_000 + i, 0));
        assert_rises(&name, &table, to_the_middle);
        assert_meets(&name, &table);
    }
}

#[test]
fn the_greater_one_of_two_random_words_has_no_smaller_value() {
    let random = Random::new(500);
    for (stream, (name, law)) in (0..).map(Stream).zip(shapes()) {
        let table = Table::compile(&law).unwrap();
        for pair in 0..N_PAIRS {
            let [first, second, shift, bits] = random.words(stream, pair, 0, 0);
            // Every other pair lies in one tail or in both.
            let shift = if pair % 2 == 0 { 0 } else { shift % 32 };
            let mut words = [first, second].map(|word| {
                let magnitude = (word & 0x7fff_ffff) >> shift;
                if word >> 31 == 1 {
                    !magnitude
                } else {
                    magnitude
                }
            });
            words.sort_unstable();
            let [low, high] = words.map(|word| table.value(word, || bits));
            assert!(low <= high, "{name}: {words:x?} give {low} and {high}");
        }
    }
}

#[test]
fn only_small_magnitudes_ask_for_more_bits() {
    let table = Table::compile(&lognormal(1.0, 0.3)).unwrap();
    for (magnitude, expected) in [(REFINED_BELOW - 1, true), (REFINED_BELOW, false), (0, true)] {
        for word in [magnitude, !magnitude] {
            let mut asked = false;
            let value = table.value(word, || {
                asked = true;
                7
            });
            assert_eq!(asked, expected, "{word:x}");
            if !asked {
                assert_eq!(value.to_bits(), table.coarse_value(word).to_bits());
            }
        }
    }
}

#[test]
fn a_capped_table_is_the_smaller_one_of_value_and_cap() {
    let law = lognormal(1.0, 0.2);
    let (table, with_cap) = (
        Table::compile(&law).unwrap(),
        Table::compile(&capped(law, 1.1)).unwrap(),
    );
    for (magnitude, bits) in dense_addresses(&table) {
        for word in [magnitude, !magnitude] {
            let expected = table.value(word, || bits).min(1.1);
            assert_eq!(with_cap.value(word, || bits), expected, "{word:x}");
        }
    }
}

#[test]
fn a_table_has_32_to_512_bins_per_octave_as_needed() {
    for (law, bins) in [
        (lognormal(1.0, 0.003), 32),
        (lognormal(1.0, 9.0), 512),
        (uniform(0.0, 1.0), 32),
    ] {
        assert_eq!(Table::compile(&law).unwrap().bins(), Some(bins), "{law:?}");
    }
}

#[test]
fn a_component_of_a_mixture_keeps_the_contract_of_its_own_law() {
    let law = capped(
        mixture(vec![(0.5, pareto(1.0, 0.8)), (0.5, gamma(3.0, 1.0))]),
        40.0,
    );
    for (_, part) in law.components() {
        let table = Table::compile(&part).unwrap();
        for address in dense_addresses(&table).step_by(16) {
            assert_near_quantile("component", &part, &table, address);
        }
    }
}

#[test]
fn a_component_with_a_cap_of_its_own_ends_at_the_lower_one_of_both() {
    let law = |own, outer| {
        let parts = vec![(0.5, capped(pareto(1.0, 1.5), own)), (0.5, constant(1.0))];
        capped(mixture(parts), outer)
    };
    for (own, outer) in [(8.0, 6.0), (6.0, 8.0)] {
        for (_, part) in law(own, outer).components() {
            let table = Table::compile(&part).unwrap();
            assert!(table.bound(u32::MAX) <= 6.0, "{part:?}");
        }
    }
    assert_eq!(law(8.0, 6.0).components()[0], law(6.0, 8.0).components()[0]);
}

#[test]
fn the_sides_of_few_samples_meet_in_the_median() {
    let random = Random::new(503);
    for unit in 0..20_000 {
        let words = random.words(Stream(0), unit, 0, 0);
        let samples = words.map(|word| 1e-3 + f64::from(word) / f64::from(word >> 20 | 1));
        for n in [2, 3, 4] {
            let table = Table::compile(&empirical(&samples[..n])).unwrap();
            assert_meets(&format!("{:?}", &samples[..n]), &table);
        }
    }
}

#[test]
fn the_lower_one_of_two_caps_counts() {
    for (inner, outer) in [(7.0, 5.0), (5.0, 7.0)] {
        let twice = capped(capped(pareto(1.0, 1.0), inner), outer);
        let once = capped(pareto(1.0, 1.0), 5.0);
        for x in [4.0, 5.0, 6.0] {
            assert_eq!(twice.cdf(x), once.cdf(x));
        }
        let [twice, once] = [twice, once].map(|law| Table::compile(&law));
        assert!(twice == once, "{:?}", twice.map(|table| table.bins()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(501),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_contract_holds_for_any_parameters(
        law in any_law(),
        addresses in prop::collection::vec(any_address(), 200),
    ) {
        let table = Table::compile(&law).unwrap();
        for &address in &addresses {
            assert_near_quantile(&format!("{law:?}"), &law, &table, address);
        }
        assert_meets(&format!("{law:?}"), &table);
        let mut ordered = addresses;
        ordered.extend((1..50).map(|i| ((1 << 31) - i, 0)));
        ordered.sort_unstable();
        assert_rises(&format!("{law:?}"), &table, ordered.into_iter());
    }
}

fn any_address() -> impl Strategy<Value = Address> {
    (any::<u32>(), any::<u32>(), 1..32_u32).prop_map(|(word, bits, shift)| (word >> shift, bits))
}

fn between(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low.ln()..high.ln()).prop_map(f64::exp)
}

fn any_law() -> impl Strategy<Value = Law> {
    let samples = prop::collection::vec(between(1e-3, 1e3), 2..40);
    prop_oneof![
        4 => (between(1e-6, 1e6), between(1e-6, 6.0)).prop_map(|(m, s)| lognormal(m, s)),
        4 => (between(1e-6, 1e6), between(1e-6, 1e6)).prop_map(|(m, s)| exponential(m, s)),
        1 => (between(0.7, 1e4), between(1e-3, 1e3)).prop_map(|(k, s)| gamma(k, s)),
        4 => (between(1e-3, 1e3), between(2.01, 1e3)).prop_map(|(m, a)| pareto(m, a)),
        4 => (between(0.55, 1e6), between(1e-3, 1e3)).prop_map(|(k, s)| weibull(k, s)),
        4 => (between(1e-3, 1e3), between(1e-6, 1e3)).prop_map(|(m, s)| normal(m, m * s)),
        4 => (between(1e-3, 1e3), between(0.3, 1e3), between(1.0001, 1e4))
            .prop_map(|(m, a, ratio)| bounded_pareto(m, a, m * ratio)),
        4 => (0.0..1e3, between(1e-3, 1e6)).prop_map(|(low, w)| uniform(low, low + w)),
        4 => (between(1e-9, 1e3), between(1.0001, 1e20))
            .prop_map(|(low, ratio)| log_uniform(low, low * ratio)),
        4 => (between(1e-3, 1e3), between(0.1, 2.0), between(1.001, 1e6))
            .prop_map(|(m, a, ratio)| capped(pareto(m, a), m * ratio)),
        4 => samples.prop_map(|samples| empirical(&samples)),
    ]
}

/// Addresses at all knots and next to them, halfway between them and at random.
fn dense_addresses(table: &Table) -> impl Iterator<Item = Address> {
    let random = Random::new(502);
    let bins = table.bins().unwrap_or(128) as usize;
    let near_knots = (0..64 * bins).flat_map(move |index| {
        let (knot, next) = (
            tail_probability(bins, index),
            tail_probability(bins, index + 1),
        );
        let [word, ..] = random.words(Stream(0), index as u32, 0, 0);
        let share = f64::from(word) / 4_294_967_296.0;
        let knot_address = address_below(knot);
        [
            knot_address,
            following(knot_address),
            address_below(0.5 * (knot + next)),
            address_below(knot + share * (next - knot)),
        ]
    });
    near_knots.chain((0..100).map(|bits| (0, bits)))
}

/// The greatest address whose tail probability is at most `p`, or the least.
fn address_below(p: f64) -> Address {
    let coarse = p * 4_294_967_296.0 - 0.5;
    if coarse >= f64::from(REFINED_BELOW) {
        return ((coarse as u32).min((1 << 31) - 1), 0);
    }
    let refined = (p * 18_446_744_073_709_551_616.0 - 0.5).max(0.0) as u64;
    ((refined >> 32) as u32, refined as u32)
}

/// The next address away from the end of a tail.
fn following((magnitude, bits): Address) -> Address {
    if magnitude >= REFINED_BELOW {
        return ((magnitude + 1).min((1 << 31) - 1), 0);
    }
    let refined = (u64::from(magnitude) << 32 | u64::from(bits)) + 1;
    ((refined >> 32) as u32, refined as u32)
}

/// Tail probability of an address.
fn tail_of((magnitude, bits): Address) -> f64 {
    if magnitude >= REFINED_BELOW {
        return (f64::from(magnitude) + 0.5) / 4_294_967_296.0;
    }
    let refined = u64::from(magnitude) << 32 | u64::from(bits);
    (refined as f64 + 0.5) / 18_446_744_073_709_551_616.0
}

/// Asserts the contract of tables at one address of both sides.
fn assert_near_quantile(name: &str, law: &Law, table: &Table, address: Address) {
    let (magnitude, bits) = address;
    let p = tail_of(address);
    let (less, more) = (p * (1.0 - TOLERANCE), p * (1.0 + TOLERANCE));
    for (word, low, high) in [
        (magnitude, law.quantile(less), law.quantile(more)),
        (
            !magnitude,
            law.upper_quantile(more),
            law.upper_quantile(less),
        ),
    ] {
        let value = f64::from(table.value(word, || bits));
        assert!(
            low * (1.0 - TOLERANCE) <= value && value <= high * (1.0 + TOLERANCE),
            "{name}: word {word:x} with {bits:x}, tail {p:e}: {value} is not near [{low}, {high}]"
        );
    }
}

/// The lower side ends where the upper side begins, or below.
fn assert_meets(name: &str, table: &Table) {
    let (below, above) = (table.value((1 << 31) - 1, || 0), table.value(1 << 31, || 0));
    assert!(below <= above, "{name}: {below} > {above} in the middle");
}

/// Addresses in order give values in order, and the other way on the upper
/// side.
fn assert_rises(name: &str, table: &Table, addresses: impl Iterator<Item = Address>) {
    let mut last = (f32::NEG_INFINITY, f32::INFINITY);
    for (magnitude, bits) in addresses.filter(|&(magnitude, _)| magnitude < 1 << 31) {
        let lower = table.value(magnitude, || bits);
        let upper = table.value(!magnitude, || bits);
        assert!(
            last.0 <= lower && upper <= last.1,
            "{name}: {magnitude:x} with {bits:x}: {lower} after {}, {upper} after {}",
            last.0,
            last.1
        );
        last = (lower, upper);
    }
}
