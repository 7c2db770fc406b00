//! Special functions that laws are made of: the normal and the gamma CDF and
//! their inverses, accurate in both tails.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Terms of a continued fraction, at most.
const MAX_FRACTION_TERMS: i32 = 10_000;

/// Steps of Newton's method, at most: many more than it takes, because each may
/// turn out to be a bisection.
const MAX_NEWTON_STEPS: usize = 200;

/// Logarithms that bracket those of all positive numbers of f64.
const LOG_F64_RANGE: (f64, f64) = (-745.0, 709.0);

/// The side that a probability is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// `P(X <= x)`
    Lower,
    /// `P(X > x)`
    Upper,
}

/// `P(Z <= z)` of a standard normal number, to full relative precision in the
/// lower tail; `normal_cdf(-z)` is the upper one.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// The `z` whose normal CDF is `p`, for `p` in (0, 1), to about 1e-16 of itself.
///
/// Wichura's PPND16: a rational function of degree seven around the median, and
/// two of `sqrt(-ln p)` in the tails ("The percentage points of the normal
/// distribution", Applied Statistics 37, 1988, algorithm AS 241). Names of the
/// coefficients are his.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 8] = [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ];
    const B: [f64; 8] = [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ];
    const C: [f64; 8] = [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ];
    const E: [f64; 8] = [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ];
    const F: [f64; 8] = [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ];
    let horner =
        |coefficients: &[f64; 8], x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * horner(&A, r) / horner(&B, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail));
    let z = if r <= 5.0 {
        horner(&C, r - 1.6) / horner(&D, r - 1.6)
    } else {
        horner(&E, r - 5.0) / horner(&F, r - 5.0)
    };
    if q < 0.0 { -z } else { z }
}

/// `P(X <= x)` or `P(X > x)` of a gamma number of unit scale: the regularised
/// incomplete gamma functions P and Q.
#[must_use]
pub fn gamma_cdf(shape: f64, x: f64, tail: Tail) -> f64 {
    if x <= 0.0 {
        return if tail == Tail::Lower { 0.0 } else { 1.0 };
    }
    if x == f64::INFINITY {
        return if tail == Tail::Lower { 1.0 } else { 0.0 };
    }
    libm::exp(gamma_log_tail(shape, x, tail))
}

/// Logarithm of [`gamma_cdf`], for `x > 0`; finite where the probability itself
/// would underflow.
///
/// The series of the lower function below `shape + 1` and the continued fraction
/// of the upper one above, where each converges fast (Abramowitz and Stegun
/// 6.5.29, 6.5.31). The other side is the complement, which loses no digits
/// there. The front factor does, by `ln Gamma(shape)` times the precision of
/// f64.
#[must_use]
pub fn gamma_log_tail(shape: f64, x: f64, tail: Tail) -> f64 {
    let log_front = shape * libm::log(x) - x - libm::lgamma(shape);
    let (log_part, side) = if x < shape + 1.0 {
        (log_front + libm::log(lower_series(shape, x)), Tail::Lower)
    } else {
        (log_front + libm::log(upper_fraction(shape, x)), Tail::Upper)
    };
    let log_part = log_part.min(0.0);
    if side == tail {
        log_part
    } else {
        libm::log(-libm::expm1(log_part))
    }
}

/// The series of the lower function without its front factor: the sum of
/// `x^n / (shape (shape + 1) ... (shape + n))`.
fn lower_series(shape: f64, x: f64) -> f64 {
    let mut term = 1.0 / shape;
    let mut sum = term;
    let mut denominator = shape;
    while term > sum * f64::EPSILON * 0.1 {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
    }
    sum
}

