//! Every kernel gives the bytes of the scalar one.
//!
//! Runs under valgrind, too (`make memcheck`), where AVX-512 is not to be had.

mod common;

use common::laws::{capped, constant, empirical, exponential, gamma, lognormal, pareto, uniform};
use hindmost_core::law::Law;
use hindmost_core::random::{Random, Stream};
use hindmost_core::simd::InstructionSet;
use hindmost_core::simd::{Kernel, QUAD_STEPS, TILE_UNITS, TileAddress, TileArray};
use hindmost_core::table::{Table, is_refined};

const SCALAR: InstructionSet = InstructionSet::Portable;

/// The vector kernels of this processor.
fn vector_kernels() -> Vec<(InstructionSet, Kernel)> {
    InstructionSet::ALL
        .into_iter()
        .filter(|&set| set != SCALAR && set.is_available())
        .map(|set| (set, Kernel::new(set)))
        .collect()
}

fn words(kernel: Kernel, seed: u64, address: TileAddress) -> TileArray<u32> {
    let mut words = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
    kernel.words(&Random::new(seed), address, &mut words);
    words
}

fn address(first_unit: u32, c1: u32) -> TileAddress {
    TileAddress {
        stream: Stream(0x9e37_79b9),
        first_unit,
        c1,
        c2: 3 << 16,
    }
}

/// Words at every border of the word order, and random ones between.
fn blocks_of_words() -> Vec<TileArray<u32>> {
    let mut edges = vec![0, 1, u32::MAX, u32::MAX - 1];
    for bit in 0..32 {
        for beside in [-1, 0, 1] {
            let lower = (1_u32 << bit).wrapping_add_signed(beside);
            edges.extend([lower, !lower]);
        }
    }
    let mut blocks: Vec<TileArray<u32>> = edges
        .chunks(TILE_UNITS)
        .map(|edges| {
            let at = |step: usize, unit: usize| edges[(unit + step) % edges.len()];
            TileArray(std::array::from_fn(|step| {
                std::array::from_fn(|unit| at(step, unit))
            }))
        })
        .collect();
    let random = (0..64).map(|c1| words(Kernel::new(SCALAR), 701, address(0, c1)));
    blocks.extend(random);
    blocks
}

fn laws() -> Vec<Law> {
    vec![
        constant(2.5),
        lognormal(1.0, 0.0),
        lognormal(1.0, 0.003),
        lognormal(0.7, 1.5),
        exponential(0.0075, 0.02),
        exponential(1.0, 0.0),
        gamma(2.5, 1.0),
        pareto(1.0, 3.0),
        uniform(0.0, 1.0),
        capped(pareto(1.0, 0.8), 40.0),
        capped(lognormal(1.0, 0.0172), 1.062),
        empirical(&[1.0, 1.5]),
        empirical(&[0.9, 1.0, 1.0, 1.25]),
        empirical(&(1..=1001).map(f64::from).collect::<Vec<_>>()),
        capped(empirical(&[0.9, 1.0, 1.1, 1.25, 7.0]), 1.2),
        // The largest tables: 512 bins an octave, and 2^20 samples.
        capped(pareto(1.0, 0.1), 1e6),
        empirical(&samples(1 << 20)),
        empirical(&samples((1 << 20) - 1)),
    ]
}

fn samples(count: u32) -> Vec<f64> {
    (1..=count).map(|i| 1.0 + f64::from(i) * 1e-6).collect()
}

#[test]
fn the_laws_that_are_tried_have_the_largest_tables() {
    let bins: Vec<Option<u32>> = laws()
        .iter()
        .map(|law| Table::compile(law).unwrap().bins())
        .collect();
    assert!(bins.contains(&Some(512)), "{bins:?}");
}

