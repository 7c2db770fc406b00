//! Exceedances, `-ln F`, and the range of them that curves hold.

/// Exceedances of the lowest number of a curve. One with more is exceeded for
/// certain: its CDF, `exp(-750)`, is 0 in f64.
pub const MAX_EXCEEDANCES: f64 = 750.0;

/// Exceedances of the highest number of a curve. One with fewer is never seen:
/// among 10^12 ranks once in 10^24 steps.
pub const MIN_EXCEEDANCES: f64 = 1e-36;

/// Octaves of tail probability below the median that a law is looked at in: those
/// of draws, which reach 2^-65, and one more.
pub(super) const LOWER_OCTAVES: i32 = 66;

/// Octaves of tail probability above the median that a law is looked at in: down
/// to the least exceedances of the slowest of 10^12.
pub(super) const UPPER_OCTAVES: i32 = 118;

/// Exceedances, `-ln cdf`, of a number with this CDF and this survival function,
/// from whichever of them is the smaller one.
#[must_use]
pub fn exceedances(cdf: f64, sf: f64) -> f64 {
    if sf < 0.5 {
        -libm::log1p(-sf)
    } else {
        -libm::log(cdf)
    }
}
