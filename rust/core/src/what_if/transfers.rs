//! Sends and receives of a pipeline: of which pass each one is, and with which one it meets.

use super::kind::Kind;
use super::recorded::Recorded;
use crate::error::{Error, Result};

/// Seconds by which clocks of two workers may differ.
const CLOCK_ERROR_S: f64 = 5e-5;

/// Which sends and receives belong together.
#[derive(Debug, Default)]
pub struct Transfers {
    /// A send and a receive of the other stage.
    pub pairs: Vec<[usize; 2]>,
    /// A slot that begins after another has ended.
    pub waits: Vec<(usize, usize)>,
}

/// Matches the transfers of one direction with passes and with each other.
///
/// # Errors
/// [`Error::Domain`] where there are not as many as there are passes.
pub fn transfers(
    recorded: &Recorded<'_>,
    compute: Kind,
    send: Kind,
    recv: Kind,
) -> Result<Transfers> {
    let n_stages = recorded.layout.n_stages;
    let is_forward = compute == Kind::ForwardCompute;
    let mut found = Transfers::default();
    let mut sends = vec![];
    let mut recvs = vec![];
    for stage in 0..n_stages {
        let of_recv = matched(recorded, stage, compute, recv)?;
        for &(slot, pass) in &of_recv {
            let passes = recorded.layout.slots(stage, compute);
            found.waits.push((passes.start + pass, slot));
            if pass > 0 {
                found.waits.push((slot, passes.start + pass - 1));
            }
        }
        let of_send = matched(recorded, stage, compute, send)?;
        for &(slot, pass) in &of_send {
            let passes = recorded.layout.slots(stage, compute);
            found.waits.push((slot, passes.start + pass));
        }
        // Chunks at the ends of the model have no neighbour: their transfers are recorded and empty.
        let with_neighbour = |matched: Vec<(usize, usize)>, is_up: bool| -> Vec<usize> {
            let start = recorded.layout.slots(stage, compute).start;
            let has = |&(_, pass): &(usize, usize)| {
                let at = recorded.virtual_stage[start + pass];
                if is_up {
                    at + 1 < recorded.n_virtual_stages
                } else {
                    at > 0
                }
            };
            let kept = matched.into_iter().filter(has);
            kept.map(|(slot, _)| slot).collect()
        };
        sends.push(with_neighbour(of_send, is_forward));
        recvs.push(with_neighbour(of_recv, !is_forward));
    }
    for (stage, sends) in sends.iter().enumerate() {
        let to = (stage + if is_forward { 1 } else { n_stages - 1 }) % n_stages;
        let recvs = &recvs[to];
        if sends.len() != recvs.len() {
            let field = format!("number of {} of stage {to}", recv.name());
            let n = sends.len();
            let required = format!("{n}, as many as {} of stage {stage}", send.name());
            return Err(Error::domain(&field, recvs.len() as f64, required));
        }
        let pairs = sends.iter().zip(recvs);
        found.pairs.extend(pairs.map(|(&send, &recv)| [send, recv]));
    }
    Ok(found)
}

/// The transfers of one type on a stage, each with the number of its pass.
///
/// Some were recorded and never launched: receives that begin after the last pass has begun, and
/// sends that end before the first one has ended.
fn matched(
    recorded: &Recorded<'_>,
    stage: usize,
    compute: Kind,
    transfer: Kind,
) -> Result<Vec<(usize, usize)>> {
    let passes = recorded.layout.slots(stage, compute);
    let n_passes = passes.len();
    let last_start_s = passes
        .clone()
        .map(|slot| recorded.start_s[slot])
        .fold(f64::NEG_INFINITY, f64::max);
    let first_end_s = passes
        .map(|slot| recorded.end_s[slot])
        .fold(f64::INFINITY, f64::min);
    let is_recv = matches!(transfer, Kind::ForwardRecv | Kind::BackwardRecv);
    let launched: Vec<usize> = recorded
        .by_start(stage, &[transfer])
        .into_iter()
        .filter(|&slot| {
            if is_recv {
                recorded.start_s[slot] <= last_start_s + CLOCK_ERROR_S
            } else {
                recorded.end_s[slot] >= first_end_s - CLOCK_ERROR_S
            }
        })
        .collect();
    let n = launched.len();
    // At both ends of the pipeline there may be none at all, or the first receive is not recorded.
    let is_end = stage == 0 || stage + 1 == recorded.layout.n_stages;
    let one_less = n + 1 == n_passes;
    if n != n_passes && !(is_end && (n == 0 || one_less)) {
        let field = format!("number of {} of stage {stage}", transfer.name());
        let required = format!("{n_passes}, as many as {}", compute.name());
        return Err(Error::domain(&field, n as f64, required));
    }
    let first_pass = usize::from(is_recv && one_less);
    Ok(launched.into_iter().zip(first_pass..).collect())
}
