//! Conversion of plain Python values into what the core takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindmost_core::Error;
use hindmost_core::law::{
    Capped, Constant, Empirical, Exponential, Gamma, Law, LogNormal, LogUniform, Mixture, Normal,
    Pareto, Tabulated, Uniform, Weibull, with_pareto_tail,
};
use hindmost_core::plan::{
    Affects, CauseSpec, DrawnLaw, Effect, PipelineSpec, Placement, PoolSpec, Scope, Span,
    StageTimes, Term,
};
use hindmost_core::schedule::{Kind, Shape};
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
                .map(|component| Ok((component.weight, component.law.to_law()?)))
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

/// A pool, as a dictionary of the fields of [`PoolSpec`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Pool {
    name: String,
    n_gpus: u32,
    node_gpus: u32,
    domain_gpus: u32,
    rack_gpus: Option<u32>,
    tensor_gpus: u32,
    compute_s: f64,
}

impl Pool {
    /// The pool, for the core.
    pub fn to_spec(&self) -> PoolSpec {
        PoolSpec {
            name: self.name.clone(),
            n_gpus: self.n_gpus,
            node_gpus: self.node_gpus,
            domain_gpus: self.domain_gpus,
            rack_gpus: self.rack_gpus,
            tensor_gpus: self.tensor_gpus,
            compute_s: self.compute_s,
        }
    }
}

/// A law of a plan: a dictionary, or a law whose tables are compiled once for all plans.
#[derive(Clone)]
pub struct LawArgument {
    parameters: Arc<LawTable>,
    drawn: Option<DrawnLaw>,
}

impl LawArgument {
    /// The law, with the tables that it has already.
    fn to_drawn(&self) -> PyResult<DrawnLaw> {
        match &self.drawn {
            Some(drawn) => Ok(drawn.clone()),
            None => self.parameters.to_law().map(Into::into),
        }
    }
}

impl PartialEq for LawArgument {
    fn eq(&self, other: &Self) -> bool {
        self.parameters == other.parameters
    }
}

impl<'py> FromPyObject<'_, 'py> for LawArgument {
    type Error = PyErr;

    fn extract(law: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(compiled) = law.cast::<crate::laws::Law>() {
            let compiled = compiled.get();
            return Ok(Self {
                parameters: compiled.parameters().clone(),
                drawn: Some(compiled.drawn().clone()),
            });
        }
        Ok(Self {
            parameters: Arc::new(law.extract()?),
            drawn: None,
        })
    }
}

impl<'py> IntoPyObject<'py> for LawArgument {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(LawTable::clone(&self.parameters)
            .into_pyobject(py)?
            .into_any())
    }
}

/// A cause, as a dictionary of the fields of [`CauseSpec`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Cause {
    name: String,
    affects: String,
    effect: String,
    scope: String,
    span: String,
    probability: f64,
    law: LawArgument,
    pools: Vec<usize>,
}

impl Cause {
    /// The cause with its choices looked up by name.
    pub fn to_spec(&self) -> PyResult<CauseSpec> {
        Ok(CauseSpec {
            name: self.name.clone(),
            affects: choose(
                "affects",
                &self.affects,
                &["compute", "network"],
                &[Affects::Compute, Affects::Network],
            )?,
            effect: choose(
                "effect",
                &self.effect,
                &["slowdown", "stall"],
                &[Effect::Slowdown, Effect::Stall],
            )?,
            scope: choose(
                "scope",
                &self.scope,
                &[
                    "gpu", "node", "domain", "rack", "replica", "pool", "cluster",
                ],
                &[
                    Scope::Gpu,
                    Scope::Node,
                    Scope::Domain,
                    Scope::Rack,
                    Scope::Replica,
                    Scope::Pool,
                    Scope::Cluster,
                ],
            )?,
            span: choose(
                "span",
                &self.span,
                &["run", "step", "microbatch", "layer"],
                &Span::ALL,
            )?,
            probability: self.probability,
            law: self.law.to_drawn()?,
            pools: self.pools.clone(),
        })
    }
}

fn choose<T: Copy>(
    field: &str,
    name: &str,
    known: &'static [&'static str],
    values: &[T],
) -> PyResult<T> {
    match known.iter().position(|&other| other == name) {
        Some(index) => Ok(values[index]),
        None => Err(to_python(Error::Name {
            field: field.to_owned(),
            value: name.to_owned(),
            known,
        })),
    }
}

/// A communication term, as a dictionary of the fields of [`Term`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct CommunicationTerm {
    latency_s: Vec<f64>,
    transfer_s: Vec<f64>,
    window_share: Vec<f64>,
    n_buckets: u32,
    hops: Option<LawArgument>,
}

impl CommunicationTerm {
    /// The term with its law constructed.
    pub fn to_term(&self) -> PyResult<Term> {
        Ok(Term {
            latency_s: self.latency_s.clone(),
            transfer_s: self.transfer_s.clone(),
            window_share: self.window_share.clone(),
            n_buckets: self.n_buckets,
            hops: self.hops.as_ref().map(LawArgument::to_drawn).transpose()?,
        })
    }
}

/// Seconds of the passes in a pool, as a dictionary of the fields of [`StageTimes`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct PoolTimes {
    forward_s: Vec<f64>,
    backward_s: Vec<f64>,
    weight_s: Vec<f64>,
    overhead_s: f64,
    transfer_s: f64,
}

impl PoolTimes {
    fn to_times(&self) -> StageTimes {
        StageTimes {
            forward_s: self.forward_s.clone(),
            backward_s: self.backward_s.clone(),
            weight_s: self.weight_s.clone(),
            overhead_s: self.overhead_s,
            transfer_s: self.transfer_s,
        }
    }
}

/// A pipeline, as a dictionary of the fields of [`PipelineSpec`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Pipeline {
    kind: String,
    stages: u32,
    chunks: u32,
    microbatches: u32,
    context: u32,
    gang_replicas: u32,
    placement: String,
    layers: Vec<u32>,
    times: Vec<PoolTimes>,
}

impl Pipeline {
    /// The pipeline with its choices looked up by name.
    pub fn to_spec(&self) -> PyResult<PipelineSpec> {
        Ok(PipelineSpec {
            kind: Kind::named(&self.kind).or_raise()?,
            shape: Shape {
                stages: self.stages,
                chunks: self.chunks,
                microbatches: self.microbatches,
            },
            context: self.context,
            gang_replicas: self.gang_replicas,
            placement: choose(
                "placement",
                &self.placement,
                &["aligned", "mixed"],
                &[Placement::Aligned, Placement::Mixed],
            )?,
            layers: self.layers.clone(),
            times: self.times.iter().map(PoolTimes::to_times).collect(),
        })
    }
}
