//! The inner loops in plain Rust: what the other instruction sets have to equal.

use super::tile_array::{
    Extremes, QUAD_STEPS, SCATTERED_UNITS, ScatteredWords, TILE_UNITS, TileAddress, TileArray,
    WALK_LANES,
};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::schedule::recursion::{self, Times, WalkScratch};
use crate::table::{Table, is_refined};

pub(super) fn words(random: &Random, address: TileAddress, words: &mut TileArray<u32>) {
    words.0 =
        random.words_from::<TILE_UNITS>(address.stream, address.first_unit, address.c1, address.c2);
}

#[inline(always)]
pub(super) fn scattered_words(
    random: &Random,
    address: TileAddress,
    units: &[u32; SCATTERED_UNITS],
) -> ScatteredWords {
    random.words_of(address.stream, *units, address.c1, address.c2)
}

pub(super) fn values(table: &Table, words: &TileArray<u32>, values: &mut TileArray<f32>) -> bool {
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
pub(super) fn extremes(words: &TileArray<u32>) -> Extremes {
    let mut extremes = Extremes {
        least: [u32::MAX; QUAD_STEPS],
        greatest: [0; QUAD_STEPS],
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
pub(super) fn greatest(words: &[u32; TILE_UNITS]) -> u32 {
    words.iter().fold(0, |greatest, &word| greatest.max(word))
}

#[inline(always)]
pub(super) fn multiply(products: &mut TileArray<f32>, factors: &TileArray<f32>) {
    for (products, factors) in products.0.iter_mut().zip(&factors.0) {
        for (product, factor) in products.iter_mut().zip(factors) {
            *product *= factor;
        }
    }
}

#[inline(always)]
pub(super) fn add_scaled(sums: &mut TileArray<f32>, terms: &TileArray<f32>, scale: f32) {
    for (sums, terms) in sums.0.iter_mut().zip(&terms.0) {
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term * scale;
        }
    }
}

#[inline(always)]
pub(super) fn add_weighted(sums: &mut [f64], terms: &[f64], weight: f64) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += weight * term;
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
    times: &Times<WALK_LANES>,
    scratch: &mut WalkScratch<WALK_LANES>,
) {
    recursion::walk(schedule, times, scratch);
}
