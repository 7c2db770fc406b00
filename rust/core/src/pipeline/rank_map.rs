//! Which ranks are which stage of which gang.

use std::ops::Range;

use crate::plan::{Pipeline, Placement, Plan, Pool};
use crate::simd::WALK_LANES;

/// Consecutive ranks of one pool that work in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchPart {
    pub(super) pool: usize,
    pub(super) ranks: Range<u32>,
    /// Lane of the gang that the first rank belongs to.
    lane: usize,
    /// The stage of all of them; none where whole gangs follow each other.
    stage: Option<usize>,
}

/// Consecutive gangs that walk through their schedules together, one a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first gang: counted in its pool where gangs are aligned, else in the job.
    pub(super) first_gang: u32,
    pub(super) n_gangs: usize,
    pub(super) parts: Vec<BatchPart>,
}

/// Ranks of one tile that are part of one stage of one gang.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StageRanks {
    /// The gang, counted in its batch.
    pub(super) lane: usize,
    pub(super) stage: usize,
    /// Places of the ranks in the tile.
    pub(super) places: Range<usize>,
}

/// The ranks of a job by gang and stage.
pub(super) struct RankMap<'a> {
    pools: &'a [Pool],
    pipeline: &'a Pipeline,
    stages: u32,
}

impl<'a> RankMap<'a> {
    pub(super) fn new(plan: &'a Plan, pipeline: &'a Pipeline) -> Self {
        Self {
            pools: plan.pools(),
            pipeline,
            stages: pipeline.spec().shape.stages,
        }
    }

    /// All gangs, a batch at a time.
    pub(super) fn batches(&self) -> Vec<Batch> {
        match self.pipeline.spec().placement {
            Placement::Aligned => (0..self.pools.len())
                .flat_map(|pool| self.aligned(pool))
                .collect(),
            Placement::Mixed => self.mixed(),
        }
    }

    /// Batches of gangs that lie in one pool, stage beside stage.
    fn aligned(&self, pool: usize) -> Vec<Batch> {
        let this = &self.pools[pool];
        let gang_tensor_groups = self.stages * self.pipeline.stage_tensor_groups();
        let n_gangs = this.n_tensor_groups().div_ceil(gang_tensor_groups);
        let first_rank = |gang: u32| {
            let tensor_groups = gang.saturating_mul(gang_tensor_groups);
            tensor_groups.min(this.n_tensor_groups()) * this.tensor_gpus()
        };
        batched(n_gangs, |first_gang, end| Batch {
            first_gang,
            n_gangs: (end - first_gang) as usize,
            parts: vec![BatchPart {
                pool,
                ranks: first_rank(first_gang)..first_rank(end),
                lane: 0,
                stage: None,
            }],
        })
    }

    /// Batches of gangs whose stages are spread over the pools.
    fn mixed(&self) -> Vec<Batch> {
        let n_gangs = self.n_mixed_gangs();
        batched(n_gangs, |first_gang, end| {
            let parts = (0..self.stages).flat_map(|stage| {
                let slots = stage * n_gangs + first_gang..stage * n_gangs + end;
                self.slots(slots, stage as usize)
            });
            Batch {
                first_gang,
                n_gangs: (end - first_gang) as usize,
                parts: parts.collect(),
            }
        })
    }

    /// The ranks of `slots`, places for one stage that are counted over all pools.
    fn slots(&self, slots: Range<u32>, stage: usize) -> Vec<BatchPart> {
        let stage_tensor_groups = self.pipeline.stage_tensor_groups();
        let mut parts = Vec::new();
        let mut before = 0;
        for (pool, this) in self.pools.iter().enumerate() {
            let after = before + this.n_tensor_groups() / stage_tensor_groups;
            let (start, end) = (slots.start.max(before), slots.end.min(after));
            if start < end {
                let stage_gpus = stage_tensor_groups * this.tensor_gpus();
                parts.push(BatchPart {
                    pool,
                    ranks: (start - before) * stage_gpus..(end - before) * stage_gpus,
                    lane: (start - slots.start) as usize,
                    stage: Some(stage),
                });
            }
            before = after;
        }
        parts
    }

