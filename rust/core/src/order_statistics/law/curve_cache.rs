//! Curves of causes and of their products, compiled once however many pools share them.

use std::collections::VecDeque;

use crate::control::Control;
use crate::curve::{self, Curve};
use crate::error::Result;
use crate::law::Law;
use crate::plan::Cause;

/// Curves of causes that are held, at most.
const MAX_CAUSES: usize = 64;
/// Products that are held, at most: some tens of megabytes.
const MAX_PRODUCTS: usize = 64;

/// Curves by the probability and the law that they are of, and products by their factors.
#[derive(Default)]
pub struct CurveCache {
    /// The oldest one first.
    causes: VecDeque<OfCause>,
    /// The oldest one first.
    products: VecDeque<Product>,
    /// The oldest one first.
    sums: VecDeque<Sum>,
}

/// The sum of `n` numbers of a law, once by either factor.
struct Sum {
    of: Curve,
    n: u32,
    factors: [f64; 2],
    curve: Option<Curve>,
}

struct OfCause {
    probability: f64,
    law: Law,
    curve: Curve,
}

struct Product {
    factors: [Curve; 2],
    curve: Curve,
}

impl CurveCache {
    /// The curve of a slowdown that occurs with a probability, with a point mass at 1 where it
    /// does not.
    fn curve(&mut self, probability: f64, law: &Law) -> Curve {
        let is_known = |known: &&OfCause| known.probability == probability && known.law == *law;
        if let Some(known) = self.causes.iter().find(is_known) {
            return known.curve.clone();
        }
        let choice = (probability, law.clone());
        let curve = Curve::of_choice(std::slice::from_ref(&choice), Some(1.0));
        let (probability, law) = choice;
        if self.causes.len() == MAX_CAUSES {
            self.causes.pop_front();
        }
        self.causes.push_back(OfCause {
            probability,
            law,
            curve: curve.clone(),
        });
        curve
    }

