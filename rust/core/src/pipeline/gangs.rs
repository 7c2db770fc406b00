//! Steps in which gangs wait inside: pipelines, and causes that change within a
//! step.

use std::ops::Range;

use super::gang_passes::{GangPasses, GangStage, GpuPlace, TimedPass};
use super::pool_causes::PoolCauses;
use super::rank_map::{Batch, BatchPart, RankMap, StageRanks};
use super::rank_work::RankWork;
use super::stage_factors::{BatchTile, StageFactors, greatest};
use crate::control::Control;
use crate::draw::{Drawn, Tile, When, for_each_tile};
use crate::error::Result;
use crate::plan::{Pipeline, Placement, Plan, StageTimes};
use crate::random::Random;
use crate::schedule::recursion::{Lanes, WalkScratch, walk_observed};
use crate::search::{Frontier, FrontierPoint};
use crate::simd::{Kernel, QUAD_STEPS, WALK_LANES};
use crate::step::{
    Durations, ExpectedTime, FrontierTime, ReplicaTime, Slowest, SlowestAndFrontiers,
};

/// All gangs of a job in one run.
pub struct Gangs<'a> {
    plan: &'a Plan,
    pipeline: &'a Pipeline,
    ranks: RankMap<'a>,
    batches: Vec<Batch>,
    /// Number of the run.
    run: u32,
    /// By pool.
    causes: Vec<PoolCauses<'a>>,
    /// Whether a stage may stall by itself.
    stalls_stages: bool,
}

/// What a walk through the schedule gave, in seconds of each gang of a batch.
struct Walked {
    /// When the last stage is done.
    ends_s: Lanes<WALK_LANES>,
    /// When it would be done if no stage had stalled.
    free_s: Lanes<WALK_LANES>,
    /// For how long gangs stop as a whole, by causes of the whole step.
    step_stall_s: Lanes<WALK_LANES>,
    /// For how long gangs stop as a whole, in all microbatches together.
    microbatch_stall_s: Lanes<WALK_LANES>,
    /// Whether any rank of a gang is in an episode.
    in_episode: [bool; WALK_LANES],
}

impl Walked {
    /// Seconds of a step of a gang, stalls included.
    fn compute_s(&self, lane: usize) -> f64 {
        let gang_stall_s = self.step_stall_s.0[lane] + self.microbatch_stall_s.0[lane];
        self.ends_s.0[lane] + gang_stall_s
    }

    /// Seconds of these that stalls cost.
    fn stall_s(&self, lane: usize) -> f64 {
        self.compute_s(lane) - self.free_s.0[lane]
    }
}

/// The greatest of some values that are not negative, and the GPU that has it; of equals the first.
#[derive(Default)]
struct Greatest {
    value: f64,
    at: GpuPlace,
}

impl Greatest {
    fn offer(&mut self, value: f64, pool: usize, gpu: u32) {
        if value > self.value {
            let pool = pool as u32;
            (self.value, self.at) = (value, GpuPlace { pool, gpu });
        }
    }
}

