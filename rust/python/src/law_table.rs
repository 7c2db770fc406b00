//! Laws as dictionaries of plain numbers.

use std::collections::BTreeMap;

use hindmost_core::Error;
use hindmost_core::law::{
    Capped, Constant, Empirical, Exponential, Gamma, Law, LogNormal, LogUniform, Mixture, Normal,
    Pareto, Tabulated, Uniform, Weibull, with_pareto_tail,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::{OrRaise, to_python};

const LAWS: &[&str] = &[
    "constant",
    "lognormal",
    "exponential",
    "gamma",
    "weibull",
    "normal",
    "pareto",
    "uniform",
    "log-uniform",
    "empirical",
    "tabulated",
    "mixture",
];

/// A parameter of a law.
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
pub enum Parameter {
    Text(String),
    Number(f64),
    Numbers(Vec<f64>),
    Components(Vec<Component>),
}

/// One law of a mixture, as a dictionary.
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Component {
    weight: f64,
    law: LawTable,
}

/// A law, as a dictionary of its `name`, its parameters and an optional `cap`. What is None
/// counts as absent.
#[derive(Clone, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub struct LawTable(BTreeMap<String, Parameter>);

impl<'py> FromPyObject<'_, 'py> for LawTable {
    type Error = PyErr;

    fn extract(table: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let fields: BTreeMap<String, Option<Parameter>> = table.extract()?;
        let given = fields.into_iter();
        Ok(Self(
            given
                .filter_map(|(field, value)| Some((field, value?)))
                .collect(),
        ))
    }
}

impl LawTable {
    /// The law, constructed.
    pub fn to_law(&self) -> PyResult<Law> {
        let name = self.name()?;
        let number = |field| self.number(field);
        let cap = self.optional("cap")?;
        let law = match name {
            "constant" => Constant::new(number("value")?).map(Law::Constant),
            "lognormal" => LogNormal::new(number("median")?, number("sigma")?).map(Law::LogNormal),
            "exponential" => {
                Exponential::new(number("mean")?, number("shift")?).map(Law::Exponential)
            }
            "gamma" => Gamma::new(number("shape")?, number("scale")?).map(Law::Gamma),
            "weibull" => Weibull::new(number("shape")?, number("scale")?).map(Law::Weibull),
            "normal" => Normal::new(number("mean")?, number("sigma")?).map(Law::Normal),
            "pareto" => {
                let (minimum, alpha) = (number("minimum")?, number("alpha")?);
                match self.optional("maximum")? {
                    Some(maximum) => Pareto::bounded(minimum, alpha, maximum),
                    None => Pareto::new(minimum, alpha),
                }
                .map(Law::Pareto)
            }
            "uniform" => Uniform::new(number("low")?, number("high")?).map(Law::Uniform),
            "log-uniform" => LogUniform::new(number("low")?, number("high")?).map(Law::LogUniform),
            "empirical" => {
                let samples = self.numbers("samples")?;
                match (self.optional("tail_alpha")?, cap) {
                    (Some(alpha), Some(cap)) => with_pareto_tail(samples, alpha, cap),
                    (Some(alpha), None) => Err(Error::domain(
                        "tail_alpha",
                        alpha,
                        "absent, or the law must have a cap, because nothing is known of the far tail",
                    )),
                    (None, _) => Empirical::new(samples).map(Law::Empirical),
                }
            }
            "tabulated" => Tabulated::new(self.numbers("lower")?, self.numbers("upper")?)
                .map(Law::Tabulated),
            "mixture" => Mixture::new(self.components()?).map(Law::Mixture),
            _ => Err(Error::Name {
                field: "name".to_owned(),
                value: name.to_owned(),
                known: LAWS,
            }),
        }
        .or_raise()?;
        match cap {
            Some(cap) => Capped::new(law, cap).map(Law::Capped).or_raise(),
            None => Ok(law),
        }
    }

    /// The parameters in words, with lists by their lengths.
    pub fn summary(&self) -> String {
        let words = self.0.iter().filter_map(|(field, value)| match value {
            Parameter::Text(_) => None,
            Parameter::Number(number) => Some(format!(", {field} {number}")),
            Parameter::Numbers(numbers) => Some(format!(", {} {field}", numbers.len())),
            Parameter::Components(parts) => Some(format!(", {} {field}", parts.len())),
        });
        std::iter::once(self.name().unwrap_or_default().to_owned())
            .chain(words)
            .collect()
    }

    fn name(&self) -> PyResult<&str> {
        match self.get("name")? {
            Parameter::Text(name) => Ok(name),
            _ => Err(wrong_type("name", "a text")),
        }
    }

    fn number(&self, field: &str) -> PyResult<f64> {
        match self.get(field)? {
            Parameter::Number(number) => Ok(*number),
            _ => Err(wrong_type(field, "a number")),
        }
    }

    fn optional(&self, field: &str) -> PyResult<Option<f64>> {
        match self.0.contains_key(field) {
            true => self.number(field).map(Some),
            false => Ok(None),
        }
    }

    fn numbers(&self, field: &str) -> PyResult<Vec<f64>> {
        match self.get(field)? {
            Parameter::Numbers(numbers) => Ok(numbers.clone()),
            _ => Err(wrong_type(field, "a list of numbers")),
        }
    }

    fn components(&self) -> PyResult<Vec<(f64, Law)>> {
        match self.get("components")? {
            Parameter::Components(components) => components
                .iter()
                .enumerate()
                .map(|(index, component)| {
                    if let Some(alpha) = component.law.optional("tail_alpha")? {
                        let requirement = "absent: samples with a tail are a mixture by themselves, \
                                           which cannot be a component of another one";
                        let error = Error::domain("tail_alpha", alpha, requirement);
                        return Err(to_python(
                            error.within("law").within(&format!("components.{index}")),
                        ));
                    }
                    Ok((component.weight, component.law.to_law()?))
                })
                .collect(),
            // An empty list is one of numbers, too.
            Parameter::Numbers(none) if none.is_empty() => Ok(Vec::new()),
            _ => Err(wrong_type("components", "a list of weights and laws")),
        }
    }

    fn get(&self, field: &str) -> PyResult<&Parameter> {
        self.0.get(field).ok_or_else(|| {
            to_python(Error::Field {
                field: field.to_owned(),
                missing: true,
            })
        })
    }
}

fn wrong_type(field: &str, wanted: &str) -> PyErr {
    PyTypeError::new_err(format!("{field} of a law must be {wanted}"))
}
