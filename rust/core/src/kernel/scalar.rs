//! The inner loops in plain Rust: the truth.

use super::{Address, Block, Extremes, REPLICAS, SCATTERED, STEPS, UNITS, Words};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::schedule::recursion::{self, Times, WalkScratch};
use crate::table::{Table, is_refined};

pub(super) fn words(random: &Random, address: Address, words: &mut Block<u32>) {
    words.0 = random.blocks::<UNITS>(address.stream, address.first_unit, address.c1, address.c2);
}

#[inline(always)]
pub(super) fn scattered(random: &Random, address: Address, units: &[u32; SCATTERED]) -> Words {
    random.blocks_of(address.stream, *units, address.c1, address.c2)
}

pub(super) fn values(table: &Table, words: &Block<u32>, values: &mut Block<f32>) -> bool {
    let mut n_refined = 0;
    for (words, values) in words.0.iter().zip(&mut values.0) {
        for (&word, value) in words.iter().zip(values) {
            *value = table.coarse_value(word);
            n_refined += u32::from(is_refined(word));
        }
    }
    n_refined > 0
}

#[inline(always)]
pub(super) fn extremes(words: &Block<u32>) -> Extremes {
    let mut extremes = Extremes {
        least: [u32::MAX; STEPS],
        greatest: [0; STEPS],
    };
    for (step, words) in words.0.iter().enumerate() {
        for &word in words {
            extremes.least[step] = extremes.least[step].min(word);
            extremes.greatest[step] = extremes.greatest[step].max(word);
        }
    }
    extremes
}

#[inline(always)]
pub(super) fn multiply(products: &mut Block<f32>, factors: &Block<f32>) {
    for (products, factors) in products.0.iter_mut().zip(&factors.0) {
        for (product, factor) in products.iter_mut().zip(factors) {
            *product *= factor;
        }
    }
}

#[inline(always)]
pub(super) fn add(sums: &mut Block<f32>, terms: &Block<f32>, times: f32) {
    for (sums, terms) in sums.0.iter_mut().zip(&terms.0) {
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term * times;
        }
    }
}

#[inline(always)]
pub(super) fn seconds(slowdown: &[f32], stall: &[f32], unit_s: f64, times: &mut [f32]) {
    for ((time, slowdown), stall) in times.iter_mut().zip(slowdown).zip(stall) {
        *time = (unit_s * f64::from(slowdown + stall)) as f32;
    }
}

#[inline(always)]
pub(super) fn walk(
    schedule: &Schedule,
    times: &Times<REPLICAS>,
    scratch: &mut WalkScratch<REPLICAS>,
) {
    recursion::walk(schedule, times, scratch);
}
