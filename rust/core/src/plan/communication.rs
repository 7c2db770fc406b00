//! Collectives between replicas, and how much of them compute hides.

use super::drawn_law::DrawnLaw;
use crate::error::{Error, Result};

/// Communication terms of a plan, at most.
pub const MAX_TERMS: usize = 4;

/// By how much the windows of a pool's terms may exceed its compute, as a share of it, through
/// rounding.
const SHARE_TOLERANCE: f64 = 1e-9;

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
    /// Seconds that compute takes longer for each second of a collective that hides behind it.
    pub hidden_cost: f64,
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
        share("hidden_cost", self.hidden_cost)?;
        if self.terms.len() > MAX_TERMS {
            let requirement = format!("at most {MAX_TERMS} terms");
            return Err(Error::domain("terms", self.terms.len() as f64, requirement));
        }
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
        for pool in 0..n_pools {
            let all: f64 = self.terms.iter().map(|term| term.window_share[pool]).sum();
            if all > 1.0 + SHARE_TOLERANCE {
                let requirement = "at most 1 in all terms of a pool together";
                return Err(Error::domain("window_share", all, requirement).within("terms"));
            }
        }
        Ok(())
    }

    /// The collectives of another plan of the same job, behind the windows of this one.
    ///
    /// # Errors
    /// [`Error::Domain`] for a plan with other terms or pools.
    pub fn with_times_of(&self, other: &Self) -> Result<Self> {
        let alike = |(mine, theirs): (&Term, &Term)| {
            mine.latency_s.len() == theirs.latency_s.len() && mine.n_buckets == theirs.n_buckets
        };
        let n_terms = other.terms.len();
        let mut pairs = self.terms.iter().zip(&other.terms);
        if n_terms != self.terms.len() || !pairs.all(alike) {
            let requirement = "those of the same job";
            return Err(Error::domain("terms", n_terms as f64, requirement));
        }
        let terms = self.terms.iter().zip(&other.terms);
        let terms = terms.map(|(mine, theirs)| Term {
            window_share: mine.window_share.clone(),
            ..theirs.clone()
        });
        Ok(Self {
            terms: terms.collect(),
            overlap_fraction: self.overlap_fraction,
            hidden_cost: self.hidden_cost,
        })
    }

    /// Gives all pools the narrowest window of each term, for replicas that lie in several
    /// pools: which of them is the busiest changes from step to step, and no delay may shorten
    /// a step by that.
    pub(super) fn share_windows(&mut self) {
        for term in &mut self.terms {
            let narrowest = term.window_share.iter().copied().fold(1.0, f64::min);
            term.window_share.fill(narrowest);
        }
    }

    /// Seconds of each term in one step.
    ///
    /// A collective is complete when its slowest member is, so a term takes the time of its
    /// slowest pool: latency times the term's factor of `hops`, plus transfers at the pace of
    /// the pool's slowest port. The longest stall of any port delays the last term.
    #[must_use]
    pub fn times_s(&self, ports: &[SlowestPort], hops: &[f64]) -> [f64; MAX_TERMS] {
        let longest_stall_s = ports
            .iter()
            .fold(0.0, |longest, port| port.stall_s.max(longest));
        let mut times_s = [0.0_f64; MAX_TERMS];
        for (index, (term, time_s)) in self.terms.iter().zip(&mut times_s).enumerate() {
            for (pool, port) in ports.iter().enumerate() {
                let pool_s =
                    term.latency_s[pool] * hops[index] + term.transfer_s[pool] * port.slowdown;
                *time_s = time_s.max(pool_s);
            }
            if index + 1 == self.terms.len() {
                *time_s += longest_stall_s;
            }
        }
        times_s
    }

    /// Seconds by which transfers make a step longer, given the time T of each term.
    ///
    /// Exposed is `max(T / n_buckets, T - window)`: the last bucket has nothing to hide
    /// behind, and neither has what exceeds the window. The window is a share of
    /// `own_compute_s`, what the slowest replica, in pool `slowest`, computes without its
    /// stalls: during a stall the others wait for its data. What hides costs its share,
    /// because it takes compute units and memory bandwidth.
    #[must_use]
    pub fn exposed_s(&self, slowest: usize, own_compute_s: f64, times_s: &[f64; MAX_TERMS]) -> f64 {
        let mut exposed_s = 0.0;
        for exposure in self.exposures(slowest, own_compute_s, times_s) {
            exposed_s += exposure.waiting_s + exposure.cost_s;
        }
        exposed_s
    }

    /// The terms of [`Communication::exposed_s`], one by one.
    pub fn exposures(
        &self,
        slowest: usize,
        own_compute_s: f64,
        times_s: &[f64; MAX_TERMS],
    ) -> impl Iterator<Item = Exposure> {
        let own_s = own_compute_s.max(0.0);
        self.terms.iter().zip(times_s).map(move |(term, &time_s)| {
            let window_s = self.overlap_fraction * term.window_share[slowest] * own_s;
            let tail_s = time_s / f64::from(term.n_buckets);
            let waiting_s = tail_s.max(time_s - window_s);
            let hidden_s = time_s - waiting_s;
            Exposure {
                waiting_s,
                hidden_s,
                cost_s: self.hidden_cost * hidden_s,
            }
        })
    }
}

