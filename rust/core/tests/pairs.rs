//! Draws stay paired: a change moves only the numbers that it is about.

mod common;

use common::laws::{constant, empirical, exponential, lognormal, mixture, uniform};
use common::plans::{cause, jitter, network, pool, term, with_probability};
use hindmost_core::control::Control;
use hindmost_core::plan::{CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::step::Columns;

const SEED: u64 = 700;
const N_STEPS: u32 = 50;

fn pool_a() -> PoolSpec {
    pool("a", 20, 4, 8, 3, 2.0)
}

fn pool_b() -> PoolSpec {
    pool("b", 80, 4, 72, 8, 1.0)
}

/// Rank times of run 1, as `[step][rank]`.
fn times(pools: &[PoolSpec], causes: &[CauseSpec]) -> Vec<Vec<f32>> {
    times_of_run(pools, causes, 1)
}

fn times_of_run(pools: &[PoolSpec], causes: &[CauseSpec], run: u32) -> Vec<Vec<f32>> {
    let plan = common::plans::plan(pools.to_vec(), causes.to_vec());
    let n_ranks: u32 = plan.pools().iter().map(|pool| pool.n_ranks()).sum();
    let steps: Vec<u32> = (0..N_STEPS).collect();
    let mut times = vec![0.0; steps.len() * n_ranks as usize];
    rank_times(&plan, SEED, run, &steps, &mut times, &Control::default()).unwrap();
    let of_steps = times.chunks(n_ranks as usize);
    of_steps.map(<[f32]>::to_vec).collect()
}

fn sampled(pools: Vec<PoolSpec>, causes: Vec<CauseSpec>) -> Columns {
    let terms = vec![
        term(&vec![0.1; pools.len()], &vec![0.3; pools.len()], 0.2, 4),
        term(&vec![0.0; pools.len()], &vec![0.7; pools.len()], 0.5, 9),
    ];
    let communication = Communication {
        terms,
        overlap_fraction: 0.9,
        hidden_cost: 0.0,
    };
    let plan = Plan::new(pools, causes, communication).unwrap();
    sample(&plan, SEED, 2, N_STEPS, &Control::default()).unwrap()
}

/// Columns of each step, as bits.
fn column_bits(sampled: &Columns) -> Vec<Vec<u64>> {
    let bits = |column: &[f64]| column.iter().map(|x| x.to_bits()).collect();
    vec![
        bits(&sampled.step_time_s),
        bits(&sampled.compute_s),
        bits(&sampled.exposed_comm_s),
        bits(&sampled.stall_s),
        sampled.slowest.iter().map(|&x| u64::from(x)).collect(),
    ]
}

/// Columns of each run, as bits.
fn expectation_bits(sampled: &Columns) -> Vec<u64> {
    let expected = sampled.busy_s.iter().chain(&sampled.own_stall_s);
    expected.map(|x| x.to_bits()).collect()
}

/// Causes of every scope around the one under test.
fn other_causes() -> Vec<CauseSpec> {
    let law = || lognormal(1.0, 0.1);
    vec![
        jitter("jitter", law(), &[0, 1]),
        cause(
            "speed",
            Scope::Gpu,
            Span::Run,
            Effect::Slowdown,
            law(),
            &[0, 1],
        ),
        cause(
            "host",
            Scope::Node,
            Span::Step,
            Effect::Stall,
            exponential(0.1, 0.0),
            &[0],
        ),
        cause(
            "clock",
            Scope::Cluster,
            Span::Step,
            Effect::Slowdown,
            law(),
            &[0, 1],
        ),
        network(jitter("port", law(), &[0, 1])),
    ]
}

#[test]
fn a_cause_of_no_variance_is_a_constant_byte_for_byte() {
    let with = |law, span, effect, is_network| {
        let mut causes = other_causes();
        let quiet = cause("quiet", Scope::Gpu, span, effect, law, &[0, 1]);
        causes.insert(2, if is_network { network(quiet) } else { quiet });
        sampled(vec![pool_a(), pool_b()], causes)
    };
    for span in [Span::Run, Span::Step] {
        for effect in [Effect::Slowdown, Effect::Stall] {
            for is_network in [false, true] {
                let expected = with(constant(1.25), span, effect, is_network);
                for law in [lognormal(1.25, 0.0), empirical(&[1.25; 7])] {
                    let ours = with(law, span, effect, is_network);
                    assert_eq!(column_bits(&ours), column_bits(&expected));
                    assert_eq!(expectation_bits(&ours), expectation_bits(&expected));
                }
            }
        }
    }
}

#[test]
fn a_cause_that_never_occurs_is_no_cause_byte_for_byte() {
    let pools = || vec![pool_a(), pool_b()];
    let expected = sampled(pools(), other_causes());
    for span in [Span::Run, Span::Step] {
        for effect in [Effect::Slowdown, Effect::Stall] {
            for is_network in [false, true] {
                let mut causes = other_causes();
                let never = cause(
                    "never",
                    Scope::Gpu,
                    span,
                    effect,
                    uniform(2.0, 9.0),
                    &[0, 1],
                );
                let never = with_probability(never, 0.0);
                causes.insert(2, if is_network { network(never) } else { never });
                let ours = sampled(pools(), causes);
                assert_eq!(column_bits(&ours), column_bits(&expected));
                assert_eq!(expectation_bits(&ours), expectation_bits(&expected));
            }
        }
    }
}

#[test]
fn nothing_at_all_takes_the_time_of_the_slowest_pool_and_ties_go_to_the_first() {
    for (seconds, slowest) in [([2.0, 1.0], 0), ([1.0, 2.0], 1), ([2.0, 2.0], 0)] {
        let pools = vec![
            PoolSpec {
                compute_s: seconds[0],
                ..pool_a()
            },
            PoolSpec {
                compute_s: seconds[1],
                ..pool_b()
            },
        ];
        let sampled = sampled(pools, vec![]);
        assert!(sampled.slowest.iter().all(|&pool| pool == slowest));
        assert!(sampled.compute_s.iter().all(|&time_s| time_s == 2.0));
        assert!(sampled.stall_s.iter().all(|&time_s| time_s == 0.0));
        assert_eq!(sampled.busy_s, [seconds, seconds].concat());
    }
}

#[test]
fn of_equally_slow_ranks_the_one_that_hides_less_is_the_slowest_or_else_the_first() {
    // One rank takes 3 by its factor, all others 1 + 2: only the stall tells
    // the first rank from the second, and the pools from each other.
    let stall = |scope, pools: &[usize]| {
        cause(
            "stall",
            scope,
            Span::Step,
            Effect::Stall,
            constant(2.0),
            pools,
        )
    };
    let slow = |pools: &[usize]| jitter("slow", constant(3.0), pools);
    let units = || ["a", "b"].map(|name| pool(name, 8, 8, 8, 8, 1.0)).to_vec();
    for (slowed, stalled, stall_s) in [(0, 1, 0.0), (1, 0, 2.0)] {
        let causes = || vec![slow(&[slowed]), stall(Scope::Gpu, &[stalled])];
        // Transfers hide behind compute, and not behind stalls.
        let with_transfers = sampled(units(), causes());
        assert!(with_transfers.compute_s.iter().all(|&time_s| time_s == 3.0));
        assert!(with_transfers.stall_s.iter().all(|&time_s| time_s == 2.0));
        let pools = &with_transfers.slowest;
        assert!(pools.iter().all(|&pool| pool as usize == stalled));
        // Without transfers the first of both is the slowest.
        let plan = Plan::new(units(), causes(), Communication::default()).unwrap();
        let alone = sample(&plan, SEED, 2, N_STEPS, &Control::default()).unwrap();
        assert!(alone.compute_s.iter().all(|&time_s| time_s == 3.0));
        assert!(alone.slowest.iter().all(|&pool| pool == 0));
        assert!(alone.stall_s.iter().all(|&time_s| time_s == stall_s));
    }
}

#[test]
fn a_smaller_probability_keeps_the_sizes_of_what_still_occurs() {
    let neutral = pool_a().compute_s as f32;
    for effect in [Effect::Slowdown, Effect::Stall] {
        let of = |probability| {
            // Neither the size nor which law it has may change.
            let law = mixture(vec![
                (0.25, uniform(1.5, 4.0)),
                (0.5, constant(5.0)),
                (0.25, uniform(6.0, 7.0)),
            ]);
            let rare = cause("rare", Scope::Gpu, Span::Step, effect, law, &[0]);
            times(&[pool_a()], &[with_probability(rare, probability)]).concat()
        };
        let (always, often, rarely) = (of(1.0), of(0.5), of(0.1));
        let occurs = |time: &&f32| **time != neutral;
        let counts = [&often, &rarely].map(|times| times.iter().filter(occurs).count());
        assert!(
            counts[0] > 200 && (10..150).contains(&counts[1]),
            "{counts:?}"
        );
        for rank in 0..always.len() {
            assert!(often[rank] == neutral || often[rank] == always[rank]);
            assert!(rarely[rank] == neutral || rarely[rank] == often[rank]);
        }
    }
}

#[test]
fn a_new_pool_renumbers_nothing() {
    let third = || pool("c", 9, 3, 3, 3, 0.5);
    let moved = |causes: Vec<CauseSpec>, by: usize, all: &[usize]| -> Vec<CauseSpec> {
        causes
            .into_iter()
            .map(|cause| CauseSpec {
                pools: match cause.pools.len() {
                    2 => all.to_vec(),
                    _ => cause.pools.iter().map(|pool| pool + by).collect(),
                },
                ..cause
            })
            .collect()
    };
    let before = times(&[pool_a(), pool_b()], &other_causes());
    let behind = times(
        &[pool_a(), pool_b(), third()],
        &moved(other_causes(), 0, &[0, 1, 2]),
    );
    let ahead = times(
        &[third(), pool_a(), pool_b()],
        &moved(other_causes(), 1, &[0, 1, 2]),
    );
    let n_ranks = before[0].len();
    for (step, before) in before.iter().enumerate() {
        assert_eq!(&behind[step][..n_ranks], before);
        assert_eq!(&ahead[step][9..], before);
    }
}

#[test]
fn a_larger_pool_keeps_the_times_of_the_gpus_it_had() {
    let causes = other_causes();
    let larger = PoolSpec {
        n_gpus: 40,
        ..pool_a()
    };
    let (small, large) = (
        times(&[pool_a(), pool_b()], &causes),
        times(&[larger, pool_b()], &causes),
    );
    for (small, large) in small.iter().zip(&large) {
        assert_eq!(small[..12], large[..12]);
        assert_eq!(small[12..], large[30..]);
    }
}

#[test]
fn a_new_cause_renumbers_nothing() {
    let pools = [pool_a(), pool_b()];
    let before = times(&pools, &other_causes());
    for place in 0..=other_causes().len() {
        for (factor, effect, span) in [
            (1.0, Effect::Slowdown, Span::Step),
            (1.0, Effect::Slowdown, Span::Run),
            (2.0, Effect::Slowdown, Span::Step),
        ] {
            let mut causes = other_causes();
            let law = constant(factor);
            causes.insert(place, cause("new", Scope::Gpu, span, effect, law, &[1]));
            let after = times(&pools, &causes);
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before[..12], after[..12]);
                // Doubling is exact; pool b has no stalls.
                let doubled: Vec<f32> = before[12..]
                    .iter()
                    .map(|time| time * factor as f32)
                    .collect();
                assert_eq!(doubled, after[12..]);
            }
        }
    }
}

