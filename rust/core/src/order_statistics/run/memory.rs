//! Persistent effects that runs have drawn, kept for engines whose runs draw the same.
//!
//! A change of what lasts no longer than a step leaves persistent effects as they are. They
//! are drawn again only where the seed, the pool's ranks or the persistent causes differ.

use std::sync::{Arc, OnceLock};

use super::persistent_effects::PersistentEffects;
use super::persistent_source::PersistentSource;
use crate::plan::{Affects, Cause, Pool, Scope};
use crate::random::MAX_RUNS;

/// Memory that all kept effects take together, at most.
const MAX_BYTES: usize = 256 << 20;
/// Pools of one seed that are kept, at most. A pool also keeps its causes with their tables, some
/// tens of kilobytes.
const MAX_POOLS: usize = 64;
/// Memory of one run beside its numbers: its place, and what allocations take.
const BYTES_BESIDE: usize = 512;

/// Effects of a run by task of its survey.
type OfRun = Arc<Vec<PersistentEffects>>;

/// Persistent effects of runs. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct RunMemory {
    /// From the one that was used last.
    pools: Vec<Arc<PoolMemory>>,
}

/// Persistent effects of a pool's ranks or ports under one seed, by run. Each run has a place
/// of its own, which is written once.
#[derive(Debug)]
pub struct PoolMemory {
    key: Key,
    runs: Vec<OnceLock<OfRun>>,
}

/// What persistent effects depend on.
#[derive(Debug, PartialEq)]
struct Key {
    seed: u64,
    affects: Affects,
    pool: Pool,
    /// Ranks are drawn in tasks that cut no unit of this scope.
    block: Scope,
    causes: Vec<Cause>,
    /// What stalls are multiplied by, where there are any.
    stall_scale: Option<f32>,
}

impl RunMemory {
    /// The memory of a pool's first `runs` runs, as far as there is room; none where nothing
    /// persists by rank. `source` is that of any run.
    pub fn of_pool(
        &mut self,
        seed: u64,
        affects: Affects,
        block: Scope,
        source: &PersistentSource,
        runs: u32,
    ) -> Option<Arc<PoolMemory>> {
        if !source.differs() || source.given.is_some() {
            return None;
        }
        let stall_scale = source.stalls().then(|| source.stalls.stall_scale());
        let key = Key {
            seed,
            affects,
            pool: source.pool.with_compute_s(1.0),
            block,
            causes: source
                .slowdowns
                .causes()
                .chain(source.stalls.causes())
                .cloned()
                .collect(),
            stall_scale,
        };
        let place = self.pools.iter().position(|pool| pool.key == key);
        let known = place.map(|place| self.pools.remove(place));
        let runs = (runs.min(MAX_RUNS) as usize).min(MAX_BYTES / key.bytes_of_run());
        let pool = match known {
            Some(known) if known.runs.len() >= runs => known,
            known => {
                let mut places = known.map_or(Vec::new(), |known| known.runs.clone());
                places.resize(runs, OnceLock::new());
                Arc::new(PoolMemory { key, runs: places })
            }
        };
        self.pools.insert(0, pool.clone());
        self.pools.truncate(MAX_POOLS);
        let mut room = MAX_BYTES;
        self.pools.retain(|pool| {
            let n_bytes = pool.key.bytes_of_run() * pool.runs.len();
            let fits = n_bytes <= room;
            room -= if fits { n_bytes } else { 0 };
            fits
        });
        Some(pool)
    }
}

impl PoolMemory {
    /// The place of a run; none for runs that there is no room for.
    pub fn run(&self, run: u32) -> Option<&OnceLock<OfRun>> {
        self.runs.get(run as usize)
    }
}

