//! Steps in which crews wait inside: pipelines, and causes that change from
//! one microbatch or layer to the next.

use super::Slowest;
use super::inside::{Inside, Walked};
use super::lasting::lasting;
use super::lineup::{Batch, Lineup, Part, Spot};
use super::replicas::ReplicaTime;
use crate::control::Control;
use crate::error::Result;
use crate::kernel::slowest::{Lasting, for_each_stretch};
use crate::kernel::tile::{Drawn, Draws, Tile};
use crate::kernel::{Kernel, REPLICAS, STEPS};
use crate::plan::{Affects, Cause, Effect, Pipeline, Placement, Plan, Span};
use crate::random::Random;
use crate::schedule::recursion::{Lanes, WalkScratch};

/// What acts on the ranks of one group in one run.
pub(super) struct Acting<'a> {
    /// Slowdowns of a step, and stalls that stop one stage.
    pub(super) step: Draws<'a>,
    /// Stalls of a step that stop several stages of a crew at once.
    wide: Draws<'a>,
    pub(super) lasting: Lasting,
    pub(super) wide_lasting: Lasting,
    /// Causes of span microbatch that ranks of a crew do not share.
    pub(super) microbatch: Draws<'a>,
    /// Those that a whole crew shares.
    pub(super) shared: Draws<'a>,
    /// Causes of span layer.
    pub(super) layer: Draws<'a>,
}

impl<'a> Acting<'a> {
    fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        index: usize,
        random: &'a Random,
        run: u32,
        control: &Control,
    ) -> Result<Self> {
        let group = &plan.groups()[index];
        let draws = |span| Draws::new(plan, index, Affects::Compute, span, random, run);
        let wide =
            |cause: &Cause| cause.effect() == Effect::Stall && pipeline.is_wide(cause, group);
        let shared = |cause: &Cause| pipeline.is_shared(cause);
        Ok(Self {
            step: draws(Span::Step).only(|cause| !wide(cause)),
            wide: draws(Span::Step).only(wide),
            lasting: lasting(&draws(Span::Run).only(|cause| !wide(cause)), control)?,
            wide_lasting: lasting(&draws(Span::Run).only(wide), control)?,
            microbatch: draws(Span::Microbatch).only(|cause| !shared(cause)),
            shared: draws(Span::Microbatch).only(shared),
            layer: draws(Span::Layer),
        })
    }

    /// Whether a stage may stall by itself.
    fn stalls(&self) -> bool {
        let stall = |draws: &Draws| draws.causes().any(|cause| cause.effect() == Effect::Stall);
        !self.lasting.stall.is_empty() || stall(&self.step) || stall(&self.microbatch)
    }

    fn stalls_wide(&self) -> bool {
        !self.wide.is_empty() || !self.wide_lasting.stall.is_empty()
    }

    /// Draws of one rank in a step.
    fn n_draws(&self, pipeline: &Pipeline) -> u64 {
        let microbatches = pipeline.spec().shape.microbatches as usize;
        let once = self.step.len() + self.wide.len();
        let inside = self.microbatch.len() + self.shared.len();
        let layers = 2 * pipeline.n_layers() as usize * self.layer.len();
        (once + microbatches * (inside + layers)).max(1) as u64
    }
}

/// Ranks of a batch on consecutive GPUs, with their factors in four steps.
pub(super) struct Ranks {
    pub(super) group: usize,
    pub(super) gpus: std::ops::Range<u32>,
    pub(super) tile: Tile,
    pub(super) spots: Vec<Spot>,
}

/// All crews of a job in one run.
pub(super) struct Crews<'a> {
    pub(super) plan: &'a Plan,
    pipeline: &'a Pipeline,
    lineup: Lineup<'a>,
    pub(super) batches: Vec<Batch>,
    pub(super) acting: Vec<Acting<'a>>,
    /// Whether a stage may stall by itself.
    stalls: bool,
}