/// What one step sees of a communication term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Seconds for which compute waits.
    pub waiting_s: f64,
    /// Seconds behind compute.
    pub hidden_s: f64,
    /// Seconds that compute takes longer for these.
    pub cost_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transfer of a second in ten buckets behind a window of nine tenths of the compute time.
    fn one_second(hidden_cost: f64) -> Communication {
        Communication {
            terms: vec![Term {
                latency_s: vec![0.0],
                transfer_s: vec![1.0],
                window_share: vec![1.0],
                n_buckets: 10,
                hops: None,
            }],
            overlap_fraction: 0.9,
            hidden_cost,
        }
    }

    #[test]
    fn what_exceeds_the_window_or_has_none_is_exposed() {
        // T 1, window 0.9, tail 0.1: golden values 0.1, 1.1, 3.1.
        let communication = one_second(0.0);
        for (slowdown, expected) in [(1.0, 0.1), (2.0, 1.1), (4.0, 3.1)] {
            let port = SlowestPort {
                slowdown,
                stall_s: 0.0,
            };
            let times_s = communication.times_s(&[port], &[1.0]);
            let exposed_s = communication.exposed_s(0, 1.0, &times_s);
            assert!(
                (exposed_s - expected).abs() < 1e-15,
                "{slowdown}: {exposed_s}"
            );
        }
    }

    #[test]
    fn what_hides_costs_its_share() {
        // T 1, window 0.9, tail 0.1: 0.9 of a second hides; then T 2, of which 0.9 hides.
        for (hidden_cost, time_s, expected) in [
            (0.0, 1.0, 0.1),
            (0.5, 1.0, 0.1 + 0.5 * 0.9),
            (0.5, 2.0, 1.1 + 0.5 * 0.9),
            (1.0, 2.0, 2.0),
        ] {
            let times_s = [time_s, 0.0, 0.0, 0.0];
            let exposed_s = one_second(hidden_cost).exposed_s(0, 1.0, &times_s);
            assert!((exposed_s - expected).abs() < 1e-15, "{exposed_s}");
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
            hidden_cost: 0.0,
        };
        let ports = [
            SlowestPort::IDEAL,
            SlowestPort {
                slowdown: 2.0,
                stall_s: 3.0,
            },
        ];
        // First 0.5 + 2 x 2, then 0.5 + 4 and a stall of 3; a single bucket hides nothing.
        let times_s = communication.times_s(&ports, &[1.0, 1.0]);
        assert_eq!(times_s[..2], [4.5, 7.5]);
        assert_eq!(communication.exposed_s(0, 1.0, &times_s), 4.5 + 7.5);
    }
}
