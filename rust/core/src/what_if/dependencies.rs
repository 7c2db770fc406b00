//! Which operations of a replica wait for which, read off its first recorded step.

use super::kind::Kind;
use super::layout::Layout;
use super::order::{Group, Order};
use super::recorded::Recorded;
use super::transfers::transfers;
use crate::error::{Error, Result};

/// The order of all operations of a replica.
///
/// # Errors
/// [`Error::Domain`] where transfers do not match passes, or operations wait in a circle;
/// [`Error::Field`] where no stage has passes or an optimizer.
pub fn order(recorded: &Recorded<'_>) -> Result<Order> {
    let layout = recorded.layout;
    let mut waits = Waits(vec![vec![]; layout.n_slots()]);
    let mut pairs = vec![];
    for (compute, send, recv) in [
        (Kind::ForwardCompute, Kind::ForwardSend, Kind::ForwardRecv),
        (
            Kind::BackwardCompute,
            Kind::BackwardSend,
            Kind::BackwardRecv,
        ),
    ] {
        let found = transfers(recorded, compute, send, recv)?;
        pairs.extend(found.pairs);
        for (later, before) in found.waits {
            waits.add(later, before);
        }
    }
    for stage in 0..layout.n_stages {
        let passes = recorded.by_start(stage, &[Kind::ForwardCompute, Kind::BackwardCompute]);
        for kind in [Kind::BackwardCompute, Kind::ForwardCompute, Kind::Optimizer] {
            if layout.slots(stage, kind).is_empty() {
                return Err(Error::Field {
                    field: format!("{} of stage {stage}", kind.name()),
                    missing: true,
                });
            }
        }
        waits.chain(&passes);
        for kind in [
            Kind::ForwardSend,
            Kind::ForwardRecv,
            Kind::BackwardSend,
            Kind::BackwardRecv,
        ] {
            waits.chain(&recorded.by_start(stage, &[kind]));
        }
        first_backward(recorded, stage, &passes, &mut waits);
        gradients_and_parameters(recorded, stage, &passes, &mut waits);
        after_passes(recorded, stage, &passes, &mut waits);
    }
    Order::new(groups(layout, &pairs), &waits.0)
}

/// For each slot, the slots that must have ended before it begins.
struct Waits(Vec<Vec<u32>>);

impl Waits {
    fn add(&mut self, later: usize, before: usize) {
        self.0[later].push(before as u32);
    }

    /// Makes each of some slots wait for the one before it.
    fn chain(&mut self, slots: &[usize]) {
        for pair in slots.windows(2) {
            self.add(pair[1], pair[0]);
        }
    }
}

/// The first transfers of backward passes are launched with the last forward pass of the warm-up, so
/// that they wait for the one before it.
fn first_backward(recorded: &Recorded<'_>, stage: usize, passes: &[usize], waits: &mut Waits) {
    let is_backward = |&slot: &usize| recorded.layout.whose(slot).1 == Kind::BackwardCompute;
    let Some(first) = passes.iter().position(is_backward) else {
        return;
    };
    if first < 2 {
        return;
    }
    for kind in [Kind::BackwardRecv, Kind::BackwardSend] {
        if let Some(slot) = recorded.layout.slots(stage, kind).next() {
            waits.add(slot, passes[first - 2]);
        }
    }
}

/// Collectives between replicas: the gathers of parameters and the scatters of gradients follow each
/// other, the first forward pass of a chunk waits for its last gather, and where scatters overlap
/// with passes, the first one of a chunk waits for its last backward pass.
fn gradients_and_parameters(
    recorded: &Recorded<'_>,
    stage: usize,
    passes: &[usize],
    waits: &mut Waits,
) {
    let layout = recorded.layout;
    let kinds = [Kind::ParamsAllGather, Kind::GradsReduceScatter];
    waits.chain(&recorded.by_start(stage, &kinds));
    let of_chunk = |kind: Kind, chunk: i32| {
        let of_kind =
            move |&&slot: &&usize| layout.whose(slot).1 == kind && recorded.chunk[slot] == chunk;
        passes.iter().filter(of_kind).copied()
    };
    let mut chunks = vec![];
    for gather in layout.slots(stage, Kind::ParamsAllGather).rev() {
        let chunk = recorded.chunk[gather];
        if !chunks.contains(&chunk) {
            chunks.push(chunk);
            if let Some(first) = of_chunk(Kind::ForwardCompute, chunk).next() {
                waits.add(first, gather);
            }
        }
    }
    if !overlaps(layout) {
        return;
    }
    let mut chunks = vec![];
    for scatter in layout.slots(stage, Kind::GradsReduceScatter) {
        let chunk = recorded.chunk[scatter];
        if !chunks.contains(&chunk) {
            chunks.push(chunk);
            let backwards = of_chunk(Kind::BackwardCompute, chunk);
            if let Some(last) = latest(recorded, backwards) {
                waits.add(scatter, last);
            }
        }
    }
}

