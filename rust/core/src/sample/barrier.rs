//! Steps that are one barrier: the slowest rank of all.

use super::{Slowest, search};
use crate::control::Control;
use crate::error::Result;
use crate::kernel::STEPS;
use crate::kernel::best::SlowestRank;
use crate::kernel::slowest::Searched;
use crate::plan::Plan;

/// The slowest rank of each of four steps.
pub(super) fn slowest_ranks(
    plan: &Plan,
    ranks: &[Searched],
    block: u32,
    control: &Control,
) -> Result<[Slowest; STEPS]> {
    let mut slowest = [Slowest::NOBODY; STEPS];
    for (index, (group, ranks)) in plan.groups().iter().zip(ranks).enumerate() {
        let found: [SlowestRank; STEPS] = search(ranks, block, control)?;
        for (slowest, rank) in slowest.iter_mut().zip(found) {
            slowest.meet(Slowest {
                group: index as u32,
                compute_s: group.compute_s() * f64::from(rank.time_rel),
                stall_s: group.compute_s() * f64::from(rank.stall_rel),
                exposed_comm_s: 0.0,
            });
        }
    }
    Ok(slowest)
}
