//! A law with a cap.

use super::gauss::RULE;
use super::law::Law;
use super::range::{check_highest, check_positive};
use super::tail_grid::SMALLEST_TAIL;
use crate::error::{Error, Result};

/// The smaller one of a law's number and a cap.
///
/// For tails that something ends: a screening threshold takes slower devices
/// out, a watchdog ends longer stalls. All weight above the cap lies on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capped {
    law: Box<Law>,
    cap: f64,
}

impl Capped {
    /// # Errors
    /// [`Error::Domain`] unless `cap` is finite and above the law's least
    /// number.
    pub fn new(law: Law, cap: f64) -> Result<Self> {
        check_positive("cap", cap)?;
        let least = law.quantile(SMALLEST_TAIL);
        if cap <= least {
            return Err(Error::domain(
                "cap",
                cap,
                format!("> {least}, the least number of the law"),
            ));
        }
        let (law, cap) = match law {
            Law::Capped(inner) => (inner.law, cap.min(inner.cap)),
            law => (Box::new(law), cap),
        };
        Ok(Self { law, cap })
    }

    /// The law without its cap.
    #[must_use]
    pub fn law(&self) -> &Law {
        &self.law
    }

    /// The greatest number.
    #[must_use]
    pub fn cap(&self) -> f64 {
        self.cap
    }

    /// A capped mixture is the mixture of the capped components.
    pub(super) fn components(&self) -> Vec<(f64, Law)> {
        self.law
            .components()
            .into_iter()
            .map(|(weight, law)| {
                let law = Box::new(law);
                (weight, Law::Capped(Self { law, cap: self.cap }))
            })
            .collect()
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        if x >= self.cap { 1.0 } else { self.law.cdf(x) }
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        if x >= self.cap { 0.0 } else { self.law.sf(x) }
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.law.quantile(p).min(self.cap)
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.law.upper_quantile(q).min(self.cap)
    }

    pub(super) fn mean(&self) -> f64 {
        self.expect(&|x| x)
    }

    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        self.expect(&|x| (x - mean) * (x - mean))
    }

    /// `E f(X)` as the integral of `f(Q)` over the probability that is not on
    /// the cap, plus the cap's own weight.
    fn expect(&self, f: &dyn Fn(f64) -> f64) -> f64 {
        let components = self.law.components();
        if components.len() > 1 {
            return components
                .into_iter()
                .map(|(weight, law)| {
                    let law = Box::new(law);
                    weight * Self { law, cap: self.cap }.expect(f)
                })
                .sum();
        }
        if let Law::Empirical(law) = &*self.law {
            return expect_of_samples(law.samples(), self.cap, f);
        }
        let on_cap = self.law.sf(self.cap);
        let lower = integrate_tail(0.0, (1.0 - on_cap).min(0.5), |p| f(self.law.quantile(p)));
        let upper = integrate_tail(on_cap.min(0.5), 0.5, |q| f(self.law.upper_quantile(q)));
        lower + upper + on_cap * f(self.cap)
    }

    pub(super) fn check_lower(&self) -> Result<()> {
        self.law.check_lower()
    }

    pub(super) fn check_upper(&self) -> Result<()> {
        // The knots beyond the cap's own must be numbers, too.
        check_highest("cap", self.cap, 3.0 * self.cap)
    }

    pub(super) fn bend(&self) -> (&'static str, f64) {
        self.law.bend()
    }
}

/// Integral over `[from, to]` of a function that may rise without bound towards
/// tail probability 0: Gauss-Legendre on panels that halve towards it.
fn integrate_tail(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    const PANELS: i32 = 1000;
    let mut sum = 0.0;
    let mut high = to;
    for _ in 0..PANELS {
        if high <= from {
            break;
        }
        let low = (0.75 * high).max(from);
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        for (node, weight) in RULE {
            sum += half * weight * (f(middle - half * node) + f(middle + half * node));
        }
        high = low;
    }
    sum
}

/// `E f(min(X, cap))` of an empirical law, exact for polynomials up to the
/// third degree: Simpson's rule on each gap, which the cap may cut.
fn expect_of_samples(samples: &[f64], cap: f64, f: &dyn Fn(f64) -> f64) -> f64 {
    let simpson = |a: f64, b: f64| (f(a) + 4.0 * f(0.5 * (a + b)) + f(b)) / 6.0;
    let of_gap = |gap: &[f64]| {
        let (a, b) = (gap[0], gap[1]);
        if b <= cap {
            return simpson(a, b);
        }
        let below = ((cap - a) / (b - a)).max(0.0);
        below * simpson(a.min(cap), cap) + (1.0 - below) * f(cap)
    };
    let sum: f64 = samples.windows(2).map(of_gap).sum();
    sum / (samples.len() - 1) as f64
}
