//! Episodes: units of a pool that are slow for a while.
//!
//! The episodes of a unit are numbered. Unit exponential gaps between them add up to times of a
//! Poisson process of rate one, whose first `at_a_time` belong to episodes that are under way when
//! the run begins, so that the run is in equilibrium from its first step on; the others begin
//! later, at their rate. A unit's factor in a step is the product over the episodes that are under
//! way when the step begins by the nominal clock.

use std::ops::Range;

use rayon::prelude::*;

use super::tile::Tile;
use crate::control::Control;
use crate::error::Result;
use crate::plan::{Affects, Cause, Episode, Plan, Pool, Span};
use crate::random::{Random, Stream, run_word};
use crate::simd::{Kernel, QUAD_STEPS, SCATTERED_UNITS, TILE_UNITS, TileAddress, TileArray};
use crate::table::{Table, unit_exponential};

/// Steps for which the slow ranks are listed together.
const STEPS_PER_LIST: u32 = 64;

/// Units whose episodes one parallel task draws.
const UNITS_PER_TASK: usize = 1024;

/// Index in counter word 2 of the words of an event, of their refining bits, and of those that
/// choose components of mixtures.
const WORDS: u32 = 0;
const REFINE: u32 = 1;
const COMPONENTS: u32 = 2;

/// The episodes of a pool's ranks, or of its ports, in some steps of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Episodes {
    slow: Vec<SlowRanks>,
    /// Of each [`STEPS_PER_LIST`] steps, those of `slow` that are slow in any of them, by rank.
    lists: Vec<Vec<u32>>,
    /// The number of the first of these lists.
    first_list: u32,
}

/// The factor of one GPU of a pool in one step, by the episodes of one cause alone.
#[must_use]
pub fn episode_factor(
    plan: &Plan,
    index: usize,
    cause: &Cause,
    random: &Random,
    (run, step): (u32, u32),
    gpu: u32,
) -> f32 {
    let Some(stream) = cause.streams(index).map(|streams| streams.event) else {
        return 1.0;
    };
    let pool = &plan.pools()[index];
    let unit = pool.unit(cause.scope(), gpu).0;
    if !cause.acts_on(unit) {
        return 1.0;
    }
    let steps = step..step.saturating_add(1);
    let Some(clock) = Clock::new(pool, cause, random, stream, run, &steps) else {
        return 1.0;
    };
    let mut found = Vec::new();
    let known = [0, 1].map(|number| clock.words(unit, number, WORDS));
    clock.events(unit, known, &mut found);
    found.iter().map(|event| event.severity).product()
}

/// Ranks that are slow for some steps, all for the same steps.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowRanks {
    /// Consecutive ranks.
    pub ranks: Range<u32>,
    /// The steps.
    pub steps: Range<u32>,
    factors: Factors,
}

#[derive(Debug, Clone, PartialEq)]
enum Factors {
    /// One for all ranks.
    Same(f32),
    /// One a rank.
    Each(Box<[f32]>),
}

impl SlowRanks {
    /// The factor of one of the ranks.
    #[must_use]
    pub fn factor(&self, rank: u32) -> f32 {
        match &self.factors {
            Factors::Same(factor) => *factor,
            Factors::Each(factors) => factors[(rank - self.ranks.start) as usize],
        }
    }

    /// What the factors of the ranks do not exceed.
    #[must_use]
    pub fn greatest(&self) -> f32 {
        match &self.factors {
            Factors::Same(factor) => *factor,
            Factors::Each(factors) => factors.iter().copied().fold(0.0, f32::max),
        }
    }
}

/// One episode of a unit.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    ranks: Range<u32>,
    steps: Range<u32>,
    severity: f32,
}

