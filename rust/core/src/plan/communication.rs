//! Collectives between replicas, and how much of them compute hides.

use super::drawn_law::DrawnLaw;
use crate::error::{Error, Result};

/// A communication term: the collectives that hide behind one phase of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Seconds of latency in a step, by pool.
    pub latency_s: Vec<f64>,
    /// Seconds of transfers in a step through ports without any cause, by pool.
    pub transfer_s: Vec<f64>,
    /// Share of the step's compute time that the phase takes, by pool.
    pub window_share: Vec<f64>,
    /// Buckets of a collective; the last of them has no compute left to hide behind.
    pub n_buckets: u32,
    /// Law of the factor on the latency, where hops take random times.
    pub hops: Option<DrawnLaw>,
}

/// All collectives of a step that go through the network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Communication {
    /// The terms, in order of time.
    pub terms: Vec<Term>,
    /// Share of a phase's compute time behind which its collectives can hide.
    pub overlap_fraction: f64,
}

/// The worst of the ports of a pool in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowestPort {
    /// Greatest factor on transfers.
    pub slowdown: f64,
    /// Longest stall, in seconds.
    pub stall_s: f64,
}

impl SlowestPort {
    /// Ports on which no cause acts.
    pub const IDEAL: Self = Self {
        slowdown: 1.0,
        stall_s: 0.0,
    };
}

impl Communication {
    pub(super) fn check(&self, n_pools: usize) -> Result<()> {
        let share = |field: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                return Ok(());
            }
            Err(Error::domain(field, value, ">= 0 and <= 1"))
        };
        share("overlap_fraction", self.overlap_fraction)?;
        for (index, term) in self.terms.iter().enumerate() {
            let path = format!("terms.{index}");
            let within = |error: Error| error.within(&path);
            if term.n_buckets == 0 {
                return Err(within(Error::domain("n_buckets", 0.0, ">= 1")));
            }
            for (field, numbers) in [
                ("latency_s", &term.latency_s),
                ("transfer_s", &term.transfer_s),
                ("window_share", &term.window_share),
            ] {
                if numbers.len() != n_pools {
                    let requirement = format!("a list of {n_pools} numbers, one a pool");
                    let error = Error::domain(field, numbers.len() as f64, requirement);
                    return Err(within(error));
                }
                for &value in numbers {
                    if !(value >= 0.0 && value.is_finite()) {
                        return Err(within(Error::domain(field, value, "finite and >= 0")));
                    }
                }
            }
            for &value in &term.window_share {
                share("window_share", value).map_err(within)?;
            }
        }
        Ok(())
    }

    /// Seconds of a step in which ranks wait for transfers and do not compute.
    ///
    /// A collective is complete when its slowest member is, so a term takes the time T of
    /// its slowest pool: latency times the term's factor of `hops`, plus transfers at the
    /// pace of the pool's slowest port. The longest stall of any port delays the last
    /// term. Exposed is `max(T / n_buckets, T - window)`: the last bucket has nothing to
    /// hide behind, and neither has what exceeds the window. The window is a share of
    /// `own_compute_s`, what the slowest replica, in pool `slowest`, computes without its
    /// stalls: during a stall the others wait for its data.
    #[must_use]
    pub fn exposed_s(
        &self,
        slowest: usize,
        own_compute_s: f64,
        ports: &[SlowestPort],
        hops: &[f64],
    ) -> f64 {
        let longest_stall_s = ports
            .iter()
            .fold(0.0, |longest, port| port.stall_s.max(longest));
        let mut exposed_s = 0.0;
        for (index, term) in self.terms.iter().enumerate() {
            let mut time_s: f64 = 0.0;
            for (pool, port) in ports.iter().enumerate() {
                let pool_s =
                    term.latency_s[pool] * hops[index] + term.transfer_s[pool] * port.slowdown;
                time_s = time_s.max(pool_s);
            }
            if index + 1 == self.terms.len() {
                time_s += longest_stall_s;
            }
            let own_s = own_compute_s.max(0.0);
            let window_s = self.overlap_fraction * term.window_share[slowest] * own_s;
            let tail_s = time_s / f64::from(term.n_buckets);
            exposed_s += tail_s.max(time_s - window_s);
        }
        exposed_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_window_or_has_none_is_exposed() {
        // T 1, window 0.9, tail 0.1: golden values 0.1, 1.1, 3.1.
        let communication = Communication {
            terms: vec![Term {
                latency_s: vec![0.0],
                transfer_s: vec![1.0],
                window_share: vec![1.0],
                n_buckets: 10,
                hops: None,
            }],
            overlap_fraction: 0.9,
        };
        for (slowdown, expected) in [(1.0, 0.1), (2.0, 1.1), (4.0, 3.1)] {
            let port = SlowestPort {
                slowdown,
                stall_s: 0.0,
            };
            let exposed_s = communication.exposed_s(0, 1.0, &[port], &[1.0]);
            assert!(
                (exposed_s - expected).abs() < 1e-15,
                "{slowdown}: {exposed_s}"
            );
        }
    }

    #[test]
    fn the_slowest_pool_completes_a_collective_and_a_stall_holds_the_last() {
        let term = |transfer_s: Vec<f64>| Term {
            latency_s: vec![0.5, 0.5],
            transfer_s,
            window_share: vec![0.5, 0.5],
            n_buckets: 1,
            hops: None,
        };
        let communication = Communication {
            terms: vec![term(vec![1.0, 2.0]), term(vec![4.0, 1.0])],
            overlap_fraction: 1.0,
        };
        let ports = [
            SlowestPort::IDEAL,
            SlowestPort {
                slowdown: 2.0,
                stall_s: 3.0,
            },
        ];
        // First 0.5 + 2 x 2, then 0.5 + 4 and a stall of 3; a single bucket hides nothing.
        assert_eq!(
            communication.exposed_s(0, 1.0, &ports, &[1.0, 1.0]),
            4.5 + 7.5
        );
    }
}
