//! The ranks or the ports of a pool in one run, and the slowest of them in each step.

use std::ops::Range;
use std::sync::Arc;

use super::rare::{Events, Hit, Rare};
use super::slow::{RankFactor, Slow, SlowInStep};
use crate::control::Control;
use crate::curve::Curve;
use crate::draw::{Draws, DriftPaths, Episodes, When};
use crate::error::Result;
use crate::order_statistics::descent::{Descent, SlowestStreams};
use crate::order_statistics::law::{BulkKind, Handling, PoolLaw, handling};
use crate::order_statistics::run::{
    BulkDraw, BulkLaw, Persistent, PersistentSource, PoolMemory, RankEffects, Survey, Surveyed,
};
use crate::plan::{Cause, Effect, Plan, Pool, Scope, Span};
use crate::random::Random;
use crate::search::Best;
use crate::simd::{QUAD_STEPS, SCATTERED_UNITS, ScatteredWords};

/// How far rounding to f32 may lift a product above its bound, with a margin.
const BOUND_MARGIN: f64 = 1.0 + 1e-6;

/// Ranks from which on drawing the words of all of them at once takes less time than drawing
/// those of the ones that turn out to matter.
const MANY_CONTENDERS: usize = 4;

/// How much further than all other ranks episodes reach, as a factor, where they decide most steps.
const FAR: f64 = 1.03;

/// The ranks or the ports of a pool in one run.
pub struct Members<'a> {
    law: &'a PoolLaw,
    pool: &'a Pool,
    random: &'a Random,
    run: u32,
    /// Persistent effects, but for stalls that are the same for all ranks.
    persistent: PersistentSource<'a>,
    /// Whether there are such stalls.
    has_common_stall: bool,
    /// Their sum.
    common_stall: f32,
    /// Causes of span step that are drawn once for all ranks.
    common: Draws<'a>,
    rare: Vec<Rare<'a>>,
    /// Causes of span step that are compiled into the law.
    compiled: Draws<'a>,
    surveyed: Surveyed,
    bulk: BulkLaw<'a>,
    slow: Slow,
    /// None where ranks have persistent stalls.
    bound: Option<Bound>,
    /// That of ranks that no rare cause hits.
    bulk_bound: Option<f64>,
    streams: SlowestStreams,
}

/// Buffers that a task reuses between its steps.
#[derive(Debug, Default)]
pub struct Scratch {
    events: Events,
    /// Ranks that are drawn by themselves in the step at hand.
    hits: Vec<Hit>,
    /// Those of all steps of a quad that may be the slowest.
    contenders: Vec<Contender>,
    /// The blocks of these ranks, which are left out of the bulk, in order.
    blocks: Vec<Range<u32>>,
    ranks: Vec<u32>,
    units: Vec<u32>,
    factors: Vec<f32>,
    /// Words of the compiled causes of some contenders, by cause.
    words: Vec<Option<ScatteredWords>>,
    drifts: DriftPaths,
}

/// A rank that may be the slowest in one step of a quad.
#[derive(Debug, Clone, Copy)]
struct Contender {
    step: usize,
    hit: Hit,
    /// Its persistent factor, where that is known already.
    persistent: Option<f32>,
}

/// Where the persistent effects of ranks come from.
pub enum Origin<'m> {
    /// They are drawn.
    Drawn,
    /// They are drawn unless they are there already, and kept there.
    Kept(&'m PoolMemory),
    /// They are drawn, but only as far as ranks may be the slowest: no means are known.
    OfSlowest,
    /// They are given, because ranks stand for gangs.
    Given(Arc<[RankEffects]>),
}

impl<'m> Origin<'m> {
    /// That of ranks of which a memory keeps what they draw, if there is any.
    pub fn of_memory(memory: Option<&'m PoolMemory>) -> Self {
        memory.map_or(Self::Drawn, Self::Kept)
    }
}

/// What all ranks of a pool share in one step.
#[derive(Debug, Clone, Copy)]
struct Common {
    slowdown: f32,
    stall: f32,
}

/// What no rank exceeds in any step of a run, but for what all ranks share.
#[derive(Debug, Clone, Copy)]
struct Bound {
    slowdown: f64,
    stall: f64,
}

