//! The number of threads changes no byte, and a stop is heard.

mod common;

use common::laws::{capped, empirical, exponential, lognormal, pareto, uniform};
use common::plans::{cause, jitter, network, plan, pool, term, with_probability};
use hindmost_core::Error;
use hindmost_core::control::Control;
use hindmost_core::plan::{CauseSpec, Communication, Effect, Plan, Scope, Span};
use hindmost_core::sample::{rank_times, sample};
use hindmost_core::step::Columns;

const SEED: u64 = 800;
const RUNS: u32 = 3;
/// No multiple of the four steps of a quad.
const STEPS: u32 = 37;

/// Two pools of more ranks than one task draws, and spares.
fn large_plan() -> Plan {
    let both = [0, 1];
    let law = || lognormal(1.0, 0.05);
    let of = |name, scope, span, law| cause(name, scope, span, Effect::Slowdown, law, &both);
    let drifting = |name, scope, correlation_steps| CauseSpec {
        correlation_steps: Some(correlation_steps),
        ..of(name, scope, Span::Step, law())
    };
    let stalling = |name, scope, span, law, pools: &[usize]| {
        cause(name, scope, span, Effect::Stall, law, pools)
    };
    let only = |pool, spec: CauseSpec| CauseSpec {
        pools: vec![pool],
        ..spec
    };
    let link = of("link", Scope::Gpu, Span::Run, empirical(&[1.0, 1.5]));
    let pause = stalling(
        "pause",
        Scope::Domain,
        Span::Step,
        exponential(0.3, 0.1),
        &[0],
    );
    let causes = vec![
        jitter("jitter", law(), &both),
        of("speed", Scope::Gpu, Span::Run, law()),
        stalling("host", Scope::Node, Span::Run, uniform(0.0, 0.1), &both),
        only(1, of("data", Scope::Replica, Span::Step, law())),
        of("grid", Scope::Cluster, Span::Step, law()),
        drifting("weather", Scope::Cluster, 50.0),
        drifting("heat", Scope::Node, 7.0),
        with_probability(pause, 0.01),
        network(jitter("port", capped(pareto(1.0, 3.0), 20.0), &both)),
        network(only(1, link)),
    ];
    let communication = Communication {
        terms: vec![term(&[0.01, 0.02], &[0.1, 0.2], 0.5, 8)],
        overlap_fraction: 0.5,
        hidden_cost: 0.0,
    };
    let pools = vec![
        pool("a", 9_003, 8, 8, 8, 1.0),
        pool("b", 5_000, 4, 72, 10, 0.9),
    ];
    Plan::new(pools, causes, communication).unwrap()
}

fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
    pool.build().unwrap().install(work)
}

fn bytes(sampled: &Columns) -> Vec<Vec<u8>> {
    let of = |column: &[f64]| column.iter().flat_map(|x| x.to_le_bytes()).collect();
    vec![
        of(&sampled.step_time_s),
        of(&sampled.compute_s),
        of(&sampled.exposed_comm_s),
        of(&sampled.stall_s),
        sampled
            .slowest
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        of(&sampled.busy_s),
        of(&sampled.own_stall_s),
    ]
}

#[test]
fn one_two_and_seven_threads_sample_the_same_bytes() {
    let plan = large_plan();
    let of = |n_threads| {
        let work = || sample(&plan, SEED, RUNS, STEPS, &Control::default()).unwrap();
        bytes(&on_threads(n_threads, work))
    };
    let expected = of(1);
    assert_eq!(expected[0].len(), 8 * (RUNS * STEPS) as usize);
    for n_threads in [2, 7] {
        assert!(of(n_threads) == expected, "{n_threads} threads");
    }
}

