//! The inner loops in AVX2.

use std::arch::x86_64::*;

use super::scalar;
use super::tile_array::{TILE_UNITS, TileAddress, TileArray, chunk, chunk_mut};
use crate::random::{MULTIPLIERS, ROUNDS, Random};
use crate::table::{Grid, REFINED_BELOW, Table};

/// Units of one vector of words.
const LANES: usize = 8;

/// ScatteredWords of even units in the lower halves of 64-bit lanes of one vector, and
/// those of odd units in another: products need no shuffling then. What upper
/// halves hold is never looked at.
#[target_feature(enable = "avx2")]
pub(super) fn words(random: &Random, address: TileAddress, words: &mut TileArray<u32>) {
    let [m0, m1] = MULTIPLIERS.map(|multiplier| _mm256_set1_epi64x(i64::from(multiplier)));
    let even = _mm256_setr_epi64x(0, 2, 4, 6);
    let keys: [[__m256i; 2]; ROUNDS] = random
        .round_keys()
        .map(|keys| keys.map(|key| _mm256_set1_epi64x(i64::from(key))));
    for first in (0..TILE_UNITS).step_by(LANES) {
        // The even units of a set of lanes, and the odd ones.
        let mut x: [[__m256i; 4]; 2] = std::array::from_fn(|index| {
            let unit = address.first_unit.wrapping_add((first + index) as u32);
            [
                _mm256_add_epi32(even, _mm256_set1_epi64x(i64::from(unit))),
                _mm256_set1_epi64x(i64::from(address.c1)),
                _mm256_set1_epi64x(i64::from(address.c2)),
                _mm256_set1_epi64x(i64::from(address.stream.0)),
            ]
        });
        for [k0, k1] in keys {
            for [x0, x1, x2, x3] in &mut x {
                let a = _mm256_mul_epu32(*x0, m0);
                let b = _mm256_mul_epu32(*x2, m1);
                let [upper_a, upper_b] = [a, b].map(|x| _mm256_srli_epi64::<32>(x));
                *x0 = _mm256_xor_si256(_mm256_xor_si256(upper_b, *x1), k0);
                *x1 = b;
                *x2 = _mm256_xor_si256(_mm256_xor_si256(upper_a, *x3), k1);
                *x3 = a;
            }
        }
        for (step, row) in words.0.iter_mut().enumerate() {
            let odd = _mm256_slli_epi64::<32>(x[1][step]);
            let all = _mm256_blend_epi32::<0b1010_1010>(x[0][step], odd);
            let target: &mut [u32; LANES] = chunk_mut(row, first);
            // SAFETY: the target holds 8 words.
            unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), all) };
        }
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn values(table: &Table, words: &TileArray<u32>, values: &mut TileArray<f32>) -> bool {
    match table.grid() {
        Grid::Octaves { bits } => octave_values(table, bits, words, values),
        Grid::Even { gaps, median } => even_values(table, gaps, median, words, values),
    }
}

#[target_feature(enable = "avx2")]
fn octave_values(
    table: &Table,
    bits: u32,
    words: &TileArray<u32>,
    values: &mut TileArray<f32>,
) -> bool {
    let shift = 23 - bits;
    let by = _mm_cvtsi32_si128(shift as i32);
    let rest_mask = _mm256_set1_epi32((1 << shift) - 1);
    let scale = _mm256_set1_ps(f32::from_bits((127 - shift) << 23));
    let before = _mm256_set1_epi32(94 << bits);
    let side = _mm256_set1_epi32(table.side() as i32);
    let cap = _mm256_set1_ps(table.cap());
    let mut refined = _mm256_setzero_si256();
    for (words, values) in words.0.iter().zip(&mut values.0) {
        for start in (0..TILE_UNITS).step_by(LANES) {
            let (upper, tail, small) = tails(chunk(words, start));
            refined = _mm256_or_si256(refined, small);
            let tail = _mm256_castps_si256(tail);
            let index = _mm256_sub_epi32(_mm256_srl_epi32(tail, by), before);
            let index = _mm256_add_epi32(index, _mm256_and_si256(upper, side));
            let rest = _mm256_cvtepi32_ps(_mm256_and_si256(tail, rest_mask));
            let place = _mm256_mul_ps(rest, scale);
            // SAFETY: a tail of 2^-1 to 2^31 units falls on a knot of its side that
            // has a next one (`Table`'s `side`).
            let (a, b) = unsafe { gather_bins(table.knots(), index) };
            let value = line(a, b, place);
            let (below, above) = (_mm256_min_ps(value, b), _mm256_max_ps(value, b));
            let value = _mm256_blendv_ps(below, above, _mm256_castsi256_ps(upper));
            store(values, start, _mm256_min_ps(value, cap));
        }
    }
    _mm256_testz_si256(refined, refined) == 0
}

