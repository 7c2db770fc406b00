//! Skipping tiles finds what drawing everything finds.

mod common;

use common::laws::{constant, lognormal};
use common::plans::{cause, jitter, pool, with_probability};
use common::replay::Replay;
use hindmost_core::Error;
use hindmost_core::control::Control;
use hindmost_core::plan::{CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::simd::InstructionSet;

/// The plan in each instruction set of this processor.
fn plans(pools: &[PoolSpec], causes: &[CauseSpec]) -> Vec<Plan> {
    let plan = Plan::new(pools.to_vec(), causes.to_vec(), Communication::default()).unwrap();
    let sets = InstructionSet::ALL.into_iter();
    sets.filter(|set| set.is_available())
        .map(|set| plan.clone().with_instructions(set))
        .collect()
}

fn stall(name: &str, law: hindmost_core::law::Law) -> CauseSpec {
    cause(name, Scope::Gpu, Span::Step, Effect::Stall, law, &[0])
}

#[test]
fn of_equal_ranks_in_different_tiles_the_first_is_the_slowest() {
    // A rank that is twice as slow and one that is stalled for its whole time
    // tie: only their stalls tell them apart.
    let pools = [pool("a", 192, 1, 1, 1, 1.0)];
    let causes = [
        with_probability(jitter("double", constant(2.0), &[0]), 0.01),
        with_probability(stall("stop", constant(1.0)), 0.01),
    ];
    for plan in plans(&pools, &causes) {
        for seed in 0..500 {
            let sampled = sample(&plan, seed, 1, 4, &Control::default()).unwrap();
            let replay = Replay::new(seed, 0, &pools, &causes, &Communication::default());
            for step in 0..4 {
                let row = replay.row(step);
                let index = step as usize;
                assert_eq!(sampled.compute_s[index], row.compute_s, "{seed} {step}");
                assert_eq!(sampled.stall_s[index], row.stall_s, "{seed} {step}");
            }
        }
    }
}

/// The slowest rank of each step by drawing all of them.
fn slowest_of_all(plan: &Plan, seed: u64, n_steps: u32) -> Vec<f32> {
    let n_ranks = plan.pools()[0].n_ranks() as usize;
    let steps: Vec<u32> = (0..n_steps).collect();
    let mut times = vec![0.0; steps.len() * n_ranks];
    rank_times(plan, seed, 0, &steps, &mut times, &Control::default()).unwrap();
    let slowest = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
    times.chunks(n_ranks).map(slowest).collect()
}

fn assert_nothing_is_missed(pools: &[PoolSpec], causes: &[CauseSpec]) {
    for plan in plans(pools, causes) {
        for seed in 0..30 {
            let sampled = sample(&plan, seed, 1, 8, &Control::default()).unwrap();
            let times: Vec<f32> = sampled.compute_s.iter().map(|&time| time as f32).collect();
            assert_eq!(times, slowest_of_all(&plan, seed, 8), "{seed}");
        }
    }
}

#[test]
fn where_skipping_does_not_pay_every_tile_is_drawn() {
    // Four causes of one size bound nothing, over 313 tiles.
    let pools = [pool("a", 20_000, 8, 8, 8, 1.0)];
    let causes = ["a", "b", "c", "d"].map(|name| jitter(name, lognormal(1.0, 0.1), &[0]));
    assert_nothing_is_missed(&pools, &causes);
}

#[test]
fn where_persistent_speeds_differ_most_tiles_are_skipped_for_nothing() {
    let pools = [pool("a", 20_000, 8, 8, 8, 1.0)];
    let speed = cause(
        "speed",
        Scope::Gpu,
        Span::Run,
        Effect::Slowdown,
        lognormal(1.0, 0.02),
        &[0],
    );
    let rare = with_probability(stall("stop", lognormal(0.05, 0.5)), 1e-4);
    let causes = [speed, jitter("a", lognormal(1.0, 0.003), &[0]), rare];
    assert_nothing_is_missed(&pools, &causes);
}

#[test]
fn a_time_whose_inverse_f32_cannot_hold_is_refused() {
    let pools = vec![pool("a", 8, 8, 8, 8, 1e-39)];
    let refusal = Plan::new(pools, vec![], Communication::default()).unwrap_err();
    assert!(matches!(refusal, Error::Domain { field, .. } if field == "pools.a.compute_s"));
}
