//! Random factors on the latencies of communication terms.

use std::sync::Arc;

use super::communication::{Communication, Term};
use super::drawn_law::{DrawnLaw, Tables};
use crate::error::Result;
use crate::random::{Random, Stream, Use, run_word};

/// Name of the hops' noise in random addresses.
pub const NAME: &str = "fabric-hops";

/// Laws of the factors on terms' latencies, as tables; none for terms without noise.
#[derive(Debug, Clone, Default)]
pub struct Hops {
    tables: Vec<Option<Arc<Tables>>>,
}

impl Hops {
    pub(super) fn compile(communication: &Communication) -> Result<Self> {
        let compile = |(index, term): (usize, &Term)| {
            let tables = term.hops.as_ref().map(DrawnLaw::tables);
            tables
                .transpose()
                .map_err(|error| error.within("hops").within(&format!("terms.{index}")))
        };
        let terms = communication.terms.iter().enumerate();
        Ok(Self {
            tables: terms.map(compile).collect::<Result<_>>()?,
        })
    }

    /// Factors on the latencies of all terms in the steps of a quad, by step and term: one
    /// draw a term, whose number is the unit of the address.
    #[must_use]
    pub fn factors(&self, random: &Random, run: u32, quad: u32) -> [Vec<f64>; 4] {
        let (value, refine) = (
            Stream::new("", NAME, Use::Value),
            Stream::new("", NAME, Use::Refine),
        );
        let mut factors = [(); 4].map(|()| Vec::with_capacity(self.tables.len()));
        for (unit, tables) in (0..).zip(&self.tables) {
            let Some(table) = tables.as_ref().and_then(|tables| tables.only()) else {
                factors.iter_mut().for_each(|step| step.push(1.0));
                continue;
            };
            let c2 = run_word(run, 0);
            let words = random.words(value, unit, quad, c2);
            for (step, word) in words.into_iter().enumerate() {
                let more = || random.words(refine, unit, quad, c2)[step];
                factors[step].push(f64::from(table.value(word, more)));
            }
        }
        factors
    }
}
