//! Ranks that are drawn by themselves: those that rare causes hit, with their
//! blocks, and those that are drawn in each step.

use std::ops::Range;

use super::members::Members;
use super::rare::Events;
use crate::plan::Scope;

/// A rank that is drawn by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) rank: u32,
    /// What rare causes do to it.
    pub(super) slowdown: f64,
    pub(super) stall: f64,
}

impl Hit {
    /// A rank that no rare cause hits.
    pub(super) fn untouched(rank: u32) -> Self {
        Self {
            rank,
            slowdown: 1.0,
            stall: 0.0,
        }
    }
}

/// Room to work in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) events: Events,
    pub(super) hits: Vec<Hit>,
    /// Blocks that are drawn as a whole, by their first rank.
    pub(super) blocks: Vec<Range<u32>>,
    pub(super) ranks: Vec<u32>,
    pub(super) units: Vec<u32>,
    pub(super) factors: Vec<f32>,
}

impl Members<'_> {
    /// Collects the ranks that are drawn by themselves in a step.
    pub(super) fn gather(&self, step: usize, scratch: &mut Scratch) {
        let Scratch {
            events,
            hits,
            blocks,
            ..
        } = scratch;
        hits.clear();
        blocks.clear();
        for event in events.of(step) {
            let rare = &self.rare[event.rare];
            let (slowdown, stall) = rare.effect(event.size);
            let ranks = rare.ranks(self.group, event.unit);
            hits.extend(ranks.map(|rank| Hit {
                rank,
                slowdown,
                stall,
            }));
        }
        let hit_ranks = hits.len();
        for block in &self.passed.apart {
            blocks.push(block.clone());
        }
        if self.compiled.block != Scope::Gpu {
            let of_hits = hits[..hit_ranks].iter().map(|hit| self.block_of(hit.rank));
            blocks.extend(of_hits);
            blocks.sort_by_key(|block| block.start);
            blocks.dedup();
            // The other ranks of these blocks are drawn, too.
            for block in blocks.iter() {
                hits.extend(block.clone().map(Hit::untouched));
            }
        } else {
            let apart = self.passed.apart.iter().cloned().flatten();
            hits.extend(apart.map(Hit::untouched));
        }
        if self.rare.len() > 1 || hits.len() > hit_ranks {
            hits.sort_by_key(|hit| hit.rank);
            hits.dedup_by(|next, first| {
                let same = next.rank == first.rank;
                if same {
                    first.slowdown *= next.slowdown;
                    first.stall += next.stall;
                }
                same
            });
        }
        if self.compiled.block == Scope::Gpu {
            blocks.clear();
            blocks.extend(hits.iter().map(|hit| hit.rank..hit.rank + 1));
        }
    }
}
