//! Numbers that requests have, drawn from a law.

use std::sync::Arc;

use crate::error::Result;
use crate::plan::{DrawnLaw, Tables};
use crate::random::{Random, Stream, Use, run_word};

/// Numbers of one kind, one a request.
pub(super) struct Numbers {
    tables: Arc<Tables>,
    stream: Stream,
}

impl Numbers {
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a law that no table can hold, under `name`.
    pub fn new(law: &DrawnLaw, name: &str) -> Result<Self> {
        Ok(Self {
            tables: law.tables().map_err(|error| error.within(name))?,
            stream: Stream::new("", name, Use::Value),
        })
    }

    /// The number of a request. Its four words are the value, 32 more bits of it, which law of a
    /// mixture it has, and more bits of that.
    pub fn of(&self, random: &Random, run: u32, request: u32) -> f64 {
        let [word, more, component, more_of_it] =
            random.words(self.stream, request, 0, run_word(run, 0));
        let table = self.tables.chosen(component, || more_of_it);
        f64::from(table.value(word, || more))
    }
}
