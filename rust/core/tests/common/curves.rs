//! How far a curve is from what it stands for, in both tails.

use hindmost_core::curve::Curve;
use hindmost_core::law::{Distribution, Law};

/// Greatest relative miss of a law's exceedances.
pub const LAW_LIMIT: f64 = 4e-5;
/// Greatest exceedances at which a curve is judged: draws end at 2^-65.
pub const CERTAIN: f64 = 45.0;
/// Least tail probability at which a curve is judged: the slowest of 10^12 ranks
/// is beyond it once in 10^20 steps.
pub const RAREST: f64 = 1e-32;

/// Tail probabilities from one half down to `least`, a few in each octave.
pub fn tails(least: f64) -> Vec<f64> {
    let tail = |place: i32| (-0.37 * f64::from(place)).exp2() * 0.499;
    (0..).map(tail).take_while(|&p| p >= least).collect()
}

/// Numbers from both tails of a law.
pub fn points(law: &Law) -> Vec<f64> {
    let lower = tails(3e-20).into_iter().map(|p| law.quantile(p));
    let upper = tails(RAREST).into_iter().map(|q| law.upper_quantile(q));
    lower.chain(upper).collect()
}

/// The greatest relative miss of a curve, where it is and the exceedances there.
/// Misses that a change of x in its last digits explains do not count.
pub fn greatest_miss(
    curve: &Curve,
    xs: impl IntoIterator<Item = f64>,
    (most, least): (f64, f64),
    exact: impl Fn(f64) -> f64,
) -> (f64, f64, f64) {
    let mut greatest = (0.0, 0.0, 0.0);
    for x in xs {
        let rounding = 2.0 * f64::EPSILON * x;
        let (high, low) = (exact(x - rounding), exact(x + rounding));
        if low > most || high < least {
            continue;
        }
        let found = curve.exceedances(x);
        let miss = f64::max(found / high - 1.0, 1.0 - found / low);
        if miss.is_nan() || miss > greatest.0 {
            greatest = (miss, x, exact(x));
        }
    }
    greatest
}
