//! Laws, to validate parameters and to compare tables with other libraries.

use std::sync::Arc;

use hindmost_core::law::{Distribution, OCTAVES, Tabulated, tail_probability};
use hindmost_core::plan::DrawnLaw;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::again::{Reduced, call_again};
use crate::errors::OrRaise;
use crate::law_table::LawTable;

/// Distribution of a positive random number. Laws are equal however they were written.
#[pyclass(frozen, eq, module = "hindmost._core")]
#[derive(Clone)]
pub struct Law {
    parameters: Arc<LawTable>,
    drawn: DrawnLaw,
}

impl PartialEq for Law {
    fn eq(&self, other: &Self) -> bool {
        self.drawn == other.drawn
    }
}

/// A law that is compiled already, or the parameters of one.
#[derive(Clone, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub struct LawArgument(Law);

impl LawArgument {
    /// The law, with the tables that it has already.
    pub fn drawn(&self) -> &DrawnLaw {
        &self.0.drawn
    }
}

impl<'py> FromPyObject<'_, 'py> for LawArgument {
    type Error = PyErr;

    fn extract(law: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match law.cast::<Law>() {
            Ok(compiled) => Ok(Self(compiled.get().clone())),
            Err(_) => Law::new(law.extract()?).map(Self),
        }
    }
}

#[pymethods]
impl Law {
    #[new]
    fn new(parameters: LawTable) -> PyResult<Self> {
        Ok(Self {
            drawn: parameters.to_law()?.into(),
            parameters: Arc::new(parameters),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let class = py.get_type::<Self>();
        call_again(
            class.as_any(),
            (LawTable::clone(&self.parameters),),
            &PyDict::new(py),
        )
    }

    fn __repr__(&self) -> String {
        format!("<Law {}>", self.parameters.summary())
    }

    /// Probability of a number of at most `x`.
    fn cdf(&self, x: f64) -> f64 {
        self.drawn.law().cdf(x)
    }

    /// Probability of a number above `x`.
    fn sf(&self, x: f64) -> f64 {
        self.drawn.law().sf(x)
    }

    /// The number whose CDF is `p`.
    fn quantile(&self, p: f64) -> f64 {
        self.drawn.law().quantile(p)
    }

    /// The number whose survival function is `q`.
    fn upper_quantile(&self, q: f64) -> f64 {
        self.drawn.law().upper_quantile(q)
    }

    /// Expected number.
    fn mean(&self) -> f64 {
        self.drawn.law().mean()
    }

    /// Variance.
    fn variance(&self) -> f64 {
        self.drawn.law().variance()
    }

    /// Refuses a law that no table can hold.
    fn check_drawable(&self, py: Python<'_>) -> PyResult<()> {
        // Tables take a third of a millisecond, in which other threads plan.
        py.detach(|| self.drawn.tables()).or_raise()?;
        Ok(())
    }

    /// Shares of all draws of the components that a draw chooses from: one share, of 1, but for
    /// a mixture.
    fn weights(&self) -> PyResult<Vec<f64>> {
        let tables = self.drawn.tables().or_raise()?;
        Ok(tables.weighted().map(|(weight, _)| weight).collect())
    }

    /// The values of words in the table of a component, each with 32 more bits for where they
    /// are due.
    #[pyo3(signature = (words, refine, component=0))]
    fn values<'py>(
        &self,
        py: Python<'py>,
        words: PyReadonlyArray1<'py, u32>,
        refine: PyReadonlyArray1<'py, u32>,
        component: usize,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let (words, refine) = (words.as_array(), refine.as_array());
        if words.len() != refine.len() {
            return Err(PyValueError::new_err(
                "words and refine must be equally long",
            ));
        }
        let tables = self.drawn.tables().or_raise()?;
        let Some((_, table)) = tables.weighted().nth(component) else {
            let message = format!("the law has no component {component}");
            return Err(PyIndexError::new_err(message));
        };
        let values: Vec<f32> = words
            .iter()
            .zip(&refine)
            .map(|(&word, &refine)| table.value(word, || refine))
            .collect();
        Ok(values.into_pyarray(py))
    }
}

/// Tail probabilities of the grid with `bins` bins per octave, 2^-65 to 1/2.
#[pyfunction]
pub fn tail_probabilities(py: Python<'_>, bins: usize) -> Bound<'_, PyArray1<f64>> {
    let grid: Vec<f64> = (0..=OCTAVES * bins)
        .map(|index| tail_probability(bins, index))
        .collect();
    grid.into_pyarray(py)
}

/// Quantiles of the coarsest table that follows quantiles on the grid with
/// 1,024 bins per octave, as (lower, upper).
#[pyfunction]
pub fn fit_tabulated(lower: Vec<f64>, upper: Vec<f64>) -> PyResult<(Vec<f64>, Vec<f64>)> {
    let law = Tabulated::fit(&lower, &upper).or_raise()?;
    Ok((law.lower().to_vec(), law.upper().to_vec()))
}