impl Episodes {
    /// Draws all episodes of some steps, on the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
    pub fn draw(
        plan: &Plan,
        index: usize,
        affects: Affects,
        random: &Random,
        run: u32,
        steps: &Range<u32>,
        control: &Control,
    ) -> Result<Self> {
        let pool = &plan.pools()[index];
        let kernel = Kernel::new(plan.instructions());
        let mut events = Vec::new();
        for cause in plan.causes(index, affects, Span::Episode) {
            let Some(stream) = cause.streams(index).map(|streams| streams.event) else {
                continue;
            };
            let Some(clock) = Clock::new(pool, cause, random, stream, run, steps) else {
                continue;
            };
            let last_gpu = pool.stretch(pool.n_ranks() - 1).0;
            let n_units = pool.unit(cause.scope(), last_gpu).0 + 1;
            let tasks: Vec<Range<u32>> = (0..n_units)
                .step_by(UNITS_PER_TASK)
                .map(|first| first..n_units.min(first + UNITS_PER_TASK as u32))
                .collect();
            let of_tasks = tasks.into_par_iter().map(|units| {
                control.advance(0)?;
                Ok(clock.events_of(units, kernel))
            });
            for found in of_tasks.collect::<Result<Vec<_>>>()? {
                events.extend(found);
            }
        }
        Ok(Self::of(events))
    }

    /// Whether no rank is slow in any step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slow.is_empty()
    }

    /// The greatest factor of any rank in any step; 1 where none is slow.
    #[must_use]
    pub fn greatest(&self) -> f32 {
        self.slow
            .iter()
            .map(SlowRanks::greatest)
            .fold(1.0, f32::max)
    }

    /// All slow ranks.
    #[must_use]
    pub fn all(&self) -> &[SlowRanks] {
        &self.slow
    }

    /// Of each 64 steps, from the first slow one on, the places of those in [`Episodes::all`] that
    /// are slow in any of them, by rank.
    #[must_use]
    pub fn lists(&self) -> &[Vec<u32>] {
        &self.lists
    }

    /// The list of a step.
    #[must_use]
    pub fn near(&self, step: u32) -> &[u32] {
        let list = self.list_of(step).and_then(|list| self.lists.get(list));
        list.map_or(&[], Vec::as_slice)
    }

    /// The place of a step's list in [`Episodes::lists`], which may end before it.
    #[must_use]
    pub fn list_of(&self, step: u32) -> Option<usize> {
        let list = (step / STEPS_PER_LIST).checked_sub(self.first_list);
        list.map(|list| list as usize)
    }

    /// Those that are slow in a step, by rank.
    pub fn in_step(&self, step: u32) -> impl Iterator<Item = &SlowRanks> {
        let near = self.near(step).iter();
        near.map(|&place| &self.slow[place as usize])
            .filter(move |slow| slow.steps.contains(&step))
    }

    /// Those that are slow in any step of a quad, by rank, each with its place in
    /// [`Episodes::all`].
    pub fn in_quad(&self, quad: u32) -> impl Iterator<Item = (usize, &SlowRanks)> {
        let first = quad * QUAD_STEPS as u32;
        let places = self.near(first).iter().map(|&place| place as usize);
        places
            .map(|place| (place, &self.slow[place]))
            .filter(move |(_, slow)| {
                slow.steps.start < first + QUAD_STEPS as u32 && slow.steps.end > first
            })
    }

    /// Multiplies the slowdowns of a tile on some ranks by their factors in the steps of a quad.
    pub fn apply(&self, quad: u32, ranks: &Range<u32>, tile: &mut Tile) {
        for (_, slow) in self.in_quad(quad) {
            if slow.ranks.start >= ranks.end {
                // Lists are in the order of ranks.
                break;
            }
            slow.apply(quad, ranks, tile);
        }
    }

    /// Of these events.
    fn of(mut events: Vec<Event>) -> Self {
        // Of equal ranks in the order of causes and events, which is that of multiplication.
        events.sort_by_key(|event| event.ranks.start);
        let mut slow = Vec::with_capacity(events.len());
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            let (these, others) = rest.split_at(n_joined(rest.iter()));
            rest = others;
            match these {
                [only] => slow.push(SlowRanks {
                    ranks: only.ranks.clone(),
                    steps: only.steps.clone(),
                    factors: Factors::Same(only.severity),
                }),
                several => pieces(several, &mut slow),
            }
        }
        let of_lists = |slow: &SlowRanks| {
            slow.steps.start / STEPS_PER_LIST..(slow.steps.end - 1) / STEPS_PER_LIST + 1
        };
        let first_list = slow.iter().map(|slow| of_lists(slow).start).min();
        let first_list = first_list.unwrap_or(0);
        let end_list = slow.iter().map(|slow| of_lists(slow).end).max();
        let n_lists = end_list.map_or(0, |end| end - first_list);
        let mut sizes = vec![0; n_lists as usize];
        for slow in &slow {
            for list in of_lists(slow) {
                sizes[(list - first_list) as usize] += 1;
            }
        }
        let mut lists: Vec<Vec<u32>> = sizes.into_iter().map(Vec::with_capacity).collect();
        for (place, slow) in (0..).zip(&slow) {
            for list in of_lists(slow) {
                lists[(list - first_list) as usize].push(place);
            }
        }
        Self {
            slow,
            lists,
            first_list,
        }
    }
}

