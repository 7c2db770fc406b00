//! What is made ideal, and how long that takes.

use super::kind::Kind;
use super::layout::Layout;

/// Which operations are ideal: those of some types on some workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Ideals {
    /// By type, in the order of [`Kind::ALL`].
    pub kinds: [bool; Kind::ALL.len()],
    /// By worker: replicas of the first stage, then of the next one.
    pub workers: Vec<bool>,
}

impl Ideals {
    /// Whether all operations of a replica are ideal.
    pub fn covers(&self, layout: &Layout, replica: usize) -> bool {
        self.kinds.iter().all(|&is| is)
            && (0..layout.n_stages).all(|stage| self.workers[stage * layout.n_replicas + replica])
    }

    /// Whether an operation of a type on a worker is ideal.
    pub fn has(&self, layout: &Layout, kind: Kind, stage: usize, replica: usize) -> bool {
        self.kinds[kind as usize] && self.workers[stage * layout.n_replicas + replica]
    }
}

/// The mean or the median of what operations of a type take; 0 where there are none.
///
/// The median of transfers is in single precision, as these are themselves.
pub fn ideal_s(kind: Kind, mut seconds: Vec<f32>) -> f64 {
    let n = seconds.len();
    if n == 0 {
        return 0.0;
    }
    if kind.is_computing() {
        return seconds.iter().map(|&one| f64::from(one)).sum::<f64>() / n as f64;
    }
    let (below, &mut middle, _) = seconds.select_nth_unstable_by(n / 2, f32::total_cmp);
    if n % 2 == 1 {
        return f64::from(middle);
    }
    let before = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let median = f64::midpoint(f64::from(before), f64::from(middle));
    if kind.waits_for_others() {
        f64::from(median as f32)
    } else {
        median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_its_mean_and_a_transfer_its_median() {
        let seconds = [4.0, 1.0, 2.0, 9.0];
        assert_eq!(ideal_s(Kind::ForwardCompute, seconds.to_vec()), 4.0);
        assert_eq!(ideal_s(Kind::ForwardSend, seconds.to_vec()), 3.0);
        assert_eq!(ideal_s(Kind::ForwardSend, seconds[..3].to_vec()), 2.0);
        assert_eq!(ideal_s(Kind::Gc, vec![]), 0.0);
    }
}
