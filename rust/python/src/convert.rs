//! Conversion of plain Python values into what the core takes.

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
use pyo3::prelude::*;
use pyo3::types::PyDict;

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

/// A law that is compiled already, or a dictionary of what [`law`] takes.
#[derive(FromPyObject)]
enum LawArgument<'py> {
    Compiled(PyRef<'py, crate::laws::Law>),
    Parameters(Bound<'py, PyDict>),
}

impl LawArgument<'_> {
    fn to_law(&self) -> PyResult<DrawnLaw> {
        match self {
            Self::Compiled(law) => Ok(law.drawn().clone()),
            Self::Parameters(parameters) => law(parameters).map(Into::into),
        }
    }
}

/// A law from a dictionary: its `name`, its parameters and an optional `cap`.
pub fn law(from: &Bound<'_, PyDict>) -> PyResult<Law> {
    let name: String = get(from, "name")?;
    let number = |field| get::<f64>(from, field);
    let cap = optional(from, "cap")?;
    let law = match name.as_str() {
        "constant" => Constant::new(number("value")?).map(Law::Constant),
        "lognormal" => LogNormal::new(number("median")?, number("sigma")?).map(Law::LogNormal),
        "exponential" => Exponential::new(number("mean")?, number("shift")?).map(Law::Exponential),
        "gamma" => Gamma::new(number("shape")?, number("scale")?).map(Law::Gamma),
        "weibull" => Weibull::new(number("shape")?, number("scale")?).map(Law::Weibull),
        "normal" => Normal::new(number("mean")?, number("sigma")?).map(Law::Normal),
        "pareto" => {
            let (minimum, alpha) = (number("minimum")?, number("alpha")?);
            match optional(from, "maximum")? {
                Some(maximum) => Pareto::bounded(minimum, alpha, maximum),
                None => Pareto::new(minimum, alpha),
            }
            .map(Law::Pareto)
        }
        "uniform" => Uniform::new(number("low")?, number("high")?).map(Law::Uniform),
        "log-uniform" => LogUniform::new(number("low")?, number("high")?).map(Law::LogUniform),
        "empirical" => {
            let samples = get(from, "samples")?;
            match (optional(from, "tail_alpha")?, cap) {
                (Some(alpha), Some(cap)) => with_pareto_tail(samples, alpha, cap),
                (Some(alpha), None) => Err(Error::domain(
                    "tail_alpha",
                    alpha,
                    "absent, or the law must have a cap, because nothing is known of the far tail",
                )),
                (None, _) => Empirical::new(samples).map(Law::Empirical),
            }
        }
        "tabulated" => Tabulated::new(get(from, "lower")?, get(from, "upper")?).map(Law::Tabulated),
        "mixture" => Mixture::new(components(from)?).map(Law::Mixture),
        _ => Err(Error::Name {
            field: "name".to_owned(),
            value: name,
            known: LAWS,
        }),
    }
    .or_raise()?;
    match cap {
        Some(cap) => Capped::new(law, cap).map(Law::Capped).or_raise(),
        None => Ok(law),
    }
}

fn optional(from: &Bound<'_, PyDict>, field: &str) -> PyResult<Option<f64>> {
    match from.get_item(field)? {
        Some(value) => value.extract(),
        None => Ok(None),
    }
}

fn components(from: &Bound<'_, PyDict>) -> PyResult<Vec<(f64, Law)>> {
    let components: Vec<Bound<'_, PyDict>> = get(from, "components")?;
    components
        .iter()
        .map(|component| {
            let part: Bound<'_, PyDict> = get(component, "law")?;
            Ok((get(component, "weight")?, law(&part)?))
        })
        .collect()
}

fn get<'py, T>(from: &Bound<'py, PyDict>, field: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    match from.get_item(field)? {
        Some(value) => value.extract().map_err(Into::into),
        None => Err(to_python(Error::Field {
            field: field.to_owned(),
            missing: true,
        })),
    }
}

/// A pool, as a dictionary of the fields of [`PoolSpec`].
#[derive(FromPyObject)]
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

impl From<Pool> for PoolSpec {
    fn from(pool: Pool) -> Self {
        Self {
            name: pool.name,
            n_gpus: pool.n_gpus,
            node_gpus: pool.node_gpus,
            domain_gpus: pool.domain_gpus,
            rack_gpus: pool.rack_gpus,
            tensor_gpus: pool.tensor_gpus,
            compute_s: pool.compute_s,
        }
    }
}

/// A cause, as a dictionary of the fields of [`CauseSpec`].
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Cause<'py> {
    name: String,
    affects: String,
    effect: String,
    scope: String,
    span: String,
    probability: f64,
    law: LawArgument<'py>,
    pools: Vec<usize>,
}

impl Cause<'_> {
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
            law: self.law.to_law()?,
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
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct CommunicationTerm<'py> {
    latency_s: Vec<f64>,
    transfer_s: Vec<f64>,
    window_share: Vec<f64>,
    n_buckets: u32,
    hops: Option<LawArgument<'py>>,
}

impl CommunicationTerm<'_> {
    /// The term with its law constructed.
    pub fn to_term(&self) -> PyResult<Term> {
        Ok(Term {
            latency_s: self.latency_s.clone(),
            transfer_s: self.transfer_s.clone(),
            window_share: self.window_share.clone(),
            n_buckets: self.n_buckets,
            hops: self.hops.as_ref().map(LawArgument::to_law).transpose()?,
        })
    }
}

/// Seconds of the passes in a pool, as a dictionary of the fields of [`StageTimes`].
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PoolTimes {
    forward_s: Vec<f64>,
    backward_s: Vec<f64>,
    weight_s: Vec<f64>,
    overhead_s: f64,
    transfer_s: f64,
}

impl From<PoolTimes> for StageTimes {
    fn from(times: PoolTimes) -> Self {
        Self {
            forward_s: times.forward_s,
            backward_s: times.backward_s,
            weight_s: times.weight_s,
            overhead_s: times.overhead_s,
            transfer_s: times.transfer_s,
        }
    }
}

/// A pipeline, as a dictionary of the fields of [`PipelineSpec`].
#[derive(FromPyObject)]
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
    pub fn into_spec(self) -> PyResult<PipelineSpec> {
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
            layers: self.layers,
            times: self.times.into_iter().map(Into::into).collect(),
        })
    }
}
