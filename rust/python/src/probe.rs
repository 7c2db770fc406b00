//! Single kernels for benchmarks; not for users.

use std::hint::black_box;

use hindmost_core::random::{Random, Stream};
use hindmost_core::schedule::recursion::{Detail, Lanes, Times, WalkScratch};
use hindmost_core::schedule::{Kind, Schedule, Shape};
use hindmost_core::simd::InstructionSet;
use hindmost_core::simd::{Kernel, QUAD_STEPS, TILE_UNITS, TileAddress, TileArray};
use pyo3::prelude::*;

use crate::errors::OrRaise;

/// Makes `n_tiles` tiles of 256 random words on this thread and returns their
/// exclusive or.
#[pyfunction]
pub fn probe_words(py: Python<'_>, n_tiles: u32, instructions: &str) -> PyResult<u32> {
    let kernel = Kernel::new(InstructionSet::named(instructions).or_raise()?);
    Ok(py.detach(|| {
        let random = Random::new(1);
        let mut words = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
        let mut check = 0;
        for c1 in 0..n_tiles {
            let address = TileAddress {
                stream: Stream(7),
                first_unit: 0,
                c1,
                c2: 0,
            };
            kernel.words(&random, address, &mut words);
            check ^= words.0[3][TILE_UNITS - 1];
        }
        check
    }))
}

/// Walks `n_walks` times through 1F1B for 16 replicas whose passes all have
/// times of their own, on this thread, and returns a replica's seconds.
#[pyfunction]
pub fn probe_walks(
    py: Python<'_>,
    stages: u32,
    microbatches: u32,
    n_walks: u32,
    instructions: &str,
) -> PyResult<f64> {
    let kernel = Kernel::new(InstructionSet::named(instructions).or_raise()?);
    let shape = Shape {
        stages,
        chunks: 1,
        microbatches,
    };
    let schedule = Schedule::new(Kind::OneFOneB, shape).or_raise()?;
    Ok(py.detach(|| {
        let n_classes = 3 * stages as usize;
        let base_s = vec![Lanes::all(1.0); n_classes];
        let factors = vec![Lanes::all(1.0); n_classes * microbatches as usize];
        let times = Times {
            base_s: &base_s,
            factors: &factors,
            detail: Detail::Pass,
            stalls_s: &[],
            transfers_s: &vec![0.0; stages as usize],
        };
        let mut scratch = WalkScratch::new(&schedule);
        for _ in 0..n_walks {
            kernel.walk(&schedule, black_box(&times), &mut scratch);
        }
        scratch.ends_s[0].0[0]
    }))
}
