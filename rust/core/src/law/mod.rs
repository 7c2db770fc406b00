//! Laws: distributions of a positive random number.
//!
//! One law a file. Each knows its CDF and survival function, its quantile from
//! either side, its mean and its variance. A new law is a file and a variant.

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
