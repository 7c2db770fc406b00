//! A law with a cap.

use super::{Law, SMALLEST_TAIL, check_f32, check_positive};
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
        let law = Box::new(law);
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
        let on_cap = self.law.sf(self.cap);
        let lower = integrate_tail(0.0, (1.0 - on_cap).min(0.5), |p| f(self.law.quantile(p)));
        let upper = integrate_tail(on_cap.min(0.5), 0.5, |q| f(self.law.upper_quantile(q)));
        lower + upper + on_cap * f(self.cap)
    }

    pub(super) fn check_drawable(&self) -> Result<()> {
        check_f32("cap", self.cap)?;
        match &*self.law {
            Law::Pareto(_) => check_f32("minimum", self.law.quantile(SMALLEST_TAIL)),
            Law::Mixture(_) => self
                .components()
                .iter()
                .try_for_each(|(_, law)| law.check_drawable()),
            law => law.check_drawable(),
        }
    }
}

/// Integral over `[from, to]` of a function that may rise without bound towards
/// tail probability 0: Gauss-Legendre on panels that halve towards it.
fn integrate_tail(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    // Nodes and weights of the eight-point rule on [-1, 1] (Abramowitz and
    // Stegun, table 25.4).
    const RULE: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
        (0.960_289_856_497_536_2, 0.101_228_536_290_376_3),
    ];
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
