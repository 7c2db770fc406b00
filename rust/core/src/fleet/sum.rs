//! Sums of very many terms.

/// A sum whose rounding errors are summed beside it (Neumaier, 1974).
///
/// The times of a run are cut into millions of pieces, which must add up to the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    sum: f64,
    low: f64,
}

impl Sum {
    pub fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.low += if self.sum.abs() >= term.abs() {
            (self.sum - sum) + term
        } else {
            (term - sum) + self.sum
        };
        self.sum = sum;
    }

    pub fn total(&self) -> f64 {
        self.sum + self.low
    }

    /// The total, and begins anew.
    pub fn take(&mut self) -> f64 {
        std::mem::take(self).total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_are_not_lost_beside_large_ones() {
        let mut sum = Sum::default();
        sum.add(1.0);
        for _ in 0..1000 {
            sum.add(1e-17);
        }
        sum.add(-1.0);
        assert!((sum.total() - 1e-14).abs() < 1e-20);
    }
}
