//! The worst ports of a pool in each step.

use crate::control::Control;
use crate::error::Result;
use crate::plan::SlowestPort;
use crate::search::{PoolSearch, WorstPorts};
use crate::simd::QUAD_STEPS;

/// The greatest slowdown and the longest stall of a pool's ports, in the steps of a
/// quad.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub(super) fn worst_ports(
    ports: &PoolSearch,
    quad: u32,
    control: &Control,
) -> Result<[SlowestPort; QUAD_STEPS]> {
    if ports.is_ideal() {
        return Ok([SlowestPort::IDEAL; QUAD_STEPS]);
    }
    let worst = ports.search([WorstPorts::NONE; QUAD_STEPS], quad, control)?;
    Ok(worst.map(SlowestPort::from))
}
