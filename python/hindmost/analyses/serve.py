"""What a cluster gives at inference: the best configurations, pool by pool and in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost import catalog
from hindmost._core import __version__
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.scenario.change import Changes
from hindmost.serving.cycle import Load, cycle, rates
from hindmost.serving.job import Limits, ServingJob, ServingPool
from hindmost.serving.outages import availability
from hindmost.serving.scenario import load_job
from hindmost.serving.search import BEST, Configuration, Searched, best_of, frontier, searched
from hindmost.serving.split import best_split
from hindmost.serving.stragglers import pace

if TYPE_CHECKING:
    import polars as pl

MAX_DOMAINS = 64
"""Domains over which experts may be spread, at most."""
FRONTIER_POINTS = 200
"""Points of a frontier that are kept, at most."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What pools give at inference.

    Attributes
    ----------
    inputs : mapping of str to object
        All that a repetition takes, and the version of the package.
    pools : list of dict
        One a pool: its configuration, replicas, what stragglers and failures leave (pace,
        availability), and what all of it gives.
    total : dict
        All pools together.
    configurations : list of dict
        The five best configurations, aggregated ones and the best split.
    frontier : list of dict
        Configurations that no other exceeds both in tokens a second by GPU and by user.
    assumed : tuple of str
        What is assumed, because nobody has published it.
    """

    inputs: Mapping[str, Any]
    pools: list[dict[str, Any]]
    total: dict[str, Any]
    configurations: list[dict[str, Any]]
    frontier: list[dict[str, Any]]
    assumed: tuple[str, ...]

    @property
    def frame(self) -> pl.DataFrame:
        """`configurations` as a table, one row each."""
        import polars as pl

        return pl.DataFrame([_flat(row) for row in self.configurations])

    def document(self) -> dict[str, Any]:
        """Return all of it as plain tables, as ``serve --format json`` prints it."""
        return {
            "inputs": {**self.inputs, "version": __version__},
            "pools": self.pools,
            "total": self.total,
            "configurations": self.configurations,
            "frontier": self.frontier,
            "assumed": list(self.assumed),
        }


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in row.items() if key not in ("shares", "prefill")}
    return {**plain, **row["shares"]}


def serve(
    scenario: str | Path | None = None,
    *,
    model: str | None = None,
    gpus: Mapping[str, int] | None = None,
    input_tokens: float = 1000.0,
    output_tokens: float = 1000.0,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    engine: str = "vllm",
    dtype: str = "fp8",
    concurrency: float | None = None,
    arrivals_per_s: float | None = None,
    prefix_hit: float = 0.0,
    wide_domains: int = 1,
    changes: Changes | None = None,
    changes_from: str = "changes",
) -> Served:
    """Return what a cluster gives at inference.

    Every layout that fits a domain is tried with every batch that fits into memory, aggregated and
    split; the best of each pool, and the best of all.

    Parameters
    ----------
    scenario
        Name of a preset or path of a file with [serving] and [requests]; without it the arguments
        below say what there is.
    model
        A model of the catalogue.
    gpus
        How many there are of each type of GPU of the catalogue.
    input_tokens, output_tokens
        Tokens of a prompt and of an answer, >= 1.
    ttft_s, tpot_s
        Seconds to the first token, and of each of the others, at most; no limit by default.
    engine
        A serving engine of the catalogue.
    dtype
        Format of the weights of layers: ``bf16``, ``fp8`` or ``fp4``.
    concurrency
        Requests at once on all pools together; as many as limits and memory allow by default.
    arrivals_per_s
        Requests a second on all pools together; how many GPUs they take is in each row.
    prefix_hit
        Share of a prompt whose keys and values are there already, 0 to below 1.
    wide_domains
        Whole domains over which the experts of a replica may be spread, 1 to 64 at most.
    changes
        With a scenario, key paths and their new values.
    changes_from
        Name of the changes in problems.

    Raises
    ------
    ScenarioError
        With every problem, among them limits that no configuration keeps to and models that fit
        into no domain's memory.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.serve(model="llama3-70b", gpus={"h200-sxm": 64}, tpot_s=0.05)
    >>> found.total["n_gpus"], len(found.configurations)
    (64, 5)
    """
    if scenario is not None:
        job, _ = load_job(scenario, changes, changes_from=changes_from)
        named: dict[str, Any] = {"scenario": str(scenario), "changes": dict(changes or {})}
    else:
        job = _job_of(
            model=model,
            gpus=gpus,
            load=(input_tokens, output_tokens, prefix_hit),
            limits=(ttft_s, tpot_s),
            engine=engine,
            dtype=dtype,
            concurrency=concurrency,
            arrivals_per_s=arrivals_per_s,
            wide_domains=wide_domains,
        )
        named = {"model": model, "gpus": dict(gpus or {})}
    return served(job, named)


def served(job: ServingJob, named: Mapping[str, Any]) -> Served:
    """Return what the pools of a job give.

    Parameters
    ----------
    job
        The job, whose names and numbers are right.
    named
        What it was made from, for the inputs.
    """
    found = {pool.name: searched(job, pool) for pool in job.pools}
    _refuse(_memory_problems(job, found))
    bests = {name: best_of(each, job) for name, each in found.items()}
    everything = [one for each in found.values() for one in each]
    split = best_split(everything, job)
    ranked = sorted(
        [one for each in bests.values() for one in each],
        key=lambda one: -one.output_tokens_per_s_per_gpu,
    )
    _refuse(_limit_problems(job, ranked, split))
    rows = [_pool_row(job, pool, found[pool.name], bests) for pool in job.pools]
    shown = ranked[: BEST - 1] + ([split] if split else ranked[BEST - 1 : BEST])
    shown = sorted(shown, key=lambda one: -one.output_tokens_per_s_per_gpu)
    edge = frontier(everything, job)
    software, assumed = job.software
    return Served(
        inputs={
            **named,
            "engine": job.engine,
            "dtype": job.dtype,
            "model": job.model_name,
            "input_tokens": job.load.input_tokens,
            "output_tokens": job.load.output_tokens,
            "prefix_hit": job.load.prefix_hit,
            "wide_domains": job.wide_domains,
            "ttft_s": job.limits.ttft_s,
            "tpot_s": job.limits.tpot_s,
            "concurrency": job.concurrency,
            "arrivals_per_s": job.arrivals_per_s,
            "software": software.model_dump(),
        },
        pools=[row for row in rows if row is not None],
        total=_total(job, [row for row in rows if row is not None]),
        configurations=[_with_gpus_needed(job, one) for one in shown],
        frontier=[one.row() for one in edge[:: max(1, math.ceil(len(edge) / FRONTIER_POINTS))]],
        assumed=_assumed(assumed, everything),
    )


def _assumed(of_software: str, found: Sequence[Searched]) -> tuple[str, ...]:
    of_gpus = [f"{one.pool.gpu}: {what}" for one in found for what in one.replica.assumed]
    return tuple(dict.fromkeys([of_software, *of_gpus] if of_software else of_gpus))


def _with_gpus_needed(job: ServingJob, one: Configuration) -> dict[str, Any]:
    """Return a configuration, with the GPUs that the requests of the job take."""
    row = one.row()
    if job.arrivals_per_s is None:
        return row
    asked = job.arrivals_per_s * job.load.output_tokens
    n = math.ceil(asked / one.output_tokens_per_s_per_gpu / one.n_gpus) * one.n_gpus
    return {**row, "gpus_needed": n}


def _pool_row(
    job: ServingJob,
    pool: ServingPool,
    found: Sequence[Searched],
    bests: Mapping[str, list[Configuration]],
) -> dict[str, Any] | None:
    """Return what a pool gives in its best configuration; None where it cannot keep to limits."""
    best = bests[pool.name]
    if not best:
        return None
    capacity = {
        name: each[0].output_tokens_per_s_per_gpu * n_gpus
        for name, each, n_gpus in (
            (other.name, bests[other.name], other.n_gpus) for other in job.pools
        )
        if each
    }
    share = capacity[pool.name] / sum(capacity.values())
    chosen = best[0]
    paced, there = _left(pool, chosen)
    if job.concurrency is not None:
        chosen = _at_concurrency(job, pool, found, job.concurrency * share) or chosen
        paced, there = _left(pool, chosen)
    elif job.arrivals_per_s is not None:
        asked_per_s = job.arrivals_per_s * share / (paced * there)
        chosen = _at_arrivals(job, pool, found, chosen, asked_per_s)
    n_replicas = pool.n_gpus // chosen.n_gpus
    is_there = paced * there * n_replicas * chosen.n_gpus
    output_per_s = chosen.output_tokens_per_s_per_gpu * is_there
    if job.arrivals_per_s is not None:
        output_per_s = min(output_per_s, job.arrivals_per_s * share * job.load.output_tokens)
    ratio = job.load.input_tokens / job.load.output_tokens
    return {
        **chosen.row(),
        "n_gpus": pool.n_gpus,
        "replica_gpus": chosen.n_gpus,
        "replicas": n_replicas,
        "pace": paced,
        "availability": there,
        "output_tokens_per_s_per_gpu": output_per_s / pool.n_gpus,
        "input_tokens_per_s_per_gpu": ratio * output_per_s / pool.n_gpus,
        "output_tokens_per_s": output_per_s,
        "requests_per_s": output_per_s / job.load.output_tokens,
        "most_requests_per_s": best[0].output_tokens_per_s_per_gpu
        * paced
        * there
        * pool.n_gpus
        / job.load.output_tokens,
    }


def _left(pool: ServingPool, chosen: Configuration) -> tuple[float, float]:
    """Return what stragglers leave of the pace of a pool's replicas, and failures of their time."""
    gpu, n_gpus = pool.accelerator, chosen.n_gpus
    paced = pace(pool.causes, n_gpus=n_gpus, node_gpus=gpu.node_gpus)
    # GPUs that make up no replica stand in for those that are repaired.
    there = availability(
        pool.failures,
        pool.recovery,
        n_gpus=n_gpus,
        gpu=gpu,
        has_spares=pool.n_gpus % n_gpus > 0,
    )
    return paced, there