#[target_feature(enable = "avx2")]
fn even_values(
    table: &Table,
    gaps: f32,
    median: f32,
    words: &TileArray<u32>,
    values: &mut TileArray<f32>,
) -> bool {
    let gaps = _mm256_set1_ps(gaps);
    let median = _mm256_set1_ps(median);
    let side = _mm256_set1_epi32(table.side() as i32);
    let cap = _mm256_set1_ps(table.cap());
    let mut refined = _mm256_setzero_si256();
    for (words, values) in words.0.iter().zip(&mut values.0) {
        for start in (0..TILE_UNITS).step_by(LANES) {
            let (upper, tail, small) = tails(chunk(words, start));
            refined = _mm256_or_si256(refined, small);
            let place = _mm256_mul_ps(tail, gaps);
            let index = _mm256_cvttps_epi32(place);
            let place = _mm256_sub_ps(place, _mm256_cvtepi32_ps(index));
            let index = _mm256_add_epi32(index, _mm256_and_si256(upper, side));
            // SAFETY: a tail of 2^-1 to 2^31 units falls on a knot of its side that
            // has a next one (`Table`'s `side`).
            let (a, b) = unsafe { gather_bins(table.knots(), index) };
            let value = line(a, b, place);
            let below = _mm256_min_ps(_mm256_min_ps(value, b), median);
            let above = _mm256_max_ps(_mm256_max_ps(value, b), median);
            let value = _mm256_blendv_ps(below, above, _mm256_castsi256_ps(upper));
            store(values, start, _mm256_min_ps(value, cap));
        }
    }
    _mm256_testz_si256(refined, refined) == 0
}

/// Which words lie on the upper side, their tail probabilities in units of
/// 2^-32, and which of them need more bits; masks are whole lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn tails(words: &[u32; LANES]) -> (__m256i, __m256, __m256i) {
    // SAFETY: the source holds 8 words.
    let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
    let upper = _mm256_srai_epi32::<31>(words);
    let magnitude = _mm256_xor_si256(words, upper);
    // A magnitude is below 2^31, so that a signed comparison will do.
    let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(REFINED_BELOW as i32), magnitude);
    let tail = _mm256_add_ps(_mm256_cvtepi32_ps(magnitude), _mm256_set1_ps(0.5));
    (upper, tail, small)
}

/// `a + (b - a) place`, each operation rounded.
#[inline]
#[target_feature(enable = "avx2")]
fn line(a: __m256, b: __m256, place: __m256) -> __m256 {
    _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(b, a), place))
}

/// The knots at `index` and after it: both at once, as one 64-bit number.
///
/// # Safety
/// Every index and the one after it lie in `knots`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn gather_bins(knots: &[f32], index: __m256i) -> (__m256, __m256) {
    debug_assert!(
        {
            // As signed numbers, all of -1 < index < the number of knots less one.
            let last = _mm256_set1_epi32(knots.len() as i32 - 1);
            let inside = _mm256_and_si256(
                _mm256_cmpgt_epi32(last, index),
                _mm256_cmpgt_epi32(index, _mm256_set1_epi32(-1)),
            );
            _mm256_movemask_epi8(inside) == -1
        },
        "an index without a next knot"
    );
    let pointer = knots.as_ptr().cast();
    let (low, high) = (
        _mm256_castsi256_si128(index),
        _mm256_extracti128_si256::<1>(index),
    );
    // SAFETY: the caller's.
    let (low, high) = unsafe {
        (
            _mm256_i32gather_epi64::<4>(pointer, low),
            _mm256_i32gather_epi64::<4>(pointer, high),
        )
    };
    // Bins 0 1 | 2 3 and 4 5 | 6 7 become 0 1 4 5 | 2 3 6 7, then 0 1 2 3 | 4 5 6 7.
    let (low, high) = (_mm256_castsi256_ps(low), _mm256_castsi256_ps(high));
    let in_order =
        |x: __m256| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x)));
    (
        in_order(_mm256_shuffle_ps::<0b10_00_10_00>(low, high)),
        in_order(_mm256_shuffle_ps::<0b11_01_11_01>(low, high)),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(values: &mut [f32; TILE_UNITS], start: usize, value: __m256) {
    let target: &mut [f32; LANES] = chunk_mut(values, start);
    // SAFETY: the target holds 8 values.
    unsafe { _mm256_storeu_ps(target.as_mut_ptr(), value) };
}

autovectorized_for!("avx2");

/// The compiler makes AVX2 of the scalar loop.
#[target_feature(enable = "avx2")]
pub(super) fn seconds(slowdown: &[f32], stall: &[f32], unit_s: f64, times: &mut [f32]) {
    scalar::seconds(slowdown, stall, unit_s, times);
}
