//! Pinned numbers. A change of one of them moves every sampled result and is
//! named under *Values* in the changelog.

mod common;

use common::draws::{only_cause, plan_of};
use common::laws::{
    bounded_pareto, capped, constant, empirical, exponential, gamma, log_uniform, lognormal,
    mixture, normal, pareto, tabulated_weibull, uniform, weibull,
};
use common::plans::{cause, jitter, network, pool, term, with_probability};
use common::replay::{Replay, Row};
use hindmost_core::control::Control;
use hindmost_core::law::with_pareto_tail;
use hindmost_core::plan::{CauseSpec, Communication, Effect, Plan, PoolSpec, Scope, Span};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::simd::InstructionSet;

/// Words of both sides; the first two and the last two take 32 more bits.
const WORDS: [u32; 8] = [
    0x00000000, 0x0000abcd, 0x00012345, 0x23456789, 0x80000000, 0xcafef00d, 0xffff1234, 0xffffffff,
];
const MORE_BITS: u32 = 0x89abcdef;

const SEED: u64 = 0x0123_4567_89ab_cdef;
const RUN: u32 = 2;

#[test]
fn a_law_has_these_values_at_these_words() {
    for (name, law, pinned) in [
        (
            "constant",
            constant(1.25),
            [
                0x3fa00000, 0x3fa00000, 0x3fa00000, 0x3fa00000, 0x3fa00000, 0x3fa00000, 0x3fa00000,
                0x3fa00000,
            ],
        ),
        (
            "lognormal",
            lognormal(1.5, 0.4),
            [
                0x3df48b30, 0x3e8bc38f, 0x3e929bd0, 0x3f7843d7, 0x3fc00000, 0x40051740, 0x41001281,
                0x4196beff,
            ],
        ),
        (
            "exponential",
            exponential(2.0, 0.5),
            [
                0x3f000000, 0x3f000158, 0x3f000247, 0x3f4be66a, 0x3ff17218, 0x4069934a, 0x41b6a041,
                0x42386880,
            ],
        ),
        (
            "gamma",
            gamma(2.5, 0.8),
            [
                0x39146342, 0x3c56ee29, 0x3c84e0e0, 0x3f42ffe1, 0x3fdecb76, 0x403801a3, 0x41408fb9,
                0x41b0480d,
            ],
        ),
        (
            "pareto",
            pareto(1.2, 9.5),
            [
                0x3f99999a, 0x3f9999a4, 0x3f9999ac, 0x3f9c0402, 0x3fa539e0, 0x3fb54b50, 0x4078bb62,
                0x4153ab06,
            ],
        ),
        (
            "uniform",
            uniform(0.5, 3.0),
            [
                0x3f000000, 0x3f0001ae, 0x3f0002d8, 0x3f582d83, 0x3fe00000, 0x401edf56, 0x403fff6b,
                0x40400000,
            ],
        ),
        (
            "log-uniform",
            log_uniform(0.1, 10.0),
            [
                0x3dcccccd, 0x3dcccf45, 0x3dccd0fe, 0x3e4121fa, 0x3f800000, 0x4076a6fc, 0x411ffd54,
                0x41200000,
            ],
        ),
        (
            "empirical",
            empirical(&[1.0, 1.25, 1.5, 2.5, 4.0, 8.0]),
            [
                0x3f800000, 0x3f80006b, 0x3f8000b6, 0x3f960b61, 0x40000000, 0x407c9e02, 0x40fffdae,
                0x41000000,
            ],
        ),
        (
            "tabulated",
            tabulated_weibull(1.7),
            [
                0x35c8dc0b, 0x3a9831cf, 0x3acf9de6, 0x3ea692ad, 0x3f4e5a04, 0x3fa73234, 0x4084497f,
                0x40c95906,
            ],
        ),
        (
            "mixture",
            mixture(vec![
                (0.75, lognormal(1.0, 0.5)),
                (0.25, exponential(2.0, 0.75)),
            ]),
            [
                0x3d2d3147, 0x3df36dcd, 0x3e0135e5, 0x3f14699a, 0x3f800000, 0x4079934a, 0x41b8a041,
                0x42396880,
            ],
        ),
        (
            "weibull",
            weibull(1.7, 0.8),
            [
                0x35a0b009, 0x3a7382e6, 0x3aa617eb, 0x3e854223, 0x3f2514d0, 0x3f85c1c2, 0x4053a8cb,
                0x40a11405,
            ],
        ),
        (
            "normal",
            normal(0.6, 0.4),
            [
                0x2fc66355, 0x37f78f26, 0x3851d878, 0x3e836e8d, 0x3f222f1d, 0x3f724a22, 0x4011f8cf,
                0x4048a320,
            ],
        ),
        (
            "bounded pareto",
            bounded_pareto(1.2, 0.75, 40.0),
            [
                0x3f99999a, 0x3f999a19, 0x3f999a72, 0x3fb854f7, 0x40305f32, 0x40e28090, 0x421ff609,
                0x42200000,
            ],
        ),
        (
            "samples and their tail",
            with_pareto_tail(vec![1.0, 2.0, 1.25, 1.75, 3.0], 1.5, 9.0).unwrap(),
            [
                0x3f800000, 0x3f800056, 0x3f800092, 0x3f91a2b4, 0x3fe00000, 0x400afef0, 0x41100000,
                0x41100000,
            ],
        ),
        (
            "capped",
            capped(pareto(1.0, 0.75), 8.0),
            [
                0x3f800000, 0x3f800073, 0x3f8000c2, 0x3f9bf93d, 0x40214518, 0x41000000, 0x41000000,
                0x41000000,
            ],
        ),
    ] {
        let plan = plan_of(law);
        let cause = only_cause(&plan);
        let values = WORDS.map(|word| {
            // The same word chooses a mixture's component.
            let table = cause.chosen_table(word, || MORE_BITS);
            table.value(word, || MORE_BITS).to_bits()
        });
        assert_eq!(values, pinned, "{name}: {values:#x?}");
    }
}

