//! Curves of causes and of their products, compiled once however many pools share them.

use std::collections::VecDeque;

use crate::curve::{self, Curve};
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
    /// The curve of a slowdown, with a point mass at 1 where it does not occur.
    pub fn curve(&mut self, cause: &Cause) -> Curve {
        let is_known = |known: &&OfCause| {
            known.probability == cause.probability() && known.law == *cause.law()
        };
        if let Some(known) = self.causes.iter().find(is_known) {
            return known.curve.clone();
        }
        let (probability, law) = (cause.probability(), cause.law().clone());
        let choice = (probability, law);
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
    use super::*;
    use crate::law::LogNormal;

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
