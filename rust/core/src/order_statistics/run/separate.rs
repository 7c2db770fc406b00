//! Blocks that are drawn rank by rank in every step, outside of the bulk's law.

use std::ops::Range;

/// Separate blocks of a pool, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeparateBlocks(Vec<Range<u32>>);

impl SeparateBlocks {
    /// The blocks, as ranges of ranks.
    pub fn as_slice(&self) -> &[Range<u32>] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a block whose ranks come after all others.
    pub fn push(&mut self, block: Range<u32>) {
        self.0.push(block);
    }

    /// Appends blocks whose ranks come after all others, in order.
    pub fn extend(&mut self, blocks: impl IntoIterator<Item = Range<u32>>) {
        self.0.extend(blocks);
    }

    /// The blocks by themselves.
    pub fn into_blocks(self) -> Vec<Range<u32>> {
        self.0
    }

    /// Whether a block of the pool is separate.
    pub fn contains(&self, block: &Range<u32>) -> bool {
        self.0
            .binary_search_by_key(&block.start, |separate| separate.start)
            .is_ok()
    }
}
