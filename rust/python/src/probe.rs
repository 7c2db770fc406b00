//! What benchmarks need to see of a kernel by itself; not for users.

use hindmost_core::instructions::InstructionSet;
use hindmost_core::kernel::{Address, Block, Kernel, STEPS, UNITS};
use hindmost_core::random::{Random, Stream};
use pyo3::prelude::*;

use crate::errors::OrRaise;

/// Makes `n_blocks` blocks of 256 random words on this thread and returns their
/// exclusive or.
#[pyfunction]
pub fn probe_words(py: Python<'_>, n_blocks: u32, instructions: &str) -> PyResult<u32> {
    let kernel = Kernel::new(InstructionSet::named(instructions).or_raise()?);
    Ok(py.detach(|| {
        let random = Random::new(1);
        let mut words = Block([[0; UNITS]; STEPS]);
        let mut check = 0;
        for c1 in 0..n_blocks {
            let address = Address {
                stream: Stream(7),
                first_unit: 0,
                c1,
                c2: 0,
            };
            kernel.words(&random, address, &mut words);
            check ^= words.0[3][UNITS - 1];
        }
        check
    }))
}
