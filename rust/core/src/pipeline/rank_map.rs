//! Which ranks are which stage of which gang.

use std::ops::Range;

use crate::plan::{Pipeline, Placement, Plan, Pool};
use crate::simd::WALK_LANES;

/// Consecutive ranks of one pool that work in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchPart {
    pub(super) pool: usize,
    pub(super) ranks: Range<u32>,
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
///
/// Tensor groups are numbered in each pool where gangs are aligned, and over one pool after
/// another where they are mixed.
pub(super) struct RankMap<'a> {
    pools: &'a [Pool],
    pipeline: &'a Pipeline,
}

impl<'a> RankMap<'a> {
    pub(super) fn new(plan: &'a Plan, pipeline: &'a Pipeline) -> Self {
        Self {
            pools: plan.pools(),
            pipeline,
        }
    }

    /// All gangs, a batch at a time.
    pub(super) fn batches(&self) -> Vec<Batch> {
        match self.pipeline.spec().placement {
            Placement::Aligned => (0..self.pools.len())
                .flat_map(|pool| self.batches_of(pool..pool + 1))
                .collect(),
            Placement::Mixed => self.batches_of(0..self.pools.len()),
        }
    }

    /// Batches of gangs that lie in some pools, whose tensor groups are numbered together.
    fn batches_of(&self, pools: Range<usize>) -> Vec<Batch> {
        let numbering = self.pipeline.numbering(pools.start);
        let (n_replicas, of_gang) = (numbering.data.size, self.pipeline.spec().gang_replicas);
        let has_ranks = pools.clone().any(|pool| self.pools[pool].n_ranks() > 0);
        let n_gangs = if has_ranks {
            n_replicas.div_ceil(of_gang)
        } else {
            0
        };
        let replica = |gang: u32| gang.saturating_mul(of_gang).min(n_replicas);
        let batch = |first: u32| {
            let end = n_gangs.min(first.saturating_add(WALK_LANES as u32));
            let runs = numbering.runs_of(replica(first), replica(end));
            Batch {
                first_gang: first,
                n_gangs: (end - first) as usize,
                parts: runs.flat_map(|run| self.parts(&pools, run)).collect(),
            }
        };
        (0..n_gangs).step_by(WALK_LANES).map(batch).collect()
    }

    /// The ranks of a run of tensor groups, by the pools that they lie in.
    fn parts(&self, pools: &Range<usize>, (start, n): (u32, u32)) -> Vec<BatchPart> {
        let of_pool = |pool: usize| {
            let (this, first) = (&self.pools[pool], self.pipeline.first_tensor_group(pool));
            let within = |group: u32| group.clamp(first, first + this.n_tensor_groups()) - first;
            BatchPart {
                pool,
                ranks: within(start) * this.tensor_gpus()..within(start + n) * this.tensor_gpus(),
            }
        };
        let parts = pools.clone().map(of_pool);
        parts.filter(|part| !part.ranks.is_empty()).collect()
    }

    /// Which gang and stage the ranks of a tile belong to: `n` of them from `rank`
    /// on, all of one part of a batch.
    pub(super) fn stage_ranks(
        &self,
        batch: &Batch,
        part: &BatchPart,
        rank: u32,
        n: usize,
    ) -> Vec<StageRanks> {
        let tensor_gpus = self.pools[part.pool].tensor_gpus();
        let numbering = self.pipeline.numbering(part.pool);
        let of_gang = self.pipeline.spec().gang_replicas;
        let mut stage_ranks = Vec::new();
        let mut place = 0;
        while place < n {
            let rank = rank + place as u32;
            let group = self.tensor_group(part.pool, rank);
            let replica = numbering.data.index(group);
            let gang = replica / of_gang;
            // Gangs of several replicas have a single stage.
            let last = ((gang + 1) * of_gang).min(numbering.data.size) - 1;
            let data_stride = numbering.data.stride;
            let mut end = (group / data_stride + last - replica + 1) * data_stride;
            if numbering.stage.size > 1 {
                let stage_stride = numbering.stage.stride;
                end = end.min((group / stage_stride + 1) * stage_stride);
            }
            let n_ranks = (end - group) * tensor_gpus - rank % tensor_gpus;
            let next = n.min(place + n_ranks as usize);
            stage_ranks.push(StageRanks {
                lane: (gang - batch.first_gang) as usize,
                stage: numbering.stage.index(group) as usize,
                places: place..next,
            });
            place = next;
        }
        stage_ranks
    }

    /// The pool that a stage of a gang of a batch lies in: where it lies in several, the first.
    pub(super) fn pool_of(&self, batch: &Batch, lane: usize, stage: usize) -> usize {
        if self.pipeline.spec().placement == Placement::Aligned {
            return batch.parts[0].pool;
        }
        let numbering = self.pipeline.numbering(0);
        let replica = (batch.first_gang + lane as u32) * self.pipeline.spec().gang_replicas;
        let group = replica * numbering.data.stride + stage as u32 * numbering.stage.stride;
        let holds = |(index, pool): (usize, &Pool)| {
            group < self.pipeline.first_tensor_group(index) + pool.n_tensor_groups()
        };
        let mut pools = self.pools.iter().enumerate();
        pools.position(holds).unwrap_or(0)
    }

    /// The replica of a rank: counted in its pool, or in the job where placement is
    /// mixed.
    pub(super) fn replica_of(&self, pool: usize, rank: u32) -> u32 {
        let numbering = self.pipeline.numbering(pool);
        numbering.data.index(self.tensor_group(pool, rank))
    }

    /// The stage of a rank.
    pub(super) fn stage_of(&self, pool: usize, rank: u32) -> u32 {
        let numbering = self.pipeline.numbering(pool);
        numbering.stage.index(self.tensor_group(pool, rank))
    }

    /// The number of a rank's tensor group.
    fn tensor_group(&self, pool: usize, rank: u32) -> u32 {
        self.pipeline.first_tensor_group(pool) + rank / self.pools[pool].tensor_gpus()
    }
}
