//! Conversion of plain Python values into what the core takes.

use hindmost_core::Error;
use hindmost_core::plan::{
    Affects, CauseSpec, Dimension, Effect, EpisodeSpec, PeriodSpec, Phase, PipelineSpec, Placement,
    PoolSpec, RankOrder, Scope, Span, StageTimes, Term,
};
use hindmost_core::schedule::{Kind, Shape};
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;

use crate::errors::{OrRaise, to_python};
use crate::laws::LawArgument;

/// A pool, as a dictionary of the fields of [`PoolSpec`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Pool {
    name: String,
    n_gpus: u32,
    node_gpus: u32,
    domain_gpus: u32,
    #[pyo3(default)]
    domain_gpus_used: Option<u32>,
    #[pyo3(default)]
    held_back_gpus: u32,
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
            domain_gpus_used: self.domain_gpus_used.unwrap_or(self.domain_gpus),
            held_back_gpus: self.held_back_gpus,
            rack_gpus: self.rack_gpus,
            tensor_gpus: self.tensor_gpus,
            compute_s: self.compute_s,
        }
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
    #[pyo3(default)]
    units: Option<Vec<(u32, u32)>>,
    #[pyo3(default)]
    period_steps: Option<u32>,
    #[pyo3(default)]
    phase_step: Option<u32>,
    #[pyo3(default)]
    phase_law: Option<LawArgument>,
    #[pyo3(default)]
    correlation_steps: Option<f64>,
    #[pyo3(default)]
    trend_per_step: f64,
    #[pyo3(default)]
    episode: Option<Episode>,
}

/// How often episodes begin and how long they last, as a dictionary of the fields of
/// [`EpisodeSpec`].
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub struct Episode {
    per_s: f64,
    duration: LawArgument,
    step_s: f64,
}

impl Episode {
    fn to_spec(&self) -> EpisodeSpec {
        EpisodeSpec {
            per_s: self.per_s,
            duration: self.duration.drawn().clone(),
            step_s: self.step_s,
        }
    }
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
                &["run", "episode", "step", "microbatch", "layer"],
                &Span::ALL,
            )?,
            probability: self.probability,
            law: self.law.drawn().clone(),
            pools: self.pools.clone(),
            units: self.units.clone(),
            period: self.period_steps.map(|steps| PeriodSpec {
                steps,
                phase: match (&self.phase_step, &self.phase_law) {
                    (Some(step), _) => Phase::At(*step),
                    (None, Some(law)) => Phase::Of(law.drawn().clone()),
                    (None, None) => Phase::Any,
                },
            }),
            correlation_steps: self.correlation_steps,
            trend_per_step: self.trend_per_step,
            episode: self.episode.as_ref().map(Episode::to_spec),
        })
    }
}

/// An array of ours, which Python may read only.
pub fn freeze<T: numpy::Element>(column: Bound<'_, PyArray1<T>>) -> Bound<'_, PyArray1<T>> {
    column.readwrite().make_nonwriteable();
    column
}

/// The value of a name.
///
/// # Errors
/// The Python error of a name that is none of the known ones, with the field that has it.
pub fn choose<T: Copy>(
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

/// The order in which tensor groups are numbered, by the names of its dimensions.
pub fn rank_order(order: &str) -> PyResult<RankOrder> {
    const KNOWN: [&str; 6] = [
        "cp-dp-pp", "cp-pp-dp", "dp-cp-pp", "dp-pp-cp", "pp-cp-dp", "pp-dp-cp",
    ];
    let known = choose("order", order, &KNOWN, &KNOWN)?;
    let dimension = |name: &str| match name {
        "cp" => Dimension::Context,
        "dp" => Dimension::Data,
        _ => Dimension::Stage,
    };
    let [first, second, third] = [0, 3, 6].map(|place| dimension(&known[place..place + 2]));
    RankOrder::new([first, second, third]).or_raise()
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
            hops: self.hops.as_ref().map(|law| law.drawn().clone()),
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
    transfer_s: Transfers,
}

/// Seconds until a result has reached another stage: of each link, or one number for all.
#[derive(Clone, PartialEq, FromPyObject, IntoPyObject)]
pub enum Transfers {
    OfAll(f64),
    OfEach(Vec<f64>),
}

impl Transfers {
    /// Those of `stages` links.
    pub fn of_links(&self, stages: u32) -> Vec<f64> {
        match self {
            Self::OfAll(seconds) => vec![*seconds; stages as usize],
            Self::OfEach(seconds) => seconds.clone(),
        }
    }
}

impl PoolTimes {
    fn to_times(&self, stages: u32) -> StageTimes {
        StageTimes {
            forward_s: self.forward_s.clone(),
            backward_s: self.backward_s.clone(),
            weight_s: self.weight_s.clone(),
            overhead_s: self.overhead_s,
            transfer_s: self.transfer_s.of_links(stages),
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
    pub fn to_spec(&self, order: RankOrder) -> PyResult<PipelineSpec> {
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
            order,
            layers: self.layers.clone(),
            times: self
                .times
                .iter()
                .map(|times| times.to_times(self.stages))
                .collect(),
        })
    }
}
