//! What a law has to answer.

use super::gauss::integral_of_tail;
use super::series::Series;
use crate::error::Result;

/// Distribution of a positive random number.
///
/// Each law implements it, and so does [`Law`](super::Law), which is any one of
/// them. Draws invert it: tables are compiled from [`quantile`](Self::quantile)
/// and [`upper_quantile`](Self::upper_quantile), and curves of maxima from
/// [`cdf`](Self::cdf) and [`sf`](Self::sf). Both pairs have to be accurate in
/// their own tail, because `1 - p` has no digits left where `p` is small.
pub trait Distribution: Clone {
    /// Probability of a number of at most `x`, to full relative precision where
    /// it is small.
    fn cdf(&self, x: f64) -> f64;

    /// Probability of a number above `x`, to full relative precision where it
    /// is small.
    fn sf(&self, x: f64) -> f64;

    /// The number whose CDF is `p`, for `p` in (0, 1); accurate where `p` is
    /// small.
    fn quantile(&self, p: f64) -> f64;

    /// The number whose survival function is `q`, for `q` in (0, 1); accurate
    /// where `q` is small.
    fn upper_quantile(&self, q: f64) -> f64;

    /// Expected number; infinite for an unbounded Pareto tail with `alpha <= 1`.
    fn mean(&self) -> f64;

    /// Variance; infinite for an unbounded Pareto tail with `alpha <= 2`.
    fn variance(&self) -> f64;

    /// Refuses a law whose lowest quantile f32 does not hold with its full
    /// precision.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) naming a parameter and a value of
    /// it that works.
    fn check_lower(&self) -> Result<()>;

    /// Refuses a law whose highest quantile f32 does not hold, or whose variance
    /// is infinite. A cap answers for this side instead, so a capped law does
    /// not ask its own law.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) naming a parameter and a value of
    /// it that works.
    fn check_upper(&self) -> Result<()>;

    /// Refuses a law that no table can hold, for either reason.
    ///
    /// Where one parameter moves both ends, a law overrides this to name the
    /// value that works for both.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) naming a parameter and a value of
    /// it that works.
    fn check_drawable(&self) -> Result<()> {
        self.check_lower()?;
        self.check_upper()
    }

    /// Name and value of the parameter that bends the quantile function, for the
    /// refusal of a law that bends more than a table can follow.
    fn bend(&self) -> (&'static str, f64);

    /// Quantile and upper quantile at the same tail probability, for laws that
    /// compute both for the price of one.
    fn both_quantiles(&self, p: f64) -> (f64, f64) {
        (self.quantile(p), self.upper_quantile(p))
    }

    /// Series of the quantiles of the lower and of the upper side, for laws
    /// whose single quantiles are slow or cost a power; none for the others.
    fn series(&self) -> Option<[Series; 2]> {
        None
    }

    /// `E f(min(X, cap))`, which the moments of a capped law are made of.
    ///
    /// By quadrature over the probability that does not lie on the cap, plus
    /// the weight on the cap. Laws that know a better way override this.
    fn expect_capped(&self, cap: f64, f: &dyn Fn(f64) -> f64) -> f64 {
        expect_by_quadrature(self, cap, f)
    }

    /// How many laws a draw chooses from, of a mixture; none of other laws.
    fn n_components(&self) -> Option<usize> {
        None
    }

    /// The law without its cap, and the cap of a law that has one. So that a cap
    /// on a capped law is one cap.
    fn split_cap(self) -> (Self, Option<f64>) {
        (self, None)
    }
}

/// `E f(min(X, cap))` as the integral of `f(Q)` over both tails.
pub(super) fn expect_by_quadrature<L: Distribution>(
    law: &L,
    cap: f64,
    f: &dyn Fn(f64) -> f64,
) -> f64 {
    let on_cap = law.sf(cap);
    let lower = integral_of_tail(0.0, (1.0 - on_cap).min(0.5), |p| f(law.quantile(p)));
    let upper = integral_of_tail(on_cap.min(0.5), 0.5, |q| f(law.upper_quantile(q)));
    lower + upper + on_cap * f(cap)
}