#[test]
fn a_cluster_shares_one_draw_over_its_pools() {
    let unit = |name, compute_s| pool(name, 16, 4, 8, 8, compute_s);
    let pools = [unit("a", 1.0), unit("b", 4.0)];
    let law = || uniform(1.0, 2.0);
    let of = |scope, span| {
        let cause = cause("shared", scope, span, Effect::Slowdown, law(), &[0, 1]);
        times(&pools, &[cause])
    };
    for span in [Span::Run, Span::Step] {
        for times in of(Scope::Cluster, span) {
            assert!(times[..16].iter().all(|&time| time == times[0]));
            assert!(times[16..].iter().all(|&time| time == 4.0 * times[0]));
        }
        for times in of(Scope::Pool, span) {
            assert!(times[..16].iter().all(|&time| time == times[0]));
            assert!(times[16..].iter().all(|&time| time == times[16]));
            assert!(times[16] != 4.0 * times[0]);
        }
    }
}

#[test]
fn a_unit_shares_one_draw_and_two_units_do_not() {
    let pool = [pool("a", 32, 4, 16, 8, 1.0)];
    for (scope, size) in [
        (Scope::Gpu, 1),
        (Scope::Node, 4),
        (Scope::Domain, 16),
        (Scope::Rack, 32),
        (Scope::Replica, 8),
    ] {
        let shared = cause(
            "shared",
            scope,
            Span::Step,
            Effect::Slowdown,
            uniform(1.0, 2.0),
            &[0],
        );
        for times in times(&pool, &[shared]) {
            let firsts: Vec<f32> = times.chunks(size).map(|unit| unit[0]).collect();
            for (unit, first) in times.chunks(size).zip(&firsts) {
                assert!(unit.iter().all(|time| time == first), "{scope:?}");
            }
            for (index, first) in firsts.iter().enumerate() {
                assert!(!firsts[..index].contains(first), "{scope:?}");
            }
        }
    }
}