impl Key {
    /// Memory of one run's effects.
    fn bytes_of_run(&self) -> usize {
        let numbers = 1 + usize::from(self.stall_scale.is_some());
        self.pool.n_ranks() as usize * numbers * size_of::<f32>() + BYTES_BESIDE
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{plan, slowdown};
    use super::*;
    use crate::draw::Draws;
    use crate::plan::{CauseSpec, Effect, Plan, Span};
    use crate::random::Random;

    fn speed(sigma: f64) -> CauseSpec {
        slowdown("speed", sigma, Scope::Gpu, Span::Run)
    }

    /// The memory of a plan's pool under a seed.
    fn of(memory: &mut RunMemory, plan: &Plan, seed: u64, runs: u32) -> Option<Arc<PoolMemory>> {
        let random = Random::new(seed);
        let draws = || Draws::new(plan, 0, Affects::Compute, Span::Run, &random, 0);
        let source = PersistentSource {
            pool: &plan.pools()[0],
            slowdowns: draws().only(|cause| cause.effect() == Effect::Slowdown),
            stalls: draws().only(|cause| cause.effect() == Effect::Stall),
            given: None,
        };
        memory.of_pool(seed, Affects::Compute, Scope::Gpu, &source, runs)
    }

    fn is_same(one: &Option<Arc<PoolMemory>>, other: &Option<Arc<PoolMemory>>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    #[test]
    fn what_persists_is_known_again_by_seed_ranks_and_persistent_causes() {
        let mut memory = RunMemory::default();
        let residual = |sigma| slowdown("residual", sigma, Scope::Gpu, Span::Step);
        let first = of(
            &mut memory,
            &plan(800, vec![speed(0.01), residual(0.1)]),
            1,
            4,
        );
        let same = of(
            &mut memory,
            &plan(800, vec![speed(0.01), residual(0.2)]),
            1,
            3,
        );
        assert!(is_same(&first, &same));
        for (n_gpus, sigma, seed) in [(808, 0.01, 1), (800, 0.02, 1), (800, 0.01, 2)] {
            let other = of(&mut memory, &plan(n_gpus, vec![speed(sigma)]), seed, 4);
            assert!(other.is_some() && !is_same(&first, &other));
        }
        let nothing = of(&mut memory, &plan(800, vec![residual(0.1)]), 1, 4);
        assert!(nothing.is_none());
    }

    #[test]
    fn more_runs_keep_what_fewer_have_drawn() {
        let mut memory = RunMemory::default();
        let plan = plan(800, vec![speed(0.01)]);
        let few = of(&mut memory, &plan, 1, 2).unwrap();
        few.run(1).unwrap().set(Arc::new(Vec::new())).unwrap();
        let many = of(&mut memory, &plan, 1, 5).unwrap();
        assert!(many.run(0).unwrap().get().is_none());
        assert!(many.run(1).unwrap().get().is_some());
        assert!(many.run(4).is_some() && many.run(5).is_none());
        assert_eq!(memory.pools.len(), 1);
    }

    #[test]
    fn there_is_room_for_a_limited_number_of_runs_and_pools() {
        let mut memory = RunMemory::default();
        let large = plan(8 << 20, vec![speed(0.01)]);
        let first = of(&mut memory, &large, 1, 100).unwrap();
        assert!(first.run(6).is_some() && first.run(7).is_none());
        // Another one takes the place of the first.
        let second = of(&mut memory, &large, 2, 100);
        assert_eq!(memory.pools.len(), 1);
        assert!(is_same(&second, &of(&mut memory, &large, 2, 100)));
        assert!(!is_same(&Some(first), &of(&mut memory, &large, 1, 100)));
        // However small they are, and however many runs are asked for.
        let small = plan(16, vec![speed(0.01)]);
        let mut n_bytes = 0;
        for seed in 0..2 * MAX_POOLS as u64 {
            let pool = of(&mut memory, &small, seed, MAX_RUNS).unwrap();
            n_bytes = pool.key.bytes_of_run() * pool.runs.len();
        }
        assert_eq!(memory.pools.len(), MAX_BYTES / n_bytes);
        for seed in 0..2 * MAX_POOLS as u64 {
            of(&mut memory, &small, seed, 1);
        }
        assert_eq!(memory.pools.len(), MAX_POOLS);
    }
}
