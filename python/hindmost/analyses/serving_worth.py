"""What a cluster would serve of some models: tokens, what they cost, and GPUs that give as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hindmost import catalog
from hindmost.analyses.serve import Served, served
from hindmost.analyses.serve_arguments import DEFAULTS
from hindmost.catalog import Dtype
from hindmost.errors import Problem, ScenarioError
from hindmost.scenario import Scenario
from hindmost.serving.job import ServingJob, ServingPool
from hindmost.serving.scenario import job_of_scenario

MODELS = ("llama3-70b", "qwen3-32b", "llama3-405b", "qwen3-235b")
"""Models that a cluster is taken to serve, by default: those of published ratios between types of
GPU (Llama 70B and 405B in MLPerf, Qwen3 32B in AIConfigurator), and one with experts."""
REFERENCE_DOMAINS = 8
"""Domains of the type that is counted in, where the cluster has no pool of it."""
OF_ANY_MODEL = ("dtype", "prefix_hit", "wide_domains", "slo")
"""Keys of [serving] that hold for another model than its own, too."""
SECONDS_PER_HOUR = 3600.0
MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class ModelWorth:
    """What a cluster gives of one model.

    Attributes
    ----------
    model, engine, dtype : str
        The model, the serving engine, and the format of weights on all GPUs.
    served : Served
        What pools give in that format.
    equivalents : float or None
        GPUs of the reference type that give as much; None where these give nothing.
    equivalents_fp4 : float or None
        The same with weights in FP4 on GPUs that compute in it.
    """

    model: str
    engine: str
    dtype: str
    served: Served
    equivalents: float | None
    equivalents_fp4: float | None

    def cost(self, usd_per_gpu_hour: float) -> dict[str, float]:
        """Return what a million tokens cost, of prompts and of answers, at a price of GPU-hours.

        Prompts bear the time of their passes, answers all other.
        """
        pools = self.served.pools
        price = usd_per_gpu_hour / SECONDS_PER_HOUR
        hours = self.served.total["n_gpus"] * price
        prompts = sum(row["n_gpus"] * price * row["shares"]["prefill"] for row in pools)
        tokens = {key: self.served.total[f"{key}_tokens_per_s"] for key in ("input", "output")}
        return {
            "input": prompts / tokens["input"] * MILLION,
            "output": (hours - prompts) / tokens["output"] * MILLION,
        }

    def document(self, usd_per_gpu_hour: float) -> dict[str, Any]:
        """Return it as a plain table, with costs at a price of GPU-hours."""
        total = self.served.total
        return {
            "model": self.model,
            "engine": self.engine,
            "dtype": self.dtype,
            "input_tokens": self.served.inputs["input_tokens"],
            "output_tokens": self.served.inputs["output_tokens"],
            "output_tokens_per_s": total["output_tokens_per_s"],
            "output_tokens_per_s_per_gpu": total["output_tokens_per_s_per_gpu"],
            "pools": {row["pool"]: row["output_tokens_per_s_per_gpu"] for row in self.served.pools},
            "usd_per_million_tokens": self.cost(usd_per_gpu_hour),
            "equivalents": self.equivalents,
            "equivalents_fp4": self.equivalents_fp4,
        }


def serving_worth(
    scenario: Scenario, models: Sequence[str], reference: str
) -> tuple[list[ModelWorth], list[str]]:
    """Return what a cluster gives of some models, and what is to be known of those that it lacks.

    Parameters
    ----------
    scenario
        The cluster, with causes and failures; its own [serving] and [requests] where it has them,
        but at as many requests as it can take.
    models
        Models of the catalogue.
    reference
        Type of GPU that is counted in.
    """
    found, notes = [], []
    pools: tuple[ServingPool, ...] | None = None
    for model in models:
        try:
            job = job_of_scenario(scenario, _serving(scenario, model), _requests(scenario))
            # Pools know the paces of replicas, which depend on no model.
            pools = pools or job.pools
            found.append(_worth(replace(job, pools=pools), model, reference))
        except ScenarioError as error:
            problem = error.problems[0]
            notes.append(f"{model} is not served: {problem.path} {problem.requirement}.")
    return found, notes


def models_of(scenario: Scenario, models: Sequence[str] | None) -> tuple[str, ...]:
    """Return the models that a cluster would serve: those given, its own, or the default ones."""
    if models is not None:
        return tuple(models)
    return MODELS if scenario.serving is None else (scenario.serving.model,)


def request_problems(scenario: Scenario) -> list[Problem]:
    """Return the problem of requests that have no laws of tokens."""
    requests = scenario.requests
    if requests is None or requests.trace is None:
        return []
    requirement = "must be absent: what tokens cost is of laws of their lengths"
    hint = "hindmost serve takes traces"
    return [Problem(path="requests.trace", requirement=requirement, hint=hint)]


def _worth(job: ServingJob, model: str, reference: str) -> ModelWorth:
    of_all = served(job, {})
    one = _of_reference(job, reference, of_all)
    rates = {row["pool"]: row["output_tokens_per_s"] for row in of_all.pools}
    return ModelWorth(
        model=model,
        engine=job.engine,
        dtype=job.dtype,
        served=of_all,
        equivalents=None if one is None else sum(rates.values()) / one,
        equivalents_fp4=None if one is None else _with_fp4(job, rates) / one,
    )


def _with_fp4(job: ServingJob, rates: Mapping[str, float]) -> float:
    """Return the tokens a second of all pools with weights in FP4 where GPUs compute in it."""
    able = tuple(pool for pool in job.pools if pool.accelerator.peak_fp4_flop_per_s is not None)
    if not able:
        return float(sum(rates.values()))
    fp4: Dtype = "fp4"
    found = served(replace(job, dtype=fp4, pools=able), {})
    faster = {row["pool"]: row["output_tokens_per_s"] for row in found.pools}
    return float(sum(max(rate, faster.get(name, 0.0)) for name, rate in rates.items()))


def _of_reference(job: ServingJob, reference: str, of_all: Served) -> float | None:
    """Return the tokens a second of one GPU of the reference type; None where it gives none."""
    own = {row["gpu"]: row for row in of_all.pools}
    if any(pool.gpu == reference for pool in job.pools):
        return float(own[reference]["output_tokens_per_s_per_gpu"]) if reference in own else None
    accelerator = catalog.gpu(reference)
    pool = ServingPool(
        name=reference,
        gpu=reference,
        accelerator=accelerator,
        n_gpus=REFERENCE_DOMAINS * accelerator.domain_gpus,
    )
    try:
        found = served(replace(job, pools=(pool,)), {})
    except ScenarioError:
        return None
    return float(found.pools[0]["output_tokens_per_s_per_gpu"]) if found.pools else None


def _serving(scenario: Scenario, model: str) -> dict[str, Any]:
    """Return the table of what is served: the scenario's own, with another model if need be."""
    own: dict[str, Any] = {}
    if scenario.serving is not None:
        own = scenario.serving.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    if own.get("model") == model:
        return own
    # A layout is of the model that it was made for.
    kept = {key: own[key] for key in OF_ANY_MODEL if key in own}
    return {**kept, "model": model, "engine": _engine(model)}


def _engine(model: str) -> str:
    """Return an engine that was fitted with a model, or else the default one."""
    name = catalog.ALIASES.get(model, model)
    known = [str(DEFAULTS["engine"]), *catalog.names("engines")]
    return next((each for each in known if name in catalog.engine(each).fits), known[0])


def _requests(scenario: Scenario) -> dict[str, Any]:
    """Return the table of requests: as many as the cluster can take."""
    keys = ("input_tokens", "output_tokens")
    own: dict[str, Any] = {}
    if scenario.requests is not None:
        own = scenario.requests.model_dump(mode="json", exclude_none=True)
    return {key: own.get(key, DEFAULTS[key]) for key in keys}
