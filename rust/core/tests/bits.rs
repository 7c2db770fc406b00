//! Every sampled number is, bit for bit, the one that its address gives.

mod common;

use common::laws::{capped, constant, empirical, exponential, lognormal, mixture, pareto, uniform};
use common::plans::{cause, jitter, pool, with_probability};
use common::replay::{Replay, Row};
use hindmost_core::control::Control;
use hindmost_core::law::Law;
use hindmost_core::plan::{
    Affects, CauseSpec, Communication, Effect, PeriodSpec, Phase, Plan, PoolSpec, Scope, Span, Term,
};
use hindmost_core::sample::{rank_times, sample, sample_with_terms};
use hindmost_core::simd::InstructionSet;
use hindmost_core::step::Columns;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn config(seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A plan before it is validated.
#[derive(Debug, Clone)]
struct Draft {
    pools: Vec<PoolSpec>,
    causes: Vec<CauseSpec>,
    communication: Communication,
}

impl Draft {
    /// The plan in each instruction set of this processor.
    fn plans(&self) -> Vec<Plan> {
        let (pools, causes) = (self.pools.clone(), self.causes.clone());
        let plan = Plan::new(pools, causes, self.communication.clone()).unwrap();
        let sets = InstructionSet::ALL.into_iter();
        sets.filter(|set| set.is_available())
            .map(|set| plan.clone().with_instructions(set))
            .collect()
    }

    fn replay(&self, seed: u64, run: u32) -> Replay {
        Replay::new(seed, run, &self.pools, &self.causes, &self.communication)
    }

    fn rank_times(&self, seed: u64, run: u32, steps: &[u32]) -> Vec<Vec<f32>> {
        let plans = self.plans();
        let pools = plans[0].pools().iter();
        let n_ranks: u32 = pools.map(|pool| pool.n_ranks()).sum();
        let of_plan = |plan: &Plan| {
            let mut times = vec![0.0; steps.len() * n_ranks as usize];
            rank_times(plan, seed, run, steps, &mut times, &Control::default()).unwrap();
            times
        };
        let times = of_plan(&plans[0]);
        for plan in &plans[1..] {
            assert_eq!(
                bits(&of_plan(plan)),
                bits(&times),
                "{:?}",
                plan.instructions()
            );
        }
        let of_steps = times.chunks(n_ranks as usize);
        of_steps.map(<[f32]>::to_vec).collect()
    }

    fn sample(&self, seed: u64, runs: u32, steps: u32) -> Columns {
        let plans = self.plans();
        let of_plan = |plan: &Plan| sample(plan, seed, runs, steps, &Control::default()).unwrap();
        let sampled = of_plan(&plans[0]);
        for plan in &plans[1..] {
            assert_eq!(of_plan(plan), sampled, "{:?}", plan.instructions());
        }
        sampled
    }
}

fn bits(times: &[f32]) -> Vec<u32> {
    times.iter().map(|time| time.to_bits()).collect()
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn rank_times_are_the_products_and_sums_of_the_values_at_their_addresses(
        draft in any_draft(),
        seed in any::<u64>(),
        run in prop_oneof![0..3_u32, Just(65_535)],
        steps in prop::collection::vec(prop_oneof![0..12_u32, any::<u32>()], 1..6),
    ) {
        let times = draft.rank_times(seed, run, &steps);
        let replay = draft.replay(seed, run);
        for (times, &step) in times.iter().zip(&steps) {
            prop_assert_eq!(bits(times), bits(&replay.rank_times(step)), "step {}", step);
        }
    }
}

proptest! {
    #![proptest_config(config(601))]

    #[test]
    fn a_sample_is_the_slowest_rank_of_each_step_and_what_its_transfers_expose(
        draft in any_draft(),
        seed in any::<u64>(),
        runs in 1..3_u32,
        steps in 1..11_u32,
    ) {
        let sampled = draft.sample(seed, runs, steps);
        for run in 0..runs {
            let replay = draft.replay(seed, run);
            for step in 0..steps {
                let index = (run * steps + step) as usize;
                let ours = Row {
                    compute_s: sampled.compute_s[index],
                    stall_s: sampled.stall_s[index],
                    exposed_comm_s: sampled.exposed_comm_s[index],
                    slowest: sampled.slowest[index],
                };
                let step_time_s = ours.compute_s + ours.exposed_comm_s;
                prop_assert_eq!(sampled.step_time_s[index].to_bits(), step_time_s.to_bits());
                // It is one of the ranks, bit by bit, and none makes the step longer.
                let rows = replay.rows(step);
                prop_assert!(rows.contains(&ours), "{:?}", ours);
                for row in rows {
                    let longer_s = row.compute_s + row.exposed_comm_s - step_time_s;
                    prop_assert!(longer_s <= 1e-6 * step_time_s, "{:?} {:?}", ours, row);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(604))]

    #[test]
    fn terms_are_the_ranks_that_no_other_exceeds_and_the_worst_ports(
        draft in any_draft(),
        seed in any::<u64>(),
        runs in 1..3_u32,
        steps in 1..11_u32,
    ) {
        let (plan, control) = (&draft.plans()[0], Control::default());
        let (sampled, terms) = sample_with_terms(plan, seed, runs, steps, &control).unwrap();
        prop_assert_eq!(sampled, draft.sample(seed, runs, steps));
        let n_terms = draft.communication.terms.len();
        let n_ports = if n_terms == 0 { 0 } else { draft.pools.len() };
        prop_assert_eq!(terms.hop_factor, vec![1.0; (runs * steps) as usize * n_terms]);
        let mut first = 0;
        for index in 0..(runs * steps) as usize {
            let replay = draft.replay(seed, index as u32 / steps);
            let step = index as u32 % steps;
            let after = first + terms.n_times[index] as usize;
            let found: Vec<(u32, f64, f64)> = (first..after)
                .map(|time| (terms.pool[time], terms.compute_s[time], terms.stall_s[time]))
                .collect();
            first = after;
            let expected: Vec<(u32, f64, f64)> = (0..)
                .zip(replay.times(step))
                .flat_map(|(pool, times)| {
                    frontier(times).into_iter().map(move |(compute_s, stall_s)| (pool, compute_s, stall_s))
                })
                .collect();
            prop_assert_eq!(found, expected, "step {}", index);
            let ports = index * n_ports..(index + 1) * n_ports;
            let slowdowns = terms.port_slowdown[ports.clone()].iter().copied();
            let found: Vec<(f64, f64)> =
                slowdowns.zip(terms.port_stall_s[ports].iter().copied()).collect();
            let expected = if n_terms == 0 { vec![] } else { replay.worst_ports(step) };
            prop_assert_eq!(found, expected, "step {}", index);
        }
        prop_assert_eq!(first, terms.pool.len());
    }
}

/// The different pairs of which no other has as much of both, from the greatest first part on.
fn frontier(mut pairs: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    pairs.sort_by(|a, b| b.partial_cmp(a).unwrap());
    pairs.dedup();
    let is_exceeded = |pair: &(f64, f64)| {
        let exceeds = |other: &(f64, f64)| other != pair && other.0 >= pair.0 && other.1 >= pair.1;
        pairs.iter().any(exceeds)
    };
    pairs
        .iter()
        .filter(|pair| !is_exceeded(pair))
        .copied()
        .collect()
}

proptest! {
    #![proptest_config(config(602))]

    #[test]
    fn without_transfers_the_greatest_rank_time_is_the_compute_time_rounded(
        draft in any_draft(),
        seed in any::<u64>(),
    ) {
        let steps: Vec<u32> = (0..9).collect();
        let draft = Draft { communication: Communication::default(), ..draft };
        let sampled = draft.sample(seed, 2, 9);
        for run in 0..2 {
            for (step, times) in draft.rank_times(seed, run, &steps).iter().enumerate() {
                let greatest = times.iter().copied().fold(0.0, f32::max);
                let compute_s = sampled.compute_s[run as usize * 9 + step] as f32;
                prop_assert_eq!(greatest.to_bits(), compute_s.to_bits());
            }
        }
    }
}

#[test]
fn a_tile_border_changes_nothing() {
    // In domains of 76 and replicas of 25 a tile of 64 ranks and one of 11
    // follow each other; where nothing is spare, tiles end across domains.
    for (n_gpus, domain_gpus, tensor_gpus) in [(152, 76, 25), (200, 200, 1), (65, 65, 65)] {
        let pool = PoolSpec {
            rack_gpus: Some(50),
            ..pool("a", n_gpus, 3, domain_gpus, tensor_gpus, 2.5)
        };
        let causes = SCOPES.iter().enumerate().map(|(index, &scope)| CauseSpec {
            name: format!("cause-{index}"),
            affects: Affects::Compute,
            effect: if index % 2 == 0 {
                Effect::Slowdown
            } else {
                Effect::Stall
            },
            scope,
            span: if index % 3 == 0 {
                Span::Run
            } else {
                Span::Step
            },
            probability: if index % 4 == 0 { 0.5 } else { 1.0 },
            law: lognormal(1.0, 0.3).into(),
            pools: vec![0],
            units: None,
            period: None,
            correlation_steps: None,
            trend_per_step: 0.0,
            episode: None,
        });
        let draft = Draft {
            pools: vec![pool],
            causes: causes.collect(),
            communication: Communication::default(),
        };
        let steps = [0, 1, 2, 3, 4, 400];
        let replay = draft.replay(603, 1);
        for (times, step) in draft.rank_times(603, 1, &steps).iter().zip(steps) {
            assert_eq!(bits(times), bits(&replay.rank_times(step)), "step {step}");
        }
    }
}

#[test]
fn ten_thousand_ranks_meet_refined_words_and_keep_their_bits() {
    // One word in 32,768 takes more bits: 64 steps bring some twenty for each
    // cause that always occurs and some ten for the other.
    let draft = Draft {
        pools: vec![pool("a", 10_000, 8, 8, 8, 1.0)],
        causes: vec![
            jitter("jitter", lognormal(1.0, 0.3), &[0]),
            with_probability(jitter("rare", pareto(1.0, 3.0), &[0]), 0.5),
        ],
        communication: Communication::default(),
    };
    let steps: Vec<u32> = (0..64).collect();
    let replay = draft.replay(604, 0);
    for (times, &step) in draft.rank_times(604, 0, &steps).iter().zip(&steps) {
        assert_eq!(bits(times), bits(&replay.rank_times(step)), "step {step}");
    }
}

#[test]
fn the_first_of_equally_slow_ranks_of_a_pool_is_the_slowest() {
    // A rank takes 1, 3 by its factor, 3 by its stall, or 5 by both.
    let both = [
        jitter("slow", constant(3.0), &[0]),
        cause(
            "stall",
            Scope::Gpu,
            Span::Step,
            Effect::Stall,
            constant(2.0),
            &[0],
        ),
    ];
    let draft = Draft {
        pools: vec![pool("a", 2, 1, 1, 1, 1.0)],
        causes: both.map(|cause| with_probability(cause, 0.5)).to_vec(),
        communication: Communication::default(),
    };
    let n_steps = 200;
    let sampled = draft.sample(605, 1, n_steps);
    let replay = draft.replay(605, 0);
    let mut stalls_of_ties = vec![];
    for (step, &stall_s) in (0..n_steps).zip(&sampled.stall_s) {
        assert_eq!(stall_s, replay.row(step).stall_s, "step {step}");
        if replay.rank_times(step) == [3.0, 3.0] {
            stalls_of_ties.push(stall_s);
        }
    }
    assert!(stalls_of_ties.contains(&0.0) && stalls_of_ties.contains(&2.0));
}

const SCOPES: [Scope; 7] = [
    Scope::Gpu,
    Scope::Node,
    Scope::Domain,
    Scope::Rack,
    Scope::Replica,
    Scope::Pool,
    Scope::Cluster,
];

fn any_draft() -> impl Strategy<Value = Draft> {
    prop::collection::vec(any_pool(), 1..4).prop_flat_map(|pools| {
        let n_pools = pools.len();
        let causes = prop::collection::vec(any_cause(n_pools), 0..7);
        (Just(pools), causes, any_communication(n_pools)).prop_map(
            |(mut pools, mut causes, communication)| {
                for (index, pool) in pools.iter_mut().enumerate() {
                    pool.name = format!("pool-{index}");
                }
                for (index, cause) in causes.iter_mut().enumerate() {
                    cause.name = format!("cause-{index}");
                }
                Draft {
                    pools,
                    causes,
                    communication,
                }
            },
        )
    })
}

/// HGX, NVL72 and odd sizes that leave spares or do not nest.
fn any_pool() -> impl Strategy<Value = PoolSpec> {
    let sizes = prop_oneof![
        Just((8, 8, 8, 8, 16)),
        Just((8, 8, 7, 3, 32)),
        Just((4, 72, 64, 8, 72)),
        Just((4, 72, 72, 16, 144)),
        Just((3, 5, 4, 2, 7)),
        Just((1, 1, 1, 1, 5)),
    ];
    (sizes, 0..20_u32, 1..3_u32, 0.01..50.0).prop_map(|(sizes, more, domains, compute_s)| {
        let (node_gpus, domain_gpus, domain_gpus_used, tensor_gpus, rack_gpus) = sizes;
        let most_held_back = domains * (domain_gpus_used / tensor_gpus) - 1;
        PoolSpec {
            name: String::new(),
            n_gpus: domains * domain_gpus_used + more,
            node_gpus,
            domain_gpus,
            domain_gpus_used,
            held_back_gpus: (more % 3).min(most_held_back) * tensor_gpus,
            rack_gpus: Some(rack_gpus),
            tensor_gpus,
            compute_s,
        }
    })
}

fn any_cause(n_pools: usize) -> impl Strategy<Value = CauseSpec> {
    (
        prop_oneof![3 => Just(Affects::Compute), 1 => Just(Affects::Network)],
        prop_oneof![Just(Effect::Slowdown), Just(Effect::Stall)],
        prop::sample::select(SCOPES.to_vec()),
        prop_oneof![Just(Span::Run), Just(Span::Step)],
        prop::sample::select(vec![1.0, 0.5, 0.1, 1e-6, 0.0]),
        any_law(),
        prop::sample::subsequence((0..n_pools).collect::<Vec<_>>(), 1..=n_pools),
        (any_units(), any_period(), any_correlation(), any_trend()),
    )
        .prop_map(
            |(affects, effect, scope, span, probability, law, pools, among)| {
                let (units, period, correlation_steps, trend_per_step) = among;
                let may_drift = span == Span::Step
                    && matches!(scope, Scope::Node | Scope::Pool | Scope::Cluster)
                    && law.components().len() == 1;
                let correlation_steps = correlation_steps.filter(|_| may_drift);
                let may_come = span == Span::Step && correlation_steps.is_none();
                let may_grow = span == Span::Step
                    && effect == Effect::Slowdown
                    && scope.is_pool_wide()
                    && trend_per_step > 0.0;
                let (probability, period) = if may_grow {
                    (1.0, None)
                } else {
                    (probability, period)
                };
                CauseSpec {
                    name: String::new(),
                    affects,
                    effect,
                    scope,
                    span,
                    probability,
                    law: law.into(),
                    units: units.filter(|_| pools.len() == 1 && !scope.is_pool_wide()),
                    period: period.filter(|_| may_come),
                    correlation_steps,
                    trend_per_step: if may_grow { trend_per_step } else { 0.0 },
                    episode: None,
                    pools,
                }
            },
        )
}

/// All units or some of the first ones, in ranges that may overlap.
fn any_units() -> impl Strategy<Value = Option<Vec<(u32, u32)>>> {
    let range = (0..40_u32, 0..6_u32).prop_map(|(first, more)| (first, first + more));
    prop_oneof![
        2 => Just(None),
        1 => prop::collection::vec(range, 1..4).prop_map(Some),
    ]
}

/// No growth from step to step, or some.
fn any_trend() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![0.0, 1e-4, 0.3])
}

/// A draw for each step, or one that follows those of other steps.
fn any_correlation() -> impl Strategy<Value = Option<f64>> {
    let steps = prop::sample::select(vec![1e-3, 0.05, 1.0, 20.0, 3000.0, 1e8]);
    prop_oneof![1 => Just(None), 1 => steps.prop_map(Some)]
}

/// All steps, or one of a few of any phase.
fn any_period() -> impl Strategy<Value = Option<PeriodSpec>> {
    let phase = prop_oneof![
        Just(Phase::Any),
        (0..30_u32).prop_map(Phase::At),
        any_law().prop_map(|law| Phase::Of(law.into())),
    ];
    let period = (1..20_u32, phase).prop_map(|(steps, phase)| PeriodSpec { steps, phase });
    prop_oneof![2 => Just(None), 1 => period.prop_map(Some)]
}

fn any_law() -> impl Strategy<Value = Law> {
    let pieces = mixture(vec![
        (0.5, constant(1.0)),
        (0.25, lognormal(1.0, 0.2)),
        (0.25, uniform(0.5, 2.0)),
    ]);
    prop::sample::select(vec![
        constant(1.1),
        lognormal(1.0, 0.1),
        exponential(0.5, 0.5),
        uniform(0.9, 1.4),
        empirical(&[0.9, 1.0, 1.0, 1.3]),
        capped(pareto(1.0, 1.2), 9.0),
        pieces.clone(),
        capped(pieces, 1.2),
    ])
}

fn any_communication(n_pools: usize) -> impl Strategy<Value = Communication> {
    let numbers = move |most| prop::collection::vec(0.0..most, n_pools);
    // All terms together hide behind no more than all compute.
    let any_term = (numbers(5.0), numbers(5.0), numbers(1.0 / 3.0), 1..20_u32).prop_map(
        |(latency_s, transfer_s, window_share, n_buckets)| Term {
            latency_s,
            transfer_s,
            window_share,
            n_buckets,
            hops: None,
        },
    );
    let any_cost = prop_oneof![Just(0.0), 0.0..1.0];
    (prop::collection::vec(any_term, 0..4), 0.0..1.0, any_cost).prop_map(
        |(terms, overlap_fraction, hidden_cost)| Communication {
            terms,
            overlap_fraction,
            hidden_cost,
        },
    )
}
