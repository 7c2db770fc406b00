//! Laws with the tables that numbers are drawn from, compiled once however many causes and
//! plans share them.

use std::sync::{Arc, OnceLock};

use super::share::Share;
use crate::error::Result;
use crate::law::{Distribution, Law};
use crate::table::Table;

/// A law with its tables, which are compiled when they are first asked for.
///
/// A copy shares the tables.
#[derive(Debug, Clone)]
pub struct DrawnLaw(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    law: Law,
    mean: OnceLock<f64>,
    tables: OnceLock<Result<Arc<Tables>>>,
}

impl DrawnLaw {
    /// The law.
    #[must_use]
    pub fn law(&self) -> &Law {
        &self.0.law
    }

    /// Its mean, which is an integral where the law has a cap.
    #[must_use]
    pub fn mean(&self) -> f64 {
        *self.0.mean.get_or_init(|| self.0.law.mean())
    }

    /// Its tables.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a law that no table can hold; a component's
    /// is under its path.
    pub fn tables(&self) -> Result<Arc<Tables>> {
        let tables = self.0.tables.get_or_init(|| {
            let tables = Tables::compile(&self.0.law);
            tables.map(Arc::new)
        });
        tables.clone()
    }
}

impl From<Law> for DrawnLaw {
    fn from(law: Law) -> Self {
        Self(Arc::new(Compiled {
            law,
            mean: OnceLock::new(),
            tables: OnceLock::new(),
        }))
    }
}

impl PartialEq for DrawnLaw {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.law() == other.law()
    }
}

/// The tables that a draw from a law chooses from: one, or one for each component of a
/// mixture.
#[derive(Debug, PartialEq)]
pub struct Tables(Vec<Component>);

/// One law of a mixture, or the only one.
#[derive(Debug, Clone, PartialEq)]
struct Component {
    /// Cumulative share of numbers that choose this component or one before it.
    share: Share,
    table: Table,
}

impl Tables {
    fn compile(law: &Law) -> Result<Self> {
        law.check_drawable()?;
        let parts = law.components();
        let mut compiled = Vec::new();
        let mut sum = 0.0;
        for (index, (weight, part)) in parts.iter().enumerate() {
            sum += weight;
            // A weight below 2^-64 chooses nothing.
            if let Some(share) = Share::new(sum.min(1.0)) {
                let table = Table::compile(part).map_err(|error| match parts.len() {
                    1 => error,
                    _ => error.within(&format!("components.{index}.law")),
                })?;
                compiled.push(Component { share, table });
            }
        }
        Ok(Self(compiled))
    }

    /// The only table; none of a mixture.
    #[must_use]
    pub fn only(&self) -> Option<&Table> {
        match self.0.as_slice() {
            [component] => Some(&component.table),
            _ => None,
        }
    }

    /// The components' tables, each with its share of all draws.
    pub fn weighted(&self) -> impl Iterator<Item = (f64, &Table)> {
        let mut before = 0.0;
        self.0.iter().map(move |component| {
            let upto = component.share.probability();
            let weight = upto - before;
            before = upto;
            (weight, &component.table)
        })
    }

    /// The table of the law that a component word chooses.
    #[must_use]
    pub fn chosen(&self, word: u32, refine: impl Fn() -> u32) -> &Table {
        let last = self.0.len() - 1;
        let chosen = self.0[..last]
            .iter()
            .find(|component| component.share.holds(word, &refine));
        &chosen.unwrap_or(&self.0[last]).table
    }

    /// The least number that a draw can give.
    #[must_use]
    pub fn least(&self) -> f32 {
        let of = |component: &Component| component.table.value(0, || 0);
        self.0.iter().map(of).fold(f32::INFINITY, f32::min)
    }

    /// The greatest number that a draw can give.
    #[must_use]
    pub fn greatest(&self) -> f32 {
        let of = |component: &Component| component.table.bound(u32::MAX);
        self.0.iter().map(of).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Constant, LogNormal, Mixture};

    fn constant(value: f64) -> Law {
        Law::Constant(Constant::new(value).unwrap())
    }

    #[test]
    fn a_component_word_chooses_a_mixtures_law() {
        let law = Mixture::new(vec![(0.75, constant(1.0)), (0.25, constant(3.0))]).unwrap();
        let tables = DrawnLaw::from(Law::Mixture(law)).tables().unwrap();
        let value = |word| tables.chosen(word, || 0).coarse_value(1 << 31);
        assert_eq!(value(0), 1.0);
        assert_eq!(value((3 << 30) - 1), 1.0);
        assert_eq!(value(3 << 30), 3.0);
        assert_eq!(value(u32::MAX), 3.0);
        assert!(tables.only().is_none());
        let weights: Vec<f64> = tables.weighted().map(|(weight, _)| weight).collect();
        assert_eq!(weights, [0.75, 0.25]);
        assert_eq!((tables.least(), tables.greatest()), (1.0, 3.0));
    }

    #[test]
    fn copies_share_their_tables_and_are_equal_by_their_laws() {
        let lognormal = |sigma| Law::LogNormal(LogNormal::new(1.0, sigma).unwrap());
        let law = DrawnLaw::from(lognormal(0.1));
        let copy = law.clone();
        assert!(Arc::ptr_eq(&law.tables().unwrap(), &copy.tables().unwrap()));
        assert_eq!(law, DrawnLaw::from(lognormal(0.1)));
        assert_ne!(law, DrawnLaw::from(lognormal(0.2)));
    }

    #[test]
    fn a_law_that_no_table_holds_is_refused_each_time() {
        let wild = LogNormal::new(1.0, 30.0).unwrap();
        let law = DrawnLaw::from(Law::LogNormal(wild));
        assert!(law.tables().is_err());
        assert_eq!(law.tables().err(), law.tables().err());
    }
}
