//! Runs and steps: what every engine has in common.
//!
//! An [`Engine`] says who is the slowest in the four steps of a quad; [`simulate`]
//! drives it through all runs and steps, adds what transfers expose and fills the
//! [`Columns`].

mod columns;
mod driver;
mod expected;
mod network;
mod other_network;
mod runs;
mod slowest;
mod terms;

pub use columns::{Columns, Row, Rows};
pub use driver::{
    Engine, Run, Tasks, check_size, fill_runs, simulate, simulate_networks, simulate_seconds,
    simulate_with_terms,
};
pub use expected::ExpectedTime;
pub use network::{Durations, QuadNetwork};
pub use other_network::{DrawnNetwork, OtherNetwork};
pub use runs::Runs;
pub use slowest::{FrontierTime, ReplicaTime, Slowest, SlowestAndFrontiers, rank_durations};
pub use terms::{Terms, TermsRow};
