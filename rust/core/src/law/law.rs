//! Any one of the laws.

use super::capped::Capped;
use super::constant::Constant;
use super::distribution::Distribution;
use super::empirical::Empirical;
use super::exponential::Exponential;
use super::gamma::Gamma;
use super::log_uniform::LogUniform;
use super::lognormal::LogNormal;
use super::mixture::Mixture;
use super::normal::Normal;
use super::pareto::Pareto;
use super::series::Series;
use super::tabulated::Tabulated;
use super::uniform::Uniform;
use super::weibull::Weibull;
use crate::error::Result;

/// Distribution of a positive random number.
#[derive(Debug, Clone, PartialEq)]
pub enum Law {
    /// Always the same number.
    Constant(Constant),
    /// The exponential of a normal number.
    LogNormal(LogNormal),
    /// A waiting time, shifted.
    Exponential(Exponential),
    /// A sum of waiting times.
    Gamma(Gamma),
    /// A waiting time whose end depends on its age.
    Weibull(Weibull),
    /// A normal number that is positive.
    Normal(Normal),
    /// A power-law tail.
    Pareto(Pareto),
    /// Uniform on an interval.
    Uniform(Uniform),
    /// Uniform in the logarithm.
    LogUniform(LogUniform),
    /// The piecewise-linear quantile function of samples.
    Empirical(Empirical),
    /// A quantile function given on the grid of tail probabilities.
    Tabulated(Tabulated),
    /// One of several laws.
    Mixture(Mixture<Law>),
    /// The smaller one of a law's number and a cap.
    Capped(Capped<Law>),
}

/// Calls one method on the law that a variant holds.
macro_rules! each {
    ($self:expr, $law:ident => $call:expr) => {
        match $self {
            Law::Constant($law) => $call,
            Law::LogNormal($law) => $call,
            Law::Exponential($law) => $call,
            Law::Gamma($law) => $call,
            Law::Weibull($law) => $call,
            Law::Normal($law) => $call,
            Law::Pareto($law) => $call,
            Law::Uniform($law) => $call,
            Law::LogUniform($law) => $call,
            Law::Empirical($law) => $call,
            Law::Tabulated($law) => $call,
            Law::Mixture($law) => $call,
            Law::Capped($law) => $call,
        }
    };
}

impl Law {
    /// The laws and weights that a draw chooses from: several for a mixture,
    /// else this one alone. A capped mixture is the mixture of the capped
    /// components.
    #[must_use]
    pub fn components(&self) -> Vec<(f64, Self)> {
        match self {
            Self::Mixture(mixture) => mixture.components().to_vec(),
            Self::Capped(capped) => {
                let parts = capped.law().components().into_iter();
                parts
                    .map(|(weight, law)| {
                        // A component may have a cap of its own.
                        let (law, inner) = law.split_cap();
                        let cap = inner.map_or(capped.cap(), |inner| inner.min(capped.cap()));
                        (weight, Self::Capped(Capped::of_part(law, cap)))
                    })
                    .collect()
            }
            law => vec![(1.0, law.clone())],
        }
    }
}

impl Distribution for Law {
    fn cdf(&self, x: f64) -> f64 {
        each!(self, law => law.cdf(x))
    }

    fn sf(&self, x: f64) -> f64 {
        each!(self, law => law.sf(x))
    }

    fn quantile(&self, p: f64) -> f64 {
        each!(self, law => law.quantile(p))
    }

    fn upper_quantile(&self, q: f64) -> f64 {
        each!(self, law => law.upper_quantile(q))
    }

    fn mean(&self) -> f64 {
        each!(self, law => law.mean())
    }

    fn variance(&self) -> f64 {
        each!(self, law => law.variance())
    }

    fn check_lower(&self) -> Result<()> {
        each!(self, law => law.check_lower())
    }

    fn check_upper(&self) -> Result<()> {
        each!(self, law => law.check_upper())
    }

    fn check_drawable(&self) -> Result<()> {
        each!(self, law => law.check_drawable())
    }

    fn bend(&self) -> (&'static str, f64) {
        each!(self, law => law.bend())
    }

    fn both_quantiles(&self, p: f64) -> (f64, f64) {
        each!(self, law => law.both_quantiles(p))
    }

    fn series(&self) -> Option<[Series; 2]> {
        each!(self, law => law.series())
    }

    fn expect_capped(&self, cap: f64, f: &dyn Fn(f64) -> f64) -> f64 {
        each!(self, law => law.expect_capped(cap, f))
    }

    fn n_components(&self) -> Option<usize> {
        each!(self, law => law.n_components())
    }

    fn split_cap(self) -> (Self, Option<f64>) {
        match self {
            Self::Capped(capped) => {
                let (law, cap) = capped.into_parts();
                (law, Some(cap))
            }
            law => (law, None),
        }
    }
}
