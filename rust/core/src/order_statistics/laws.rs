//! Laws that are compiled once, however many pools share them.

use crate::curve::Curve;
use crate::law::Law;
use crate::plan::Cause;

/// Curves by what they are of.
pub(super) struct Laws {
    /// Probability of occurrence, law, and the curve of the factor.
    curves: Vec<(f64, Law, Curve)>,
}

impl Laws {
    pub(super) fn new() -> Self {
        Self { curves: Vec::new() }
    }

    /// The curve of a slowdown, occurrence included.
    pub(super) fn curve(&mut self, cause: &Cause) -> Curve {
        let same = |(probability, law, _): &&(f64, Law, Curve)| {
            *probability == cause.probability() && law == cause.law()
        };
        if let Some((_, _, curve)) = self.curves.iter().find(same) {
            return curve.clone();
        }
        let choice = (cause.probability(), cause.law().clone());
        let curve = Curve::of_choice(std::slice::from_ref(&choice), Some(1.0));
        self.curves.push((choice.0, choice.1, curve.clone()));
        curve
    }
}
