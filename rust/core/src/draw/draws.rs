//! Draws of the causes of a pool, tile by tile or unit by unit.

use std::ops::Range;

use super::drift_words::{normal_of, word_of};
use super::tile::Tile;
use crate::drift::{Drift, DriftPath};
use crate::plan::{Affects, Cause, Effect, Period, Plan, Pool, Scope, Span, Streams};
use crate::random::{Random, Stream, run_word};
use crate::simd::{
    Kernel, QUAD_STEPS, SCATTERED_UNITS, ScatteredWords, TILE_UNITS, TileAddress, TileArray,
};
use crate::table::{Table, is_refined};

/// The causes of one span that act on the ranks or the ports of a pool, under one
/// seed in one run.
///
/// Every value is a function of its address, so tiles and units can be drawn in
/// any order and on any thread.
#[derive(Clone)]
pub struct Draws<'a> {
    pool: &'a Pool,
    causes: Vec<(&'a Cause, Streams)>,
    random: &'a Random,
    kernel: Kernel,
    run: u32,
    /// What a stall in seconds is multiplied by before it is added: stalls of ranks
    /// are in units of the pool's noiseless compute time, those of ports in seconds.
    stall_scale: f32,
}

/// When a draw is made: counter words 1 and 2 of its address, but for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    c1: u32,
    index: u32,
    /// Whether the rows are steps, and not draws within one step.
    is_quad: bool,
}

impl When {
    /// Once for a whole run, for causes of span run: row 0 of what is drawn.
    pub const RUN: Self = Self {
        c1: 0,
        index: 0,
        is_quad: false,
    };

    /// In the four steps of a quad, for causes of span step: row by row.
    #[must_use]
    pub fn quad(quad: u32) -> Self {
        Self {
            c1: quad,
            index: 0,
            is_quad: true,
        }
    }

    /// Within a step, for causes of span microbatch or layer: the rows are four
    /// consecutive indices from `first_index` on, a multiple of four.
    #[must_use]
    pub fn within_step(step: u32, first_index: usize) -> Self {
        Self {
            c1: step,
            index: (first_index / QUAD_STEPS) as u32,
            is_quad: false,
        }
    }

    /// The step of the first row, and how many steps the rows are.
    fn steps(self) -> (u32, u32) {
        if self.is_quad {
            (self.c1 * QUAD_STEPS as u32, QUAD_STEPS as u32)
        } else {
            (self.c1, 1)
        }
    }
}

/// Draws of one cause for a tile, evaluated only as far as needed.
#[derive(Debug, Clone, Copy)]
pub enum Drawn {
    /// The cause does nothing in the tile.
    Nothing,
    /// All units of the tile share the values.
    Common([f32; QUAD_STEPS]),
    /// Random words of the units, whose values have not been looked up yet.
    Words(TileArray<u32>),
    /// Values of the GPUs.
    Values(TileArray<f32>),
}

/// What is known of the drifts of one run.
#[derive(Debug, Default)]
pub struct DriftPaths(Vec<KnownDrift>);

/// What is known of one unit's drift.
#[derive(Debug)]
struct KnownDrift {
    /// Value stream of the cause.
    stream: Stream,
    unit: u32,
    path: DriftPath,
    /// When it was drawn last, and its values then.
    last: Option<(When, [f32; QUAD_STEPS])>,
}

impl DriftPaths {
    fn of(&mut self, stream: Stream, unit: u32) -> &mut KnownDrift {
        let is_it = |known: &KnownDrift| (known.stream, known.unit) == (stream, unit);
        let place = match self.0.iter().position(is_it) {
            Some(place) => place,
            None => {
                self.0.push(KnownDrift {
                    stream,
                    unit,
                    path: DriftPath::default(),
                    last: None,
                });
                self.0.len() - 1
            }
        };
        &mut self.0[place]
    }
}

