//! Mixture of laws.

use super::distribution::{Distribution, expect_by_quadrature};
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
pub struct Mixture<L> {
    components: Vec<(f64, L)>,
}

impl<L: Distribution> Mixture<L> {
    /// # Errors
    /// [`Error::Domain`] unless there are 1 to 16 components, none of them a
    /// mixture, whose weights are positive and add up to one within 1e-9.
    pub fn new(components: Vec<(f64, L)>) -> Result<Self> {
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
            if let Some(inner) = law.n_components() {
                return Err(Error::domain(
                    "components",
                    inner as f64,
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

    pub(super) fn components(&self) -> &[(f64, L)] {
        &self.components
    }

    fn sum(&self, of: impl Fn(&L) -> f64) -> f64 {
        self.components
            .iter()
            .map(|(weight, law)| weight * of(law))
            .sum()
    }

    /// The least number that `reached` holds for, between the least and the
    /// greatest of the components' quantiles.
    fn solve(&self, of: impl Fn(&L) -> f64, reached: impl Fn(f64) -> bool) -> f64 {
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

    fn each_component(&self, check: impl Fn(&L) -> Result<()>) -> Result<()> {
        for (index, (_, law)) in self.components.iter().enumerate() {
            check(law).map_err(|error| error.within(&format!("components.{index}.law")))?;
        }
        Ok(())
    }
}

impl<L: Distribution> Distribution for Mixture<L> {
    fn cdf(&self, x: f64) -> f64 {
        self.sum(|law| law.cdf(x))
    }

    fn sf(&self, x: f64) -> f64 {
        self.sum(|law| law.sf(x))
    }

    fn quantile(&self, p: f64) -> f64 {
        self.solve(|law| law.quantile(p), |x| self.cdf(x) >= p)
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        self.solve(|law| law.upper_quantile(q), |x| self.sf(x) <= q)
    }

    fn mean(&self) -> f64 {
        self.sum(L::mean)
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        self.sum(|law| {
            let deviation = law.mean() - mean;
            law.variance() + deviation * deviation
        })
    }

    fn check_lower(&self) -> Result<()> {
        self.each_component(L::check_lower)
    }

    fn check_upper(&self) -> Result<()> {
        self.each_component(L::check_upper)
    }

    fn bend(&self) -> (&'static str, f64) {
        ("components", self.components.len() as f64)
    }

    fn expect_capped(&self, cap: f64, f: &dyn Fn(f64) -> f64) -> f64 {
        // A mixture of one law is integrated as a whole.
        if self.components.len() == 1 {
            return expect_by_quadrature(self, cap, f);
        }
        self.sum(|law| law.expect_capped(cap, f))
    }

    fn n_components(&self) -> Option<usize> {
        Some(self.components.len())
    }
}
