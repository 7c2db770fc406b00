//! Laws, to validate parameters and to compare tables with other libraries.

use hindmost_core::law::{Distribution, OCTAVES, Tabulated, tail_probability};
use hindmost_core::plan::DrawnLaw;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert;
use crate::errors::OrRaise;

/// Distribution of a positive random number.
#[pyclass(frozen)]
pub struct Law(DrawnLaw);

impl Law {
    /// The law with its tables.
    pub fn drawn(&self) -> &DrawnLaw {
        &self.0
    }
}

#[pymethods]
impl Law {
    #[new]
    fn new(parameters: &Bound<'_, PyDict>) -> PyResult<Self> {
        convert::law(parameters).map(|law| Self(law.into()))
    }

    /// Probability of a number of at most `x`.
    fn cdf(&self, x: f64) -> f64 {
        self.0.law().cdf(x)
    }

    /// Probability of a number above `x`.
    fn sf(&self, x: f64) -> f64 {
        self.0.law().sf(x)
    }

    /// The number whose CDF is `p`.
    fn quantile(&self, p: f64) -> f64 {
        self.0.law().quantile(p)
    }

    /// The number whose survival function is `q`.
    fn upper_quantile(&self, q: f64) -> f64 {
        self.0.law().upper_quantile(q)
    }

    /// Expected number.
    fn mean(&self) -> f64 {
        self.0.law().mean()
    }

    /// Variance.
    fn variance(&self) -> f64 {
        self.0.law().variance()
    }

    /// Refuses a law that no table can hold.
    fn check_drawable(&self) -> PyResult<()> {
        self.0.tables().or_raise()?;
        Ok(())
    }

    /// The table's values of words, each with 32 more bits for where they are
    /// due.
    fn values<'py>(
        &self,
        py: Python<'py>,
        words: PyReadonlyArray1<'py, u32>,
        refine: PyReadonlyArray1<'py, u32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let (words, refine) = (words.as_array(), refine.as_array());
        if words.len() != refine.len() {
            return Err(PyValueError::new_err(
                "words and refine must be equally long",
            ));
        }
        let tables = self.0.tables().or_raise()?;
        let Some(table) = tables.only() else {
            let message = "each component of a mixture has values of its own";
            return Err(PyValueError::new_err(message));
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
