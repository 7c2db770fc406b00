//! Laws of the slowest of many: `-ln F` on knots, accurate in the far tail.
//!
//! A maximum of n independent numbers with CDF F is at most x with probability
//! `F(x)^n`, so what is stored is `-ln F(x)`: those of n numbers add up, and where
//! `1 - F` is small it is `1 - F` itself to full relative precision, where F has
//! no digits left. It is also the mean number of points above x of the Poisson
//! process whose highest point is the maximum, hence its name here,
//! [*exceedances*](exceedances()).
//!
//! [`Curve`] is such a law, closed under the maximum, scaling and shifting.
//! [`product`] makes the law of a factor that a unit shares times its slowest
//! rank, [`sum`] and [`sum_of`] those of times that follow each other.

mod curve;
mod exceedances;
mod product;
mod quadrature;
mod quartics;
mod sum;
mod trace;

pub use curve::{Curve, Place};
pub use exceedances::{MAX_EXCEEDANCES, MIN_EXCEEDANCES, exceedances};
pub use product::product;
pub use sum::{sum, sum_of};