/// The continued fraction of the upper function without its front factor, its
/// even part, by Lentz's method as Thompson and Barnett modified it (Journal of
/// Computational Physics 64, 1986).
fn upper_fraction(shape: f64, x: f64) -> f64 {
    // Stands for a denominator of zero, which the method goes through unharmed.
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - shape;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..MAX_FRACTION_TERMS {
        let i = f64::from(i);
        let a = -i * (i - shape);
        b += 2.0;
        d = a * d + b;
        if d.abs() < TINY {
            d = TINY;
        }
        c = b + a / c;
        if c.abs() < TINY {
            c = TINY;
        }
        d = 1.0 / d;
        let factor = d * c;
        h *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    h
}

/// The `x` whose lower or upper gamma probability is `p`, for `p` in (0, 1).
///
/// Newton's method on the logarithms of probability and number, where both tails
/// are concave, with bisection where a step leaves the bracket.
#[must_use]
pub fn gamma_quantile(shape: f64, p: f64, tail: Tail) -> f64 {
    let log_p = libm::log(p);
    let sign = if tail == Tail::Lower { 1.0 } else { -1.0 };
    let mut log_x = libm::log(gamma_quantile_guess(shape, p, tail));
    let (mut low, mut high) = LOG_F64_RANGE;
    log_x = log_x.clamp(low, high);
    for _ in 0..MAX_NEWTON_STEPS {
        let x = libm::exp(log_x);
        let log_tail = gamma_log_tail(shape, x, tail);
        let excess = log_tail - log_p;
        if excess * sign > 0.0 {
            high = log_x
        } else {
            low = log_x
        }
        // d ln P / d ln x = x f(x) / P
        let log_density = shape * log_x - x - libm::lgamma(shape);
        let slope = sign * libm::exp(log_density - log_tail);
        let mut next = log_x - excess / slope;
        if !(next > low && next < high) {
            next = 0.5 * (low + high);
        }
        let step = (next - log_x).abs();
        log_x = next;
        if step <= 4.0 * f64::EPSILON * (1.0 + log_x.abs()) {
            break;
        }
    }
    libm::exp(log_x)
}

/// Wilson and Hilferty's cube (PNAS 17, 1931: the cube root of a gamma number is
/// close to a normal one), or the leading term of a tail where that fails: next
/// to zero and for small shapes.
fn gamma_quantile_guess(shape: f64, p: f64, tail: Tail) -> f64 {
    let z = normal_quantile(p);
    let z = if tail == Tail::Lower { z } else { -z };
    let ninth = 1.0 / (9.0 * shape);
    let root = 1.0 - ninth + z * libm::sqrt(ninth);
    let cube = shape * root * root * root;
    if root > 0.1 && shape > 0.5 {
        return cube;
    }
    let lower_p = if tail == Tail::Lower { p } else { 1.0 - p };
    if lower_p < 0.9 {
        return libm::exp((libm::log(lower_p) + libm::lgamma(shape + 1.0)) / shape)
            .max(f64::MIN_POSITIVE);
    }
    (-libm::log(p) + (shape - 1.0).abs() * SQRT_2).max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Gamma, Normal};

    #[test]
    fn normal_quantile_inverts_the_cdf_on_both_tails() {
        for exponent in 1..65 {
            let p = libm::ldexp(1.0, -exponent);
            let z = normal_quantile(p);
            assert!(
                (normal_cdf(z) / p - 1.0).abs() < 2e-14 * (1.0 + z * z),
                "2^-{exponent}"
            );
        }
        let normal = Normal::standard();
        for p in [0.1, 0.3, 0.5, 0.6, 0.95, 0.999] {
            assert!((normal.cdf(normal_quantile(p)) - p).abs() < 1e-10);
        }
    }

    #[test]
    fn gamma_agrees_with_statrs() {
        for shape in [0.55, 1.0, 3.5, 40.0] {
            let gamma = Gamma::new(shape, 1.0).unwrap();
            for x in [0.01, 0.5, 1.0, 3.0, 20.0, 60.0] {
                let close =
                    |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-11 * (1e-3 + theirs);
                assert!(
                    close(gamma_cdf(shape, x, Tail::Lower), gamma.cdf(x)),
                    "{shape} {x}"
                );
                assert!(
                    close(gamma_cdf(shape, x, Tail::Upper), gamma.sf(x)),
                    "{shape} {x}"
                );
            }
        }
    }

    #[test]
    fn gamma_quantile_inverts_both_tails() {
        for shape in [0.55, 1.0, 2.5, 30.0, 1e4] {
            for exponent in 1..65 {
                let p = libm::ldexp(1.0, -exponent);
                for tail in [Tail::Lower, Tail::Upper] {
                    let x = gamma_quantile(shape, p, tail);
                    let back = gamma_cdf(shape, x, tail);
                    assert!(
                        (back / p - 1.0).abs() < 1e-9,
                        "{shape} 2^-{exponent} {tail:?}"
                    );
                }
            }
        }
    }
}
