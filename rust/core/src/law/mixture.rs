//! Mixture: one of several laws.

use super::distribution::{Distribution, expect_by_quadrature};
use crate::error::{Error, Result};

/// Components of a mixture, at most.
const MAX_COMPONENTS: usize = 16;

/// Greatest miss of the sum of weights from one.
const WEIGHT_TOLERANCE: f64 = 1e-9;

/// Most halvings of the interval around a quantile; they end before, when no
/// number of f64 is left between its ends.
const MAX_BISECTIONS: usize = 200;

/// Mixture: one of several laws, chosen anew at each draw.
///
/// For populations of two kinds, such as healthy and faulty devices.
///
/// # Law
/// `P(X <= x) = sum w_i P(X_i <= x)`. With means m_i and variances v_i, the mean
/// is `m = sum w_i m_i` and the variance `sum w_i (v_i + (m_i - m)^2)`.
///
/// # Parameters
/// `components`: 1 to 16 weights and laws. Weights are > 0 and add up to one
/// within 1e-9; a law may have a cap, but be no mixture.
///
/// # Numerical limits
/// A draw takes two words: one that chooses the component, and one for the value
/// under the component's law. So each component has a table, within the limits
/// of its law, and the mixture has none. Its own quantiles are bisected to the
/// last digit of f64, which costs some fifty CDFs each.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture<L> {
    components: Vec<(f64, L)>,
}

impl<L: Distribution> Mixture<L> {
    /// # Errors
    /// [`Error::Domain`] unless there are 1 to 16 components, none of them a
    /// mixture, whose weights are positive and add up to one within 1e-9.
    pub fn new(components: Vec<(f64, L)>) -> Result<Self> {
        if !(1..=MAX_COMPONENTS).contains(&components.len()) {
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
        if (sum - 1.0).abs() > WEIGHT_TOLERANCE {
            return Err(Error::domain(
                "components",
                sum,
                "laws whose weights add up to 1",
            ));
        }
        Ok(Self { components })
    }

    /// Weights and laws.
    pub(super) fn components(&self) -> &[(f64, L)] {
        &self.components
    }

    /// The weighted sum of what each law answers.
    fn sum(&self, of: impl Fn(&L) -> f64) -> f64 {
        self.components
            .iter()
            .map(|(weight, law)| weight * of(law))
            .sum()
    }

    /// The least number that `reached` holds for: it lies between the least and
    /// the greatest of the components' quantiles.
    fn solve(&self, of: impl Fn(&L) -> f64, reached: impl Fn(f64) -> bool) -> f64 {
        let quantiles = || self.components.iter().map(|(_, law)| of(law));
        let mut low = quantiles().fold(f64::INFINITY, f64::min);
        let mut high = quantiles().fold(0.0, f64::max);
        if reached(low) {
            return low;
        }
        for _ in 0..MAX_BISECTIONS {
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

    /// Checks all components and adds the path of the one that is refused.
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
        // One law is no sum: its own quantiles are integrated.
        if self.components.len() == 1 {
            return expect_by_quadrature(self, cap, f);
        }
        self.sum(|law| law.expect_capped(cap, f))
    }

    fn n_components(&self) -> Option<usize> {
        Some(self.components.len())
    }
}
