//! The effects of causes on a tile: up to 64 consecutive GPUs over 4 steps.

use std::ops::Range;

use super::{Address, Block, Kernel, SCATTERED, STEPS, UNITS};
use crate::plan::{Affects, Cause, Effect, Group, Plan, Scope, Span, Streams};
use crate::random::{Random, Stream, run_word};
use crate::table::{Table, is_refined};

/// Factors and stalls of the ranks or ports of a tile.
///
/// Slowdowns multiply and stalls add in document order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// Product of the slowdowns.
    pub slowdown: Block<f32>,
    /// Sum of the stalls, in units of the group's noiseless compute time
    /// (seconds for ports).
    pub stall: Block<f32>,
}

impl Tile {
    /// Ranks that nothing has slowed yet.
    pub const NEUTRAL: Self = Self {
        slowdown: Block([[1.0; UNITS]; STEPS]),
        stall: Block([[0.0; UNITS]; STEPS]),
    };
}

/// The causes of one span that act on the ranks or the ports of a group, under
/// one seed in one run.
#[derive(Clone)]
pub struct Draws<'a> {
    group: &'a Group,
    causes: Vec<(&'a Cause, Streams)>,
    random: &'a Random,
    kernel: Kernel,
    run: u32,
    c2: u32,
    /// What a stall is multiplied by: a rank's are measured in its own time, a
    /// port's stay seconds.
    per_second: f32,
}

/// What a cause does to a tile, drawn as far as needed.
#[derive(Debug, Clone, Copy)]
pub enum Drawn {
    /// Nothing.
    Nothing,
    /// The same to all of the tile's units.
    Common([f32; STEPS]),
    /// One value a unit, still to be looked up.
    Words(Block<u32>),
    /// One value a GPU.
    Values(Block<f32>),
}

