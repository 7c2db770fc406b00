//! Python binding of `hindmost-core`: it converts arguments and results and detaches from
//! the GIL while the core works. No formula lives here.

mod again;
mod convert;
mod errors;
mod fleet;
mod law_table;
mod laws;
mod memory;
mod networks;
mod one_step;
mod plans;
mod probe;
mod queue;
mod renewal;
mod schedules;
mod watch;
mod what_if;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;

/// The Rust core of hindmost.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::errors::{DomainError, NotExactError, StreamsError, ThreadsError};
    #[pymodule_export]
    use crate::fleet::{fleet_runs, kept_of_stretches};
    #[pymodule_export]
    use crate::laws::{Law, fit_tabulated, tail_probabilities};
    #[pymodule_export]
    use crate::memory::Memory;
    #[pymodule_export]
    use crate::one_step::{gang_passes, gpu_effects, one_step};
    #[pymodule_export]
    use crate::plans::{
        Curve, OrderStatistics, Plan, rank_times, sample, sample_step_times, slowest_replicas,
    };
    #[pymodule_export]
    use crate::probe::{probe_walks, probe_words};
    #[pymodule_export]
    use crate::queue::queue_runs;
    #[pymodule_export]
    use crate::renewal::renewal;
    #[pymodule_export]
    use crate::schedules::Schedule;
    #[pymodule_export]
    use crate::what_if::TracedJob;

    use super::*;

    /// Four words of Philox4x32-10 under `seed` at a counter of four words.
    #[pyfunction]
    fn philox(seed: u64, counter: [u32; 4]) -> [u32; 4] {
        let [unit, c1, c2, stream] = counter;
        let random = hindmost_core::random::Random::new(seed);
        random.words(hindmost_core::random::Stream(stream), unit, c1, c2)
    }

    /// Instruction sets that this processor has kernels for, the best one last.
    #[pyfunction]
    fn instruction_sets() -> Vec<&'static str> {
        let sets = hindmost_core::simd::InstructionSet::ALL;
        let available = sets.into_iter().filter(|set| set.is_available());
        available.map(|set| set.name()).collect()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        use hindmost_core::{drift, plan, schedule, what_if};
        // NumPy's interface is loaded here. Where a signal came while a first call loaded it, that
        // call would panic; an import of the module that has it is only interrupted.
        module.py().import("numpy._core.multiarray")?;
        drop(PyArray1::<u32>::zeros(module.py(), 0, false).readwrite());
        module.add("KINDS_OF_OPERATIONS", what_if::Kind::NAMES)?;
        module.add("MAX_STAGES", schedule::MAX_STAGES)?;
        module.add("MAX_PASSES", schedule::MAX_PASSES)?;
        module.add("MAX_INDICES", plan::MAX_INDICES)?;
        module.add("MAX_GANG_RANKS", plan::MAX_GANG_RANKS)?;
        module.add("MAX_CORRELATION_STEPS", drift::MAX_CORRELATION_STEPS)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