impl<'a> Members<'a> {
    /// The members of pool number `index` of a plan, in some steps of a run.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn new(
        plan: &'a Plan,
        law: &'a PoolLaw,
        index: usize,
        random: &'a Random,
        (run, of_steps): (u32, &Range<u32>),
        origin: Origin,
        control: &Control,
    ) -> Result<Self> {
        let pool = &plan.pools()[index];
        let without_means = matches!(origin, Origin::OfSlowest);
        let (given, memory) = match origin {
            Origin::Drawn | Origin::OfSlowest => (None, None),
            Origin::Kept(memory) => (None, memory.run(run)),
            Origin::Given(effects) => (Some(effects), None),
        };
        let Persistent {
            by_rank: persistent,
            common_stalls,
        } = Persistent::new(plan, law.affects, index, random, run, given);
        let draws = |span| Draws::new(plan, index, law.affects, span, random, run);
        let handled = |wanted: Handling| move |cause: &Cause| handling(pool, cause) == wanted;
        let steps = draws(Span::Step);
        let rare: Vec<Rare> = (0..steps.len())
            .filter(|&cause| handling(pool, steps.cause(cause)) == Handling::Rare)
            .filter(|&cause| steps.cause(cause).probability() > 0.0)
            .map(|cause| {
                let name = steps.cause(cause).name().to_owned();
                Rare::new(draws(Span::Step).only(|other| other.name() == name))
            })
            .collect();
        let episodes = Episodes::draw(plan, index, law.affects, random, run, of_steps, control)?;
        let survey = Survey {
            law,
            persistent: &persistent,
            // By the plan, not by what this run drew, as laws are.
            steps_differ: !steps.is_empty()
                || plan
                    .causes(index, law.affects, Span::Episode)
                    .next()
                    .is_some(),
            all_separate: rare.iter().any(Rare::is_certain) && !matches!(law.bulk, BulkKind::Fixed),
            without_means,
        };
        let surveyed = match memory {
            Some(place) => {
                let known = place.get().cloned();
                let effects = match known {
                    Some(effects) => Some(effects),
                    None => survey.effects(control)?.map(Arc::new),
                };
                if let Some(effects) = &effects {
                    place.get_or_init(|| effects.clone());
                }
                survey.run(effects.as_ref().map(|effects| effects.as_slice()), control)?
            }
            None => survey.run(None, control)?,
        };
        let bulk = BulkLaw::new(law, &surveyed, &persistent, control)?;
        let mut common_stall = 0.0;
        for cause in 0..common_stalls.len() {
            let value = common_stalls.unit_values(cause, When::RUN, 0)[0];
            common_stall += value * common_stalls.stall_scale();
        }
        let bulk_bound = (!persistent.stalls()).then(|| {
            // A law on a grid may lie somewhat above the greatest values of what it is made of.
            let greatest = law.greatest * f64::from(surveyed.greatest);
            let of_law = bulk.curve().and_then(|curve| curve.xs().last().copied());
            greatest.max(of_law.unwrap_or(0.0)) * BOUND_MARGIN
        });
        let bound = bulk_bound.map(|slowdown| {
            let untouched = Bound {
                slowdown,
                stall: 0.0,
            };
            rare.iter().fold(untouched, |bound, rare| Bound {
                slowdown: bound.slowdown * rare.greatest().slowdown,
                stall: bound.stall + rare.greatest().stall * BOUND_MARGIN,
            })
        });
        let slow = Slow::new(episodes, law, &persistent, &surveyed);
        Ok(Self {
            law,
            pool,
            random,
            run,
            persistent,
            has_common_stall: !common_stalls.is_empty(),
            common_stall,
            common: draws(Span::Step).only(handled(Handling::Common)),
            rare,
            compiled: draws(Span::Step).only(handled(Handling::Compiled)),
            slow,
            surveyed,
            bulk,
            bound,
            bulk_bound,
            streams: SlowestStreams::new(pool.name(), law.affects),
        })
    }

    /// Whether nothing acts on the pool.
    pub fn is_ideal(&self) -> bool {
        let n_steps = self.common.len() + self.rare.len() + self.compiled.len();
        let is_slow = self.has_common_stall || !self.slow.is_empty();
        self.persistent.is_ideal() && n_steps == 0 && !is_slow
    }

    /// Means of the persistent slowdowns and stalls of the ranks.
    pub fn means(&self) -> (f64, f64) {
        let (slowdown, stall) = self.surveyed.means(self.pool.n_ranks());
        (slowdown, stall + f64::from(self.common_stall))
    }

    /// The law of the slowest of the bulk, in units of the noiseless compute time.
    pub fn bulk_curve(&self) -> Option<&Curve> {
        self.bulk.curve()
    }

    /// Whether a rank that was found to be the slowest in one step of a quad is in an episode.
    /// That of the bulk has no number, and is in none.
    pub fn in_episode(&self, quad: u32, step: usize, rank: u32) -> bool {
        !self.slow.is_empty() && self.slow_in(quad, step).factor(rank).is_some()
    }

    /// The slowest in each step of a quad, starting from nobody.
    pub fn best<B: Best>(
        &self,
        nobody: [B; QUAD_STEPS],
        quad: u32,
        scratch: &mut Scratch,
    ) -> [B; QUAD_STEPS] {
        let mut best = nobody;
        let common = self.common(quad, &mut scratch.drifts);
        let mut lifts = [1.0; QUAD_STEPS];
        let slow = |step: usize| self.slow_in(quad, step);
        if !self.slow.is_empty() {
            lifts = std::array::from_fn(|step| slow(step).lift());
        }
        let is_exceeded = |step: usize, best: &B| self.is_exceeded(common[step], lifts[step], best);
        if (0..QUAD_STEPS).all(|step| is_exceeded(step, &best[step])) {
            return best;
        }
        scratch.events.clear();
        for rare in &self.rare {
            rare.draw(self.pool, self.random, self.run, quad, &mut scratch.events);
        }
        let mut descent = Descent::new(self.random, &self.streams, quad, self.run);
        scratch.contenders.clear();
        for (step, best) in best.iter_mut().enumerate() {
            if is_exceeded(step, best) {
                continue;
            }
            self.gather(step, slow(step), scratch);
            descent.start_step(step);
            // Where episodes reach far, the bulk need not be looked at closely after them; else few
            // of them need be after the bulk.
            let slow_first = lifts[step] > FAR;
            let n_hit = scratch.hits.len();
            let meet_slow = |n_hit: usize, scratch: &mut Scratch, best: &mut B| {
                let Scratch {
                    hits, contenders, ..
                } = scratch;
                let (at, hits) = ((quad, step), &hits[..n_hit]);
                self.meet_slow(at, slow(step), hits, contenders, common[step], best);
            };
            if slow_first {
                meet_slow(n_hit, scratch, best);
            }
            self.meet_bulk(slow(step), &mut descent, scratch, common[step], best);
            if !slow_first {
                meet_slow(n_hit, scratch, best);
            }
            self.keep_contenders(step, scratch, common[step], best);
        }
        self.meet_contenders(quad, scratch, common, &mut best);
        best
    }

    /// The ranks that are slow in one step of a quad.
    fn slow_in(&self, quad: u32, step: usize) -> SlowInStep<'_> {
        let number = quad * QUAD_STEPS as u32 + step as u32;
        self.slow.in_step(self.pool, self.law.block, number)
    }

    /// What all ranks share in the steps of a quad.
    fn common(&self, quad: u32, drifts: &mut DriftPaths) -> [Common; QUAD_STEPS] {
        let mut common = [Common {
            slowdown: 1.0,
            stall: self.common_stall,
        }; QUAD_STEPS];
        for cause in 0..self.common.len() {
            let when = When::quad(quad);
            let values = self.common.unit_values_along(cause, when, 0, drifts);
            for (common, value) in common.iter_mut().zip(values) {
                match self.common.cause(cause).effect() {
                    Effect::Slowdown => common.slowdown *= value,
                    Effect::Stall => common.stall += value * self.common.stall_scale(),
                }
            }
        }
        common
    }

    /// Whether no rank can change what is the best in a step so far: the ranks of a pool with
    /// faster GPUs seldom can. Episodes lift the slowdowns of some of them by a factor at most.
    fn is_exceeded<B: Best>(&self, common: Common, lift: f64, best: &B) -> bool {
        self.bound.is_some_and(|bound| {
            let slowdown = (bound.slowdown * lift) as f32 * common.slowdown;
            !best.yields_to(slowdown, bound.stall as f32 + common.stall, 0)
        })
    }

    /// Collects the ranks that are drawn by themselves in a step: those that rare causes
    /// hit, the other ranks of their blocks, and the separate blocks.
    fn gather(&self, step: usize, slow: SlowInStep, scratch: &mut Scratch) {
        let Scratch {
            events,
            hits,
            blocks,
            ..
        } = scratch;
        hits.clear();
        blocks.clear();
        for event in events.of(step) {
            let rare = &self.rare[event.cause];
            let ranks = rare.ranks(self.pool, event.unit);
            hits.extend(ranks.map(|rank| rare.hit(rank, event.size)));
        }
        let n_hit = hits.len();
        let separate = self.surveyed.separate.as_slice();
        blocks.extend_from_slice(separate);
        if self.law.block != Scope::Gpu {
            blocks.extend(hits[..n_hit].iter().map(|hit| self.block_of(hit.rank)));
            blocks.sort_by_key(|block| block.start);
            blocks.dedup();
            for block in blocks.iter() {
                hits.extend(block.clone().map(Hit::untouched));
            }
        } else {
            hits.extend(separate.iter().cloned().flatten().map(Hit::untouched));
        }
        if self.rare.len() > 1 || hits.len() > n_hit {
            hits.sort_by_key(|hit| hit.rank);
            hits.dedup_by(|next, first| {
                let is_same = next.rank == first.rank;
                if is_same {
                    first.slowdown *= next.slowdown;
                    first.stall += next.stall;
                }
                is_same
            });
        }
        if self.law.block == Scope::Gpu {
            blocks.clear();
            blocks.extend(hits.iter().map(|hit| hit.rank..hit.rank + 1));
        }
        self.slow_down(slow, hits);
    }

    /// Multiplies the slowdowns of those hit ranks that are slow in a step.
    fn slow_down(&self, slow: SlowInStep, hits: &mut [Hit]) {
        if self.slow.is_empty() {
            return;
        }
        for hit in hits {
            if let Some(factor) = slow.factor(hit.rank) {
                hit.slowdown *= f64::from(factor);
            }
        }
    }

    /// Compares the rank of blocks that are slow in a step which is the slowest by all that lasts
    /// longer than a step with the best so far, and adds those others that may still be slower to
    /// the contenders. Those of `hits` are met with these.
    fn meet_slow<B: Best>(
        &self,
        (quad, step): (u32, usize),
        slow: SlowInStep,
        hits: &[Hit],
        contenders: &mut Vec<Contender>,
        common: Common,
        best: &mut B,
    ) {
        let greatest = self.law.greatest * BOUND_MARGIN;
        let bound = |factor: f32| (greatest * f64::from(factor)) as f32 * common.slowdown;
        let mut is_first = true;
        for (place, reach) in slow.by_reach() {
            if !best.yields_to(bound(reach), common.stall, 0) {
                break;
            }
            let persistent = || self.persistent.factors(self.slow.ranks(place));
            for &RankFactor {
                product,
                persistent,
                own,
                rank,
            } in self.slow.factors(place, persistent)
            {
                if !best.yields_to(bound(product), common.stall, 0) {
                    break;
                }
                if hits.binary_search_by_key(&rank, |hit| hit.rank).is_ok()
                    || own.is_none() && slow.factor(rank).is_some()
                {
                    continue;
                }
                if is_first {
                    // It rules most of the others out.
                    let slowdown = f64::from(product) * self.compiled_factor_of(rank, quad, step);
                    let slowdown = slowdown as f32 * common.slowdown;
                    if best.yields_to(slowdown, common.stall, rank) {
                        best.take(slowdown, common.stall, rank);
                        best.settle();
                    }
                    is_first = false;
                } else {
                    contenders.push(Contender {
                        step,
                        hit: Hit {
                            slowdown: f64::from(own.unwrap_or(1.0)),
                            ..Hit::untouched(rank)
                        },
                        persistent: Some(persistent),
                    });
                }
            }
        }
    }

    /// The product of the compiled factors of a rank in a step.
    fn compiled_factor_of(&self, rank: u32, quad: u32, step: usize) -> f64 {
        let gpu = self.pool.stretch(rank).0;
        let factor = |cause: usize| {
            let unit = self.pool.unit(self.compiled.cause(cause).scope(), gpu).0;
            f64::from(
                self.compiled
                    .unit_value(cause, When::quad(quad), unit, step),
            )
        };
        (0..self.compiled.len()).map(factor).product()
    }

    /// The ranks of the block of a rank.
    fn block_of(&self, rank: u32) -> Range<u32> {
        let block = self.law.block;
        let (unit, end) = self.pool.unit(block, self.pool.stretch(rank).0);
        let first = self.pool.first_gpu(block, unit);
        self.pool.rank_from(first)..self.pool.rank_from(end)
    }

    /// Compares the slowest of the bulk with the best so far.
    fn meet_bulk<B: Best>(
        &self,
        slow: SlowInStep,
        descent: &mut Descent,
        scratch: &mut Scratch,
        common: Common,
        best: &mut B,
    ) {
        if matches!(self.law.bulk, BulkKind::Fixed) {
            self.meet_leaders(slow, scratch, common, best);
            return;
        }
        // After a rank in an episode there is often nothing to look for.
        let is_exceeded = self.bulk_bound.is_some_and(|bound| {
            let slowdown = bound as f32 * common.slowdown;
            !best.yields_to(slowdown, common.stall, 0)
        });
        if is_exceeded {
            return;
        }
        let factors_of = |block: &Range<u32>| self.persistent.factors(block.clone());
        let bound_of = |block: &Range<u32>| self.surveyed.bound_of_all(block);
        let matters = |factor: f64| {
            let slowdown = factor as f32 * common.slowdown;
            best.yields_to(slowdown, common.stall, u32::MAX)
        };
        match self.bulk.draw(
            descent,
            &scratch.blocks,
            slow,
            bound_of,
            factors_of,
            matters,
        ) {
            BulkDraw::Nobody => {}
            BulkDraw::Slowest(factor) => {
                let slowdown = factor as f32 * common.slowdown;
                if best.yields_to(slowdown, common.stall, u32::MAX) {
                    best.take(slowdown, common.stall, u32::MAX);
                }
            }
            BulkDraw::TooFewLeft => {
                let drawn = std::mem::take(&mut scratch.blocks);
                let n_hit = scratch.hits.len();
                let all = 0..self.pool.n_ranks();
                for block in self.pool.units_of(self.law.block, all) {
                    let is_drawn = drawn.binary_search_by_key(&block.start, |block| block.start);
                    if is_drawn.is_err() {
                        scratch.hits.extend(block.map(Hit::untouched));
                    }
                }
                scratch.blocks = drawn;
                self.slow_down(slow, &mut scratch.hits[n_hit..]);
            }
        }
    }

    /// Compares the slowest ranks by their persistent effects with the best so far, where
    /// nothing but rare causes changes from step to step.
    ///
    /// A rank that rare causes can only slow is met again as a hit, with at least the time
    /// that it has here; so hits matter here only if they may be faster.
    fn meet_leaders<B: Best>(
        &self,
        slow: SlowInStep,
        scratch: &mut Scratch,
        common: Common,
        best: &mut B,
    ) {
        if !self.law.only_slows {
            let Scratch { hits, .. } = scratch;
            hits.sort_by_key(|hit| hit.rank);
            let is_hit = |rank: u32| {
                let is_slow = slow.factor(rank).is_some();
                is_slow || hits.binary_search_by_key(&rank, |hit| hit.rank).is_ok()
            };
            let leaders = &self.surveyed.leaders;
            match leaders.iter().find(|leader| !is_hit(leader.rank)) {
                Some(leader) => {
                    let slowdown = leader.slowdown * common.slowdown;
                    if best.yields_to(slowdown, common.stall, leader.rank) {
                        best.take(slowdown, common.stall, leader.rank);
                    }
                }
                None => {
                    let others: Vec<u32> = (0..self.pool.n_ranks())
                        .filter(|&rank| !is_hit(rank))
                        .collect();
                    hits.extend(others.into_iter().map(Hit::untouched));
                }
            }
            return;
        }
        for leader in &self.surveyed.leaders {
            let slowdown = leader.slowdown * common.slowdown;
            let stall = leader.stall + common.stall;
            if best.yields_to(slowdown, stall, leader.rank) {
                best.take(slowdown, stall, leader.rank);
            }
        }
    }

    /// Keeps those ranks of [`Members::gather`] in a step that may be slower than the best so
    /// far, the longest stalled before the others: they rule these out.
    fn keep_contenders<B: Best>(
        &self,
        step: usize,
        scratch: &mut Scratch,
        common: Common,
        best: &B,
    ) {
        let Scratch {
            hits, contenders, ..
        } = scratch;
        let first = contenders.len();
        for &hit in hits.iter() {
            let bound = self.surveyed.bound(hit.rank);
            let slowdown = self.bound(&hit, bound, common);
            if best.yields_to(slowdown, self.stall(&hit, common), hit.rank) {
                contenders.push(Contender {
                    step,
                    hit,
                    persistent: None,
                });
            }
        }
        contenders[first..].sort_unstable_by(|a, b| b.hit.stall.total_cmp(&a.hit.stall));
    }

    /// Draws the ranks of [`Members::keep_contenders`] and compares them with the best so far;
    /// what a rank needs is drawn only as long as it may still be the slowest.
    fn meet_contenders<B: Best>(
        &self,
        quad: u32,
        scratch: &mut Scratch,
        common: [Common; QUAD_STEPS],
        best: &mut [B; QUAD_STEPS],
    ) {
        let Scratch {
            contenders,
            ranks,
            units,
            factors,
            words,
            ..
        } = scratch;
        if contenders.is_empty() {
            return;
        }
        ranks.clear();
        let unknown = contenders.iter().filter(|one| one.persistent.is_none());
        ranks.extend(unknown.map(|one| one.hit.rank));
        factors.clear();
        factors.resize(ranks.len(), 1.0);
        self.persistent.multiply(ranks, units, factors);
        let mut drawn = factors.iter().copied();
        let when = When::quad(quad);
        for contenders in contenders.chunks(SCATTERED_UNITS) {
            self.draw_words(when, contenders, units, words);
            for (place, &contender) in contenders.iter().enumerate() {
                let Contender { step, hit, .. } = contender;
                let known = contender.persistent.or_else(|| drawn.next());
                let persistent = known.unwrap_or(1.0);
                let (common, best) = (common[step], &mut best[step]);
                let stall = self.stall(&hit, common);
                if !best.yields_to(self.bound(&hit, persistent, common), stall, hit.rank) {
                    continue;
                }
                let compiled = self.compiled_factor(hit.rank, when, step, place, words);
                let slowdown =
                    (f64::from(persistent) * compiled * hit.slowdown) as f32 * common.slowdown;
                if best.yields_to(slowdown, stall, hit.rank) {
                    best.take(slowdown, stall, hit.rank);
                }
            }
        }
    }

    /// Draws the words of the compiled causes of some contenders at once, where these are so
    /// many that most of them would be drawn one by one otherwise.
    fn draw_words(
        &self,
        when: When,
        contenders: &[Contender],
        units: &mut Vec<u32>,
        words: &mut Vec<Option<ScatteredWords>>,
    ) {
        words.clear();
        words.extend((0..self.compiled.len()).map(|cause| {
            if contenders.len() < MANY_CONTENDERS {
                return None;
            }
            let scope = self.compiled.cause(cause).scope();
            let unit = |contender: &Contender| {
                let gpu = self.pool.stretch(contender.hit.rank).0;
                self.pool.unit(scope, gpu).0
            };
            units.clear();
            units.extend(contenders.iter().map(unit));
            self.compiled.value_words(cause, when, units)
        }));
    }

    /// What the slowdown of a rank does not exceed, where its persistent factor does not exceed
    /// `persistent`.
    fn bound(&self, hit: &Hit, persistent: f32, common: Common) -> f32 {
        let greatest = self.law.greatest * BOUND_MARGIN;
        (greatest * f64::from(persistent) * hit.slowdown) as f32 * common.slowdown
    }

    /// The stall of a rank.
    fn stall(&self, hit: &Hit, common: Common) -> f32 {
        let persistent = if self.persistent.stalls() {
            self.persistent.stall(hit.rank)
        } else {
            0.0
        };
        (hit.stall + f64::from(persistent)) as f32 + common.stall
    }

    /// The product of the compiled factors of a rank in a step, drawn as the sampler draws them:
    /// by the words in its `place` where there are some.
    fn compiled_factor(
        &self,
        rank: u32,
        when: When,
        step: usize,
        place: usize,
        words: &[Option<ScatteredWords>],
    ) -> f64 {
        let gpu = self.pool.stretch(rank).0;
        let mut factor = 1.0;
        for (cause, words) in words.iter().enumerate() {
            let unit = self.pool.unit(self.compiled.cause(cause).scope(), gpu).0;
            let value = match words {
                Some(words) => {
                    let word = words[step][place];
                    self.compiled.value_of_word(cause, when, unit, step, word)
                }
                None => self.compiled.unit_value(cause, when, unit, step),
            };
            factor *= f64::from(value);
        }
        factor
    }
}
