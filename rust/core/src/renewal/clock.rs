//! Clocks of failures: when the next one comes.

use crate::error::{Error, Result};
use crate::law::{Distribution, Law};
use crate::random::{Random, Stream, Use, run_word};
use crate::table::Table;

/// Failures of one kind, of all units together.
#[derive(Debug, Clone, PartialEq)]
pub struct Failures {
    name: String,
    table: Table,
    is_renewed: bool,
    keeps_local: bool,
}

impl Failures {
    /// Failures of a name, which is a part of their random addresses.
    ///
    /// `law` is that of the seconds from one to the next one, in service; `is_renewed` says whether
    /// a restart of the job begins a new clock, and `keeps_local` whether local checkpoints
    /// survive them.
    ///
    /// # Errors
    /// [`Error::Domain`] for a law that no table holds.
    pub fn new(name: &str, law: &Law, is_renewed: bool, keeps_local: bool) -> Result<Self> {
        let within = |error: Error| error.within(&format!("failures.{name}"));
        law.check_drawable().map_err(within)?;
        Ok(Self {
            name: name.to_owned(),
            table: Table::compile(law).map_err(within)?,
            is_renewed,
            keeps_local,
        })
    }

    /// Whether a restart of the job begins a new clock.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        self.is_renewed
    }

    /// Whether local checkpoints survive them.
    #[must_use]
    pub fn keeps_local(&self) -> bool {
        self.keeps_local
    }
}

/// The clock of failures of one kind in one run.
#[derive(Debug, Clone)]
pub(super) struct Clock<'a> {
    pub failures: &'a Failures,
    random: &'a Random,
    event: Stream,
    refine: Stream,
    c2: u32,
    number: u32,
    /// Seconds in service until the next failure.
    pub next_s: f64,
}

impl<'a> Clock<'a> {
    pub fn new(failures: &'a Failures, random: &'a Random, run: u32) -> Self {
        let stream = |usage| Stream::new("", &failures.name, usage);
        let mut clock = Self {
            failures,
            random,
            event: stream(Use::Event),
            refine: stream(Use::Refine),
            c2: run_word(run, 0),
            number: 0,
            next_s: 0.0,
        };
        clock.begin();
        clock
    }

    /// Begins anew: draws the seconds until the next failure.
    pub fn begin(&mut self) {
        let word = |stream| self.random.words(stream, 0, self.number, self.c2)[0];
        let gap_s = self
            .failures
            .table
            .value(word(self.event), || word(self.refine));
        self.next_s = f64::from(gap_s);
        self.number = self.number.wrapping_add(1);
    }
}
