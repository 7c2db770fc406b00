//! Draws of one law by their addresses, and how far they are from a law.

use hindmost_core::law::Law;
use hindmost_core::plan::{Affects, Cause, Effect, Plan, Scope, Span};
use hindmost_core::random::{Random, Stream, Use};

use super::plans::{cause, plan, pool};

/// A plan of one GPU with one cause, which always occurs and has this law.
pub fn plan_of(law: Law) -> Plan {
    let spec = cause("cause", Scope::Gpu, Span::Step, Effect::Slowdown, law, &[0]);
    plan(vec![pool("pool", 1, 1, 1, 1, 1.0)], vec![spec])
}

/// The only cause of [`plan_of`].
pub fn only_cause(plan: &Plan) -> &Cause {
    plan.causes(0, Affects::Compute, Span::Step).next().unwrap()
}

/// `n` draws of a law, unit after unit, four steps each.
pub fn draws(law: &Law, seed: u64, n: usize) -> Vec<f32> {
    let plan = plan_of(law.clone());
    let cause = only_cause(&plan);
    let random = Random::new(seed);
    let [value, component, refine] =
        [Use::Value, Use::Component, Use::Refine].map(|usage| Stream::new("pool", "cause", usage));
    let mut draws = Vec::with_capacity(n + 3);
    for unit in 0..n.div_ceil(4) as u32 {
        let words = |stream| random.words(stream, unit, 0, 0);
        let (values, components) = (words(value), words(component));
        for step in 0..4 {
            let refine = || words(refine)[step];
            let table = cause.chosen_table(components[step], refine);
            draws.push(table.value(values[step], refine));
        }
    }
    draws.truncate(n);
    draws
}

/// Greatest distance between the empirical and the stated CDF, which must be
/// continuous.
pub fn ks_distance(draws: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let mut ordered = draws.to_vec();
    ordered.sort_by(f64::total_cmp);
    let n = ordered.len() as f64;
    let mut distance: f64 = 0.0;
    for (index, &x) in ordered.iter().enumerate() {
        let below = index as f64 / n;
        let expected = cdf(x);
        distance = distance
            .max(expected - below)
            .max(below + 1.0 / n - expected);
    }
    distance
}

/// Mean of numbers and its standard error.
pub fn mean_and_error(numbers: &[f64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// Variance of numbers and its standard error, from their fourth moment.
pub fn variance_and_error(numbers: &[f64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: Vec<f64> = numbers.iter().map(|x| (x - mean) * (x - mean)).collect();
    mean_and_error(&squares)
}
