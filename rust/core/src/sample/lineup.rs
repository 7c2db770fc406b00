//! Which ranks are which stage of which crew.

use std::ops::Range;

use crate::kernel::REPLICAS;
use crate::plan::{Group, Pipeline, Placement, Plan};

/// Consecutive ranks of one group that work in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) group: usize,
    pub(super) ranks: Range<u32>,
    /// The crew, counted in the batch, that the first rank belongs to.
    lane: usize,
    /// The stage of all of them, or none where crews stand one after another.
    stage: Option<usize>,
}

/// Consecutive crews whose schedules are walked through at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first crew; in its pool, where crews are aligned.
    pub(super) first_crew: u32,
    pub(super) n_crews: usize,
    pub(super) parts: Vec<Part>,
}

/// Ranks of one tile that are one stage of one crew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) lane: usize,
    pub(super) stage: usize,
    pub(super) places: Range<usize>,
}

/// The ranks of a job in crews and stages.
pub(super) struct Lineup<'a> {
    groups: &'a [Group],
    pipeline: &'a Pipeline,
    stages: u32,
}

impl<'a> Lineup<'a> {
    pub(super) fn new(plan: &'a Plan, pipeline: &'a Pipeline) -> Self {
        Self {
            groups: plan.groups(),
            pipeline,
            stages: pipeline.spec().shape.stages,
        }
    }

    /// All crews, a batch at a time.
    pub(super) fn batches(&self) -> Vec<Batch> {
        match self.pipeline.spec().placement {
            Placement::Aligned => (0..self.groups.len())
                .flat_map(|group| self.aligned(group))
                .collect(),
            Placement::Mixed => self.mixed(),
        }
    }

    /// Batches of crews that lie in one group, stage beside stage.
    fn aligned(&self, group: usize) -> Vec<Batch> {
        let this = &self.groups[group];
        let crew_groups = self.stages * self.pipeline.stage_groups();
        let n_crews = this.n_tensor_groups().div_ceil(crew_groups);
        let first_rank = |crew: u32| {
            let tensor_groups = crew.saturating_mul(crew_groups);
            tensor_groups.min(this.n_tensor_groups()) * this.tensor_gpus()
        };
        batched(n_crews, |first_crew, end| Batch {
            first_crew,
            n_crews: (end - first_crew) as usize,
            parts: vec![Part {
                group,
                ranks: first_rank(first_crew)..first_rank(end),
                lane: 0,
                stage: None,
            }],
        })
    }

    /// Batches of crews whose stages are spread over the groups.
    fn mixed(&self) -> Vec<Batch> {
        let n_crews = self.n_spread_crews();
        batched(n_crews, |first_crew, end| {
            let parts = (0..self.stages).flat_map(|stage| {
                let slots = stage * n_crews + first_crew..stage * n_crews + end;
                self.slots(slots, stage as usize)
            });
            Batch {
                first_crew,
                n_crews: (end - first_crew) as usize,
                parts: parts.collect(),
            }
        })
    }

    /// The ranks in consecutive places for one stage, counted over all groups.
    fn slots(&self, slots: Range<u32>, stage: usize) -> Vec<Part> {
        let stage_groups = self.pipeline.stage_groups();
        let mut parts = Vec::new();
        let mut before = 0;
        for (group, this) in self.groups.iter().enumerate() {
            let after = before + this.n_tensor_groups() / stage_groups;
            let (start, end) = (slots.start.max(before), slots.end.min(after));
            if start < end {
                let stage_gpus = stage_groups * this.tensor_gpus();
                parts.push(Part {
                    group,
                    ranks: (start - before) * stage_gpus..(end - before) * stage_gpus,
                    lane: (start - slots.start) as usize,
                    stage: Some(stage),
                });
            }
            before = after;
        }
        parts
    }

    fn n_spread_crews(&self) -> u32 {
        let stage_groups = self.pipeline.stage_groups();
        let slots = self
            .groups
            .iter()
            .map(|group| group.n_tensor_groups() / stage_groups);
        slots.sum::<u32>() / self.stages
    }

    /// Who the ranks of a tile are: `n` from `rank` on, of one part.
    pub(super) fn spots(&self, part: &Part, rank: u32, n: usize) -> Vec<Spot> {
        let stage_gpus = self.pipeline.stage_groups() * self.groups[part.group].tensor_gpus();
        let mut spots = Vec::new();
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
            spots.push(Spot {
                lane,
                stage,
                places: place..end,
            });
            place = end;
        }
        spots
    }

    /// The group that a stage of a crew of a batch lies in.
    pub(super) fn group_of(&self, batch: &Batch, lane: usize, stage: usize) -> usize {
        if self.pipeline.spec().placement == Placement::Aligned {
            return batch.parts[0].group;
        }
        let slot = stage as u32 * self.n_spread_crews() + batch.first_crew + lane as u32;
        let stage_groups = self.pipeline.stage_groups();
        let mut before = 0;
        let after = |group: &Group| {
            before += group.n_tensor_groups() / stage_groups;
            before
        };
        let mut ends = self.groups.iter().map(after);
        ends.position(|end| slot < end).unwrap_or(0)
    }

    /// The replica of a rank of a group: counted in its pool, or over all pools
    /// where stages are spread.
    pub(super) fn replica_of(&self, group: usize, rank: u32) -> u32 {
        let tensor_group = rank / self.groups[group].tensor_gpus();
        match self.pipeline.spec().placement {
            Placement::Aligned => tensor_group / self.pipeline.replica_groups(),
            Placement::Mixed => self.slot_of(group, rank) % self.n_spread_crews(),
        }
    }

    /// The place of a rank of a group, counted in stages over all groups.
    fn slot_of(&self, group: usize, rank: u32) -> u32 {
        let stage_groups = self.pipeline.stage_groups();
        let before = self.groups[..group].iter();
        let before: u32 = before
            .map(|other| other.n_tensor_groups() / stage_groups)
            .sum();
        before + rank / (stage_groups * self.groups[group].tensor_gpus())
    }

    /// The stage of a rank of a group.
    pub(super) fn stage_of(&self, group: usize, rank: u32) -> u32 {
        let stage_groups = self.pipeline.stage_groups();
        match self.pipeline.spec().placement {
            Placement::Aligned => {
                rank / (stage_groups * self.groups[group].tensor_gpus()) % self.stages
            }
            Placement::Mixed => self.slot_of(group, rank) / self.n_spread_crews(),
        }
    }
}

/// Batches of up to [`REPLICAS`] of `n` crews.
fn batched(n: u32, batch: impl Fn(u32, u32) -> Batch) -> Vec<Batch> {
    (0..n)
        .step_by(REPLICAS)
        .map(|first| batch(first, n.min(first.saturating_add(REPLICAS as u32))))
        .collect()
}