fn pools() -> Vec<PoolSpec> {
    // 6 of 8 GPUs of two domains, and 2 GPUs of a third; 8 GPUs and a spare.
    vec![pool("a", 18, 4, 8, 3, 2.0), pool("b", 9, 4, 8, 8, 1.75)]
}

/// Every scope, both spans, occurrences, a mixture, stalls and network noise.
fn causes() -> Vec<CauseSpec> {
    use {Effect::Slowdown, Effect::Stall, Span::Run, Span::Step};
    let both = [0, 1];
    let stages = mixture(vec![
        (0.75, constant(1.0)),
        (0.25, capped(pareto(1.0, 1.5), 3.0)),
    ]);
    let ports = cause("port", Scope::Gpu, Run, Slowdown, gamma(9.0, 0.125), &both);
    let retry = cause("retry", Scope::Node, Step, Stall, uniform(0.0, 1.0), &both);
    vec![
        jitter("jitter", lognormal(1.0, 0.05), &both),
        cause("speed", Scope::Gpu, Run, Slowdown, uniform(0.9, 1.1), &both),
        cause(
            "host",
            Scope::Node,
            Step,
            Stall,
            exponential(0.2, 0.1),
            &[0],
        ),
        cause("switch", Scope::Domain, Run, Stall, gamma(2.0, 0.05), &both),
        cause(
            "power",
            Scope::Rack,
            Step,
            Slowdown,
            log_uniform(1.0, 1.5),
            &[1],
        ),
        cause("data", Scope::Replica, Step, Slowdown, stages, &both),
        cause(
            "clock",
            Scope::Pool,
            Step,
            Slowdown,
            tabulated_weibull(9.0),
            &both,
        ),
        cause(
            "grid",
            Scope::Cluster,
            Step,
            Slowdown,
            lognormal(1.0, 0.1),
            &both,
        ),
        with_probability(jitter("fault", empirical(&[1.0, 2.0, 4.0]), &both), 0.1),
        network(ports),
        network(with_probability(retry, 0.25)),
    ]
}

