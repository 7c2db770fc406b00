//! The walk through all operations of some steps at once.

use super::order::{Group, Order};

/// Steps of one walk: as many as two or four registers hold.
pub const STEPS_PER_BLOCK: usize = 8;

/// Seconds of one operation in each step of a block.
pub type Seconds = [f64; STEPS_PER_BLOCK];

/// Sets when each operation ends, in seconds from the beginning of its step.
///
/// An operation begins when all that it waits for have ended, and at 0 where there is nothing. One
/// of a group has its work done from the time on when the last of the group has begun.
///
/// # Parameters
/// - `work_s`: seconds of an operation without waiting, by slot and lane; a lane is a replica
/// - `met_s`: scratch buffer, one a lane
/// - `ends_s`: set by slot and lane
pub fn walk(
    order: &Order,
    work_s: impl Fn(usize, usize) -> Seconds,
    met_s: &mut [Seconds],
    ends_s: &mut [Seconds],
) {
    let n_lanes = met_s.len();
    for group in &order.groups {
        for (lane, met_s) in met_s.iter_mut().enumerate() {
            *met_s = begins_s(order, group, &*ends_s, lane, n_lanes);
        }
        if group.joins_replicas {
            let last_s = met_s.iter().copied().reduce(later).unwrap_or_default();
            met_s.fill(last_s);
        }
        for &slot in &group.slots {
            let slot = slot as usize;
            let ends_s = &mut ends_s[slot * n_lanes..][..n_lanes];
            for (lane, (end_s, met_s)) in ends_s.iter_mut().zip(&*met_s).enumerate() {
                let work_s = work_s(slot, lane);
                for step in 0..STEPS_PER_BLOCK {
                    end_s[step] = met_s[step] + work_s[step];
                }
            }
        }
    }
}

/// When the last operation of a group begins on one replica.
fn begins_s(
    order: &Order,
    group: &Group,
    ends_s: &[Seconds],
    lane: usize,
    n_lanes: usize,
) -> Seconds {
    let of_slots = group.slots.iter().map(|&slot| {
        let ends = order.waits(slot).iter();
        let ends = ends.map(|&before| ends_s[before as usize * n_lanes + lane]);
        ends.reduce(later).unwrap_or_default()
    });
    of_slots.reduce(later).unwrap_or_default()
}

/// The later of two times, step by step.
pub fn later(one: Seconds, other: Seconds) -> Seconds {
    std::array::from_fn(|step| {
        // Not `f64::max`, whose care for NaN costs instructions.
        if one[step] > other[step] {
            one[step]
        } else {
            other[step]
        }
    })
}
