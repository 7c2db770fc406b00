//! Schedules against closed forms, and the shapes that they refuse.

use hindmost_core::Error;
use hindmost_core::schedule::recursion::PassTimes;
use hindmost_core::schedule::{Direction, Kind, MAX_STAGES, Schedule, Shape};

fn shape(stages: u32, chunks: u32, microbatches: u32) -> Shape {
    Shape {
        stages,
        chunks,
        microbatches,
    }
}

/// Seconds of a step whose passes of one direction all take as long.
fn step_s(kind: Kind, shape: Shape, [forward, backward, weight]: [f64; 3], transfer_s: f64) -> f64 {
    let each = |seconds| vec![seconds; (shape.virtual_stages() * shape.microbatches) as usize];
    let times = PassTimes {
        forward_s: each(forward),
        backward_s: each(backward),
        weight_s: if kind.has_weight_passes() {
            each(weight)
        } else {
            vec![]
        },
    };
    let schedule = Schedule::new(kind, shape).unwrap();
    let transfers_s = vec![transfer_s; shape.stages as usize];
    times.step_seconds(&schedule, &transfers_s).unwrap()
}

#[test]
fn the_bubble_of_gpipe_and_of_1f1b_is_p_minus_1_microbatches() {
    for kind in [Kind::Gpipe, Kind::OneFOneB] {
        for (p, m) in [(1, 1), (1, 7), (2, 8), (4, 4), (4, 16), (16, 64)] {
            let found = step_s(kind, shape(p, 1, m), [1.0, 2.0, 0.0], 0.0);
            let exact = f64::from(m + p - 1) * 3.0;
            assert_eq!(found, exact, "{kind:?} {p} {m}");
        }
    }
}

#[test]
fn chunks_divide_the_bubble() {
    for (p, chunks, m) in [(2, 2, 8), (4, 2, 16), (4, 4, 8)] {
        let found = step_s(Kind::Interleaved, shape(p, chunks, m), [1.0, 2.0, 0.0], 0.0);
        let exact = f64::from(m * chunks + p - 1) * 3.0;
        assert_eq!(found, exact, "{p} {chunks} {m}");
    }
}

#[test]
fn weight_gradients_fill_the_bubble_of_zb_h1() {
    for (p, m) in [(2, 8), (4, 16), (8, 24)] {
        let found = step_s(Kind::ZeroBubble, shape(p, 1, m), [1.0, 1.0, 1.0], 0.0);
        // (p - 1) (f + b - w) is left of the bubble (p - 1) (f + b + w) of 1F1B.
        let exact = f64::from(m) * 3.0 + f64::from(p - 1);
        assert_eq!(found, exact, "{p} {m}");
    }
}

#[test]
fn data_travel_between_stages_and_not_within_one() {
    // One microbatch goes through all stages and back.
    let through = step_s(Kind::OneFOneB, shape(4, 1, 1), [1.0, 2.0, 0.0], 0.25);
    assert_eq!(through, 4.0 * 3.0 + 6.0 * 0.25);
    let alone = step_s(Kind::Interleaved, shape(1, 4, 2), [1.0, 2.0, 0.0], 0.25);
    assert_eq!(alone, 8.0 * 3.0);
}

#[test]
fn every_pass_comes_once_and_after_what_it_waits_for() {
    for kind in Kind::ALL {
        let chunks = match kind {
            Kind::Interleaved | Kind::BubbleFree => 3,
            _ => 1,
        };
        let shape = shape(4, chunks, 8);
        let schedule = Schedule::new(kind, shape).unwrap();
        let n_virtual = shape.virtual_stages();
        let mut done: Vec<(Direction, u32, u32)> = vec![];
        for pass in schedule.passes() {
            let k = pass.op.chunk * shape.stages + pass.stage;
            let needs = match pass.op.direction {
                Direction::Forward => k.checked_sub(1).map(|before| (Direction::Forward, before)),
                Direction::Backward if k + 1 < n_virtual => Some((Direction::Backward, k + 1)),
                Direction::Backward => Some((Direction::Forward, k)),
                Direction::Weight => Some((Direction::Backward, k)),
            };
            // Without bubbles only a stage's own passes wait for each other.
            let waits = |&(_, from): &(Direction, u32)| {
                kind != Kind::BubbleFree || from % shape.stages == pass.stage
            };
            if let Some((direction, k)) = needs.filter(waits) {
                assert!(
                    done.contains(&(direction, k, pass.op.microbatch)),
                    "{kind:?}"
                );
            }
            let this = (pass.op.direction, k, pass.op.microbatch);
            assert!(!done.contains(&this), "{kind:?}: {this:?} twice");
            done.push(this);
        }
        let directions = if kind.has_weight_passes() { 3 } else { 2 };
        assert_eq!(
            done.len() as u32,
            directions * n_virtual * shape.microbatches
        );
    }
}

#[test]
fn without_bubbles_a_step_takes_what_its_busiest_stage_takes() {
    // Any number of microbatches, and transfers that nobody waits for.
    for (p, chunks, m) in [(4, 1, 8), (3, 2, 5), (1, 4, 2)] {
        let found = step_s(Kind::BubbleFree, shape(p, chunks, m), [1.0, 2.0, 0.0], 0.25);
        assert_eq!(found, f64::from(chunks * m) * 3.0);
    }
    let schedule = Schedule::new(Kind::BubbleFree, shape(2, 1, 3)).unwrap();
    let times = PassTimes {
        forward_s: vec![1.0, 1.0, 1.0, 2.0, 5.0, 2.0],
        backward_s: vec![1.0, 1.0, 1.0, 3.0, 3.0, 3.0],
        weight_s: vec![],
    };
    assert_eq!(times.step_seconds(&schedule, &[9.0, 9.0]).unwrap(), 18.0);
}

#[test]
fn shapes_that_have_no_schedule_are_refused() {
    let many = 1 << 20;
    for (kind, shape, name) in [
        (Kind::Gpipe, shape(0, 1, 1), "stages"),
        (Kind::Gpipe, shape(1, 0, 1), "chunks"),
        (Kind::Gpipe, shape(1, 1, 0), "microbatches"),
        (Kind::OneFOneB, shape(MAX_STAGES + 1, 1, 1), "stages"),
        (Kind::OneFOneB, shape(2, 2, 4), "chunks"),
        (Kind::Interleaved, shape(4, 2, 6), "microbatches"),
        (Kind::ZeroBubble, shape(2, 1, many), "microbatches"),
    ] {
        match Schedule::new(kind, shape) {
            Err(Error::Domain { field, .. }) => assert_eq!(field, name, "{kind:?} {shape:?}"),
            other => panic!("{kind:?} {shape:?}: {:?}", other.map(|_| ())),
        }
    }
}
