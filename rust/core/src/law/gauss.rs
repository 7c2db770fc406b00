//! Gauss-Legendre quadrature.

/// Nodes and weights of the eight-point rule on [-1, 1], those of the upper half
/// (Abramowitz and Stegun, table 25.4).
const EIGHT_POINTS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_3),
];

/// Panels of [`integral_of_tail`], at most; they reach from 1/2 down to 1e-125.
const MAX_PANELS: usize = 1000;

/// Integral over `[0, to]` of a function that is close to a polynomial there.
#[must_use]
pub fn integral_to(to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let half = 0.5 * to;
    let pair = |(node, weight)| weight * (f(half - half * node) + f(half + half * node));
    half * EIGHT_POINTS.into_iter().map(pair).sum::<f64>()
}

/// Integral over `[from, to]`, `from >= 0`, of a function that may rise without
/// bound towards 0, as quantiles do towards tail probability 0.
///
/// Each panel reaches from its upper end down to three quarters of it, so that
/// a power of the tail probability is close to a polynomial on each of them.
#[must_use]
pub fn integral_of_tail(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let mut sum = 0.0;
    let mut high = to;
    for _ in 0..MAX_PANELS {
        if high <= from {
            break;
        }
        let low = (0.75 * high).max(from);
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        for (node, weight) in EIGHT_POINTS {
            sum += half * weight * (f(middle - half * node) + f(middle + half * node));
        }
        high = low;
    }
    sum
}