impl<'a> Gangs<'a> {
    /// The gangs of a plan with its `pipeline`; draws what lasts longer than a step, for some
    /// steps.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn new(
        plan: &'a Plan,
        pipeline: &'a Pipeline,
        random: &'a Random,
        run: u32,
        steps: &Range<u32>,
        control: &Control,
    ) -> Result<Self> {
        let causes = (0..plan.pools().len())
            .map(|index| PoolCauses::new(plan, pipeline, index, random, run, steps, control))
            .collect::<Result<Vec<_>>>()?;
        let ranks = RankMap::new(plan, pipeline);
        Ok(Self {
            plan,
            pipeline,
            batches: ranks.batches(),
            ranks,
            run,
            stalls_stages: causes.iter().any(PoolCauses::stalls_stages),
            causes,
        })
    }

    /// Expected times of the average rank, by pool, under the causes of `plan`: the
    /// one of these gangs, or one from which causes that change were taken out.
    #[must_use]
    pub fn expected_under(&self, plan: &Plan) -> Vec<ExpectedTime> {
        let of = |(index, causes): (usize, &PoolCauses)| {
            let parts = [&causes.persistent, &causes.persistent_gang_stalls];
            let slowdown = parts.map(|part| part.mean_slowdown()).iter().product();
            let stall = parts.map(|part| part.mean_stall()).iter().sum();
            ExpectedTime::of_pool(plan, index, slowdown, stall)
        };
        self.causes.iter().enumerate().map(of).collect()
    }

    /// Expected times of the average rank, by pool.
    #[must_use]
    pub fn expected(&self) -> Vec<ExpectedTime> {
        self.expected_under(self.plan)
    }

    /// Leaves out batches of gangs of which none is wanted: of each batch `wants`
    /// gets the pool of its first ranks, its first gang and how many it has.
    pub(super) fn retain(&mut self, wants: impl Fn(usize, u32, usize) -> bool) {
        self.batches
            .retain(|batch| wants(batch.parts[0].pool, batch.first_gang, batch.n_gangs));
    }

    /// The slowest gang in each of the first `n_steps` steps of a quad, by the durations of
    /// these steps.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn slowest(
        &self,
        quad: u32,
        n_steps: usize,
        durations: &Durations,
        control: &Control,
    ) -> Result<[Slowest; QUAD_STEPS]> {
        let mut slowest = [Slowest::NOBODY; QUAD_STEPS];
        for batch in &self.batches {
            self.walk_batch(batch, quad, n_steps, control, |step, walked, factors| {
                for lane in 0..batch.n_gangs {
                    let (compute_s, stall_s) = (walked.compute_s(lane), walked.stall_s(lane));
                    // Where stages are spread over pools, all of these have equal windows.
                    let duration = &durations[batch.parts[0].pool][step];
                    let duration_s = duration.seconds(compute_s - stall_s, stall_s);
                    // Looking for the busiest stage's pool is left for gangs that need it.
                    if slowest[step].yields_to(duration_s, compute_s) {
                        slowest[step] = Slowest {
                            pool: self.busiest_pool(batch, lane, factors),
                            compute_s,
                            stall_s,
                            duration_s,
                            in_episode: walked.in_episode[lane],
                        };
                    }
                }
            })?;
        }
        Ok(slowest)
    }

    /// [`Gangs::slowest`], and the times by pool of the gangs of which no other computes and is
    /// stalled at least as long.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn slowest_and_frontiers(
        &self,
        quad: u32,
        n_steps: usize,
        durations: &Durations,
        control: &Control,
    ) -> Result<SlowestAndFrontiers> {
        let nobody = vec![Frontier::NOBODY; self.plan.pools().len()];
        let mut by_pool = [(); QUAD_STEPS].map(|()| nobody.clone());
        let mut slowest = [Slowest::NOBODY; QUAD_STEPS];
        self.for_each_time(quad, n_steps, control, |step, time, in_episode| {
            let pool = time.pool as usize;
            let own_compute_s = time.compute_s - time.stall_s;
            let duration_s = durations[pool][step].seconds(own_compute_s, time.stall_s);
            if slowest[step].yields_to(duration_s, time.compute_s) {
                slowest[step] = Slowest {
                    pool: time.pool,
                    compute_s: time.compute_s,
                    stall_s: time.stall_s,
                    duration_s,
                    in_episode,
                };
            }
            by_pool[step][pool].offer(FrontierPoint {
                compute: own_compute_s,
                stall: time.stall_s,
                total: time.compute_s,
                rank: time.replica,
            });
        })?;
        let frontiers = by_pool.map(|pools| {
            let of_pool = |(pool, frontier): (u32, Frontier<f64>)| {
                let time = |point: &FrontierPoint<f64>| FrontierTime {
                    pool,
                    compute_s: point.compute,
                    stall_s: point.stall,
                    total_s: point.total,
                };
                frontier.points().iter().map(time).collect::<Vec<_>>()
            };
            (0..).zip(pools).flat_map(of_pool).collect()
        });
        Ok((slowest, frontiers))
    }

    /// Calls `met` with the step within the quad, the time of each gang and whether any of its
    /// ranks is in an episode, in the first `n_steps` steps of a quad.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn for_each_time(
        &self,
        quad: u32,
        n_steps: usize,
        control: &Control,
        mut met: impl FnMut(usize, ReplicaTime, bool),
    ) -> Result<()> {
        for batch in &self.batches {
            self.walk_batch(batch, quad, n_steps, control, |step, walked, factors| {
                for lane in 0..batch.n_gangs {
                    let time = ReplicaTime {
                        pool: self.busiest_pool(batch, lane, factors),
                        replica: batch.first_gang + lane as u32,
                        compute_s: walked.compute_s(lane),
                        stall_s: walked.stall_s(lane),
                    };
                    met(step, time, walked.in_episode[lane]);
                }
            })?;
        }
        Ok(())
    }

    /// The time of each gang in step 0, by pool in which it begins.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub(super) fn times_by_pool(&self, control: &Control) -> Result<Vec<Vec<ReplicaTime>>> {
        let mut times = vec![Vec::new(); self.plan.pools().len()];
        for batch in &self.batches {
            let pool = batch.parts[0].pool;
            self.walk_batch(batch, 0, 1, control, |_, walked, _| {
                times[pool].extend((0..batch.n_gangs).map(|lane| ReplicaTime {
                    pool: pool as u32,
                    replica: batch.first_gang + lane as u32,
                    compute_s: walked.compute_s(lane),
                    stall_s: walked.stall_s(lane),
                }));
            })?;
        }
        Ok(times)
    }

    /// All passes of one gang in one step of the run: of the gangs that begin in a pool, or of
    /// those of the job where stages are spread over pools. None where there is no such gang.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn passes(
        &self,
        pool: usize,
        gang: u32,
        step: u32,
        control: &Control,
    ) -> Result<Option<GangPasses>> {
        let is_mixed = self.pipeline.spec().placement == Placement::Mixed;
        let holds = |batch: &&Batch| {
            let gangs = batch.first_gang..batch.first_gang + batch.n_gangs as u32;
            gangs.contains(&gang) && (is_mixed || batch.parts[0].pool == pool)
        };
        let Some(batch) = self.batches.iter().find(holds) else {
            return Ok(None);
        };
        let lane = (gang - batch.first_gang) as usize;
        let quad = step / QUAD_STEPS as u32;
        let row = step as usize % QUAD_STEPS;
        let schedule = self.pipeline.schedule();
        let tiles = self.draw(batch, quad);
        let mut factors = StageFactors::new(self.pipeline, &self.causes, self.stalls_stages);
        factors.draw(batch, &tiles, step, row, control)?;
        let (base_s, transfers_s) = (self.base_s(batch), self.transfers_s(batch));
        let times = factors.times(&base_s, &transfers_s);
        let mut passes = Vec::with_capacity(schedule.passes().len());
        walk_observed(
            schedule,
            &times,
            &mut WalkScratch::new(schedule),
            |pass, walked| {
                passes.push(TimedPass {
                    op: pass.op,
                    stage: pass.stage,
                    ready_s: walked.ready_s[lane],
                    begins_s: walked.begins_s[lane],
                    ends_s: walked.ends_s[lane],
                    slowdown: factors.of_pass(pass, lane),
                });
            },
        );
        let stages = 0..self.pipeline.spec().shape.stages as usize;
        let own_work_s = self.own_work_s(&tiles, step);
        let longest = self.longest_gang_stall(batch, lane, quad, row);
        Ok(Some(GangPasses {
            passes,
            stages: stages
                .map(|stage| self.stage((batch, lane, stage), &tiles, &own_work_s, row))
                .collect(),
            step_stall_s: longest.value,
            step_stalled: longest.at,
            microbatch_stall_s: factors.gang_stall_s().0[lane],
        }))
    }

    /// Seconds that each rank of some tiles works in one step, each for itself: stalls of the whole
    /// step excluded.
    fn own_work_s(&self, tiles: &[BatchTile], step: u32) -> Vec<Vec<f32>> {
        let of_tile = |tile: &BatchTile| {
            let random = self.causes[tile.pool].step.random();
            let work = RankWork::new(self.plan, self.pipeline, tile.pool, random, self.run);
            let mut without_stalls = tile.effects.clone();
            without_stalls.stall = Tile::NEUTRAL.stall;
            let mut work_s = vec![0.0; tile.gpus.len()];
            let rank = self.plan.pools()[tile.pool].rank_from(tile.gpus.start);
            work.write(rank, &tile.gpus, step, &without_stalls, &mut work_s);
            work_s
        };
        tiles.iter().map(of_tile).collect()
    }

    /// One stage of a gang, whose ranks' effects are in `row` of the tiles.
    fn stage(
        &self,
        (batch, lane, stage): (&Batch, usize, usize),
        tiles: &[BatchTile],
        own_work_s: &[Vec<f32>],
        row: usize,
    ) -> GangStage {
        let (mut slowest, mut stalled) = (Greatest::default(), Greatest::default());
        let mut slowdown = 0.0_f64;
        for (tile, work_s) in tiles.iter().zip(own_work_s) {
            let is_here = |ranks: &&StageRanks| (ranks.lane, ranks.stage) == (lane, stage);
            for ranks in tile.stage_ranks.iter().filter(is_here) {
                for place in ranks.places.clone() {
                    let gpu = tile.gpus.start + place as u32;
                    let unit_s = self.plan.pools()[tile.pool].compute_s();
                    slowdown = slowdown.max(f64::from(tile.effects.slowdown.0[row][place]));
                    slowest.offer(f64::from(work_s[place]), tile.pool, gpu);
                    let stall_s = unit_s * f64::from(tile.effects.stall.0[row][place]);
                    stalled.offer(stall_s, tile.pool, gpu);
                }
            }
        }
        let pool = self.ranks.pool_of(batch, lane, stage);
        GangStage {
            slowest: slowest.at,
            stall_s: stalled.value,
            stalled: stalled.at,
            overhead_s: self.pipeline.spec().times[pool].overhead_s * slowdown,
        }
    }

    /// Walks the gangs of a batch through the first `n_steps` steps of a quad, and
    /// calls `met` with each step, what the walk gave and the stages' factors.
    fn walk_batch(
        &self,
        batch: &Batch,
        quad: u32,
        n_steps: usize,
        control: &Control,
        mut met: impl FnMut(usize, &Walked, &[Lanes<WALK_LANES>]),
    ) -> Result<()> {
        let kernel = Kernel::new(self.plan.instructions());
        let schedule = self.pipeline.schedule();
        let mut scratch = WalkScratch::new(schedule);
        let mut factors = StageFactors::new(self.pipeline, &self.causes, self.stalls_stages);
        control.advance(0)?;
        let tiles = self.draw(batch, quad);
        let draws_per_step = self.draws_per_step(batch);
        let base_s = self.base_s(batch);
        let transfers_s = self.transfers_s(batch);
        for step in 0..n_steps {
            let number = quad * QUAD_STEPS as u32 + step as u32;
            factors.draw(batch, &tiles, number, step, control)?;
            let step_stall_s = self.step_stall_s(batch, quad, step);
            let mut times = factors.times(&base_s, &transfers_s);
            kernel.walk(schedule, &times, &mut scratch);
            let ends_s = self.ends_s(batch, &scratch, factors.of_stages());
            let mut free_s = ends_s;
            if factors.has_stalled() {
                times.stalls_s = &[];
                kernel.walk(schedule, &times, &mut scratch);
                free_s = self.ends_s(batch, &scratch, factors.of_stages());
            }
            let walked = Walked {
                ends_s,
                free_s,
                step_stall_s,
                microbatch_stall_s: *factors.gang_stall_s(),
                in_episode: self.in_episode(&tiles, number),
            };
            met(step, &walked, factors.of_stages());
            control.advance(draws_per_step)?;
        }
        Ok(())
    }

    /// Draws what lasts at least a step for the ranks of a batch.
    fn draw(&self, batch: &Batch, quad: u32) -> Vec<BatchTile> {
        let mut tiles = Vec::new();
        let mut drawn = Drawn::Nothing;
        for part in &batch.parts {
            let causes = &self.causes[part.pool];
            let pool = &self.plan.pools()[part.pool];
            for_each_tile(pool, part.ranks.clone(), |rank, gpus| {
                let mut effects = Tile::NEUTRAL;
                let ranks = rank as usize..rank as usize + gpus.len();
                causes.persistent.load(ranks, true, &mut effects);
                let ranks = rank..rank + gpus.len() as u32;
                causes.episodes.apply(quad, &ranks, &mut effects);
                causes
                    .step
                    .apply_all(When::quad(quad), &gpus, &mut drawn, &mut effects);
                tiles.push(BatchTile {
                    pool: part.pool,
                    stage_ranks: self.ranks.stage_ranks(batch, part, rank, gpus.len()),
                    gpus,
                    effects,
                });
            });
        }
        tiles
    }

    /// Whether any rank of each gang of a batch is in an episode in a step.
    fn in_episode(&self, tiles: &[BatchTile], step: u32) -> [bool; WALK_LANES] {
        let mut found = [false; WALK_LANES];
        for tile in tiles {
            let first = self.plan.pools()[tile.pool].rank_from(tile.gpus.start);
            for slow in self.causes[tile.pool].episodes.in_step(step) {
                for StageRanks { lane, places, .. } in &tile.stage_ranks {
                    let ranks = first + places.start as u32..first + places.end as u32;
                    found[*lane] |= slow.ranks.start < ranks.end && ranks.start < slow.ranks.end;
                }
            }
        }
        found
    }

    /// Draws of a batch in one step.
    fn draws_per_step(&self, batch: &Batch) -> u64 {
        let of = |part: &BatchPart| {
            part.ranks.len() as u64 * self.causes[part.pool].draws_per_rank(self.pipeline)
        };
        batch.parts.iter().map(of).sum()
    }

    /// Seconds for which each gang of a batch stops as a whole in one step: the
    /// longest of the stalls that reach several of its stages.
    fn step_stall_s(&self, batch: &Batch, quad: u32, step: usize) -> Lanes<WALK_LANES> {
        let mut stall_s = Lanes::all(0.0);
        self.for_each_gang_stall(batch, quad, |part, ranks, _, effects| {
            let unit_s = self.plan.pools()[part.pool].compute_s();
            let longest = greatest(&effects.stall.0[step][ranks.places.clone()]);
            let lane = &mut stall_s.0[ranks.lane];
            *lane = lane.max(unit_s * longest);
        });
        stall_s
    }

    /// The GPU whose stall stops a gang longest as a whole, if any does.
    fn longest_gang_stall(&self, batch: &Batch, lane: usize, quad: u32, row: usize) -> Greatest {
        let mut longest = Greatest::default();
        self.for_each_gang_stall(batch, quad, |part, ranks, gpus, effects| {
            let unit_s = self.plan.pools()[part.pool].compute_s();
            for place in ranks.places.clone().filter(|_| ranks.lane == lane) {
                let stall_s = unit_s * f64::from(effects.stall.0[row][place]);
                longest.offer(stall_s, part.pool, gpus.start + place as u32);
            }
        });
        longest
    }

    /// Calls `met` with the ranks of each gang in each tile of a batch, and with what stops
    /// several stages at once in the steps of a quad.
    fn for_each_gang_stall(
        &self,
        batch: &Batch,
        quad: u32,
        mut met: impl FnMut(&BatchPart, &StageRanks, &Range<u32>, &Tile),
    ) {
        let mut drawn = Drawn::Nothing;
        for part in &batch.parts {
            let causes = &self.causes[part.pool];
            if !causes.stalls_gangs() {
                continue;
            }
            let pool = &self.plan.pools()[part.pool];
            for_each_tile(pool, part.ranks.clone(), |rank, gpus| {
                let mut effects = Tile::NEUTRAL;
                let ranks = rank as usize..rank as usize + gpus.len();
                causes
                    .persistent_gang_stalls
                    .load(ranks, true, &mut effects);
                causes
                    .gang_stalls
                    .apply_all(When::quad(quad), &gpus, &mut drawn, &mut effects);
                for ranks in self.ranks.stage_ranks(batch, part, rank, gpus.len()) {
                    met(part, &ranks, &gpus, &effects);
                }
            });
        }
    }

    /// Seconds of each class of passes, without any cause.
    fn base_s(&self, batch: &Batch) -> Vec<Lanes<WALK_LANES>> {
        let shape = self.pipeline.spec().shape;
        let n_virtual = shape.virtual_stages() as usize;
        let mut base_s = vec![Lanes::all(0.0); 3 * n_virtual];
        for part in &batch.parts {
            let times = &self.pipeline.spec().times[part.pool];
            let passes = [&times.forward_s, &times.backward_s, &times.weight_s];
            let n = part.ranks.len();
            for ranks in self.ranks.stage_ranks(batch, part, part.ranks.start, n) {
                for (direction, by_stage) in passes.into_iter().enumerate() {
                    for chunk in 0..shape.chunks as usize {
                        let k = chunk * shape.stages as usize + ranks.stage;
                        let seconds = by_stage.get(k).copied().unwrap_or(0.0);
                        base_s[direction * n_virtual + k].0[ranks.lane] = seconds;
                    }
                }
            }
        }
        base_s
    }

    /// Seconds until a result has reached another stage, by link: those of the slowest pool that
    /// holds one of the two stages.
    fn transfers_s(&self, batch: &Batch) -> Vec<f64> {
        let spec = self.pipeline.spec();
        match spec.placement {
            Placement::Aligned => spec.times[batch.parts[0].pool].transfer_s.clone(),
            Placement::Mixed => (0..spec.shape.stages)
                .map(|link| {
                    let next = (link + 1) % spec.shape.stages;
                    let uses = |&(pool, _): &(usize, &StageTimes)| {
                        let holds = |stage| self.pipeline.holds_stage(pool, stage);
                        holds(link) || holds(next)
                    };
                    let pools = spec.times.iter().enumerate().filter(uses);
                    let of_link = pools.map(|(_, times)| times.transfer_s[link as usize]);
                    of_link.fold(0.0, f64::max)
                })
                .collect(),
        }
    }

    /// When each gang of a batch has done its last pass and the overhead after it.
    fn ends_s(
        &self,
        batch: &Batch,
        scratch: &WalkScratch<WALK_LANES>,
        factors: &[Lanes<WALK_LANES>],
    ) -> Lanes<WALK_LANES> {
        let mut ends_s = Lanes::all(0.0);
        for (stage, (done_s, factor)) in scratch.ends_s.iter().zip(factors).enumerate() {
            for lane in 0..batch.n_gangs {
                let pool = self.ranks.pool_of(batch, lane, stage);
                let overhead_s = self.pipeline.spec().times[pool].overhead_s * factor.0[lane];
                ends_s.0[lane] = f64::max(ends_s.0[lane], done_s.0[lane] + overhead_s);
            }
        }
        ends_s
    }

    /// The pool of a gang: of stages in several pools, that of the one that works
    /// longest.
    fn busiest_pool(&self, batch: &Batch, lane: usize, factors: &[Lanes<WALK_LANES>]) -> u32 {
        let mut longest = (0, 0.0);
        for (stage, factor) in factors.iter().enumerate() {
            let pool = self.ranks.pool_of(batch, lane, stage);
            let work_s = factor.0[lane] * self.pipeline.busy_s(pool, stage as u32);
            if work_s > longest.1 {
                longest = (pool, work_s);
            }
        }
        longest.0 as u32
    }
}