impl SlowRanks {
    /// Multiplies the slowdowns of a tile on some ranks by the factors of those that are slow.
    pub fn apply(&self, quad: u32, ranks: &Range<u32>, tile: &mut Tile) {
        let both = self.ranks.start.max(ranks.start)..self.ranks.end.min(ranks.end);
        let first = quad * QUAD_STEPS as u32;
        for (row, step) in tile.slowdown.0.iter_mut().zip(first..) {
            if self.steps.contains(&step) {
                for rank in both.clone() {
                    row[(rank - ranks.start) as usize] *= self.factor(rank);
                }
            }
        }
    }
}

/// What is slow together of episodes that overlap each other's ranks: for each time between two
/// changes, and each group of ranks that they join.
fn pieces(events: &[Event], slow: &mut Vec<SlowRanks>) {
    let mut changes: Vec<u32> = events
        .iter()
        .flat_map(|event| [event.steps.start, event.steps.end])
        .collect();
    changes.sort_unstable();
    changes.dedup();
    let begin = slow.len();
    for between in changes.windows(2) {
        let here =
            |event: &&Event| event.steps.start <= between[0] && between[1] <= event.steps.end;
        let active: Vec<&Event> = events.iter().filter(here).collect();
        let mut rest = active.as_slice();
        while let Some(first) = rest.first() {
            let (joined, others) = rest.split_at(n_joined(rest.iter().copied()));
            rest = others;
            let end = joined.iter().map(|event| event.ranks.end).max();
            let ranks = first.ranks.start..end.unwrap_or(first.ranks.end);
            let factors = match joined {
                [only] => Factors::Same(only.severity),
                several => {
                    let mut factors = vec![1.0; ranks.len()];
                    for event in several {
                        let places = (event.ranks.start - ranks.start) as usize
                            ..(event.ranks.end - ranks.start) as usize;
                        for factor in &mut factors[places] {
                            *factor *= event.severity;
                        }
                    }
                    Factors::Each(factors.into())
                }
            };
            slow.push(SlowRanks {
                ranks,
                steps: between[0]..between[1],
                factors,
            });
        }
    }
    // By rank, as the others are.
    slow[begin..].sort_by_key(|slow| (slow.ranks.start, slow.steps.start));
}

/// How many events from the first one on share ranks with each other; they are in the order of
/// their first ranks.
fn n_joined<'e>(events: impl Iterator<Item = &'e Event>) -> usize {
    let mut end = None;
    let joins = |event: &&Event| {
        let joins = end.is_none_or(|end| event.ranks.start < end);
        end = Some(end.unwrap_or(0).max(event.ranks.end));
        joins
    };
    events.take_while(joins).count()
}

/// The episodes of units under one cause that are under way at the beginning of any of some steps.
struct Clock<'a> {
    pool: &'a Pool,
    cause: &'a Cause,
    episode: &'a Episode,
    random: &'a Random,
    stream: Stream,
    run: u32,
    steps: Range<u32>,
    gaps: &'static Table,
    /// Sum of gaps after which no episode begins in time.
    last: f64,
    /// Words above it are those of first gaps that are longer.
    last_word: u32,
}