impl<'a> Crews<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        random: &'a Random,
        run: u32,
        control: &Control,
    ) -> Result<Self> {
        let acting = (0..plan.groups().len())
            .map(|index| Acting::new(plan, pipeline, index, random, run, control))
            .collect::<Result<Vec<_>>>()?;
        let lineup = Lineup::new(plan, pipeline);
        Ok(Self {
            plan,
            pipeline,
            batches: lineup.batches(),
            lineup,
            stalls: acting.iter().any(Acting::stalls),
            acting,
        })
    }

    /// Expected busy and stalled seconds of each group's average rank.
    pub(super) fn expected_times(&self) -> Vec<(f64, f64)> {
        self.expected_times_in(self.plan)
    }

    /// The slowest crew of the first `n_steps` of four steps.
    pub(super) fn slowest(
        &self,
        block: u32,
        n_steps: usize,
        control: &Control,
    ) -> Result<[Slowest; STEPS]> {
        let mut slowest = [Slowest::NOBODY; STEPS];
        for batch in &self.batches {
            self.walk_batch(batch, block, n_steps, control, |step, walked, factors| {
                self.meet(&mut slowest[step], batch, walked, factors);
            })?;
        }
        Ok(slowest)
    }

    /// Tells `met` how long each crew takes in the first `n_steps` of four steps.
    pub(super) fn each_time(
        &self,
        block: u32,
        n_steps: usize,
        control: &Control,
        mut met: impl FnMut(usize, ReplicaTime),
    ) -> Result<()> {
        for batch in &self.batches {
            self.walk_batch(batch, block, n_steps, control, |step, walked, factors| {
                for lane in 0..batch.n_crews {
                    let whole_s = walked.wide_s.0[lane] + walked.whole_s.0[lane];
                    let compute_s = walked.ends_s.0[lane] + whole_s;
                    let replica = ReplicaTime {
                        group: self.busiest_group(batch, lane, factors),
                        replica: batch.first_crew + lane as u32,
                        compute_s,
                        stall_s: compute_s - walked.free_s.0[lane],
                    };
                    met(step, replica);
                }
            })?;
        }
        Ok(())
    }

    /// Walks the crews of a batch through the first `n_steps` of four steps, and
    /// tells `met` of each.
    pub(super) fn walk_batch(
        &self,
        batch: &Batch,
        block: u32,
        n_steps: usize,
        control: &Control,
        mut met: impl FnMut(usize, &Walked, &[Lanes<REPLICAS>]),
    ) -> Result<()> {
        let kernel = Kernel::new(self.plan.instructions());
        let schedule = self.pipeline.schedule();
        let mut room = WalkScratch::new(schedule);
        let mut inside = Inside::new(self.pipeline, &self.acting, self.stalls);
        control.advance(0)?;
        let ranks = self.draw(batch, block);
        let draws = self.n_draws(batch);
        let base_s = self.base_s(batch);
        for step in 0..n_steps {
            let number = block * STEPS as u32 + step as u32;
            inside.fill(batch, &ranks, number, step, control)?;
            let wide_s = self.wide_s(batch, block, step);
            let mut times = inside.times(&base_s, self.transfer_s(batch));
            kernel.walk(schedule, &times, &mut room);
            let ends_s = self.ends_s(batch, &room, inside.stage_factors());
            let mut free_s = ends_s;
            if inside.has_stalled() {
                times.stalls_s = &[];
                kernel.walk(schedule, &times, &mut room);
                free_s = self.ends_s(batch, &room, inside.stage_factors());
            }
            let walked = Walked {
                ends_s,
                free_s,
                wide_s,
                whole_s: *inside.whole_s(),
            };
            met(step, &walked, inside.stage_factors());
            control.advance(draws)?;
        }
        Ok(())
    }

    /// Draws what lasts at least a step for the ranks of a batch.
    fn draw(&self, batch: &Batch, block: u32) -> Vec<Ranks> {
        let mut all = Vec::new();
        let mut drawn = Drawn::Nothing;
        for part in &batch.parts {
            let acting = &self.acting[part.group];
            let group = &self.plan.groups()[part.group];
            for_each_stretch(group, part.ranks.clone(), |rank, gpus| {
                let mut tile = Tile::NEUTRAL;
                let places = rank as usize..rank as usize + gpus.len();
                acting.lasting.load(places, true, &mut tile);
                acting.step.apply_all(block, &gpus, &mut drawn, &mut tile);
                all.push(Ranks {
                    group: part.group,
                    spots: self.lineup.spots(part, rank, gpus.len()),
                    gpus,
                    tile,
                });
            });
        }
        all
    }

    /// Draws of a batch in one step.
    fn n_draws(&self, batch: &Batch) -> u64 {
        let of =
            |part: &Part| part.ranks.len() as u64 * self.acting[part.group].n_draws(self.pipeline);
        batch.parts.iter().map(of).sum()
    }

    /// Seconds for which each crew of a batch stops as a whole in one step.
    fn wide_s(&self, batch: &Batch, block: u32, step: usize) -> Lanes<REPLICAS> {
        let mut wide_s = Lanes::all(0.0);
        let mut drawn = Drawn::Nothing;
        for part in &batch.parts {
            let acting = &self.acting[part.group];
            if !acting.stalls_wide() {
                continue;
            }
            let group = &self.plan.groups()[part.group];
            for_each_stretch(group, part.ranks.clone(), |rank, gpus| {
                let mut tile = Tile::NEUTRAL;
                let places = rank as usize..rank as usize + gpus.len();
                acting.wide_lasting.load(places, true, &mut tile);
                acting.wide.apply_all(block, &gpus, &mut drawn, &mut tile);
                for spot in self.lineup.spots(part, rank, gpus.len()) {
                    let longest = greatest(&tile.stall.0[step][spot.places]);
                    let lane = &mut wide_s.0[spot.lane];
                    *lane = lane.max(group.compute_s() * longest);
                }
            });
        }
        wide_s
    }

    /// Seconds of each class of passes, without any cause.
    fn base_s(&self, batch: &Batch) -> Vec<Lanes<REPLICAS>> {
        let shape = self.pipeline.spec().shape;
        let n_virtual = shape.virtual_stages() as usize;
        let mut base_s = vec![Lanes::all(0.0); 3 * n_virtual];
        for part in &batch.parts {
            let times = &self.pipeline.spec().times[part.group];
            let passes = [&times.forward_s, &times.backward_s, &times.weight_s];
            let n = part.ranks.len();
            for spot in self.lineup.spots(part, part.ranks.start, n) {
                for (direction, by_stage) in passes.into_iter().enumerate() {
                    for chunk in 0..shape.chunks as usize {
                        let k = chunk * shape.stages as usize + spot.stage;
                        let seconds = by_stage.get(k).copied().unwrap_or(0.0);
                        base_s[direction * n_virtual + k].0[spot.lane] = seconds;
                    }
                }
            }
        }
        base_s
    }

    /// Seconds until a result has reached another stage: of the slowest group
    /// that crews of the batch may reach.
    fn transfer_s(&self, batch: &Batch) -> f64 {
        let times = &self.pipeline.spec().times;
        match self.pipeline.spec().placement {
            Placement::Aligned => times[batch.parts[0].group].transfer_s,
            Placement::Mixed => times
                .iter()
                .map(|times| times.transfer_s)
                .fold(0.0, f64::max),
        }
    }

    /// When each crew of a batch has done its last pass and what comes after.
    fn ends_s(
        &self,
        batch: &Batch,
        room: &WalkScratch<REPLICAS>,
        factors: &[Lanes<REPLICAS>],
    ) -> Lanes<REPLICAS> {
        let mut ends_s = Lanes::all(0.0);
        for (stage, (done_s, factor)) in room.ends_s.iter().zip(factors).enumerate() {
            for lane in 0..batch.n_crews {
                let group = self.lineup.group_of(batch, lane, stage);
                let overhead_s = self.pipeline.spec().times[group].overhead_s * factor.0[lane];
                ends_s.0[lane] = f64::max(ends_s.0[lane], done_s.0[lane] + overhead_s);
            }
        }
        ends_s
    }

    /// Compares the crews of a batch with the slowest so far.
    fn meet(
        &self,
        slowest: &mut Slowest,
        batch: &Batch,
        walked: &Walked,
        factors: &[Lanes<REPLICAS>],
    ) {
        for lane in 0..batch.n_crews {
            let whole_s = walked.wide_s.0[lane] + walked.whole_s.0[lane];
            let compute_s = walked.ends_s.0[lane] + whole_s;
            if compute_s > slowest.compute_s {
                *slowest = Slowest {
                    group: self.busiest_group(batch, lane, factors),
                    compute_s,
                    stall_s: compute_s - walked.free_s.0[lane],
                    exposed_comm_s: 0.0,
                };
            }
        }
    }

    /// The group of a crew: of stages in several pools, that of the one that
    /// works longest.
    fn busiest_group(&self, batch: &Batch, lane: usize, factors: &[Lanes<REPLICAS>]) -> u32 {
        let mut longest = (0, 0.0);
        for (stage, factor) in factors.iter().enumerate() {
            let group = self.lineup.group_of(batch, lane, stage);
            let work_s = factor.0[lane] * self.pipeline.busy_s(group, stage as u32);
            if work_s > longest.1 {
                longest = (group, work_s);
            }
        }
        longest.0 as u32
    }
}

/// The greatest of some factors or stalls.
#[inline]
pub(super) fn greatest(values: &[f32]) -> f64 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    // Four at once, which a compiler makes a vector of.
    let (fours, rest) = values.as_chunks::<4>();
    let mut most = [0.0; 4];
    for four in fours {
        for (most, &value) in most.iter_mut().zip(four) {
            *most = larger(*most, value);
        }
    }
    f64::from(most.iter().chain(rest).copied().fold(0.0, larger))
}