def _at_concurrency(
    job: ServingJob, pool: ServingPool, found: Sequence[Searched], asked: float
) -> Configuration | None:
    """Return the best layout of a pool with so many requests at once on all of it."""
    software, _ = job.software
    fixed = []
    for one in found:
        of_replica = asked / (pool.n_gpus // one.replica.n_gpus)
        fits = one.replica.sequences_that_fit(job.load.context, memory_share=job.memory_share)
        batch = np.array([min(of_replica, fits)])
        of = rates(cycle(one.replica, job.load, batch), job.load, software, asked=of_replica)
        fixed.append(replace(one, batch=batch, rates=of))
    best = best_of(fixed, job) or best_of(fixed, replace(job, limits=Limits()))
    return best[0] if best else None


def _at_arrivals(
    job: ServingJob,
    pool: ServingPool,
    found: Sequence[Searched],
    chosen: Configuration,
    asked_per_s: float,
) -> Configuration:
    """Return a configuration with the smallest batch that serves so many requests a second."""
    layout = chosen.tensor, chosen.attention_dp
    one = next(each for each in found if (each.replica.tensor, each.replica.attention_dp) == layout)
    of_replica = asked_per_s / (pool.n_gpus // one.replica.n_gpus)
    enough = np.flatnonzero(one.batch / one.rates.cycle_s >= of_replica)
    place = int(enough[0]) if len(enough) else int(np.searchsorted(one.batch, chosen.batch))
    return one.at(min(place, len(one.batch) - 1))


def _total(job: ServingJob, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    n_gpus = sum(pool.n_gpus for pool in job.pools)
    output = sum(row["output_tokens_per_s"] for row in rows)
    ratio = job.load.input_tokens / job.load.output_tokens
    asked = job.arrivals_per_s

    def mean(key: str) -> float:
        return float(sum(row[key] * row["output_tokens_per_s"] for row in rows) / output)

    return {
        "n_gpus": n_gpus,
        "replicas": sum(row["replicas"] for row in rows),
        "output_tokens_per_s": output,
        "input_tokens_per_s": output * ratio,
        "output_tokens_per_s_per_gpu": output / n_gpus,
        "input_tokens_per_s_per_gpu": output * ratio / n_gpus,
        "tokens_per_s_per_user": mean("tokens_per_s_per_user"),
        "ttft_s": mean("ttft_s"),
        "tpot_s": mean("tpot_s"),
        "batch": mean("batch"),
        "requests_per_s": output / job.load.output_tokens,
        "most_requests_per_s": sum(row["most_requests_per_s"] for row in rows),
        "is_enough": None if asked is None else output / job.load.output_tokens >= asked * 0.999,
    }


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise ScenarioError(problems)


def _memory_problems(job: ServingJob, found: Mapping[str, Sequence[Searched]]) -> list[Problem]:
    if any(found.values()):
        return []
    problems = []
    for pool in job.pools:
        most = min(pool.accelerator.domain_gpus, pool.n_gpus)
        problems.append(
            Problem(
                path=f"pools.{pool.name}",
                requirement=f"must have room for {job.model_name} in {job.dtype} and a sequence of "
                f"{job.load.context:,.0f} tokens in the layout, or in a domain's {most} GPUs",
                hint="fewer bytes a weight, more GPUs a domain or shorter sequences would do",
            )
        )
    return problems


def _limit_problems(
    job: ServingJob, ranked: Sequence[Configuration], split: Configuration | None
) -> list[Problem]:
    if ranked or split:
        return []
    limits = [
        f"{name} {limit:g} s"
        for name, limit in (("ttft_s", job.limits.ttft_s), ("tpot_s", job.limits.tpot_s))
        if limit is not None
    ]
    requirement = f"must be such that a configuration keeps to them, and none does: {limits}"
    return [Problem(path="slo", requirement=requirement.replace("'", ""))]


def _job_of(
    *,
    model: str | None,
    gpus: Mapping[str, int] | None,
    load: tuple[float, float, float],
    limits: tuple[float | None, float | None],
    engine: str,
    dtype: str,
    concurrency: float | None,
    arrivals_per_s: float | None,
    wide_domains: int,
) -> ServingJob:
    """Return the job of arguments, or refuse them with every problem."""
    input_tokens, output_tokens, prefix_hit = load
    problems = [
        *_name_problems("model", model, [*catalog.names("models"), *catalog.ALIASES]),
        *_name_problems("engine", engine, catalog.names("engines")),
        *_name_problems("dtype", dtype, ("bf16", "fp8", "fp4")),
    ]
    for path, value, least in (
        ("input_tokens", input_tokens, 1.0),
        ("output_tokens", output_tokens, 1.0),
    ):
        if not (isinstance(value, int | float) and least <= value < math.inf):
            problems.append(Problem(path=path, requirement="must be >= 1", value=value))
    if not (isinstance(prefix_hit, int | float) and 0 <= prefix_hit < 1):
        requirement = "must be >= 0 and < 1"
        problems.append(Problem(path="prefix_hit", requirement=requirement, value=prefix_hit))
    for path, limit in (
        ("ttft_s", limits[0]),
        ("tpot_s", limits[1]),
        ("concurrency", concurrency),
        ("arrivals_per_s", arrivals_per_s),
    ):
        if limit is not None and not (isinstance(limit, int | float) and 0 < limit < math.inf):
            problems.append(Problem(path=path, requirement="must be > 0", value=limit))
    if concurrency is not None and arrivals_per_s is not None:
        requirement = "must be absent where arrivals_per_s is given"
        problems.append(Problem(path="concurrency", requirement=requirement, value=concurrency))
    if not (isinstance(wide_domains, int) and 1 <= wide_domains <= MAX_DOMAINS):
        requirement = f"must be >= 1 and <= {MAX_DOMAINS}"
        problems.append(Problem(path="wide_domains", requirement=requirement, value=wide_domains))
    if not gpus:
        requirement = "must name at least one type of GPU and how many there are"
        problems.append(Problem(path="gpus", requirement=requirement))
    for name, n_gpus in (gpus or {}).items():
        problems += _name_problems("gpus", name, catalog.names("gpus"))
        if not (isinstance(n_gpus, int) and n_gpus >= 1):
            path = f"gpus.{name}"
            problems.append(Problem(path=path, requirement="must be >= 1", value=n_gpus))
    _refuse(problems)
    assert model is not None
    assert gpus is not None
    return ServingJob(
        model_name=model,
        model=catalog.model(model),
        dtype=dtype,  # type: ignore[arg-type]
        engine=engine,
        pools=tuple(
            ServingPool(name=name, gpu=name, accelerator=catalog.gpu(name), n_gpus=n_gpus)
            for name, n_gpus in gpus.items()
        ),
        load=Load(
            input_tokens=float(input_tokens),
            output_tokens=float(output_tokens),
            prefix_hit=float(prefix_hit),
            pass_tokens=catalog.engine(engine).pass_tokens,
        ),
        limits=Limits(ttft_s=limits[0], tpot_s=limits[1]),
        concurrency=concurrency,
        arrivals_per_s=arrivals_per_s,
        wide_domains=wide_domains,
    )


def _name_problems(path: str, name: Any, known: Sequence[str]) -> list[Problem]:
    if name in known:
        return []
    if name is None:
        return [Problem(path=path, requirement="is missing")]
    hint = did_you_mean(name, known) if isinstance(name, str) else ""
    requirement = f"must be one of {', '.join(known)}" if len(known) < 8 else "is not there"
    return [Problem(path=path, requirement=requirement, value=name, hint=hint)]