#[test]
fn loops_over_a_tile_are_those_of_the_scalar_kernel() {
    let table = Table::compile(&lognormal(1.0, 0.5)).unwrap();
    let blocks = blocks_of_words();
    let values = |words: &TileArray<u32>| {
        let mut values = TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]);
        Kernel::new(SCALAR).values(&table, words, &mut values);
        values
    };
    for pair in blocks.windows(2) {
        let (a, b) = (values(&pair[0]), values(&pair[1]));
        let by = |kernel: Kernel| {
            let (mut product, mut sum) = (a, a);
            kernel.multiply(&mut product, &b);
            kernel.add_scaled(&mut sum, &b, 0.3);
            let mut times = [0.0; 61];
            kernel.seconds(&product.0[1], &sum.0[2], 10.7, &mut times);
            let bits = |block: TileArray<f32>| block.0.map(|row| row.map(f32::to_bits));
            (bits(product), bits(sum), times.map(f32::to_bits))
        };
        let scalar = by(Kernel::new(SCALAR));
        for (set, kernel) in vector_kernels() {
            assert_eq!(by(kernel), scalar, "{set:?}");
        }
    }
}

#[test]
fn weighted_sums_are_those_of_the_scalar_kernel() {
    // No multiple of what one instruction takes, and fewer terms than sums.
    let terms: Vec<f64> = (0..61).map(|k| libm::exp(-0.3 * f64::from(k))).collect();
    let by = |kernel: Kernel| {
        let mut sums: Vec<f64> = (0..67).map(|k| 1.0 / f64::from(k + 3)).collect();
        kernel.add_weighted(&mut sums, &terms, 0.1);
        sums
    };
    let scalar = by(Kernel::new(SCALAR));
    assert_eq!(scalar[60], 1.0 / 63.0 + 0.1 * terms[60]);
    assert_eq!(scalar[61], 1.0 / 64.0);
    for (set, kernel) in vector_kernels() {
        assert_eq!(by(kernel), scalar, "{set:?}");
    }
}

#[test]
fn words_are_those_of_the_scalar_kernel() {
    for (set, kernel) in vector_kernels() {
        for seed in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            for first_unit in [0, 64, 12_345, u32::MAX - 30] {
                let at = address(first_unit, 77);
                let scalar = words(Kernel::new(SCALAR), seed, at);
                assert_eq!(
                    words(kernel, seed, at),
                    scalar,
                    "{set:?} {seed} {first_unit}"
                );
            }
        }
    }
}

#[test]
fn values_are_those_of_the_scalar_kernel() {
    for law in laws() {
        let table = Table::compile(&law).unwrap();
        for words in blocks_of_words() {
            let values = |kernel: Kernel| {
                let mut values = TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]);
                let refined = kernel.values(&table, &words, &mut values);
                (values.0.map(|row| row.map(f32::to_bits)), refined)
            };
            let scalar = values(Kernel::new(SCALAR));
            let any_refined = words.0.iter().flatten().any(|&word| is_refined(word));
            assert_eq!(scalar.1, any_refined);
            for (set, kernel) in vector_kernels() {
                assert_eq!(values(kernel), scalar, "{set:?} {law:?}");
            }
        }
    }
}

#[test]
fn extremes_are_the_least_and_the_greatest_words() {
    for words in blocks_of_words() {
        let extremes = Kernel::new(SCALAR).extremes(&words);
        for step in 0..QUAD_STEPS {
            assert_eq!(Some(&extremes.least[step]), words.0[step].iter().min());
            assert_eq!(Some(&extremes.greatest[step]), words.0[step].iter().max());
        }
        for (set, kernel) in vector_kernels() {
            assert_eq!(kernel.extremes(&words), extremes, "{set:?}");
        }
    }
}

#[test]
fn a_bound_is_never_exceeded() {
    for law in laws() {
        let table = Table::compile(&law).unwrap();
        for words in blocks_of_words() {
            let greatest = Kernel::new(SCALAR).extremes(&words).greatest;
            for (row, greatest) in words.0.iter().zip(greatest) {
                let bound = table.bound(greatest);
                for &word in row {
                    for refine in [0, 1 << 31, u32::MAX] {
                        assert!(table.value(word, || refine) <= bound, "{law:?} {word:x}");
                    }
                }
            }
        }
    }
}