impl<'a> Draws<'a> {
    /// The causes of `span` that act in a group.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        index: usize,
        affects: Affects,
        span: Span,
        random: &'a Random,
        run: u32,
    ) -> Self {
        let group = &plan.groups()[index];
        let causes = plan.causes(index, affects, span);
        let with_streams = |cause: &'a Cause| Some((cause, cause.streams(index)?));
        Self {
            group,
            causes: causes.filter_map(with_streams).collect(),
            random,
            kernel: Kernel::new(plan.instructions()),
            run,
            c2: run_word(run, 0),
            per_second: match affects {
                Affects::Compute => (1.0 / group.compute_s()) as f32,
                Affects::Network => 1.0,
            },
        }
    }

    /// The same without the causes that `keeps` refuses.
    #[must_use]
    pub fn only(mut self, keeps: impl Fn(&Cause) -> bool) -> Self {
        self.causes.retain(|&(cause, _)| keeps(cause));
        self
    }

    /// Turns to the four microbatches or passes from `index` on, a multiple of
    /// four; the second counter word is then the step, and the rows of a tile
    /// are the four indices.
    pub fn turn_to(&mut self, index: u32) {
        self.c2 = run_word(self.run, index / STEPS as u32);
    }

    /// Values that one unit has of a cause at the second counter word `c1`.
    #[must_use]
    pub fn of_unit(&self, cause: usize, c1: u32, unit: u32) -> [f32; STEPS] {
        self.source(cause, c1).unit_values(unit)
    }

    /// The random numbers that all draws are made of.
    #[must_use]
    pub fn random(&self) -> &'a Random {
        self.random
    }

    /// Where the values of a cause are, from one unit on.
    #[must_use]
    pub fn address(&self, cause: usize, c1: u32, first_unit: u32) -> Address {
        let source = self.source(cause, c1);
        source.address(source.streams.value, first_unit)
    }

    /// 32 more bits for the words of one unit.
    #[must_use]
    pub fn refined(&self, cause: usize, c1: u32, unit: u32) -> [u32; STEPS] {
        self.random
            .block(self.causes[cause].1.refine, unit, c1, self.c2)
    }

    /// The instructions that tiles are drawn in.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Value that one unit has of a cause in row `step`, given that it occurs
    /// there.
    #[must_use]
    pub fn size_of_unit(&self, cause: usize, c1: u32, unit: u32, step: usize) -> f32 {
        let source = self.source(cause, c1);
        source.size(unit, step, source.word(source.streams.value, unit, step))
    }

    /// Multiplies `products` by the values that units have of a cause in row
    /// `step` of `c1`; each product has its unit.
    pub fn multiply_units(
        &self,
        cause: usize,
        c1: u32,
        step: usize,
        units: &[u32],
        products: &mut [f32],
    ) {
        let source = self.source(cause, c1);
        let table = source
            .cause
            .only_table()
            .filter(|_| source.cause.is_certain());
        let Some(table) = table else {
            for (product, &unit) in products.iter_mut().zip(units) {
                *product *= source.unit_values(unit)[step];
            }
            return;
        };
        for (units, products) in units.chunks(SCATTERED).zip(products.chunks_mut(SCATTERED)) {
            let mut lanes = [0; SCATTERED];
            lanes[..units.len()].copy_from_slice(units);
            let address = source.address(source.streams.value, 0);
            let words = self.kernel.scattered(self.random, address, &lanes)[step];
            for ((product, &unit), &word) in products.iter_mut().zip(units).zip(&words) {
                let refine = || source.word(source.streams.refine, unit, step);
                *product *= table.value(word, refine);
            }
        }
    }

    /// The streams of a cause in the group.
    #[must_use]
    pub fn streams(&self, cause: usize) -> Streams {
        self.causes[cause].1
    }

    /// The group that the causes act in.
    #[must_use]
    pub fn group(&self) -> &'a Group {
        self.group
    }

    /// How many causes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.causes.len()
    }

    /// Whether there is no cause.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// One of the causes.
    #[must_use]
    pub fn cause(&self, index: usize) -> &'a Cause {
        self.causes[index].0
    }

    /// The causes.
    pub fn causes(&self) -> impl Iterator<Item = &'a Cause> {
        self.causes.iter().map(|&(cause, _)| cause)
    }

    /// What a stall is multiplied by before it is added.
    #[must_use]
    pub fn per_second(&self) -> f32 {
        self.per_second
    }

    /// Draws one cause for a tile at the second counter word `c1`.
    #[inline]
    pub fn draw(&self, cause: usize, c1: u32, gpus: &Range<u32>, drawn: &mut Drawn) {
        let source = self.source(cause, c1);
        match source.cause.scope() {
            Scope::Gpu => source.draw_gpus(gpus, drawn),
            Scope::Pool | Scope::Cluster => *drawn = Drawn::Common(source.unit_values(0)),
            scope => *drawn = Drawn::Values(self.shared_values(&source, scope, gpus)),
        }
    }

    /// Applies what was drawn of a cause to a tile.
    pub fn apply(&self, cause: usize, c1: u32, gpus: &Range<u32>, drawn: &Drawn, tile: &mut Tile) {
        let effect = self.causes[cause].0.effect();
        match drawn {
            Drawn::Nothing => {}
            Drawn::Common(values) => {
                self.apply_values(effect, &Block(values.map(|value| [value; UNITS])), tile);
            }
            Drawn::Words(words) => {
                let values = self.source(cause, c1).look_up(words, gpus.start);
                self.apply_values(effect, &values, tile);
            }
            Drawn::Values(values) => self.apply_values(effect, values, tile),
        }
    }

    #[inline(always)]
    fn apply_values(&self, effect: Effect, values: &Block<f32>, tile: &mut Tile) {
        match effect {
            Effect::Slowdown => self.kernel.multiply(&mut tile.slowdown, values),
            Effect::Stall => self.kernel.add(&mut tile.stall, values, self.per_second),
        }
    }

    /// Draws and applies all causes to a tile; `drawn` is room to work in.
    pub fn apply_all(&self, c1: u32, gpus: &Range<u32>, drawn: &mut Drawn, tile: &mut Tile) {
        for cause in 0..self.causes.len() {
            self.draw(cause, c1, gpus, drawn);
            self.apply(cause, c1, gpus, drawn, tile);
        }
    }

    fn source(&self, cause: usize, c1: u32) -> Source<'a, '_> {
        let (cause, streams) = self.causes[cause];
        Source {
            cause,
            streams,
            draws: self,
            c1,
        }
    }

    /// Values of GPUs that share them in units between one GPU and the pool.
    fn shared_values(&self, source: &Source, scope: Scope, gpus: &Range<u32>) -> Block<f32> {
        let mut values = Block([[0.0; UNITS]; STEPS]);
        let mut gpu = gpus.start;
        while gpu < gpus.end {
            let (unit, end) = self.group.unit(scope, gpu);
            let end = end.min(gpus.end);
            let of_unit = source.unit_values(unit);
            let places = (gpu - gpus.start) as usize..(end - gpus.start) as usize;
            for (row, value) in values.0.iter_mut().zip(of_unit) {
                row[places.clone()].fill(value);
            }
            gpu = end;
        }
        values
    }
}