impl<'a> Clock<'a> {
    /// That of a cause; none where there are no episodes.
    fn new(
        pool: &'a Pool,
        cause: &'a Cause,
        random: &'a Random,
        stream: Stream,
        run: u32,
        steps: &Range<u32>,
    ) -> Option<Self> {
        let episode = cause.episode().filter(|episode| episode.per_s() > 0.0)?;
        let end_s = f64::from(steps.end) * episode.step_s();
        let last = episode.at_a_time() + end_s * episode.per_s();
        let gaps = unit_exponential();
        Some(Self {
            pool,
            cause,
            episode,
            random,
            stream,
            run,
            steps: steps.clone(),
            gaps,
            last,
            last_word: last_word(gaps, last),
        })
    }

    /// Those of some consecutive units.
    fn events_of(&self, units: Range<u32>, kernel: Kernel) -> Vec<Event> {
        let mut hit = Vec::new();
        let mut words = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
        for first_unit in units.clone().step_by(TILE_UNITS) {
            kernel.words(self.random, self.address(first_unit, 0), &mut words);
            let [gaps, ..] = &words.0;
            for ((lane, &gap), unit) in gaps.iter().enumerate().zip(first_unit..units.end) {
                // Most units have none, which their word shows without a look at the table.
                if gap <= self.last_word && self.cause.acts_on(unit) {
                    hit.push((unit, words.0.map(|row| row[lane])));
                }
            }
        }
        let mut found = Vec::with_capacity(hit.len());
        for hit in hit.chunks(SCATTERED_UNITS) {
            // Whether a unit has a second one is told by its words alone.
            let mut lanes = [0; SCATTERED_UNITS];
            for (lane, &(unit, _)) in lanes.iter_mut().zip(hit) {
                *lane = unit;
            }
            let second = kernel.scattered_words(self.random, self.address(0, 1), &lanes);
            for (lane, &(unit, first)) in hit.iter().enumerate() {
                let known = [first, second.map(|row| row[lane])];
                self.events(unit, known, &mut found);
            }
        }
        found
    }

    /// Address of the words of the events of one number of consecutive units.
    fn address(&self, first_unit: u32, number: u32) -> TileAddress {
        TileAddress {
            stream: self.stream,
            first_unit,
            c1: number,
            c2: run_word(self.run, WORDS),
        }
    }

    /// Adds those of one unit, the words of whose first two are known.
    fn events(&self, unit: u32, known: [[u32; 4]; 2], found: &mut Vec<Event>) {
        let (episode, steps) = (self.episode, &self.steps);
        let mut sum = 0.0;
        for number in 0..u32::MAX {
            let words = known.get(number as usize).copied();
            let words = words.unwrap_or_else(|| self.words(unit, number, WORDS));
            let [gap, duration, severity, _] = words;
            let refine = || self.words(unit, number, REFINE)[0];
            sum += f64::from(self.gaps.value(gap, refine));
            if sum > self.last {
                break;
            }
            let (begin_s, end_of_it_s) = if sum <= episode.at_a_time() {
                (0.0, episode.duration().left_s(uniform(duration)))
            } else {
                let begin_s = (sum - episode.at_a_time()) / episode.per_s();
                let component = || self.words(unit, number, COMPONENTS)[1];
                let lasts_s = episode.duration().seconds(duration, component);
                (begin_s, begin_s + lasts_s)
            };
            let step = |at_s: f64| libm::ceil(at_s / episode.step_s()) as u32;
            let here = step(begin_s).max(steps.start)..step(end_of_it_s).min(steps.end);
            let ranks = self.ranks(unit);
            // A unit may hold no rank of the job.
            if !here.is_empty() && !ranks.is_empty() {
                found.push(Event {
                    ranks,
                    steps: here,
                    severity: self.severity(unit, number, severity),
                });
            }
        }
    }

