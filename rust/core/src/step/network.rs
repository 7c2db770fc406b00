//! The network in the steps of a quad: what its transfers take, and what of that steps see.

use super::slowest::Slowest;
use crate::plan::{Exposure, MAX_TERMS, Plan, SlowestPort, StepDuration};
use crate::random::Random;
use crate::simd::QUAD_STEPS;

/// Durations of the steps of a quad, by pool.
pub type Durations = [[StepDuration; QUAD_STEPS]];

/// Seconds of the communication terms in the steps of a quad.
pub struct QuadNetwork<'p> {
    plan: &'p Plan,
    /// The worst ports, by step and pool.
    ports: [Vec<SlowestPort>; QUAD_STEPS],
    /// Factors on the terms' latencies, by step and term.
    hops: [Vec<f64>; QUAD_STEPS],
    times_s: [[f64; MAX_TERMS]; QUAD_STEPS],
}

impl<'p> QuadNetwork<'p> {
    /// The network with the worst `ports` of each pool.
    #[must_use]
    pub fn new(
        plan: &'p Plan,
        ports: Vec<[SlowestPort; QUAD_STEPS]>,
        random: &Random,
        run: u32,
        quad: u32,
    ) -> Self {
        let hops = plan.hops().factors(random, run, quad);
        let of_step = |step: usize| ports.iter().map(|steps| steps[step]).collect();
        let ports: [Vec<SlowestPort>; QUAD_STEPS] = std::array::from_fn(of_step);
        let times_s =
            std::array::from_fn(|step| plan.communication().times_s(&ports[step], &hops[step]));
        Self {
            plan,
            ports,
            hops,
            times_s,
        }
    }

    /// How long steps take by who is the slowest, for each pool that it may be in.
    #[must_use]
    pub fn durations(&self) -> Vec<[StepDuration; QUAD_STEPS]> {
        let pools = 0..self.plan.pools().len();
        let of_pool = |pool: usize| {
            self.times_s
                .each_ref()
                .map(|times_s| StepDuration::new(self.plan.communication(), pool, times_s))
        };
        pools.map(of_pool).collect()
    }

    /// Seconds of communication that the compute of the slowest replica does not hide.
    #[must_use]
    pub fn exposed_s(&self, step: usize, slowest: &Slowest) -> f64 {
        let own_compute_s = slowest.compute_s - slowest.stall_s;
        let pool = slowest.pool as usize;
        let communication = self.plan.communication();
        communication.exposed_s(pool, own_compute_s, &self.times_s[step])
    }

    /// What a step sees of each term, given the replica that it waits for.
    #[must_use]
    pub fn exposures(&self, step: usize, slowest: &Slowest) -> Vec<Exposure> {
        let own_compute_s = slowest.compute_s - slowest.stall_s;
        let communication = self.plan.communication();
        let pool = slowest.pool as usize;
        let exposures = communication.exposures(pool, own_compute_s, &self.times_s[step]);
        exposures.collect()
    }

    /// The worst ports of each pool and the factors on the latencies of the terms, by step.
    #[must_use]
    pub fn into_ports_and_hops(self) -> [(Vec<SlowestPort>, Vec<f64>); QUAD_STEPS] {
        let mut hops = self.hops.into_iter();
        self.ports
            .map(|ports| (ports, hops.next().unwrap_or_default()))
    }
}