fn communication() -> Communication {
    Communication {
        terms: vec![
            term(&[0.01, 0.02], &[0.5, 0.25], 1.0 / 3.0, 10),
            term(&[0.0, 0.0], &[1.0, 0.75], 2.0 / 3.0, 4),
        ],
        overlap_fraction: 0.9,
        hidden_cost: 0.0,
    }
}

fn replay() -> Replay {
    Replay::new(SEED, RUN, &pools(), &causes(), &communication())
}

/// The small plan in each instruction set of this processor.
fn plans() -> impl Iterator<Item = Plan> {
    let sets = InstructionSet::ALL.into_iter();
    sets.filter(|set| set.is_available()).map(|set| {
        let plan = Plan::new(pools(), causes(), communication()).unwrap();
        plan.with_instructions(set)
    })
}

#[test]
fn a_small_plan_has_these_rank_times() {
    let pinned: [u32; 40] = [
        0x40bdaf45, 0x40c5b43b, 0x40d6dfe9, 0x4014a16e, 0x4060c27c, 0x404b73f8, 0x4060c260,
        0x4034894e, 0x40486fde, 0x4034d2c0, 0x401d953d, 0x401f01a2, 0x40211af6, 0x4099a160,
        0x40136271, 0x4025592f, 0x402aea44, 0x4026cfd0, 0x40440faf, 0x402f661b, 0x40fb36d0,
        0x402158c2, 0x40185700, 0x407adc58, 0x4084f6e5, 0x4112287c, 0x40db5857, 0x40e932c7,
        0x40f6490e, 0x40c85ee2, 0x40b3ea6e, 0x40afd2ed, 0x403b05b4, 0x403082ac, 0x410dd046,
        0x403a8def, 0x403abeab, 0x403dd24a, 0x40462f49, 0x40551536,
    ];
    let replayed = [2, 7].map(|step| replay().rank_times(step)).concat();
    for plan in plans() {
        let mut times = vec![0.0; 2 * 20];
        rank_times(&plan, SEED, RUN, &[2, 7], &mut times, &Control::default()).unwrap();
        let bits: Vec<u32> = times.iter().map(|time| time.to_bits()).collect();
        assert_eq!(bits, pinned, "{:?} {bits:#x?}", plan.instructions());
        assert_eq!(times, replayed);
    }
}

#[test]
fn a_small_plan_has_these_rows() {
    let n_steps = 5;
    let pinned: [Row; 5] = [
        Row {
            compute_s: 8.097565174102783,
            stall_s: 0.08739682752639055,
            exposed_comm_s: 0.6676488610208035,
            slowest: 1,
        },
        Row {
            compute_s: 4.425422191619873,
            stall_s: 0.2965165674686432,
            exposed_comm_s: 0.6635000461935997,
            slowest: 0,
        },
        Row {
            compute_s: 6.714832782745361,
            stall_s: 0.25822246074676514,
            exposed_comm_s: 0.7596855888366699,
            slowest: 0,
        },
        Row {
            compute_s: 3.9230589866638184,
            stall_s: 0.5947763919830322,
            exposed_comm_s: 1.0296745071411135,
            slowest: 0,
        },
        Row {
            compute_s: 7.717275619506836,
            stall_s: 0.8803240060806274,
            exposed_comm_s: 0.824635995388031,
            slowest: 0,
        },
    ];
    for plan in plans() {
        let sampled = sample(&plan, SEED, RUN + 1, n_steps, &Control::default()).unwrap();
        for (step, pinned) in (0..n_steps).zip(&pinned) {
            let index = (RUN * n_steps + step) as usize;
            let row = Row {
                compute_s: sampled.compute_s[index],
                stall_s: sampled.stall_s[index],
                exposed_comm_s: sampled.exposed_comm_s[index],
                slowest: sampled.slowest[index],
            };
            assert_eq!(row, replay().row(step));
            assert_eq!(row, *pinned, "{:?}", plan.instructions());
            let time_s = pinned.compute_s + pinned.exposed_comm_s;
            assert_eq!(sampled.step_time_s[index], time_s);
        }
    }
}

