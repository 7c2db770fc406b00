"""Serving jobs from scenarios: files that serve, or that train and serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from hindmost import catalog
from hindmost.catalog import Accelerator, Transformer
from hindmost.cause import Cause, Name
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.queues.trace import RequestTrace, read_trace
from hindmost.scenario.change import Changes
from hindmost.scenario.fields import field_problems
from hindmost.scenario.hardware import OwnFabric, OwnGpu, own_of
from hindmost.scenario.load import document_of, to_table
from hindmost.scenario.merge import Document, Table
from hindmost.scenario.models import Fabric, Pool, Scenario
from hindmost.scenario.reliability import Recovery, UnitFailures
from hindmost.scenario.serving import MAX_TOKENS, Requests, Serving
from hindmost.serving.cycle import Load
from hindmost.serving.job import Limits, ServingJob, ServingPool
from hindmost.serving.stream import law_of, stream_of
from hindmost.strict import Strict

NOT_READ = (
    "workload",
    "layout",
    "collective",
    "checkpoint",
    "ideal",
    "economics",
    "unknowns",
    "basis",
)
"""Sections that serving does not read."""


class ServingScenario(Strict):
    """What serving reads of a scenario."""

    name: str = "scenario"
    pools: dict[Name, Pool]
    fabric: Fabric | None = None
    gpus: dict[Name, OwnGpu] = Field(default_factory=dict)
    fabrics: dict[Name, OwnFabric] = Field(default_factory=dict)
    models: dict[Name, Transformer] = Field(default_factory=dict)
    serving: Serving
    requests: Requests
    causes: dict[Name, Cause] = Field(default_factory=dict)
    failures: dict[Name, UnitFailures] = Field(default_factory=dict)
    recovery: Recovery | None = None
    not_modelled: list[str] = Field(default_factory=list)


def load_job(
    name_or_path: str | Path, changes: Changes | None = None, *, changes_from: str = "changes"
) -> ServingJob:
    """Return the serving job of a preset or a TOML file.

    Raises
    ------
    ScenarioError
        With every problem: a file without [serving] or [requests], wrong keys and values, layouts
        that do not fit a domain, weights that do not fit into memory.
    """
    document = document_of(name_or_path, changes, changes_from=changes_from)
    scenario, found = _judged(document.table)
    trace = None
    if scenario is not None and scenario.requests.trace is not None:
        # Beside the file that names it.
        beside = Path(document.origin("requests.trace")).parent
        try:
            trace = read_trace(beside / scenario.requests.trace)
        except ScenarioError as error:
            found += error.problems
    if scenario is None or found:
        raise _refused(document, found)
    return _job(scenario, trace)


def job_of_scenario(
    scenario: Scenario, serving: Mapping[str, Any], requests: Mapping[str, Any]
) -> ServingJob:
    """Return the job of serving on the pools of a scenario, with its causes and failures.

    Parameters
    ----------
    scenario
        The scenario.
    serving, requests
        Tables of what is served, and of laws of requests, in place of its own.

    Raises
    ------
    ScenarioError
        As `load_job`.
    """
    table = {**to_table(scenario), "serving": dict(serving), "requests": dict(requests)}
    judged, found = _judged(table)
    if judged is None or found:
        raise ScenarioError(replace(one, source=scenario.source) for one in found)
    return _job(judged, None)


def _judged(table: Table) -> tuple[ServingScenario | None, list[Problem]]:
    """Return what serving reads of a table, if its fields are right, and what is wrong with it."""
    read = {key: value for key, value in table.items() if key not in NOT_READ}
    try:
        scenario = ServingScenario.model_validate(read, context=own_of(read))
    except ValidationError as error:
        return None, [_plainer(one) for one in field_problems(error)]
    return scenario, _problems(scenario)


def _plainer(problem: Problem) -> Problem:
    if problem.path in ("serving", "requests") and problem.requirement == "is missing":
        what = "model is served" if problem.path == "serving" else "requests come"
        return replace(problem, requirement=f"is missing, which says what {what}")
    return problem


def _refused(document: Document, problems: list[Problem]) -> ScenarioError:
    return ScenarioError(
        replace(problem, source=document.origin(problem.path)) for problem in problems
    )


def _problems(scenario: ServingScenario) -> list[Problem]:
    serving = scenario.serving
    names = [*scenario.models, *catalog.names("models")]
    if serving.model not in names and serving.model not in catalog.ALIASES:
        return [
            Problem(
                path="serving.model",
                requirement="must be one of the catalogue's models or the scenario's",
                value=serving.model,
                hint=did_you_mean(serving.model, names),
            )
        ]
    return [*_pool_problems(scenario), *_token_problems(scenario), *_layout_problems(scenario)]


def _pool_problems(scenario: ServingScenario) -> Iterator[Problem]:
    if not scenario.pools:
        yield Problem(path="pools", requirement="must hold at least one pool")
    for name, gpu in scenario.gpus.items():
        is_used = any(pool.gpu == name for pool in scenario.pools.values())
        if is_used and gpu.hbm_bytes_per_s is None:
            path = f"gpus.{name}.hbm_bytes_per_s"
            yield Problem(path=path, requirement="is missing: serving reads memory")


def _token_problems(scenario: ServingScenario) -> Iterator[Problem]:
    for key in ("input_tokens", "output_tokens"):
        tokens = getattr(scenario.requests, key)
        if scenario.requests.trace is not None:
            if tokens is not None:
                requirement = "must be absent where trace is given, which has its own"
                yield Problem(path=f"requests.{key}", requirement=requirement)
            continue
        if tokens is None:
            yield Problem(path=f"requests.{key}", requirement="is missing")
            continue
        mean = law_of(tokens).core.mean()
        if not 1 <= mean <= MAX_TOKENS:
            requirement = f"must have a mean >= 1 and <= {MAX_TOKENS:.0e}"
            yield Problem(path=f"requests.{key}", requirement=requirement, value=mean)


def _layout_problems(scenario: ServingScenario) -> Iterator[Problem]:
    serving, model = scenario.serving, _model(scenario)
    tensor, groups = serving.tensor or 1, serving.attention_dp or 1
    if model.n_heads % tensor:
        requirement = f"must divide the {model.n_heads} heads of {serving.model}"
        yield Problem(path="serving.tensor", requirement=requirement, value=tensor)
    if groups > 1 and model.experts is None:
        requirement = f"must be 1: {serving.model} has no experts, which such groups would divide"
        yield Problem(path="serving.attention_dp", requirement=requirement, value=groups)
    if serving.expert is not None:
        experts = 1 if model.experts is None else model.experts.n_experts
        if tensor * groups % serving.expert or experts % serving.expert:
            requirement = f"must divide the replica's {tensor * groups} GPUs, and {experts} experts"
            yield Problem(path="serving.expert", requirement=requirement, value=serving.expert)
    if serving.tensor is None and serving.attention_dp is None:
        return
    for name, pool in scenario.pools.items():
        domain, n_gpus = _accelerator(scenario, pool).domain_gpus, tensor * groups
        is_wide = n_gpus > domain and n_gpus % domain == 0 and domain % tensor == 0
        is_allowed = is_wide and n_gpus // domain <= serving.wide_domains
        if is_allowed and _accelerator(scenario, pool).nic_bytes_per_s is None:
            path = f"pools.{name}.gpu"
            requirement = "must have nic_bytes_per_s where a replica has several domains"
            yield Problem(path=path, requirement=requirement, value=pool.gpu)
        if n_gpus > pool.n_gpus or (n_gpus > domain and not is_allowed):
            most = min(domain, pool.n_gpus)
            requirement = f"must be such that a replica fits a domain of pool {name}: {most} GPUs"
            hint = "serving.wide_domains lets experts be spread over several whole domains"
            yield Problem(path="serving.tensor", requirement=requirement, value=n_gpus, hint=hint)


def _model(scenario: ServingScenario) -> Transformer:
    name = scenario.serving.model
    return scenario.models[name] if name in scenario.models else catalog.model(name)


def _accelerator(scenario: ServingScenario, pool: Pool) -> Accelerator:
    return scenario.gpus[pool.gpu] if pool.gpu in scenario.gpus else catalog.gpu(pool.gpu)


def _job(scenario: ServingScenario, trace: RequestTrace | None) -> ServingJob:
    serving, requests = scenario.serving, scenario.requests
    stream = stream_of(
        requests.input_tokens,
        requests.output_tokens,
        variation=requests.variation,
        trace=trace,
        routing=requests.routing,
    )
    arrivals_per_s = requests.arrivals_per_s
    if trace is not None and arrivals_per_s is None:
        arrivals_per_s = trace.per_s
    return ServingJob(
        model_name=serving.model,
        model=_model(scenario),
        dtype=serving.dtype,
        engine=serving.engine,
        pools=tuple(
            ServingPool(
                name=name,
                gpu=pool.gpu,
                accelerator=_accelerator(scenario, pool),
                n_gpus=pool.n_gpus,
                causes={
                    key: cause
                    for key, cause in scenario.causes.items()
                    if cause.pools is None or name in cause.pools
                },
                failures={
                    key: one
                    for key, one in scenario.failures.items()
                    if one.enabled and (one.pools is None or name in one.pools)
                },
                recovery=scenario.recovery,
            )
            for name, pool in scenario.pools.items()
        ),
        load=Load(
            input_tokens=stream.input_tokens.core.mean(),
            output_tokens=stream.output_tokens.core.mean(),
            prefix_hit=serving.prefix_hit,
            pass_tokens=catalog.engine(serving.engine).pass_tokens,
        ),
        stream=stream,
        limits=Limits(
            ttft_s=serving.slo.ttft_s,
            tpot_s=serving.slo.tpot_s,
            percentile=serving.slo.percentile,
        ),
        concurrency=requests.concurrency,
        arrivals_per_s=arrivals_per_s,
        tensor=serving.tensor,
        attention_dp=serving.attention_dp,
        expert=serving.expert,
        wide_domains=serving.wide_domains,
    )