    fn n_mixed_gangs(&self) -> u32 {
        let stage_tensor_groups = self.pipeline.stage_tensor_groups();
        let slots = self
            .pools
            .iter()
            .map(|pool| pool.n_tensor_groups() / stage_tensor_groups);
        slots.sum::<u32>() / self.stages
    }

    /// Which gang and stage the ranks of a tile belong to: `n` of them from `rank`
    /// on, all of one part.
    pub(super) fn stage_ranks(&self, part: &BatchPart, rank: u32, n: usize) -> Vec<StageRanks> {
        let stage_gpus = self.pipeline.stage_tensor_groups() * self.pools[part.pool].tensor_gpus();
        let mut stage_ranks = Vec::new();
        let mut place = 0;
        while place < n {
            let offset = rank - part.ranks.start + place as u32;
            let (slot, inside) = (offset / stage_gpus, offset % stage_gpus);
            let end = n.min(place + (stage_gpus - inside) as usize);
            let (lane, stage) = match part.stage {
                Some(stage) => (part.lane + slot as usize, stage),
                None => (
                    part.lane + (slot / self.stages) as usize,
                    (slot % self.stages) as usize,
                ),
            };
            stage_ranks.push(StageRanks {
                lane,
                stage,
                places: place..end,
            });
            place = end;
        }
        stage_ranks
    }

    /// The pool that a stage of a gang of a batch lies in.
    pub(super) fn pool_of(&self, batch: &Batch, lane: usize, stage: usize) -> usize {
        if self.pipeline.spec().placement == Placement::Aligned {
            return batch.parts[0].pool;
        }
        let slot = stage as u32 * self.n_mixed_gangs() + batch.first_gang + lane as u32;
        let stage_tensor_groups = self.pipeline.stage_tensor_groups();
        let mut before = 0;
        let after = |pool: &Pool| {
            before += pool.n_tensor_groups() / stage_tensor_groups;
            before
        };
        let mut ends = self.pools.iter().map(after);
        ends.position(|end| slot < end).unwrap_or(0)
    }

    /// The replica of a rank: counted in its pool, or in the job where placement is
    /// mixed.
    pub(super) fn replica_of(&self, pool: usize, rank: u32) -> u32 {
        let tensor_group = rank / self.pools[pool].tensor_gpus();
        match self.pipeline.spec().placement {
            Placement::Aligned => tensor_group / self.pipeline.replica_tensor_groups(),
            Placement::Mixed => self.slot_of(pool, rank) % self.n_mixed_gangs(),
        }
    }

    /// The slot of a rank: places for one stage, counted over all pools.
    fn slot_of(&self, pool: usize, rank: u32) -> u32 {
        let stage_tensor_groups = self.pipeline.stage_tensor_groups();
        let before = self.pools[..pool].iter();
        let before: u32 = before
            .map(|other| other.n_tensor_groups() / stage_tensor_groups)
            .sum();
        before + rank / (stage_tensor_groups * self.pools[pool].tensor_gpus())
    }

    /// The stage of a rank.
    pub(super) fn stage_of(&self, pool: usize, rank: u32) -> u32 {
        let stage_tensor_groups = self.pipeline.stage_tensor_groups();
        match self.pipeline.spec().placement {
            Placement::Aligned => {
                rank / (stage_tensor_groups * self.pools[pool].tensor_gpus()) % self.stages
            }
            Placement::Mixed => self.slot_of(pool, rank) / self.n_mixed_gangs(),
        }
    }
}

/// Batches of up to [`WALK_LANES`] of `n` gangs.
fn batched(n: u32, batch: impl Fn(u32, u32) -> Batch) -> Vec<Batch> {
    (0..n)
        .step_by(WALK_LANES)
        .map(|first| batch(first, n.min(first.saturating_add(WALK_LANES as u32))))
        .collect()
}
