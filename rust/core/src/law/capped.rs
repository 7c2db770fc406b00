//! A law with a cap.

use super::distribution::Distribution;
use super::range::{check_highest, check_positive};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// Law with a cap: `min(X, cap)`.
///
/// For tails that something ends: a screening threshold takes slower devices
/// out, a watchdog ends longer stalls.
///
/// # Law
/// `P(X > x)` is that of the law for `x < cap`, and 0 from there on: the cap is
/// an atom with the probability of all numbers above it. All moments are finite.
///
/// # Parameters
/// `cap`: finite and above the law's quantile at 2^-65, in the unit of the law.
/// A cap on a capped law is the smaller one of both.
///
/// # Numerical limits
/// A table is that of the law without the cap, whose values are capped. So the
/// law may leave f32 on its upper side and its variance may be infinite, if the
/// cap is at most a third of the greatest number of f32. Moments are
/// integrals of the quantile function, within 1e-9 of themselves; those of
/// samples are exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Capped<L> {
    law: Box<L>,
    cap: f64,
}

impl<L: Distribution> Capped<L> {
    /// # Errors
    /// [`Error::Domain`] unless `cap` is finite and above the law's least
    /// number.
    pub fn new(law: L, cap: f64) -> Result<Self> {
        check_positive("cap", cap)?;
        let least = law.quantile(SMALLEST_TAIL);
        if cap <= least {
            return Err(Error::domain(
                "cap",
                cap,
                format!("> {least}, the least number of the law"),
            ));
        }
        let (law, inner) = law.split_cap();
        let cap = inner.map_or(cap, |inner| cap.min(inner));
        Ok(Self::of_part(law, cap))
    }

    /// A part of a capped mixture: unlike in [`Capped::new`], all of its numbers
    /// may lie above the cap.
    pub(super) fn of_part(law: L, cap: f64) -> Self {
        let law = Box::new(law);
        Self { law, cap }
    }

    /// The law without its cap.
    #[must_use]
    pub fn law(&self) -> &L {
        &self.law
    }

    /// The greatest number.
    #[must_use]
    pub fn cap(&self) -> f64 {
        self.cap
    }

    /// The law without its cap, and the cap.
    pub(super) fn into_parts(self) -> (L, f64) {
        (*self.law, self.cap)
    }
}

impl<L: Distribution> Distribution for Capped<L> {
    fn cdf(&self, x: f64) -> f64 {
        if x >= self.cap { 1.0 } else { self.law.cdf(x) }
    }

    fn sf(&self, x: f64) -> f64 {
        if x >= self.cap { 0.0 } else { self.law.sf(x) }
    }

    fn quantile(&self, p: f64) -> f64 {
        self.law.quantile(p).min(self.cap)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.law.upper_quantile(q).min(self.cap)
    }

    fn mean(&self) -> f64 {
        self.law.expect_capped(self.cap, &|x| x)
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        self.law
            .expect_capped(self.cap, &|x| (x - mean) * (x - mean))
    }

    fn check_lower(&self) -> Result<()> {
        self.law.check_lower()
    }

    fn check_upper(&self) -> Result<()> {
        // A line that crosses the cap ends at a knot above it, which has to be a
        // number of f32. No law that tables can follow triples within one bin.
        check_highest("cap", self.cap, 3.0 * self.cap)
    }

    fn bend(&self) -> (&'static str, f64) {
        self.law.bend()
    }

    fn n_components(&self) -> Option<usize> {
        self.law.n_components()
    }
}
