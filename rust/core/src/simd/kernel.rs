//! The inner loops, called in the instruction set of choice.

use super::instruction_set::InstructionSet;
use super::scalar;
use super::tile_array::{
    Extremes, SCATTERED_UNITS, ScatteredWords, TILE_UNITS, TileAddress, TileArray, WALK_LANES,
};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::schedule::recursion::{Times, WalkScratch};
use crate::table::Table;

/// The inner loops in one instruction set.
#[derive(Debug, Clone, Copy)]
pub struct Kernel(InstructionSet);

/// Calls one loop in the kernel's instruction set.
macro_rules! dispatch {
    ($kernel:expr, $name:ident($($argument:expr),*)) => {
        match $kernel.0 {
            InstructionSet::Portable => scalar::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "a call of vector instructions")]
            // SAFETY: `Kernel::new` has seen that the processor has them.
            InstructionSet::Avx2 => unsafe { avx2::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "a call of vector instructions")]
            // SAFETY: `Kernel::new` has seen that the processor has them.
            InstructionSet::Avx512 => unsafe { avx512::$name($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => scalar::$name($($argument),*),
        }
    };
}

impl Kernel {
    /// The kernel of an instruction set, or the portable one where the
    /// processor lacks it.
    #[must_use]
    pub fn new(set: InstructionSet) -> Self {
        Self(if set.is_available() {
            set
        } else {
            InstructionSet::Portable
        })
    }

    /// Fills `words` with the random words at an address.
    pub fn words(self, random: &Random, address: TileAddress, words: &mut TileArray<u32>) {
        dispatch!(self, words(random, address, words));
    }

    /// Random words of units that need not be consecutive; the unit of the
    /// address is not used.
    #[must_use]
    pub fn scattered_words(
        self,
        random: &Random,
        address: TileAddress,
        units: &[u32; SCATTERED_UNITS],
    ) -> ScatteredWords {
        dispatch!(self, scattered_words(random, address, units))
    }

    /// Fills `values` with those of words that need no more bits, and returns
    /// whether there are words that do.
    pub fn values(
        self,
        table: &Table,
        words: &TileArray<u32>,
        values: &mut TileArray<f32>,
    ) -> bool {
        dispatch!(self, values(table, words, values))
    }

    /// The least and the greatest word of each step.
    #[must_use]
    pub fn extremes(self, words: &TileArray<u32>) -> Extremes {
        dispatch!(self, extremes(words))
    }

    /// The greatest word of one step.
    #[must_use]
    pub fn greatest(self, words: &[u32; TILE_UNITS]) -> u32 {
        dispatch!(self, greatest(words))
    }

    /// Multiplies each product by its factor.
    pub fn multiply(self, products: &mut TileArray<f32>, factors: &TileArray<f32>) {
        dispatch!(self, multiply(products, factors));
    }

    /// Adds `scale` times each term to its sum.
    pub fn add_scaled(self, sums: &mut TileArray<f32>, terms: &TileArray<f32>, scale: f32) {
        dispatch!(self, add_scaled(sums, terms, scale));
    }

    /// Adds `weight` times each term to its sum, as far as there are both.
    pub fn add_weighted(self, sums: &mut [f64], terms: &[f64], weight: f64) {
        dispatch!(self, add_weighted(sums, terms, weight));
    }

    /// Fills `times` with seconds of ranks whose slowdowns and stalls are in
    /// units of `unit_s`.
    pub fn seconds(self, slowdown: &[f32], stall: &[f32], unit_s: f64, times: &mut [f32]) {
        dispatch!(self, seconds(slowdown, stall, unit_s, times));
    }

    /// Walks several gangs through a schedule.
    pub fn walk(
        self,
        schedule: &Schedule,
        times: &Times<WALK_LANES>,
        scratch: &mut WalkScratch<WALK_LANES>,
    ) {
        dispatch!(self, walk(schedule, times, scratch));
    }
}
