//! The inner loops in AVX-512.

use std::arch::x86_64::*;

use super::scalar;
use super::tile_array::{TILE_UNITS, TileAddress, TileArray, chunk, chunk_mut};
use crate::random::{MULTIPLIERS, ROUNDS, Random};
use crate::table::{Grid, REFINED_BELOW, Table};

/// Units of one vector of words.
const LANES: usize = 16;
/// Vectors of words that are made together, so that multiplications overlap.
const TOGETHER: usize = 4;

/// ScatteredWords of even units in the lower halves of 64-bit lanes of one vector, and
/// those of odd units in another: products need no shuffling then. What upper
/// halves hold is never looked at.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
pub(super) fn words(random: &Random, address: TileAddress, words: &mut TileArray<u32>) {
    let [m0, m1] = MULTIPLIERS.map(|multiplier| _mm512_set1_epi64(i64::from(multiplier)));
    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let keys: [[__m512i; 2]; ROUNDS] = random
        .round_keys()
        .map(|keys| keys.map(|key| _mm512_set1_epi64(i64::from(key))));
    for first in (0..TILE_UNITS).step_by(TOGETHER / 2 * LANES) {
        let mut x: [[__m512i; 4]; TOGETHER] = std::array::from_fn(|index| {
            // Vectors 0 and 1 are the even and odd units of one set of lanes.
            let offset = first + index / 2 * LANES + index % 2;
            let unit = address.first_unit.wrapping_add(offset as u32);
            [
                _mm512_add_epi32(even, _mm512_set1_epi64(i64::from(unit))),
                _mm512_set1_epi64(i64::from(address.c1)),
                _mm512_set1_epi64(i64::from(address.c2)),
                _mm512_set1_epi64(i64::from(address.stream.0)),
            ]
        });
        for [k0, k1] in keys {
            for [x0, x1, x2, x3] in &mut x {
                let a = _mm512_mul_epu32(*x0, m0);
                let b = _mm512_mul_epu32(*x2, m1);
                *x0 = _mm512_ternarylogic_epi64::<0x96>(_mm512_srli_epi64::<32>(b), *x1, k0);
                *x1 = b;
                *x2 = _mm512_ternarylogic_epi64::<0x96>(_mm512_srli_epi64::<32>(a), *x3, k1);
                *x3 = a;
            }
        }
        for (pair, x) in x.chunks_exact(2).enumerate() {
            let start = first + pair * LANES;
            for (step, row) in words.0.iter_mut().enumerate() {
                let odd = _mm512_slli_epi64::<32>(x[1][step]);
                let all = _mm512_mask_blend_epi32(0xAAAA, x[0][step], odd);
                let target: &mut [u32; LANES] = chunk_mut(row, start);
                // SAFETY: the target holds 16 words.
                unsafe { _mm512_storeu_si512(target.as_mut_ptr().cast(), all) };
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
pub(super) fn values(table: &Table, words: &TileArray<u32>, values: &mut TileArray<f32>) -> bool {
    match table.grid() {
        Grid::Octaves { bits } => octave_values(table, bits, words, values),
        Grid::Even { gaps, median } => even_values(table, gaps, median, words, values),
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn octave_values(
    table: &Table,
    bits: u32,
    words: &TileArray<u32>,
    values: &mut TileArray<f32>,
) -> bool {
    let shift = 23 - bits;
    let by = _mm_cvtsi32_si128(shift as i32);
    let rest_mask = _mm512_set1_epi32((1 << shift) - 1);
    let scale = _mm512_set1_ps(f32::from_bits((127 - shift) << 23));
    let before = _mm512_set1_epi32(94 << bits);
    let side = _mm512_set1_epi32(table.side() as i32);
    let cap = _mm512_set1_ps(table.cap());
    let mut refined = 0;
    for (words, values) in words.0.iter().zip(&mut values.0) {
        for start in (0..TILE_UNITS).step_by(LANES) {
            let (upper, tail, small) = tails(chunk(words, start));
            refined |= small;
            let tail = _mm512_castps_si512(tail);
            let index = _mm512_sub_epi32(_mm512_srl_epi32(tail, by), before);
            let index = _mm512_mask_add_epi32(index, upper, index, side);
            let rest = _mm512_cvtepi32_ps(_mm512_and_si512(tail, rest_mask));
            let place = _mm512_mul_ps(rest, scale);
            // SAFETY: a tail of 2^-1 to 2^31 units falls on a knot of its side that
            // has a next one (`Table`'s `side`).
            let (a, b) = unsafe { gather_bins(table.knots(), index) };
            let value = line(a, b, place);
            let value = _mm512_mask_max_ps(_mm512_min_ps(value, b), upper, value, b);
            store(values, start, _mm512_min_ps(value, cap));
        }
    }
    refined != 0
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn even_values(
    table: &Table,
    gaps: f32,
    median: f32,
    words: &TileArray<u32>,
    values: &mut TileArray<f32>,
) -> bool {
    let gaps = _mm512_set1_ps(gaps);
    let median = _mm512_set1_ps(median);
    let side = _mm512_set1_epi32(table.side() as i32);
    let cap = _mm512_set1_ps(table.cap());
    let mut refined = 0;
    for (words, values) in words.0.iter().zip(&mut values.0) {
        for start in (0..TILE_UNITS).step_by(LANES) {
            let (upper, tail, small) = tails(chunk(words, start));
            refined |= small;
            let place = _mm512_mul_ps(tail, gaps);
            let index = _mm512_cvttps_epi32(place);
            let place = _mm512_sub_ps(place, _mm512_cvtepi32_ps(index));
            let index = _mm512_mask_add_epi32(index, upper, index, side);
            // SAFETY: a tail of 2^-1 to 2^31 units falls on a knot of its side that
            // has a next one (`Table`'s `side`).
            let (a, b) = unsafe { gather_bins(table.knots(), index) };
            let value = line(a, b, place);
            let below = _mm512_min_ps(_mm512_min_ps(value, b), median);
            let above = _mm512_max_ps(_mm512_max_ps(value, b), median);
            let value = _mm512_mask_blend_ps(upper, below, above);
            store(values, start, _mm512_min_ps(value, cap));
        }
    }
    refined != 0
}

/// Which words lie on the upper side, their tail probabilities in units of
/// 2^-32, and which of them need more bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn tails(words: &[u32; LANES]) -> (__mmask16, __m512, __mmask16) {
    // SAFETY: the source holds 16 words.
    let words = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
    let magnitude = _mm512_xor_si512(words, _mm512_srai_epi32::<31>(words));
    let small = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(REFINED_BELOW as i32));
    let tail = _mm512_add_ps(_mm512_cvtepi32_ps(magnitude), _mm512_set1_ps(0.5));
    (_mm512_movepi32_mask(words), tail, small)
}

/// `a + (b - a) place`, each operation rounded.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn line(a: __m512, b: __m512, place: __m512) -> __m512 {
    _mm512_add_ps(a, _mm512_mul_ps(_mm512_sub_ps(b, a), place))
}

/// The knots at `index` and after it: both at once, as one 64-bit number.
///
/// # Safety
/// Every index and the one after it lie in `knots`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
unsafe fn gather_bins(knots: &[f32], index: __m512i) -> (__m512, __m512) {
    debug_assert!((_mm512_reduce_max_epu32(index) as usize) + 1 < knots.len());
    let pointer = knots.as_ptr().cast();
    let (low, high) = (
        _mm512_castsi512_si256(index),
        _mm512_extracti64x4_epi64::<1>(index),
    );
    // SAFETY: the caller's.
    let (low, high) = unsafe {
        (
            _mm512_i32gather_epi64::<4>(low, pointer),
            _mm512_i32gather_epi64::<4>(high, pointer),
        )
    };
    let (low, high) = (_mm512_castsi512_ps(low), _mm512_castsi512_ps(high));
    let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odds = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    (
        _mm512_permutex2var_ps(low, evens, high),
        _mm512_permutex2var_ps(low, odds, high),
    )
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn store(values: &mut [f32; TILE_UNITS], start: usize, value: __m512) {
    let target: &mut [f32; LANES] = chunk_mut(values, start);
    // SAFETY: the target holds 16 values.
    unsafe { _mm512_storeu_ps(target.as_mut_ptr(), value) };
}

autovectorized_for!("avx512f,avx512dq,avx512bw,avx512vl");

/// Sixteen ranks at once, of which the compiler would make four vectors.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
pub(super) fn seconds(slowdown: &[f32], stall: &[f32], unit_s: f64, times: &mut [f32]) {
    let unit = _mm512_set1_pd(unit_s);
    let (whole, rest) = times.as_chunks_mut::<LANES>();
    let slowdowns: &[[f32; LANES]] = slowdown.as_chunks().0;
    let stalls: &[[f32; LANES]] = stall.as_chunks().0;
    for ((time, ranks), stalls) in whole.iter_mut().zip(slowdowns).zip(stalls) {
        // SAFETY: each of the three holds 16 numbers.
        unsafe {
            let relative = _mm512_add_ps(
                _mm512_loadu_ps(ranks.as_ptr()),
                _mm512_loadu_ps(stalls.as_ptr()),
            );
            let low = _mm512_cvtps_pd(_mm512_castps512_ps256(relative));
            let high = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(relative));
            let low = _mm512_cvtpd_ps(_mm512_mul_pd(low, unit));
            let high = _mm512_cvtpd_ps(_mm512_mul_pd(high, unit));
            _mm256_storeu_ps(time.as_mut_ptr(), low);
            _mm256_storeu_ps(time.as_mut_ptr().add(LANES / 2), high);
        }
    }
    let done = whole.len() * LANES;
    scalar::seconds(&slowdown[done..], &stall[done..], unit_s, rest);
}