#[test]
fn one_two_and_seven_threads_replay_the_same_bytes() {
    let plan = large_plan();
    let n_ranks: u32 = plan.pools().iter().map(|pool| pool.n_ranks()).sum();
    let steps: Vec<u32> = (0..STEPS).chain([4, 2, 1_000_000]).collect();
    let of = |n_threads| {
        on_threads(n_threads, || {
            let mut times = vec![0.0_f32; steps.len() * n_ranks as usize];
            rank_times(&plan, SEED, 1, &steps, &mut times, &Control::default()).unwrap();
            times.iter().map(|time| time.to_bits()).collect::<Vec<_>>()
        })
    };
    let expected = of(1);
    for n_threads in [2, 7] {
        assert!(of(n_threads) == expected, "{n_threads} threads");
    }
}

#[test]
fn rows_do_not_depend_on_how_many_steps_and_runs_are_asked_for() {
    let plan = large_plan();
    let control = Control::default();
    let all = sample(&plan, SEED, RUNS, STEPS, &control).unwrap();
    let fewer = sample(&plan, SEED, RUNS - 1, 6, &control).unwrap();
    for run in 0..RUNS as usize - 1 {
        let (all, fewer) = (
            &all.step_time_s[run * STEPS as usize..][..6],
            &fewer.step_time_s[run * 6..][..6],
        );
        assert_eq!(all, fewer, "run {run}");
    }
}

#[test]
fn replayed_steps_do_not_depend_on_their_order_and_company() {
    let plan = plan(
        vec![pool("a", 100, 4, 8, 3, 1.0)],
        vec![
            jitter("jitter", lognormal(1.0, 0.1), &[0]),
            cause(
                "speed",
                Scope::Node,
                Span::Run,
                Effect::Slowdown,
                uniform(0.9, 1.1),
                &[0],
            ),
        ],
    );
    let of = |steps: &[u32]| {
        let mut times = vec![0.0; steps.len() * 72];
        rank_times(&plan, SEED, 0, steps, &mut times, &Control::default()).unwrap();
        times
    };
    let steps = [9, 3, 3, 2, 8, 11, 0];
    let together = of(&steps);
    for (times, step) in together.chunks(72).zip(steps) {
        assert_eq!(times, of(&[step]), "step {step}");
    }
    assert!(of(&[]).is_empty());
}

#[test]
fn a_stopped_control_stops_a_sample_and_a_replay() {
    let quiet = plan(vec![pool("a", 8, 4, 8, 8, 1.0)], vec![]);
    for plan in [large_plan(), quiet] {
        let control = Control::default();
        control.stop();
        let sampled = sample(&plan, SEED, 1, 1, &control);
        assert_eq!(sampled.unwrap_err(), Error::Stopped);
        let n_ranks: u32 = plan.pools().iter().map(|pool| pool.n_ranks()).sum();
        let mut times = vec![0.0; n_ranks as usize];
        let replayed = rank_times(&plan, SEED, 0, &[5], &mut times, &control);
        assert_eq!(replayed.unwrap_err(), Error::Stopped);
    }
}

#[test]
fn a_stop_on_the_way_ends_the_work() {
    // Minutes of work, if nothing stopped it.
    let plan = large_plan();
    let control = Control::default();
    let sampled = std::thread::scope(|scope| {
        scope.spawn(|| {
            while control.draws() == 0 {
                std::thread::yield_now();
            }
            control.stop();
        });
        sample(&plan, SEED, 1, 10_000_000, &control)
    });
    assert_eq!(sampled.unwrap_err(), Error::Stopped);
}

#[test]
fn draws_are_counted_as_the_plan_announces_them() {
    let plan = large_plan();
    let control = Control::default();
    sample(&plan, SEED, 2, 8, &control).unwrap();
    let persistent = control.draws() - 2 * 8 * plan.draws_per_step();
    let pools = plan.pools();
    let ranks = u64::from(pools[0].n_ranks() + pools[1].n_ranks());
    // In each run two persistent causes act on ranks and one on the ports of b.
    assert_eq!(persistent, 2 * (2 * ranks + u64::from(pools[1].n_ranks())));
}