#[test]
fn what_lasts_a_run_is_the_same_in_all_its_steps_and_in_no_other_run() {
    let speed = |span| {
        cause(
            "speed",
            Scope::Gpu,
            span,
            Effect::Slowdown,
            uniform(1.0, 2.0),
            &[0],
        )
    };
    let of = |span, run| times_of_run(&[pool_a()], &[speed(span)], run);
    let (first, second) = (of(Span::Run, 0), of(Span::Run, 1));
    assert!(first.iter().all(|times| *times == first[0]));
    assert!(second.iter().all(|times| *times == second[0]));
    assert!(first[0].iter().zip(&second[0]).all(|(a, b)| a != b));
    let steps = of(Span::Step, 0);
    assert!(steps.windows(2).all(|pair| pair[0] != pair[1]));
    // The word of span run is word 0 of quad 0, as that of step 0 is.
    assert_eq!(steps[0], first[0]);
}

#[test]
fn another_seed_gives_other_times_in_both_of_its_halves() {
    let plan = common::plans::plan(vec![pool_a(), pool_b()], other_causes());
    let of = |seed| {
        let sampled = sample(&plan, seed, 1, 8, &Control::default()).unwrap();
        sampled.compute_s.iter().map(|x| x.to_bits()).collect()
    };
    let seeds: [Vec<u64>; 4] = [0, 1, 1 << 32, u64::MAX].map(of);
    for (index, seed) in seeds.iter().enumerate() {
        assert!(!seeds[..index].contains(seed));
    }
}
