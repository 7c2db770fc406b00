//! The inner loops: random words, their values, and the slowest of many.
//!
//! [`Kernel`] does them for 64 units and 4 steps at once, in the instructions
//! of its choice. The scalar ones are the truth; a faster one equals their
//! bits. On it stand [`tile`], the effects of causes on a tile of ranks, and
//! [`slowest`], which finds the slowest rank without drawing all of them.

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod compiled;
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "vector instructions; each block says why it is sound"
)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "vector instructions; each block says why it is sound"
)]
mod avx512;
pub mod best;
mod scalar;
pub mod slowest;
pub mod tile;

use crate::instructions::InstructionSet;
use crate::random::{Random, Stream};
use crate::schedule::Schedule;
use crate::schedule::recursion::{Times, WalkScratch};
use crate::table::Table;

/// Units of a block.
pub const UNITS: usize = 64;
/// Steps of a block: the words of one random block.
pub const STEPS: usize = 4;

/// Units anywhere whose words are made at once.
pub const SCATTERED: usize = 16;
/// Words of such units, as `[step][unit]`.
pub type Words = [[u32; SCATTERED]; STEPS];

/// Replicas whose schedules are walked through at once.
pub const REPLICAS: usize = 16;

/// One number for each of 64 consecutive units and 4 consecutive steps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Block<T>(pub [[T; UNITS]; STEPS]);

/// `LANES` numbers of a row from `start` on, a multiple of `LANES`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn chunk<const LANES: usize, T>(row: &[T; UNITS], start: usize) -> &[T; LANES] {
    &row.as_chunks().0[start / LANES]
}

/// The same, to be written to.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn chunk_mut<const LANES: usize, T>(row: &mut [T; UNITS], start: usize) -> &mut [T; LANES] {
    &mut row.as_chunks_mut().0[start / LANES]
}

/// Where a block's words are: all of their address but the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The stream.
    pub stream: Stream,
    /// The first of the units.
    pub first_unit: u32,
    /// The second counter word.
    pub c1: u32,
    /// The third counter word.
    pub c2: u32,
}

/// The least and the greatest word of each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extremes {
    /// The least words.
    pub least: [u32; STEPS],
    /// The greatest words.
    pub greatest: [u32; STEPS],
}

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
    /// processor has not got it.
    #[must_use]
    pub fn new(set: InstructionSet) -> Self {
        Self(if set.is_available() {
            set
        } else {
            InstructionSet::Portable
        })
    }

    /// Fills a block with random words.
    pub fn words(self, random: &Random, address: Address, words: &mut Block<u32>) {
        dispatch!(self, words(random, address, words));
    }

    /// Words of units that need not be consecutive; the address's unit does not
    /// count.
    #[must_use]
    pub fn scattered(self, random: &Random, address: Address, units: &[u32; SCATTERED]) -> Words {
        dispatch!(self, scattered(random, address, units))
    }

    /// Fills a block with the values of words that need no more bits, and says
    /// whether there are others among them.
    pub fn values(self, table: &Table, words: &Block<u32>, values: &mut Block<f32>) -> bool {
        dispatch!(self, values(table, words, values))
    }

    /// The least and the greatest word of each step.
    #[must_use]
    pub fn extremes(self, words: &Block<u32>) -> Extremes {
        dispatch!(self, extremes(words))
    }

    /// Multiplies products by factors.
    pub fn multiply(self, products: &mut Block<f32>, factors: &Block<f32>) {
        dispatch!(self, multiply(products, factors));
    }

    /// Adds terms, each `times` a number, to sums.
    pub fn add(self, sums: &mut Block<f32>, terms: &Block<f32>, times: f32) {
        dispatch!(self, add(sums, terms, times));
    }

    /// Times in seconds of ranks whose factors and stalls are in units of
    /// `unit_s`.
    pub fn seconds(self, slowdown: &[f32], stall: &[f32], unit_s: f64, times: &mut [f32]) {
        dispatch!(self, seconds(slowdown, stall, unit_s, times));
    }

    /// Walks through a schedule of several replicas.
    pub fn walk(
        self,
        schedule: &Schedule,
        times: &Times<REPLICAS>,
        scratch: &mut WalkScratch<REPLICAS>,
    ) {
        dispatch!(self, walk(schedule, times, scratch));
    }
}