/// One cause at one place.
struct Source<'a, 'd> {
    cause: &'a Cause,
    streams: Streams,
    draws: &'d Draws<'a>,
    c1: u32,
}

impl Source<'_, '_> {
    fn address(&self, stream: Stream, first_unit: u32) -> Address {
        Address {
            stream,
            first_unit,
            c1: self.c1,
            c2: self.draws.c2,
        }
    }

    /// Draws the cause for consecutive GPUs, each with values of its own.
    fn draw_gpus(&self, gpus: &Range<u32>, drawn: &mut Drawn) {
        let kernel = self.draws.kernel;
        if self.cause.is_certain() && self.cause.only_table().is_some() {
            if !matches!(drawn, Drawn::Words(_)) {
                *drawn = Drawn::Words(Block([[0; UNITS]; STEPS]));
            }
            if let Drawn::Words(words) = drawn {
                let address = self.address(self.streams.value, gpus.start);
                kernel.words(self.draws.random, address, words);
            }
            return;
        }
        *drawn = Drawn::Nothing;
        let mut occurrences = Block([[0; UNITS]; STEPS]);
        if !self.cause.is_certain() {
            let address = self.address(self.streams.occurrence, gpus.start);
            kernel.words(self.draws.random, address, &mut occurrences);
            let least = kernel.extremes(&occurrences).least;
            if !least.iter().any(|&word| self.cause.may_occur(word)) {
                return;
            }
        }
        let mut values = Block([[self.cause.effect().neutral(); UNITS]; STEPS]);
        for (step, words) in occurrences.0.iter().enumerate() {
            for (place, &word) in words[..gpus.len()].iter().enumerate() {
                if self.cause.may_occur(word) {
                    let unit = gpus.start + place as u32;
                    values.0[step][place] = self.value(unit, step, word);
                }
            }
        }
        *drawn = Drawn::Values(values);
    }

    /// Values of one unit over four steps.
    fn unit_values(&self, unit: u32) -> [f32; STEPS] {
        if self.cause.is_certain() {
            let words = self.words(self.streams.value, unit);
            return std::array::from_fn(|step| self.size(unit, step, words[step]));
        }
        let words = self.words(self.streams.occurrence, unit);
        std::array::from_fn(|step| self.value(unit, step, words[step]))
    }

    /// Value of one unit in one step, given its word of occurrence.
    fn value(&self, unit: u32, step: usize, occurrence: u32) -> f32 {
        let refine = || self.word(self.streams.refine, unit, step);
        if !self.cause.occurs(occurrence, refine) {
            return self.cause.effect().neutral();
        }
        self.size(unit, step, self.word(self.streams.value, unit, step))
    }

    /// Value of one unit in one step where the cause occurs, given its word.
    fn size(&self, unit: u32, step: usize, word: u32) -> f32 {
        let refine = || self.word(self.streams.refine, unit, step);
        let table = self.cause.only_table().unwrap_or_else(|| {
            let component = self.word(self.streams.component, unit, step);
            self.cause.chosen_table(component, refine)
        });
        table.value(word, refine)
    }

    fn word(&self, stream: Stream, unit: u32, step: usize) -> u32 {
        self.words(stream, unit)[step]
    }

    fn words(&self, stream: Stream, unit: u32) -> [u32; STEPS] {
        let draws = self.draws;
        draws.random.block(stream, unit, self.c1, draws.c2)
    }

    /// Values of words of consecutive GPUs.
    fn look_up(&self, words: &Block<u32>, first_gpu: u32) -> Block<f32> {
        let mut values = Block([[0.0; UNITS]; STEPS]);
        let Some(table) = self.cause.only_table() else {
            return values;
        };
        if self.draws.kernel.values(table, words, &mut values) {
            self.refine(table, words, first_gpu, &mut values);
        }
        values
    }

    #[cold]
    fn refine(&self, table: &Table, words: &Block<u32>, first_gpu: u32, values: &mut Block<f32>) {
        for (step, words) in words.0.iter().enumerate() {
            for (place, &word) in words.iter().enumerate() {
                if is_refined(word) {
                    let unit = first_gpu.wrapping_add(place as u32);
                    let refine = || self.word(self.streams.refine, unit, step);
                    values.0[step][place] = table.value(word, refine);
                }
            }
        }
    }
}
