//! The ranks or the ports of a group in one run, and the slowest of them in
//! each step.

use std::ops::Range;

use super::compiled::{Compiled, Rest};
use super::hits::{Hit, Scratch};
use super::lasting::Lasting;
use super::parts::{Way, is_inside, way};
use super::pass::{Pass, Passed};
use super::rare::Rare;
use super::rest::{Drawn, RestLaw};
use super::words;
use crate::control::Control;
use crate::error::Result;
use crate::kernel::STEPS;
use crate::kernel::best::Best;
use crate::kernel::tile::Draws;
use crate::plan::{Cause, Effect, Group, Plan, Span};
use crate::random::Random;

/// The ranks or the ports of a group in one run.
pub(super) struct Members<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) group: &'a Group,
    random: &'a Random,
    run: u32,
    /// What lasts the run, but for stalls that all share.
    lasting: Lasting<'a>,
    /// Of the causes that all share: stalls that last, and step by step.
    common_lasting: Draws<'a>,
    common: Draws<'a>,
    pub(super) rare: Vec<Rare<'a>>,
    /// Compiled causes.
    inside: Draws<'a>,
    /// What the pass over the ranks found.
    pub(super) passed: Passed,
    rest: RestLaw<'a>,
    /// Stall that all share in the whole run.
    stall: f32,
    words: words::Streams,
}

