//! Words as standard normal numbers, and back.
//!
//! What drifts is a normal number, and a law's value belongs to a word. Both stand for the same
//! tail probability, so any law is the law of what drifts.

use crate::law::special::{normal_cdf, normal_quantile};
use crate::table::{is_refined, is_upper, magnitude};

/// The normal number at the tail probability that a word stands for; `refine` gives 32 more bits
/// where the word takes them.
#[must_use]
pub fn normal_of(word: u32, refine: impl FnOnce() -> u32) -> f64 {
    let number = u64::from(magnitude(word)) << 32;
    let tail = if is_refined(word) {
        libm::ldexp((number | u64::from(refine())) as f64 + 0.5, -64)
    } else {
        libm::ldexp(f64::from(magnitude(word)) + 0.5, -32)
    };
    let z = normal_quantile(tail);
    if is_upper(word) { -z } else { z }
}

/// The word at whose tail probability a normal number lies, and its 32 more bits.
#[must_use]
pub fn word_of(x: f64) -> (u32, u32) {
    const MEDIAN: u64 = 1 << 63;
    let number = (libm::ldexp(normal_cdf(-x.abs()), 64) as u64).min(MEDIAN - 1);
    let magnitude = (number >> 32) as u32;
    let word = if x < 0.0 { magnitude } else { !magnitude };
    (word, number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back_from_its_normal_number() {
        let words = [
            0,
            1,
            2,
            77,
            65_535,
            65_536,
            1 << 20,
            (1 << 30) + 12_345,
            (1 << 31) - 1,
        ];
        for word in words.into_iter().flat_map(|word| [word, !word]) {
            for refine in [1 << 7, 1 << 31, u32::MAX] {
                let (again, bits) = word_of(normal_of(word, || refine));
                assert_eq!(again, word);
                if is_refined(word) {
                    let miss = (f64::from(bits) - f64::from(refine)).abs();
                    let number = libm::ldexp(f64::from(magnitude(word)), 32) + f64::from(refine);
                    assert!(miss <= 1.0 + 1e-12 * number, "{word} {refine} {bits}");
                }
            }
        }
    }

    #[test]
    fn a_greater_number_has_no_smaller_word() {
        let words: Vec<u32> = (-800..=800)
            .map(|x| word_of(f64::from(x) / 100.0).0)
            .collect();
        assert!(words.is_sorted());
        assert_eq!(word_of(-40.0), (0, 0));
        assert_eq!(word_of(40.0), (u32::MAX, 0));
        assert_eq!(word_of(0.0).0, 1 << 31);
    }
}