impl<'a> Draws<'a> {
    /// The causes of `span` that act in a pool.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        index: usize,
        affects: Affects,
        span: Span,
        random: &'a Random,
        run: u32,
    ) -> Self {
        let pool = &plan.pools()[index];
        let causes = plan.causes(index, affects, span);
        let with_streams = |cause: &'a Cause| Some((cause, cause.streams(index)?));
        Self {
            pool,
            causes: causes.filter_map(with_streams).collect(),
            random,
            kernel: Kernel::new(plan.instructions()),
            run,
            stall_scale: match affects {
                Affects::Compute => (1.0 / pool.compute_s()) as f32,
                Affects::Network => 1.0,
            },
        }
    }

    /// Only those causes for which `keeps` returns true.
    #[must_use]
    pub fn only(mut self, keeps: impl Fn(&Cause) -> bool) -> Self {
        self.causes.retain(|&(cause, _)| keeps(cause));
        self
    }

    /// Values of one unit for one cause at `when`, by row.
    #[must_use]
    pub fn unit_values(&self, cause: usize, when: When, unit: u32) -> [f32; QUAD_STEPS] {
        self.source(cause, when).unit_values(unit)
    }

    /// [`Draws::unit_values`] in row `step`, without looking the other rows up.
    #[must_use]
    pub fn unit_value(&self, cause: usize, when: When, unit: u32, step: usize) -> f32 {
        let source = self.source(cause, when);
        let own = source.cause;
        if own.is_certain() && own.is_of_words() && own.acts_on(unit) {
            return source.size(unit, step, source.word(source.streams.value, unit, step));
        }
        source.unit_values(unit)[step]
    }

    /// Value words of up to [`SCATTERED_UNITS`] units for one cause, for
    /// [`Draws::value_of_word`]; none where a value takes more than its word.
    #[must_use]
    pub fn value_words(&self, cause: usize, when: When, units: &[u32]) -> Option<ScatteredWords> {
        let source = self.source(cause, when);
        let own = source.cause;
        if !own.is_certain() || !own.is_of_words() || own.names_units() {
            return None;
        }
        let mut lanes = [0; SCATTERED_UNITS];
        lanes[..units.len()].copy_from_slice(units);
        let address = source.address(source.streams.value, 0);
        Some(self.kernel.scattered_words(self.random, address, &lanes))
    }

    /// Value of one unit in row `step`, by its word of [`Draws::value_words`].
    #[must_use]
    pub fn value_of_word(
        &self,
        cause: usize,
        when: When,
        unit: u32,
        step: usize,
        word: u32,
    ) -> f32 {
        self.source(cause, when).size(unit, step, word)
    }

    /// [`Draws::unit_values`], by way of what `paths` holds of earlier quads of the run.
    #[must_use]
    pub fn unit_values_along(
        &self,
        cause: usize,
        when: When,
        unit: u32,
        paths: &mut DriftPaths,
    ) -> [f32; QUAD_STEPS] {
        let source = self.source(cause, when);
        match source.cause.drift() {
            None => source.unit_values(unit),
            Some(drift) => {
                let known = paths.of(source.streams.value, unit);
                match known.last {
                    // Pools share what the cluster draws.
                    Some((at, values)) if at == when => values,
                    _ => {
                        let values = source.drifting_values(drift, unit, &mut known.path);
                        known.last = Some((when, values));
                        values
                    }
                }
            }
        }
    }

    /// The generator of all draws.
    #[must_use]
    pub fn random(&self) -> &'a Random {
        self.random
    }

    /// Address of the value words of a cause, from one unit on.
    #[must_use]
    pub fn address(&self, cause: usize, when: When, first_unit: u32) -> TileAddress {
        let source = self.source(cause, when);
        source.address(source.streams.value, first_unit)
    }

    /// The 32 more bits for the words of one unit, by row.
    #[must_use]
    pub fn refined(&self, cause: usize, when: When, unit: u32) -> [u32; QUAD_STEPS] {
        self.random.words(
            self.causes[cause].1.refine,
            unit,
            when.c1,
            run_word(self.run, when.index),
        )
    }

    /// The kernel that draws tiles.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Value of one unit for one cause in row `step`, given that it occurs there.
    #[must_use]
    pub fn unit_size(&self, cause: usize, when: When, unit: u32, step: usize) -> f32 {
        let source = self.source(cause, when);
        if !source.cause.is_of_words() {
            return source.unit_values(unit)[step];
        }
        source.size(unit, step, source.word(source.streams.value, unit, step))
    }

    /// Multiplies each product by the value that its unit has for one cause in row
    /// `step` of `when`.
    pub fn multiply_units(
        &self,
        cause: usize,
        when: When,
        step: usize,
        units: &[u32],
        products: &mut [f32],
    ) {
        let source = self.source(cause, when);
        let table = source
            .cause
            .only_table()
            .filter(|_| source.cause.is_certain() && source.cause.is_of_words());
        let Some(table) = table else {
            for (product, &unit) in products.iter_mut().zip(units) {
                *product *= source.unit_values(unit)[step];
            }
            return;
        };
        for (units, products) in units
            .chunks(SCATTERED_UNITS)
            .zip(products.chunks_mut(SCATTERED_UNITS))
        {
            let mut lanes = [0; SCATTERED_UNITS];
            lanes[..units.len()].copy_from_slice(units);
            let address = source.address(source.streams.value, 0);
            let words = self.kernel.scattered_words(self.random, address, &lanes)[step];
            for ((product, &unit), &word) in products.iter_mut().zip(units).zip(&words) {
                let refine = || source.word(source.streams.refine, unit, step);
                *product *= table.value(word, refine);
            }
        }
    }

    /// The random streams of a cause in the pool.
    #[must_use]
    pub fn streams(&self, cause: usize) -> Streams {
        self.causes[cause].1
    }

    /// The pool that the causes act in.
    #[must_use]
    pub fn pool(&self) -> &'a Pool {
        self.pool
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

    /// What a stall in seconds is multiplied by before it is added.
    #[must_use]
    pub fn stall_scale(&self) -> f32 {
        self.stall_scale
    }

    /// Draws one cause for the tile on `gpus` at `when`.
    #[inline]
    pub fn draw(&self, cause: usize, when: When, gpus: &Range<u32>, drawn: &mut Drawn) {
        let source = self.source(cause, when);
        match source.cause.scope() {
            Scope::Gpu => source.draw_gpus(gpus, drawn),
            Scope::Pool | Scope::Cluster => *drawn = Drawn::Common(source.unit_values(0)),
            scope if self.is_elsewhere(source.cause, scope, gpus) => *drawn = Drawn::Nothing,
            scope => *drawn = Drawn::Values(self.shared_values(&source, scope, gpus)),
        }
    }

    /// Multiplies or adds what was drawn of a cause to the effects of a tile.
    pub fn apply(
        &self,
        cause: usize,
        when: When,
        gpus: &Range<u32>,
        drawn: &Drawn,
        tile: &mut Tile,
    ) {
        let effect = self.causes[cause].0.effect();
        match drawn {
            Drawn::Nothing => {}
            Drawn::Common(values) => {
                self.apply_values(
                    effect,
                    &TileArray(values.map(|value| [value; TILE_UNITS])),
                    tile,
                );
            }
            Drawn::Words(words) => {
                let values = self.source(cause, when).look_up(words, gpus.start);
                self.apply_values(effect, &values, tile);
            }
            Drawn::Values(values) => self.apply_values(effect, values, tile),
        }
    }

    #[inline(always)]
    fn apply_values(&self, effect: Effect, values: &TileArray<f32>, tile: &mut Tile) {
        match effect {
            Effect::Slowdown => self.kernel.multiply(&mut tile.slowdown, values),
            Effect::Stall => self
                .kernel
                .add_scaled(&mut tile.stall, values, self.stall_scale),
        }
    }

    /// Draws all causes and applies them to a tile; `drawn` is a scratch buffer.
    pub fn apply_all(&self, when: When, gpus: &Range<u32>, drawn: &mut Drawn, tile: &mut Tile) {
        for cause in 0..self.causes.len() {
            self.draw(cause, when, gpus, drawn);
            self.apply(cause, when, gpus, drawn, tile);
        }
    }

    fn source(&self, cause: usize, when: When) -> Source<'a, '_> {
        let (cause, streams) = self.causes[cause];
        Source {
            cause,
            streams,
            draws: self,
            when,
        }
    }

    /// Whether a cause names units of which no GPU of a tile is part.
    fn is_elsewhere(&self, cause: &Cause, scope: Scope, gpus: &Range<u32>) -> bool {
        // Numbers of physical units grow with those of GPUs; those of replicas need not.
        cause.names_units() && scope != Scope::Replica && !gpus.is_empty() && {
            let unit = |gpu| self.pool.unit(scope, gpu).0;
            !cause.acts_on_any(&(unit(gpus.start)..unit(gpus.end - 1) + 1))
        }
    }

    /// Values of a tile's GPUs for a scope between one GPU and the pool.
    fn shared_values(&self, source: &Source, scope: Scope, gpus: &Range<u32>) -> TileArray<f32> {
        let mut values = TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]);
        let mut gpu = gpus.start;
        while gpu < gpus.end {
            let (unit, end) = self.pool.unit(scope, gpu);
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

/// One cause at one time: the address of all its words but for the unit.
struct Source<'a, 'd> {
    cause: &'a Cause,
    streams: Streams,
    draws: &'d Draws<'a>,
    when: When,
}

impl Source<'_, '_> {
    fn c2(&self) -> u32 {
        run_word(self.draws.run, self.when.index)
    }

    fn address(&self, stream: Stream, first_unit: u32) -> TileAddress {
        TileAddress {
            stream,
            first_unit,
            c1: self.when.c1,
            c2: self.c2(),
        }
    }

    /// Draws the cause for consecutive GPUs, each with values of its own.
    fn draw_gpus(&self, gpus: &Range<u32>, drawn: &mut Drawn) {
        let kernel = self.draws.kernel;
        if self.cause.is_certain() && self.cause.only_table().is_some() {
            if !matches!(drawn, Drawn::Words(_)) {
                *drawn = Drawn::Words(TileArray([[0; TILE_UNITS]; QUAD_STEPS]));
            }
            if let Drawn::Words(words) = drawn {
                let address = self.address(self.streams.value, gpus.start);
                kernel.words(self.draws.random, address, words);
            }
            return;
        }
        *drawn = Drawn::Nothing;
        if !self.cause.acts_on_any(gpus) {
            return;
        }
        let due = match self.cause.period() {
            None => None,
            Some(period) => {
                let waits = self.waits(period, gpus);
                let n_rows = self.when.steps().1;
                if !waits[..gpus.len()].iter().any(|&wait| wait < n_rows) {
                    return;
                }
                Some(waits.map(|wait| self.rows_due(period, wait)))
            }
        };
        let mut occurrences = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
        if !self.cause.is_certain() {
            let address = self.address(self.streams.occurrence, gpus.start);
            kernel.words(self.draws.random, address, &mut occurrences);
            let least = kernel.extremes(&occurrences).least;
            if !least.iter().any(|&word| self.cause.may_occur(word)) {
                return;
            }
        }
        let mut values = TileArray([[self.cause.effect().neutral(); TILE_UNITS]; QUAD_STEPS]);
        for (step, words) in occurrences.0.iter().enumerate() {
            for (place, &word) in words[..gpus.len()].iter().enumerate() {
                let unit = gpus.start + place as u32;
                let is_due = || due.is_none_or(|due| due[place][step]);
                if self.cause.may_occur(word) && self.cause.acts_on(unit) && is_due() {
                    values.0[step][place] = self.value(unit, step, word);
                }
            }
        }
        *drawn = Drawn::Values(values);
    }

    /// Values of one unit over four steps.
    fn unit_values(&self, unit: u32) -> [f32; QUAD_STEPS] {
        if !self.cause.acts_on(unit) {
            return [self.cause.effect().neutral(); QUAD_STEPS];
        }
        if let Some(drift) = self.cause.drift() {
            return self.drifting_values(drift, unit, &mut DriftPath::default());
        }
        if self.cause.is_certain() {
            let words = self.words(self.streams.value, unit);
            let values = std::array::from_fn(|step| self.size(unit, step, words[step]));
            return self.grown(values);
        }
        let due = match self.cause.period() {
            None => [true; QUAD_STEPS],
            Some(period) => {
                let c2 = run_word(self.draws.run, 0);
                let words = self.draws.random.words(self.streams.phase, unit, 0, c2);
                let now = self.when.steps().0 % period.steps();
                self.rows_due(period, period.wait(now, period.phase(words)))
            }
        };
        if due == [false; QUAD_STEPS] {
            return [self.cause.effect().neutral(); QUAD_STEPS];
        }
        let words = self.words(self.streams.occurrence, unit);
        std::array::from_fn(|step| {
            if due[step] {
                self.value(unit, step, words[step])
            } else {
                self.cause.effect().neutral()
            }
        })
    }

    /// Values of one unit over the four steps of a quad, where they follow those of other steps.
    fn drifting_values(&self, drift: &Drift, unit: u32, path: &mut DriftPath) -> [f32; QUAD_STEPS] {
        let table = match self.cause.only_table() {
            Some(table) if self.cause.acts_on(unit) => table,
            _ => return [self.cause.effect().neutral(); QUAD_STEPS],
        };
        let at_quad = |stream, quad| self.draws.random.words(stream, unit, quad, self.c2());
        let own = at_quad(self.streams.value, self.when.c1);
        let innovation = |step: u64| {
            let (quad, row) = (
                (step / QUAD_STEPS as u64) as u32,
                step as usize % QUAD_STEPS,
            );
            let word = if quad == self.when.c1 {
                own[row]
            } else {
                at_quad(self.streams.value, quad)[row]
            };
            normal_of(word, || at_quad(self.streams.refine, quad)[row])
        };
        let occurrences = (self.cause.probability() < 1.0)
            .then(|| at_quad(self.streams.occurrence, self.when.c1));
        let values = std::array::from_fn(|row| {
            let refine = || at_quad(self.streams.refine, self.when.c1)[row];
            if let Some(words) = occurrences
                && !self.cause.occurs(words[row], refine)
            {
                return self.cause.effect().neutral();
            }
            let step = self.when.steps().0 + row as u32;
            if drift.is_anchor(step) {
                // The bits that a draw of span step has.
                return table.value(own[row], refine);
            }
            let (word, refine) = word_of(path.at(drift, step, innovation));
            table.value(word, || refine)
        });
        self.grown(values)
    }

    /// Factors of the first step as they are in the steps of a quad.
    fn grown(&self, values: [f32; QUAD_STEPS]) -> [f32; QUAD_STEPS] {
        if !self.cause.grows() {
            return values;
        }
        let mut steps = self.when.steps().0..;
        values.map(|value| {
            let growth = steps.next().map_or(1.0, |step| self.cause.growth(step));
            (f64::from(value) * growth) as f32
        })
    }

    /// Steps from the first row on until the cause comes to each of consecutive GPUs.
    fn waits(&self, period: &Period, gpus: &Range<u32>) -> [u32; TILE_UNITS] {
        let address = TileAddress {
            stream: self.streams.phase,
            first_unit: gpus.start,
            c1: 0,
            c2: run_word(self.draws.run, 0),
        };
        let mut words = TileArray([[0; TILE_UNITS]; QUAD_STEPS]);
        let kernel = self.draws.kernel;
        kernel.words(self.draws.random, address, &mut words);
        let now = self.when.steps().0 % period.steps();
        period.phases(&words.0).map(|phase| period.wait(now, phase))
    }

    /// Whether the cause comes to a unit that it comes to after some steps, by row.
    fn rows_due(&self, period: &Period, wait: u32) -> [bool; QUAD_STEPS] {
        if self.when.steps().1 == 1 {
            return [wait == 0; QUAD_STEPS];
        }
        std::array::from_fn(|row| {
            let row = row as u32;
            row >= wait && (row - wait).is_multiple_of(period.steps())
        })
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

    fn words(&self, stream: Stream, unit: u32) -> [u32; QUAD_STEPS] {
        let draws = self.draws;
        draws.random.words(stream, unit, self.when.c1, self.c2())
    }

    /// Values of words of consecutive GPUs.
    fn look_up(&self, words: &TileArray<u32>, first_gpu: u32) -> TileArray<f32> {
        let mut values = TileArray([[0.0; TILE_UNITS]; QUAD_STEPS]);
        let Some(table) = self.cause.only_table() else {
            return values;
        };
        if self.draws.kernel.values(table, words, &mut values) {
            self.refine(table, words, first_gpu, &mut values);
        }
        values
    }

    #[cold]
    fn refine(
        &self,
        table: &Table,
        words: &TileArray<u32>,
        first_gpu: u32,
        values: &mut TileArray<f32>,
    ) {
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
