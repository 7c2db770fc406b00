//! Mixture of laws.

use super::law::Law;
use crate::error::{Error, Result};

/// Halvings of an interval of f64 that leave no room between its ends.
const HALVINGS: usize = 200;

/// One of several laws, chosen anew at each draw.
///
/// For populations of two kinds, such as healthy and faulty devices.
///
/// # Law
/// `P(X <= x) = sum of weight_i P(X_i <= x)`. A draw takes two words: one that
/// chooses the component, and one for the value under the component's law.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    components: Vec<(f64, Law)>,
}

impl Mixture {
    /// # Errors
    /// [`Error::Domain`] unless there are 1 to 16 components, none of them a
    /// mixture, whose weights are positive and add up to one within 1e-9.
    pub fn new(components: Vec<(f64, Law)>) -> Result<Self> {
        if !(1..=16).contains(&components.len()) {
            return Err(Error::domain(
                "components",
                components.len() as f64,
                "a list of 1 to 16 laws with weights",
            ));
        }
        for (index, (weight, law)) in components.iter().enumerate() {
            let path = format!("components.{index}");
            if !(*weight > 0.0 && *weight <= 1.0) {
                return Err(Error::domain("weight", *weight, "> 0 and <= 1").within(&path));
            }
            if law.is_mixture() {
                return Err(Error::domain(
                    "components",
                    law.components().len() as f64,
                    "absent: a component cannot be a mixture, list its laws beside the others",
                )
                .within(&format!("{path}.law")));
            }
        }
        let sum: f64 = components.iter().map(|(weight, _)| weight).sum();
        if (sum - 1.0).abs() > 1e-9 {
            return Err(Error::domain(
                "components",
                sum,
                "laws whose weights add up to 1",
            ));
        }
        Ok(Self { components })
    }

    pub(super) fn components(&self) -> &[(f64, Law)] {
        &self.components
    }

    fn sum(&self, of: impl Fn(&Law) -> f64) -> f64 {
        self.components
            .iter()
            .map(|(weight, law)| weight * of(law))
            .sum()
    }

    pub(super) fn cdf(&self, x: f64) -> f64 {
        self.sum(|law| law.cdf(x))
    }

    pub(super) fn sf(&self, x: f64) -> f64 {
        self.sum(|law| law.sf(x))
    }

    /// The least number that `reached` holds for, between the least and the
    /// greatest of the components' quantiles.
    fn solve(&self, of: impl Fn(&Law) -> f64, reached: impl Fn(f64) -> bool) -> f64 {
        let quantiles = || self.components.iter().map(|(_, law)| of(law));
        let mut low = quantiles().fold(f64::INFINITY, f64::min);
        let mut high = quantiles().fold(0.0, f64::max);
        if reached(low) {
            return low;
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if reached(middle) {
                high = middle
            } else {
                low = middle
            }
        }
        high
    }

    pub(super) fn quantile(&self, p: f64) -> f64 {
        self.solve(|law| law.quantile(p), |x| self.cdf(x) >= p)
    }

    pub(super) fn upper_quantile(&self, q: f64) -> f64 {
        self.solve(|law| law.upper_quantile(q), |x| self.sf(x) <= q)
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum(Law::mean)
    }

    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        self.sum(|law| {
            let deviation = law.mean() - mean;
            law.variance() + deviation * deviation
        })
    }

    pub(super) fn check_lower(&self) -> Result<()> {
        self.each_component(Law::check_lower)
    }

    pub(super) fn check_upper(&self) -> Result<()> {
        self.each_component(Law::check_upper)
    }

    fn each_component(&self, check: impl Fn(&Law) -> Result<()>) -> Result<()> {
        for (index, (_, law)) in self.components.iter().enumerate() {
            check(law).map_err(|error| error.within(&format!("components.{index}.law")))?;
        }
        Ok(())
    }

    pub(super) fn bend(&self) -> (&'static str, f64) {
        ("components", self.components.len() as f64)
    }
}