    /// The ranks of a unit.
    fn ranks(&self, unit: u32) -> Range<u32> {
        let rank_of = |unit: u32| {
            let gpu = self.pool.first_gpu(self.cause.scope(), unit);
            self.pool.rank_from(gpu)
        };
        rank_of(unit)..rank_of(unit + 1)
    }

    /// The factor of an episode, by its word.
    fn severity(&self, unit: u32, number: u32, word: u32) -> f32 {
        let refine = || self.words(unit, number, REFINE)[2];
        match self.cause.only_table() {
            Some(table) => table.value(word, refine),
            None => {
                let component = self.words(unit, number, COMPONENTS)[2];
                self.cause
                    .chosen_table(component, refine)
                    .value(word, refine)
            }
        }
    }

    fn words(&self, unit: u32, number: u32, index: u32) -> [u32; 4] {
        let c2 = run_word(self.run, index);
        self.random.words(self.stream, unit, number, c2)
    }
}

/// A word above which all values of a table exceed a limit.
fn last_word(table: &Table, limit: f64) -> u32 {
    let exceeds = |word: u32| {
        let bits = [0, u32::MAX].map(|more| table.value(word, || more));
        bits.into_iter().all(|value| f64::from(value) > limit)
    };
    let (mut low, mut high) = (0, u32::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if exceeds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// A uniform number in (0, 1) of a word.
fn uniform(word: u32) -> f64 {
    (f64::from(word) + 0.5) * libm::ldexp(1.0, -32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ranks: Range<u32>, steps: Range<u32>, severity: f32) -> Event {
        Event {
            ranks,
            steps,
            severity,
        }
    }

    /// The factor of each of some ranks in one step.
    fn factors(episodes: &Episodes, n_ranks: u32, step: u32) -> Vec<f32> {
        let factor = |rank: u32| {
            let mut here = episodes
                .all()
                .iter()
                .filter(|slow| slow.ranks.contains(&rank) && slow.steps.contains(&step));
            let factor = here.next().map_or(1.0, |slow| slow.factor(rank));
            assert!(here.next().is_none(), "{rank} is slow twice in {step}");
            factor
        };
        (0..n_ranks).map(factor).collect()
    }

    #[test]
    fn episodes_that_overlap_multiply() {
        // A GPU of a node that is slow, a rack that crosses two nodes, and a node by itself.
        let events = vec![
            event(0..8, 2..6, 2.0),
            event(3..4, 4..9, 1.5),
            event(4..12, 5..7, 1.25),
            event(16..24, 0..100, 3.0),
        ];
        let expected = |rank: u32, step: u32| {
            let here = events
                .iter()
                .filter(|event| event.ranks.contains(&rank) && event.steps.contains(&step));
            here.map(|event| event.severity).product::<f32>()
        };
        let episodes = Episodes::of(events.clone());
        for step in 0..100 {
            let all: Vec<f32> = (0..32).map(|rank| expected(rank, step)).collect();
            assert_eq!(factors(&episodes, 32, step), all, "step {step}");
        }
        assert_eq!(episodes.greatest(), 3.0);
    }

    #[test]
    fn a_tile_is_multiplied_by_the_factors_of_its_ranks_in_each_step_of_a_quad() {
        let events = vec![event(8..16, 62..66, 2.0), event(40..41, 64..65, 3.0)];
        let episodes = Episodes::of(events);
        let mut tile = Tile::NEUTRAL;
        episodes.apply(16, &(10..42), &mut tile);
        for (row, step) in tile.slowdown.0.iter().zip(64..) {
            for (place, &slowdown) in row.iter().take(32).enumerate() {
                let factor = factors(&episodes, 50, step)[10 + place];
                assert_eq!(slowdown, factor, "rank {} in step {step}", 10 + place);
            }
        }
        // Steps that nobody has asked for have none.
        assert_eq!(episodes.in_quad(1_000).count(), 0);
        assert!(episodes.near(5_000).is_empty());
    }
}