/// What follows the last pass: garbage collection, then one collective after another, and the
/// optimizer. Scatters of gradients are among them unless they overlap with passes.
fn after_passes(recorded: &Recorded<'_>, stage: usize, passes: &[usize], waits: &mut Waits) {
    let layout = recorded.layout;
    let mut tail = vec![];
    tail.extend(latest(recorded, passes.iter().copied()));
    tail.extend(layout.slots(stage, Kind::Gc));
    let begin = tail.len();
    tail.extend(layout.slots(stage, Kind::LayernormGradsAllReduce));
    tail.extend(layout.slots(stage, Kind::EmbeddingGradsAllReduce));
    if overlaps(layout) {
        tail.extend(layout.slots(stage, Kind::SeparateGradsAllReduce));
    } else {
        tail.extend(layout.slots(stage, Kind::GradsReduceScatter));
    }
    tail.extend(layout.slots(stage, Kind::OptimizerClipMainGrad));
    tail.extend(layout.slots(stage, Kind::Optimizer));
    waits.chain(&tail);
    if overlaps(layout) {
        let last = layout.slots(stage, Kind::GradsReduceScatter).next_back();
        if let Some(last) = last {
            waits.add(tail[begin], last);
        }
    }
}

/// Whether scatters of gradients overlap with backward passes: then what is left of the gradients
/// has an all-reduce of its own.
fn overlaps(layout: &Layout) -> bool {
    (0..layout.n_stages).any(|stage| {
        let slots = layout.slots(stage, Kind::SeparateGradsAllReduce);
        !slots.is_empty()
    })
}

/// The slot that ended last; of several the first.
fn latest(recorded: &Recorded<'_>, slots: impl Iterator<Item = usize>) -> Option<usize> {
    slots.reduce(|best, slot| {
        if recorded.end_s[slot] > recorded.end_s[best] {
            slot
        } else {
            best
        }
    })
}

/// Operations that end together: a send with its receive, embeddings of the first and the last
/// stage, norms of all gradients on all stages; every other one is alone on its replica.
fn groups(layout: &Layout, pairs: &[[usize; 2]]) -> Vec<Group> {
    let of = |kind: Kind, stages: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
        stages.flat_map(|stage| layout.slots(stage, kind)).collect()
    };
    let ends = [0, layout.n_stages - 1];
    let n_ends = ends.len().min(layout.n_stages);
    let together = pairs.iter().map(|pair| pair.to_vec()).chain([
        of(
            Kind::EmbeddingGradsAllReduce,
            &mut ends[..n_ends].iter().copied(),
        ),
        of(Kind::OptimizerClipMainGrad, &mut (0..layout.n_stages)),
    ]);
    let mut is_placed = vec![false; layout.n_slots()];
    let mut groups = vec![];
    for slots in together.filter(|slots| !slots.is_empty()) {
        for &slot in &slots {
            is_placed[slot] = true;
        }
        groups.push(slots);
    }
    let alone = (0..layout.n_slots()).filter(|&slot| !is_placed[slot]);
    groups.extend(alone.map(|slot| vec![slot]));
    groups
        .into_iter()
        .map(|slots| Group {
            joins_replicas: layout.whose(slots[0]).1.joins_replicas(),
            slots: slots.into_iter().map(|slot| slot as u32).collect(),
        })
        .collect()
}
