//! The kernel in plain Rust: the truth that a faster one has to equal.

use std::ops::Range;

use crate::plan::{Affects, Cause, Effect, Plan, Scope, Span, Streams};
use crate::random::{Random, Stream, run_word};
use crate::table::{REFINED_BELOW, Table, magnitude};

/// Ranks of a tile, at most.
pub const TILE: usize = 64;
/// Steps of a tile: the words of one random block.
pub const STEPS: usize = 4;

/// Factors and stalls of up to [`TILE`] ranks in [`STEPS`] consecutive steps.
///
/// Slowdowns multiply and stalls add in document order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// Product of the slowdowns, as `[step][rank]`.
    pub slowdown: [[f32; TILE]; STEPS],
    /// Sum of the stalls, in units of the group's noiseless compute time
    /// (seconds for ports), as `[step][rank]`.
    pub stall: [[f32; TILE]; STEPS],
}

impl Tile {
    /// Ranks that nothing has slowed yet.
    pub const NEUTRAL: Self = Self {
        slowdown: [[1.0; TILE]; STEPS],
        stall: [[0.0; TILE]; STEPS],
    };

    #[inline(always)]
    fn apply(
        &mut self,
        effect: Effect,
        step: usize,
        ranks: Range<usize>,
        per_second: f32,
        of_rank: impl Fn(usize) -> f32,
    ) {
        match effect {
            Effect::Slowdown => {
                for rank in ranks {
                    self.slowdown[step][rank] *= of_rank(rank);
                }
            }
            Effect::Stall => {
                for rank in ranks {
                    self.stall[step][rank] += of_rank(rank) * per_second;
                }
            }
        }
    }
}

/// What the draws of all tiles of one group in one run have in common.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    /// The plan whose causes act.
    pub plan: &'a Plan,
    /// Index of the group.
    pub group: usize,
    /// Whether ranks or ports are drawn.
    pub affects: Affects,
    /// The seeded generator.
    pub random: &'a Random,
    /// The run.
    pub run: u32,
}

impl Draw<'_> {
    /// Applies the causes that last a whole run to row 0 of `tile`.
    pub fn run_effects(&self, tile: &mut Tile, gpus: Range<u32>) {
        self.apply(tile, Span::Run, 0, gpus);
    }

    /// Applies the causes that last one step to all rows of `tile`, for the
    /// four steps from `4 block` on.
    pub fn step_effects(&self, tile: &mut Tile, block: u32, gpus: Range<u32>) {
        self.apply(tile, Span::Step, block, gpus);
    }

    fn apply(&self, tile: &mut Tile, span: Span, c1: u32, gpus: Range<u32>) {
        let group = &self.plan.groups()[self.group];
        // A port's stalls stay seconds; a rank's are measured in its own time.
        let per_second = match self.affects {
            Affects::Compute => (1.0 / group.compute_s()) as f32,
            Affects::Network => 1.0,
        };
        for cause in self.plan.causes(self.group, self.affects, span) {
            let Some(streams) = cause.streams(self.group) else {
                continue;
            };
            let source = Source {
                cause,
                streams,
                random: self.random,
                c1,
                c2: run_word(self.run, 0),
            };
            if cause.scope() == Scope::Gpu {
                let effects = source.effects::<TILE>(gpus.start);
                let n = gpus.len();
                for (step, effects) in effects.iter().enumerate() {
                    tile.apply(cause.effect(), step, 0..n, per_second, |rank| effects[rank]);
                }
                continue;
            }
            let mut gpu = gpus.start;
            while gpu < gpus.end {
                let (unit, end) = group.unit(cause.scope(), gpu);
                let end = end.min(gpus.end);
                let ranks = (gpu - gpus.start) as usize..(end - gpus.start) as usize;
                let effects = source.effects::<1>(unit);
                for (step, &[effect]) in effects.iter().enumerate() {
                    tile.apply(cause.effect(), step, ranks.clone(), per_second, |_| effect);
                }
                gpu = end;
            }
        }
    }
}

/// One cause in one group, at one place.
struct Source<'a> {
    cause: &'a Cause,
    streams: Streams,
    random: &'a Random,
    c1: u32,
    c2: u32,
}

impl Source<'_> {
    /// Factors or seconds of `L` consecutive units over four steps.
    #[inline(always)]
    fn effects<const L: usize>(&self, first_unit: u32) -> [[f32; L]; STEPS] {
        match self.cause.only_table() {
            Some(table) if self.cause.is_certain() => self.values(table, first_unit),
            _ => self.rare_values(first_unit),
        }
    }

    /// The sizes of a cause that occurs at each draw under one law.
    #[inline(always)]
    fn values<const L: usize>(&self, table: &Table, first_unit: u32) -> [[f32; L]; STEPS] {
        let words = self.blocks::<L>(self.streams.value, first_unit);
        let mut values = [[0.0; L]; STEPS];
        let mut refined_words = 0;
        for step in 0..STEPS {
            for lane in 0..L {
                let word = words[step][lane];
                values[step][lane] = table.coarse_value(word);
                refined_words += u32::from(is_refined(word));
            }
        }
        if refined_words > 0 {
            for (step, words) in words.iter().enumerate() {
                for (lane, &word) in words.iter().enumerate() {
                    if is_refined(word) {
                        let unit = first_unit.wrapping_add(lane as u32);
                        values[step][lane] = table.value(word, || self.refine(unit, step));
                    }
                }
            }
        }
        values
    }

    /// The sizes of a cause that does not always occur, or has several laws.
    fn rare_values<const L: usize>(&self, first_unit: u32) -> [[f32; L]; STEPS] {
        let neutral = match self.cause.effect() {
            Effect::Slowdown => 1.0,
            Effect::Stall => 0.0,
        };
        let mut values = [[neutral; L]; STEPS];
        let words = if self.cause.is_certain() {
            [[0; L]; STEPS]
        } else {
            self.blocks::<L>(self.streams.occurrence, first_unit)
        };
        for (step, words) in words.iter().enumerate() {
            for (lane, &word) in words.iter().enumerate() {
                let unit = first_unit.wrapping_add(lane as u32);
                let refine = || self.refine(unit, step);
                if self.cause.may_occur(word) && self.cause.occurs(word, refine) {
                    let size = self.word(self.streams.value, unit, step);
                    values[step][lane] = self.table(unit, step).value(size, refine);
                }
            }
        }
        values
    }

    /// The table of the law that a unit has in a step.
    fn table(&self, unit: u32, step: usize) -> &Table {
        self.cause.only_table().unwrap_or_else(|| {
            let word = self.word(self.streams.component, unit, step);
            self.cause.chosen_table(word, || self.refine(unit, step))
        })
    }

    #[inline(always)]
    fn blocks<const L: usize>(&self, stream: Stream, unit: u32) -> [[u32; L]; 4] {
        self.random.blocks::<L>(stream, unit, self.c1, self.c2)
    }

    fn word(&self, stream: Stream, unit: u32, step: usize) -> u32 {
        self.random.block(stream, unit, self.c1, self.c2)[step]
    }

    fn refine(&self, unit: u32, step: usize) -> u32 {
        self.word(self.streams.refine, unit, step)
    }
}

#[inline(always)]
fn is_refined(word: u32) -> bool {
    magnitude(word) < REFINED_BELOW
}