/// The small pools with all scopes that drift, on ranks and on ports, and nothing else.
fn drifting_causes() -> Vec<CauseSpec> {
    use {Effect::Slowdown, Effect::Stall, Span::Step};
    let both = [0, 1];
    let drifting = |cause: CauseSpec, correlation_steps| CauseSpec {
        correlation_steps: Some(correlation_steps),
        ..cause
    };
    let of = |name, scope, effect, law| cause(name, scope, Step, effect, law, &both);
    let wave = of("wave", Scope::Cluster, Slowdown, lognormal(1.0, 0.1));
    let heat = of("heat", Scope::Pool, Slowdown, gamma(9.0, 0.125));
    let host = of("host", Scope::Node, Slowdown, uniform(0.9, 1.1));
    let disk = of("disk", Scope::Node, Stall, exponential(0.2, 0.0));
    let named = CauseSpec {
        units: Some(vec![(1, 2)]),
        pools: vec![0],
        ..with_probability(disk, 0.5)
    };
    let ports = of(
        "ports",
        Scope::Cluster,
        Slowdown,
        empirical(&[1.0, 1.5, 4.0]),
    );
    vec![
        drifting(wave, 1000.0),
        drifting(heat, 3.0),
        drifting(host, 40.0),
        drifting(named, 0.5),
        drifting(network(ports), 10.0),
    ]
}

#[test]
fn what_drifts_has_these_rank_times_and_rows() {
    let pinned: [u32; 10] = [
        0x4019b405, 0x402a1aca, 0x40397756, 0x3fcb2a97, 0x3fb04f4b, 0x3fa7ac61, 0x3fcf08ac,
        0x3fb029cc, 0x3ff01cb0, 0x3fe1233d,
    ];
    let pinned_s = [
        3.112305844783783,
        2.7020225236415865,
        3.3156998286247252,
        3.5275417098999022,
        2.9995965251922607,
        2.978093106508255,
        3.666269958972931,
        3.7451288948059083,
    ];
    let replay = |run| Replay::new(SEED, run, &pools(), &drifting_causes(), &communication());
    let steps = [2, 4_000_000_001];
    let replayed = steps.map(|step| replay(RUN).rank_times(step)).concat();
    for set in InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
    {
        let plan = Plan::new(pools(), drifting_causes(), communication()).unwrap();
        let plan = plan.with_instructions(set);
        let mut times = vec![0.0; 2 * 20];
        rank_times(&plan, SEED, RUN, &steps, &mut times, &Control::default()).unwrap();
        assert_eq!(times, replayed);
        let bits: Vec<u32> = times.iter().step_by(4).map(|time| time.to_bits()).collect();
        assert_eq!(bits, pinned, "{set:?} {bits:#x?}");
        let sampled = sample(&plan, SEED, 1, 8, &Control::default()).unwrap();
        assert_eq!(sampled.step_time_s, pinned_s);
    }
}

#[test]
fn a_small_plan_has_these_expected_times() {
    let plan = Plan::new(pools(), causes(), communication()).unwrap();
    let sampled = sample(&plan, SEED, RUN + 1, 1, &Control::default()).unwrap();
    let of_run = RUN as usize * 2..;
    let pinned_busy_s = [2.639456368295765, 2.8636593507165693];
    let pinned_stall_s = [0.39583143889904027, 0.08739682752639055];
    assert_eq!(sampled.busy_s[of_run.clone()], pinned_busy_s);
    assert_eq!(sampled.own_stall_s[of_run], pinned_stall_s);
}
