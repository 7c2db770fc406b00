//! Laws: distributions of a positive random number.
//!
//! One law a file; [`Distribution`] says what each has to answer, and [`Law`] is
//! any one of them. A new law is a file and a variant of [`Law`].
//!
//! A number has the unit of what it stands for: a slowdown is a factor, a stall
//! is seconds. Location and scale parameters have that unit, shapes have none.
//!
//! Draws reach tail probabilities of 2^-65 ([`SMALLEST_TAIL`]) on either side.
//! The quantiles there have to be normal numbers of f32, 1.18e-38 to 3.40e38,
//! which bounds the parameters of each law; a cap lifts the bound on the upper
//! side. Constructors refuse what is no law at all,
//! [`Distribution::check_drawable`] what f32 cannot hold, and
//! [`Table::compile`](crate::table::Table::compile) what bends too much.

mod capped;
mod constant;
mod distribution;
mod empirical;
mod exponential;
mod fitted;
mod gamma;
mod gauss;
mod law;
mod log_uniform;
mod lognormal;
mod mixture;
mod normal;
mod pareto;
mod pareto_tail;
mod quantiles;
mod range;
mod series;
pub mod special;
mod tabulated;
mod tail_grid;
mod uniform;
mod weibull;

pub use capped::Capped;
pub use constant::Constant;
pub use distribution::Distribution;
pub use empirical::Empirical;
pub use exponential::Exponential;
pub use fitted::{Weighted, fit_weighted};
pub use gamma::Gamma;
pub use law::Law;
pub use log_uniform::LogUniform;
pub use lognormal::LogNormal;
pub use mixture::Mixture;
pub use normal::Normal;
pub use pareto::Pareto;
pub use pareto_tail::with_pareto_tail;
pub use quantiles::Quantiles;
pub use tabulated::Tabulated;
pub use tail_grid::{
    MAX_BINS, MIN_BINS, OCTAVES, SMALLEST_TAIL, TABLE_LINE_TOLERANCE, straight_line_miss,
    tail_probability,
};
pub use uniform::Uniform;
pub use weibull::Weibull;
