//! The range of f32, in which tables hold quantiles, and the refusal of
//! parameters that lead out of it.

use crate::error::{Error, Result};

/// Least number that f32 holds with its full precision.
pub(super) const LEAST_F32: f64 = f32::MIN_POSITIVE as f64;
/// Greatest number that f32 holds.
pub(super) const GREATEST_F32: f64 = f32::MAX as f64;

/// Refuses anything but a finite number above zero.
pub(super) fn check_positive(field: &str, x: f64) -> Result<()> {
    if x > 0.0 && x.is_finite() {
        return Ok(());
    }
    Err(Error::domain(field, x, "finite and > 0"))
}

/// Refuses a scale parameter whose law has its lowest quantile below the range
/// of f32, and names the least scale that works: quantiles are proportional to
/// it.
pub(super) fn check_lowest(field: &str, scale: f64, lowest: f64) -> Result<()> {
    if lowest >= LEAST_F32 {
        return Ok(());
    }
    let least = round_up(scale * (LEAST_F32 / lowest));
    let requirement = format!(">= {least:e}, so that f32 holds every quantile");
    Err(Error::domain(field, scale, requirement))
}

/// Refuses a scale parameter whose law has its highest quantile above the range
/// of f32, and names the greatest scale that works.
pub(super) fn check_highest(field: &str, scale: f64, highest: f64) -> Result<()> {
    if highest <= GREATEST_F32 {
        return Ok(());
    }
    let greatest = round_down(scale / highest * GREATEST_F32);
    let requirement = format!("<= {greatest:e}, so that f32 holds every quantile");
    Err(Error::domain(field, scale, requirement))
}

/// The next number above `x` of five digits, so that what a refusal names both
/// works and is short.
pub(super) fn round_up(x: f64) -> f64 {
    let nearest = five_digits(x);
    if nearest >= x {
        nearest
    } else {
        five_digits(x * (1.0 + 1e-4))
    }
}

/// The next number below `x` of five digits.
pub(super) fn round_down(x: f64) -> f64 {
    let nearest = five_digits(x);
    if nearest <= x {
        nearest
    } else {
        five_digits(x * (1.0 - 1e-4))
    }
}

/// The nearest number of five digits. By way of decimal text, which is rounded
/// correctly; multiplying by powers of ten is not.
fn five_digits(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}