    /// The law of the product of the slowdowns of some causes, at least one.
    ///
    /// Log-normal ones that always occur are one log-normal law, exactly. Equal ones are squared
    /// and squared again, and what is left is multiplied two by two. So hundreds of causes take few
    /// products, or at least products of few products.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn product_of(&mut self, causes: &[&Cause], control: &Control) -> Result<Curve> {
        let mut groups: Vec<(f64, Law, u32)> = Vec::new();
        let mut lognormal: Option<usize> = None;
        for cause in causes {
            if let (Law::LogNormal(law), true) = (cause.law(), cause.is_certain()) {
                if let Some((_, Law::LogNormal(all), _)) = lognormal.map(|at| &mut groups[at]) {
                    *all = all.product(*law);
                    continue;
                }
                lognormal = Some(groups.len());
                groups.push((1.0, cause.law().clone(), 1));
                continue;
            }
            let is_equal = |(_, (probability, law, _)): &(usize, &mut (f64, Law, u32))| {
                *probability == cause.probability() && *law == *cause.law()
            };
            let mut others =
                (groups.iter_mut().enumerate()).filter(|(at, _)| Some(*at) != lognormal);
            match others.find(is_equal) {
                Some((_, (.., n))) => *n += 1,
                None => groups.push((cause.probability(), cause.law().clone(), 1)),
            }
        }
        let mut factors: Vec<Curve> = Vec::with_capacity(groups.len());
        for (probability, law, n) in &groups {
            let curve = self.curve(*probability, law);
            factors.push(self.power(curve, *n, control)?);
        }
        while factors.len() > 1 {
            let mut products = Vec::with_capacity(factors.len().div_ceil(2));
            for pair in factors.chunks(2) {
                control.advance(0)?;
                products.push(match pair {
                    [a, b] => self.product(a, b),
                    rest => rest[0].clone(),
                });
            }
            factors = products;
        }
        Ok(factors.swap_remove(0))
    }

    /// The law of the product of `n` independent numbers of one law, n >= 1.
    fn power(&mut self, curve: Curve, n: u32, control: &Control) -> Result<Curve> {
        let (mut squared, mut left) = (curve, n);
        let mut power: Option<Curve> = None;
        loop {
            if left & 1 == 1 {
                power = Some(match power {
                    None => squared.clone(),
                    Some(power) => self.product(&squared, &power),
                });
            }
            left >>= 1;
            match (left, power) {
                (0, Some(power)) => return Ok(power),
                (_, rest) => power = rest,
            }
            control.advance(0)?;
            squared = self.product(&squared, &squared);
        }
    }

    /// The law of a number that is one factor times the sum of `n` numbers of a law, plus the other
    /// factor times another such sum; none where a tail is too heavy to be added up.
    pub fn scaled_sums(&mut self, of: &Curve, n: u32, factors: [f64; 2]) -> Option<Curve> {
        let is_known = |known: &&Sum| known.n == n && known.factors == factors && known.of == *of;
        if let Some(known) = self.sums.iter().find(is_known) {
            return known.curve.clone();
        }
        let curve = curve::sum_of(of, n).and_then(|sum| {
            let [a, b] = factors.map(|factor| sum.scaled(factor));
            curve::sum(&a, &b)
        });
        if self.sums.len() == MAX_PRODUCTS {
            self.sums.pop_front();
        }
        self.sums.push_back(Sum {
            of: of.clone(),
            n,
            factors,
            curve: curve.clone(),
        });
        curve
    }

    /// The law of the product of two independent numbers.
    pub fn product(&mut self, a: &Curve, b: &Curve) -> Curve {
        // Different curves differ in their first knots, so this takes no time.
        let is_known = |known: &&Product| known.factors[0] == *a && known.factors[1] == *b;
        if let Some(known) = self.products.iter().find(is_known) {
            return known.curve.clone();
        }
        let curve = curve::product(a, b);
        if self.products.len() == MAX_PRODUCTS {
            self.products.pop_front();
        }
        self.products.push_back(Product {
            factors: [a.clone(), b.clone()],
            curve: curve.clone(),
        });
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::run::fixture::{plan, slowdown};
    use super::*;
    use crate::law::{Distribution, Gamma, LogNormal, Pareto};
    use crate::plan::{Affects, CauseSpec, Scope, Span};

    /// The law of the product of slowdowns of some laws and probabilities.
    fn product_of(factors: &[(f64, Law)], cache: &mut CurveCache) -> Curve {
        let cause = |(index, (probability, law)): (usize, &(f64, Law))| CauseSpec {
            probability: *probability,
            law: law.clone().into(),
            ..slowdown(&format!("c{index}"), 0.1, Scope::Gpu, Span::Step)
        };
        let plan = plan(8, factors.iter().enumerate().map(cause).collect());
        let causes: Vec<&Cause> = plan.causes(0, Affects::Compute, Span::Step).collect();
        cache.product_of(&causes, &Control::default()).unwrap()
    }

    /// Greatest relative miss of exceedances from those of a law of ln x, down both tails.
    fn greatest_miss(curve: &Curve, of_log: &Law) -> f64 {
        let at = |octave: i32, upper: bool| {
            let p = libm::ldexp(1.0, -octave);
            let log = if upper {
                of_log.upper_quantile(p)
            } else {
                of_log.quantile(p)
            };
            let exact = crate::curve::exceedances(of_log.cdf(log), of_log.sf(log));
            (curve.exceedances(libm::exp(log)) / exact - 1.0).abs()
        };
        let octaves = (1..60).flat_map(|octave| [at(octave, false), at(octave, true)]);
        octaves.fold(0.0, f64::max)
    }

    #[test]
    fn a_hundred_lognormal_factors_are_one_lognormal_law() {
        let law = |k: u32| {
            let sigma = 0.001 + 1e-5 * f64::from(k);
            Law::LogNormal(LogNormal::new(1.0 + 1e-4 * f64::from(k), sigma).unwrap())
        };
        let (mut median, mut variance) = (1.0, 0.0);
        for k in 0..100 {
            median *= 1.0 + 1e-4 * f64::from(k);
            variance += (0.001 + 1e-5 * f64::from(k)) * (0.001 + 1e-5 * f64::from(k));
        }
        let factors: Vec<(f64, Law)> = (0..100).map(|k| (1.0, law(k))).collect();
        let mut cache = CurveCache::default();
        let found = product_of(&factors, &mut cache);
        let exact = LogNormal::new(median, libm::sqrt(variance)).unwrap();
        for octave in 1..60 {
            let x = exact.upper_quantile(libm::ldexp(1.0, -octave));
            let miss = found.sf(x) / exact.sf(x) - 1.0;
            assert!(miss.abs() < 2e-5, "{octave}: {miss:e}");
        }
        assert!(cache.products.is_empty());
    }

    #[test]
    fn a_product_of_equal_factors_takes_few_products_and_is_right_to_their_tolerances() {
        // ln of a Pareto number is exponential, and the sum of exponential ones is gamma.
        let (n, alpha) = (100, 400.0);
        let pareto = (1.0, Law::Pareto(Pareto::new(1.0, alpha).unwrap()));
        let mut cache = CurveCache::default();
        let found = product_of(&vec![pareto; n], &mut cache);
        let exact = Law::Gamma(Gamma::new(n as f64, 1.0 / alpha).unwrap());
        let miss = greatest_miss(&found, &exact);
        assert!(miss < 5e-5 * n as f64, "{miss:e}");
        assert_eq!(cache.products.len(), 8);
    }

    #[test]
    fn what_does_not_always_occur_is_no_lognormal_factor() {
        let law = |sigma| Law::LogNormal(LogNormal::new(1.0, sigma).unwrap());
        let factors = [(0.5, law(0.02)), (1.0, law(0.01)), (1.0, law(0.03))];
        let mut cache = CurveCache::default();
        let found = product_of(&factors, &mut cache);
        let both = LogNormal::new(1.0, libm::sqrt(0.0001 + 0.0009)).unwrap();
        let all = LogNormal::new(1.0, libm::sqrt(0.0001 + 0.0009 + 0.0004)).unwrap();
        for octave in 1..40 {
            let x = all.upper_quantile(libm::ldexp(1.0, -octave));
            let exact = 0.5 * (both.sf(x) + all.sf(x));
            let miss = found.sf(x) / exact - 1.0;
            assert!(miss.abs() < 2e-4, "{octave}: {miss:e}");
        }
    }

    #[test]
    fn a_stop_ends_a_product() {
        let law = |alpha| (1.0, Law::Pareto(Pareto::new(1.0, alpha).unwrap()));
        let cause = |index: usize, law: Law| CauseSpec {
            law: law.into(),
            ..slowdown(&format!("c{index}"), 0.1, Scope::Gpu, Span::Step)
        };
        let plan = plan(8, vec![cause(0, law(50.0).1), cause(1, law(60.0).1)]);
        let causes: Vec<&Cause> = plan.causes(0, Affects::Compute, Span::Step).collect();
        let control = Control::default();
        control.stop();
        let stopped = CurveCache::default().product_of(&causes, &control);
        assert_eq!(stopped.err(), Some(crate::Error::Stopped));
    }

    fn lognormal(sigma: f64) -> Curve {
        Curve::of(&Law::LogNormal(LogNormal::new(1.0, sigma).unwrap()))
    }

    #[test]
    fn a_product_from_the_cache_is_the_product_by_itself() {
        let mut cache = CurveCache::default();
        let wide = lognormal(0.1);
        // The slowest of 8 has the knots of one, but other exceedances.
        let narrow = lognormal(0.05);
        let slowest = narrow.slowest_of(8.0);
        for _ in 0..2 {
            for (a, b) in [(&narrow, &wide), (&slowest, &wide), (&wide, &narrow)] {
                assert_eq!(cache.product(a, b), curve::product(a, b));
            }
        }
        assert_eq!(cache.products.len(), 3);
    }

    #[test]
    fn the_cache_holds_the_latest_products_only() {
        let mut cache = CurveCache::default();
        let (one, two) = (Curve::constant(1.0), Curve::constant(2.0));
        let three = Curve::constant(3.0);
        cache.product(&one, &two);
        for factor in 0..MAX_PRODUCTS {
            cache.product(&three, &Curve::constant(4.0 + factor as f64));
        }
        assert_eq!(cache.products.len(), MAX_PRODUCTS);
        assert!(cache.products.iter().all(|known| known.factors[0] == three));
    }
}
