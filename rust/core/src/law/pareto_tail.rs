//! Samples with a Pareto tail beyond them, as far as they bear one out.

use super::capped::Capped;
use super::constant::Constant;
use super::empirical::Empirical;
use super::law::Law;
use super::mixture::Mixture;
use super::pareto::Pareto;
use crate::error::{Error, Result};

/// How many times rarer than one in all samples the tail is followed.
const EXTRAPOLATION: f64 = 10.0;

/// Range of the tail's exponent. Below, no table follows the tail; above, it is a
/// constant for all purposes.
const ALPHA_RANGE: std::ops::RangeInclusive<f64> = 0.05..=1e6;

/// The law of samples whose tail goes on as a Pareto tail, up to a cap.
///
/// A sample of m numbers says nothing about what is rarer than one in m, and a
/// tail fitted to it can be believed about ten times beyond.
///
/// # Law
/// A capped mixture of three:
///
/// * all but 1/m of the numbers follow the samples ([`Empirical`]);
/// * nine tenths of the rest follow a Pareto tail with exponent `tail_alpha` from
///   the greatest sample on, until a tenth of it is left, at
///   `10^(1 / tail_alpha)` times the greatest sample;
/// * what is rarer than that lies on the cap, such as a threshold at which
///   screening takes a device out.
///
/// As in any law with a cap, all probability above it lies on it.
///
/// # Errors
/// As [`Empirical::new`], and [`Error::Domain`] unless `tail_alpha` is 0.05 to
/// 1e6, and `cap` is finite and at least the greatest sample.
pub fn with_pareto_tail(samples: Vec<f64>, tail_alpha: f64, cap: f64) -> Result<Law> {
    let empirical = Empirical::new(samples)?;
    let samples = empirical.samples();
    let (n, greatest) = (samples.len() as f64, samples[samples.len() - 1]);
    if !ALPHA_RANGE.contains(&tail_alpha) {
        let requirement =
            ">= 0.05 and <= 1e6; the tail ends at 10^(1 / tail_alpha) times the greatest sample";
        return Err(Error::domain("tail_alpha", tail_alpha, requirement));
    }
    if !(cap >= greatest && cap.is_finite()) {
        let requirement = format!("finite and >= {greatest}, the greatest sample");
        return Err(Error::domain("cap", cap, requirement));
    }
    let end = greatest * libm::pow(EXTRAPOLATION, 1.0 / tail_alpha);
    let tail = Pareto::bounded(greatest, tail_alpha, end)?;
    let known = 1.0 - 1.0 / n;
    let mixture = Mixture::new(vec![
        (known, Law::Empirical(empirical)),
        ((1.0 - 1.0 / EXTRAPOLATION) / n, Law::Pareto(tail)),
        (
            1.0 / (EXTRAPOLATION * n),
            Law::Constant(Constant::new(cap)?),
        ),
    ])?;
    Capped::new(Law::Mixture(mixture), cap).map(Law::Capped)
}
