//! How fast a server works.

use crate::error::{Error, Result};

/// Seconds of a pass, in which each request in service gets one token, by their number.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// By the number in service, from one on: seconds of a pass without context, and seconds more
    /// for each token of context of them all.
    by_number: Vec<[f64; 2]>,
    /// What each one more adds beyond.
    more: [f64; 2],
}

impl Pace {
    /// A pass takes `fixed_s + each_s n` seconds with `n` requests in service, whatever their
    /// context.
    ///
    /// # Errors
    /// [`Error::Domain`] unless both are finite and >= 0 and not both are 0.
    pub fn linear(fixed_s: f64, each_s: f64) -> Result<Self> {
        for (field, value) in [("a_s", fixed_s), ("b_s", each_s)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::domain(field, value, "finite and >= 0"));
            }
        }
        if fixed_s + each_s == 0.0 {
            return Err(Error::domain("a_s", fixed_s, "> 0 where b_s is 0"));
        }
        Ok(Self {
            by_number: vec![[fixed_s + each_s, 0.0]],
            more: [each_s, 0.0],
        })
    }

    /// By the number in service, from one on: seconds of a pass without context, and seconds more
    /// for each token of context of them all. Beyond the last one nothing grows.
    ///
    /// # Errors
    /// [`Error::Domain`] without any, or unless all are finite, seconds are positive and those
    /// of context >= 0.
    pub fn of_numbers(by_number: Vec<[f64; 2]>) -> Result<Self> {
        if by_number.is_empty() {
            return Err(Error::domain("pace", 0.0, "of one number or more"));
        }
        for (index, &[base_s, context_s]) in by_number.iter().enumerate() {
            if !(base_s.is_finite() && base_s > 0.0) {
                return Err(Error::domain(
                    &format!("pace.{index}.0"),
                    base_s,
                    "finite and > 0",
                ));
            }
            if !(context_s.is_finite() && context_s >= 0.0) {
                let field = format!("pace.{index}.1");
                return Err(Error::domain(&field, context_s, "finite and >= 0"));
            }
        }
        Ok(Self {
            by_number,
            more: [0.0; 2],
        })
    }

    /// Seconds of a pass of `n` requests whose context is so many tokens together.
    #[inline]
    pub(super) fn pass_s(&self, n: usize, context: f64) -> f64 {
        let [base_s, context_s] = self.at(n);
        base_s + context_s * context
    }

    /// Seconds in which each of `n` requests gets `tokens` tokens, from a `context` on that grows
    /// by as many each. Short passes, so that tokens need not be whole.
    #[inline]
    pub(super) fn seconds(&self, n: usize, context: f64, tokens: f64) -> f64 {
        let [base_s, context_s] = self.at(n);
        let first_s = base_s + context_s * context;
        tokens * (first_s + 0.5 * context_s * n as f64 * tokens)
    }

    /// The tokens that each of `n` requests gets in so many seconds: the inverse of [`Pace::seconds`].
    #[inline]
    pub(super) fn tokens(&self, n: usize, context: f64, seconds: f64) -> f64 {
        let [base_s, context_s] = self.at(n);
        let first_s = base_s + context_s * context;
        if context_s == 0.0 {
            return seconds / first_s;
        }
        let growth = 2.0 * context_s * n as f64 * seconds;
        2.0 * seconds / (first_s + libm::sqrt(first_s * first_s + growth))
    }

    #[inline]
    fn at(&self, n: usize) -> [f64; 2] {
        let known = self.by_number.len();
        match self.by_number.get(n.max(1) - 1) {
            Some(&of) => of,
            None => {
                let [base_s, context_s] = self.by_number[known - 1];
                let beyond = (n - known) as f64;
                [
                    base_s + self.more[0] * beyond,
                    context_s + self.more[1] * beyond,
                ]
            }
        }
    }
}

/// Seconds for which reading a prompt stops a server: a polynomial of its tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prefill {
    /// Seconds of any prompt.
    pub fixed_s: f64,
    /// Seconds more for each token.
    pub token_s: f64,
    /// Seconds more for each pair of tokens, which look at each other: times their square.
    pub square_s: f64,
}

impl Prefill {
    /// # Errors
    /// [`Error::Domain`] unless all are finite and >= 0.
    pub fn check(self) -> Result<()> {
        let fields = [
            ("prefill_s", self.fixed_s),
            ("prefill_token_s", self.token_s),
            ("prefill_square_s", self.square_s),
        ];
        for (field, value) in fields {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::domain(field, value, "finite and >= 0"));
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn seconds(self, tokens: f64) -> f64 {
        self.fixed_s + tokens * (self.token_s + self.square_s * tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_inverse_of_seconds_and_seconds_add_up() {
        let linear = Pace::linear(0.02, 0.0002).unwrap();
        let knots = (1..=8).map(|n| [0.01 + 0.001 * f64::from(n), 1e-6 / f64::from(n)]);
        let measured = Pace::of_numbers(knots.collect()).unwrap();
        for pace in [linear, measured] {
            for n in [1, 5, 8, 100] {
                let (context, tokens) = (3_000.0, 120.0);
                let seconds = pace.seconds(n, context, tokens);
                let again = pace.tokens(n, context, seconds);
                assert!((again / tokens - 1.0).abs() < 1e-12, "{again}");
                let half = tokens / 2.0;
                let second_half = pace.seconds(n, context + n as f64 * half, half);
                let parts = pace.seconds(n, context, half) + second_half;
                assert!((parts / seconds - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn seconds_are_those_of_many_passes() {
        let pace = Pace::of_numbers(vec![[0.01, 2e-6], [0.012, 1e-6]]).unwrap();
        let mut context = 500.0;
        let mut seconds = 0.0;
        for _ in 0..1000 {
            // In the middle of a pass.
            seconds += pace.pass_s(2, context + 1.0);
            context += 2.0;
        }
        assert!((pace.seconds(2, 500.0, 1000.0) / seconds - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_pace_that_stands_still_is_refused() {
        assert!(Pace::linear(0.0, 0.0).is_err());
        assert!(Pace::linear(-1.0, 2.0).is_err());
        assert!(Pace::of_numbers(vec![]).is_err());
        assert!(Pace::of_numbers(vec![[0.0, 1.0]]).is_err());
        assert!(Pace::of_numbers(vec![[1.0, -1.0]]).is_err());
    }
}
