//! Curves of causes, compiled once however many pools share them.

use crate::curve::Curve;
use crate::law::Law;
use crate::plan::Cause;

/// Curves by the probability and the law that they are of.
pub struct CurveCache {
    entries: Vec<Entry>,
}

struct Entry {
    probability: f64,
    law: Law,
    curve: Curve,
}

impl CurveCache {
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// The curve of a slowdown, with a point mass at 1 where it does not occur.
    pub fn curve(&mut self, cause: &Cause) -> Curve {
        let is_known =
            |entry: &&Entry| entry.probability == cause.probability() && entry.law == *cause.law();
        if let Some(entry) = self.entries.iter().find(is_known) {
            return entry.curve.clone();
        }
        let (probability, law) = (cause.probability(), cause.law().clone());
        let choice = (probability, law);
        let curve = Curve::of_choice(std::slice::from_ref(&choice), Some(1.0));
        let (probability, law) = choice;
        self.entries.push(Entry {
            probability,
            law,
            curve: curve.clone(),
        });
        curve
    }
}
