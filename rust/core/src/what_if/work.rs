//! How long operations work, without waiting.

use super::layout::Layout;
use super::order::Order;
use super::records::Records;
use super::rows::{Rows, index, steps_of};
use super::walk::{STEPS_PER_BLOCK, later};
use crate::error::Result;
use crate::room::filled;

/// Seconds by which a transfer may end before its last member has begun, for clocks that differ; one
/// that ends sooner took no time.
const EARLIEST_END_S: f64 = -1e-2;

/// How long each operation works: what one takes that waits for nobody, and of a group the time from
/// the begin of its last one. By block of steps, slot and replica.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory).
pub fn work_s(
    layout: &Layout,
    order: &Order,
    rows: &Rows,
    records: &Records<'_>,
) -> Result<Vec<[f32; STEPS_PER_BLOCK]>> {
    let mut work_s = filled([0.0; STEPS_PER_BLOCK], rows.blocks.len())?;
    let mut met_s = vec![[0.0; STEPS_PER_BLOCK]; layout.n_replicas];
    for block in 0..layout.steps.len().div_ceil(STEPS_PER_BLOCK) {
        let n_steps = steps_of(layout, block);
        for group in &order.groups {
            let waits = layout.whose(group.slots[0] as usize).1.waits_for_others();
            if waits {
                met_s.fill([f64::NEG_INFINITY; STEPS_PER_BLOCK]);
                for &slot in &group.slots {
                    let first = index(layout, slot as usize, 0, block);
                    for (met_s, of_steps) in met_s.iter_mut().zip(&rows.blocks[first..]) {
                        for (met_s, &row) in met_s.iter_mut().zip(&of_steps[..n_steps]) {
                            *met_s = met_s.max(records.start_s[row as usize]);
                        }
                    }
                }
                if group.joins_replicas {
                    let last_s = met_s.iter().copied().reduce(later).unwrap_or_default();
                    met_s.fill(last_s);
                }
            }
            for &slot in &group.slots {
                let first = index(layout, slot as usize, 0, block);
                for (replica, met_s) in met_s.iter().enumerate() {
                    let of_steps = &rows.blocks[first + replica];
                    for (step, &row) in of_steps[..n_steps].iter().enumerate() {
                        let row = row as usize;
                        work_s[first + replica][step] = if waits {
                            transfer_s(records.end_s[row] - met_s[step])
                        } else {
                            records.duration_s[row]
                        };
                    }
                }
            }
        }
    }
    Ok(work_s)
}

/// Seconds of a transfer from the begin of its last member to its end.
fn transfer_s(seconds: f64) -> f32 {
    if seconds > EARLIEST_END_S {
        seconds as f32
    } else {
        0.0
    }
}