impl<'a> Members<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        compiled: &'a Compiled,
        index: usize,
        random: &'a Random,
        run: u32,
        given: Option<&'a [(f32, f32)]>,
        control: &Control,
    ) -> Result<Self> {
        let group = &plan.groups()[index];
        let draws = |span| Draws::new(plan, index, compiled.affects, span, random, run);
        let of = |wanted: Way| move |cause: &Cause| way(group, cause) == wanted;
        let slows = |cause: &Cause| cause.effect() == Effect::Slowdown;
        let steps = draws(Span::Step);
        // Where no step differs from another, all that lasts belongs together.
        let apart = |cause: &Cause| !slows(cause) && (steps.is_empty() || is_inside(cause));
        let of_run = |keeps: &dyn Fn(&Cause) -> bool| {
            draws(Span::Run).only(|cause| given.is_none() && keeps(cause))
        };
        let lasting = Lasting {
            group,
            slowdowns: of_run(&slows),
            stalls: of_run(&apart),
            given,
        };
        let common_lasting = of_run(&|cause| !slows(cause) && !apart(cause));
        let rare: Vec<Rare> = (0..steps.len())
            .filter(|&cause| way(group, steps.cause(cause)) == Way::Rare)
            .filter(|&cause| steps.cause(cause).probability() > 0.0)
            .map(|cause| {
                let name = steps.cause(cause).name().to_owned();
                Rare::new(draws(Span::Step).only(|other| other.name() == name))
            })
            .collect();
        let pass = Pass {
            group,
            compiled,
            lasting: &lasting,
            steps_differ: !steps.is_empty(),
            whole: rare.iter().any(Rare::is_certain) && !matches!(compiled.rest, Rest::Fixed),
        };
        let passed = pass.run(control)?;
        let rest = RestLaw::new(group, compiled, &passed, &lasting, control)?;
        let mut stall = 0.0;
        for cause in 0..common_lasting.len() {
            stall += common_lasting.of_unit(cause, 0, 0)[0] * common_lasting.per_second();
        }
        Ok(Self {
            compiled,
            group,
            random,
            run,
            lasting,
            common_lasting,
            common: draws(Span::Step).only(of(Way::Common)),
            rare,
            inside: draws(Span::Step).only(of(Way::Compiled)),
            passed,
            rest,
            stall,
            words: words::Streams::new(group.name(), compiled.affects),
        })
    }

    /// Whether nothing acts on the group.
    pub(super) fn is_ideal(&self) -> bool {
        let steps = self.common.len() + self.rare.len() + self.inside.len();
        self.lasting.is_ideal() && steps + self.common_lasting.len() == 0
    }

    /// Mean of the slowdowns and of the stalls that last the run.
    pub(super) fn means(&self) -> (f64, f64) {
        let (slowdown, stall) = self.passed.means(self.group.n_ranks());
        (slowdown, stall + f64::from(self.stall))
    }

    /// The law of the slowest of those whom no rare cause hits, over the
    /// noiseless time.
    pub(super) fn law(&self) -> Option<&crate::curve::Curve> {
        self.rest.curve()
    }

    /// What all share in four steps: a factor and a stall.
    fn common(&self, block: u32) -> ([f32; STEPS], [f32; STEPS]) {
        let mut slowdowns = [1.0_f32; STEPS];
        let mut stalls = [self.stall; STEPS];
        for cause in 0..self.common.len() {
            let values = self.common.of_unit(cause, block, 0);
            for step in 0..STEPS {
                match self.common.cause(cause).effect() {
                    Effect::Slowdown => slowdowns[step] *= values[step],
                    Effect::Stall => stalls[step] += values[step] * self.common.per_second(),
                }
            }
        }
        (slowdowns, stalls)
    }

    /// The best of each of four steps.
    pub(super) fn best<B: Best>(&self, block: u32, scratch: &mut Scratch) -> [B; STEPS] {
        let mut best = [B::NONE; STEPS];
        let (slowdowns, stalls) = self.common(block);
        scratch.events.clear();
        for rare in &self.rare {
            rare.draw(
                self.group,
                self.random,
                self.run,
                block,
                &mut scratch.events,
            );
        }
        let mut descent = words::Descent::new(self.random, &self.words, block, self.run);
        for (step, best) in best.iter_mut().enumerate() {
            self.gather(step, scratch);
            let (slowdown, stall) = (slowdowns[step], stalls[step]);
            descent.turn_to(step);
            self.meet_rest(&mut descent, scratch, slowdown, stall, best);
            self.meet_hits(block, step, scratch, slowdown, stall, best);
        }
        best
    }

    /// The ranks of a block.
    pub(super) fn block_of(&self, rank: u32) -> Range<u32> {
        let (unit, end) = self
            .group
            .unit(self.compiled.block, self.group.stretch(rank).0);
        let first = self.group.first_gpu(self.compiled.block, unit);
        self.group.rank_from(first)..self.group.rank_from(end)
    }

    fn meet_rest<B: Best>(
        &self,
        descent: &mut words::Descent,
        scratch: &mut Scratch,
        slowdown: f32,
        stall: f32,
        best: &mut B,
    ) {
        if matches!(self.compiled.rest, Rest::Fixed) {
            self.meet_fixed(scratch, slowdown, stall, best);
            return;
        }
        let drawn = self.rest.draw(
            descent,
            self.group,
            self.compiled,
            &scratch.blocks,
            |block| self.lasting.factors(block.clone()),
        );
        match drawn {
            Drawn::Nobody => {}
            Drawn::Slowest(factor) => {
                let slowdown = factor as f32 * slowdown;
                if best.yields_to(slowdown, stall, u32::MAX) {
                    best.take(slowdown, stall, u32::MAX);
                }
            }
            Drawn::TooMany => {
                // Most are drawn anyway: draw the others, too.
                let drawn = std::mem::take(&mut scratch.blocks);
                let all = 0..self.group.n_ranks();
                for whole in self.group.units_of(self.compiled.block, all) {
                    let is_drawn = drawn.binary_search_by_key(&whole.start, |block| block.start);
                    if is_drawn.is_err() {
                        scratch.hits.extend(whole.map(Hit::untouched));
                    }
                }
                scratch.blocks = drawn;
            }
        }
    }

    /// The slowest of all where nothing but rare causes changes from step to
    /// step. Whom those hit is only slower than counted here, if they slow.
    fn meet_fixed<B: Best>(&self, scratch: &mut Scratch, slowdown: f32, stall: f32, best: &mut B) {
        if !self.compiled.only_slows {
            let hits = &mut scratch.hits;
            hits.sort_by_key(|hit| hit.rank);
            let is_hit = |rank: u32| hits.binary_search_by_key(&rank, |hit| hit.rank).is_ok();
            let leader = self
                .passed
                .leaders
                .iter()
                .find(|leader| !is_hit(leader.rank));
            match leader {
                Some(leader) => {
                    let slowdown = leader.slowdown * slowdown;
                    if best.yields_to(slowdown, stall, leader.rank) {
                        best.take(slowdown, stall, leader.rank);
                    }
                }
                None => {
                    let others: Vec<u32> = (0..self.group.n_ranks())
                        .filter(|&rank| !is_hit(rank))
                        .collect();
                    hits.extend(others.into_iter().map(Hit::untouched));
                }
            }
            return;
        }
        for leader in &self.passed.leaders {
            let (slowdown, stall) = (leader.slowdown * slowdown, leader.stall + stall);
            if best.yields_to(slowdown, stall, leader.rank) {
                best.take(slowdown, stall, leader.rank);
            }
        }
    }

    /// Compares the ranks that are drawn by themselves.
    fn meet_hits<B: Best>(
        &self,
        block: u32,
        step: usize,
        scratch: &mut Scratch,
        slowdown: f32,
        stall: f32,
        best: &mut B,
    ) {
        let Scratch {
            hits,
            ranks,
            units,
            factors,
            ..
        } = scratch;
        // Only those that may be the slowest at best are drawn: first what lasts
        // for them, then the rest.
        let greatest = self.compiled.greatest * (1.0 + 1e-6);
        let most = greatest * f64::from(self.passed.greatest);
        let seconds = |hit: &Hit| {
            let lasting_stall = if self.lasting.stalls() {
                self.lasting.stall(hit.rank)
            } else {
                0.0
            };
            (hit.stall + f64::from(lasting_stall)) as f32 + stall
        };
        hits.retain(|hit| {
            let bound = (most * hit.slowdown) as f32 * slowdown;
            best.yields_to(bound, seconds(hit), hit.rank)
        });
        factors.clear();
        factors.resize(hits.len(), 1.0);
        ranks.clear();
        ranks.extend(hits.iter().map(|hit| hit.rank));
        self.lasting.multiply(ranks, units, factors);
        for (hit, &lasting) in hits.iter().zip(factors.iter()) {
            let stall = seconds(hit);
            let bound = (greatest * f64::from(lasting) * hit.slowdown) as f32 * slowdown;
            if !best.yields_to(bound, stall, hit.rank) {
                continue;
            }
            let factor = f64::from(lasting) * self.drawn_factor(hit.rank, block, step);
            let slowdown = (factor * hit.slowdown) as f32 * slowdown;
            if best.yields_to(slowdown, stall, hit.rank) {
                best.take(slowdown, stall, hit.rank);
            }
        }
    }

    /// The compiled factors of a rank, drawn.
    fn drawn_factor(&self, rank: u32, block: u32, step: usize) -> f64 {
        let gpu = self.group.stretch(rank).0;
        let mut factor = 1.0;
        for cause in 0..self.inside.len() {
            let unit = self.group.unit(self.inside.cause(cause).scope(), gpu).0;
            factor *= f64::from(self.inside.of_unit(cause, block, unit)[step]);
        }
        factor
    }
}
