//! Networks other than a plan's own, as dictionaries.

use hindmost_core::plan;
use hindmost_core::step::{DrawnNetwork, OtherNetwork};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::plans::Plan;

/// The network of a plan, and what it was drawn to be in each step.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Network<'py> {
    plan: Bound<'py, Plan>,
    port_slowdown: PyReadonlyArray1<'py, f64>,
    port_stall_s: PyReadonlyArray1<'py, f64>,
    hop_factor: PyReadonlyArray1<'py, f64>,
}

/// Networks behind the windows of the plan of some ranks.
pub fn other_networks<'n>(
    ranks: &plan::Plan,
    networks: &'n [Network<'_>],
) -> PyResult<Vec<OtherNetwork<'n>>> {
    let other = |network: &'n Network<'_>| {
        let drawn = DrawnNetwork {
            port_slowdown: network.port_slowdown.as_slice()?,
            port_stall_s: network.port_stall_s.as_slice()?,
            hop_factor: network.hop_factor.as_slice()?,
        };
        OtherNetwork::new(ranks, &network.plan.get().compiled, drawn).or_raise()
    };
    networks.iter().map(other).collect()
}
