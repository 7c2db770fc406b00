//! Gauss-Legendre quadrature.

/// Nodes and weights of the eight-point rule on [-1, 1], those of one half
/// (Abramowitz and Stegun, table 25.4).
pub const RULE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_3),
];

/// Integral over `[0, to]` of a function that is close to a polynomial there.
#[must_use]
pub fn integral_to(to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let half = 0.5 * to;
    let pair = |(node, weight)| weight * (f(half - half * node) + f(half + half * node));
    half * RULE.into_iter().map(pair).sum::<f64>()
}
