//! Simulations by order statistics, and their judgement.

use std::sync::Arc;

use hindmost_core::control::Control;
use hindmost_core::law::Law;
use hindmost_core::order_statistics::OrderStatistics;
use hindmost_core::plan::{CauseSpec, Effect, Plan, Scope, Span};
use hindmost_core::step::Columns;

use super::plans::cause;

/// Standard errors that a share may miss: passed by one count in 16,000 by chance.
pub const ERRORS: f64 = 4.0;

/// Columns of a plan by order statistics.
pub fn run(plan: Plan, seed: u64, runs: u32, steps: u32) -> Columns {
    let engine = OrderStatistics::new(Arc::new(plan)).unwrap();
    engine.run(seed, runs, steps, &Control::default()).unwrap()
}

/// A stall of the first pool in each step.
pub fn stall(scope: Scope, law: Law) -> CauseSpec {
    cause("pause", scope, Span::Step, Effect::Stall, law, &[0])
}

/// A persistent speed of each GPU.
pub fn speed(law: Law, pools: &[usize]) -> CauseSpec {
    cause("speed", Scope::Gpu, Span::Run, Effect::Slowdown, law, pools)
}

/// Asserts that so many of `n` steps are as many as a probability says.
pub fn assert_share(what: &str, count: usize, n: usize, p: f64) {
    let error = (p * (1.0 - p) / n as f64).sqrt();
    let share = count as f64 / n as f64;
    assert!(
        (share - p).abs() <= ERRORS * error,
        "{what}: {share}, expected {p} +- {error}"
    );
}
