"""What a cluster gives at inference: the best configurations, pool by pool and in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost._core import __version__
from hindmost.analyses.serve_arguments import job_of
from hindmost.analyses.serve_queue import (
    Serving,
    Simulation,
    queue_of,
    simulation_of,
    stream_inputs,
)
from hindmost.engines import Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.plots.lines import Point, lines
from hindmost.plots.plot import Plot
from hindmost.scenario.change import Changes
from hindmost.serving.cycle import cycle, rates
from hindmost.serving.job import Limits, ServingJob, ServingPool
from hindmost.serving.outages import availability
from hindmost.serving.scenario import load_job
from hindmost.serving.search import BEST, Configuration, Searched, best_of, frontier, searched
from hindmost.serving.split import best_split

if TYPE_CHECKING:
    import polars as pl

FRONTIER_POINTS = 200
"""Points of a frontier that are kept, at most."""
MEANS = ("tokens_per_s_per_user", "ttft_s", "tpot_s", "batch")
"""Numbers of pools of which the total has the mean by tokens."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What pools give at inference.

    Attributes
    ----------
    inputs : mapping of str to object
        All that a repetition takes, and the version of the package.
    pools : list of dict
        One a pool that serves: its configuration, replicas, what failures leave of their time
        (``availability``), and what all of it gives.
    total : dict
        All pools together; of the split where only that keeps to the limits.
    configurations : list of dict
        The five best configurations, aggregated ones and the best split.
    frontier : list of dict
        Configurations that no other exceeds both in tokens a second by GPU and by user.
    queue : dict or None
        What requests see that queue for the replicas of all pools: statistics with errors, and
        whether as many of them as asked for keep to the limits. None without a rate or a trace, and
        where more come than replicas can take.
    notes : tuple of str
        What is to be known of it: limits that cannot be kept, pools that cannot serve.
    assumed : tuple of str
        What is assumed, because nobody has published it.
    """

    inputs: Mapping[str, Any]
    pools: list[dict[str, Any]]
    total: dict[str, Any]
    configurations: list[dict[str, Any]]
    frontier: list[dict[str, Any]]
    queue: dict[str, Any] | None
    notes: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def frame(self) -> pl.DataFrame:
        """`configurations` as a table, one row each."""
        import polars as pl

        return pl.DataFrame([_flat(row) for row in self.configurations])

    def plot(self) -> Plot:
        """Return the frontier: tokens a second by GPU over those by user."""
        rows = [
            Point(
                one["tokens_per_s_per_user"],
                one["output_tokens_per_s_per_gpu"],
                str(one["gpu"]),
                f"TP{one['tensor']} DP{one['attention_dp']}",
            )
            for one in self.frontier
        ]
        inputs = self.inputs
        return lines(
            rows,
            title=f"{inputs['model']} in {inputs['dtype']} by {inputs['engine']}, "
            f"{' and '.join(dict.fromkeys(one.line for one in rows))}",
            subtitle=f"prompts of {inputs['input_tokens']:,.0f} tokens, answers of "
            f"{inputs['output_tokens']:,.0f}; no configuration gives more of both",
            x="tokens a second of a user",
            y="tokens a second of a GPU",
            legend="GPU",
        )

    def document(self) -> dict[str, Any]:
        """Return all of it as plain tables, as ``serve --format json`` prints it."""
        return {
            "inputs": {**self.inputs, "version": __version__},
            "pools": self.pools,
            "total": self.total,
            "configurations": self.configurations,
            "frontier": self.frontier,
            "queue": self.queue,
            "notes": list(self.notes),
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
    input_tokens: float | None = None,
    output_tokens: float | None = None,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    engine: str | None = None,
    dtype: str | None = None,
    concurrency: float | None = None,
    arrivals_per_s: float | None = None,
    prefix_hit: float | None = None,
    wide_domains: int | None = None,
    variation: float | None = None,
    trace: str | Path | None = None,
    routing: str | None = None,
    percentile: float | None = None,
    seed: int | None = None,
    requests: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    changes: Changes | None = None,
    changes_from: str = "changes",
) -> Served:
    """Return what a cluster gives at inference.

    Every layout that fits a domain is tried with every batch that fits into memory, aggregated and
    split; the best of each pool, and the best of all. Where requests come at a rate or by a trace,
    they queue for the replicas of all pools, request by request.

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
        Tokens of a prompt and of an answer, >= 1; 1,000 by default.
    ttft_s, tpot_s
        Seconds to the first token, and of each of the others, at most; no limit by default.
    engine
        A serving engine of the catalogue; ``vllm`` by default.
    dtype
        Format of the weights of layers: ``bf16``, ``fp8`` (by default) or ``fp4``.
    concurrency
        Requests at once on all pools together; as many as limits and memory allow by default.
    arrivals_per_s
        Requests a second on all pools together; how many GPUs they take is in each row.
    prefix_hit
        Share of a prompt whose keys and values are there already, 0 (by default) to below 1.
    wide_domains
        Whole domains over which the experts of a replica may be spread, 1 (by default) to 64.
    variation
        Coefficient of variation of the gaps between requests: 1, the default, for a Poisson
        process.
    trace
        File of requests with their times and tokens: Azure's CSV, BurstGPT's, or Mooncake's lines
        of JSON. With `arrivals_per_s` its times are stretched or compressed to that rate.
    routing
        Replica that a request goes to: ``least-loaded`` by default, ``round-robin`` or
        ``speed-aware``.
    percentile
        Share of requests in percent that are to keep to the limits under load; 50 by default.
    seed
        Seed of the queue; drawn by default.
    requests
        Requests of the queue, 10,000 or more, by default 2 million; those of a trace are as many as
        it has.
    threads
        Threads; by default as many as this process may use.
    progress
        Called with the requests that have come and all of them.
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
    arguments: dict[str, Any] = {
        "model": model,
        "gpus": gpus,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "ttft_s": ttft_s,
        "tpot_s": tpot_s,
        "engine": engine,
        "dtype": dtype,
        "concurrency": concurrency,
        "arrivals_per_s": arrivals_per_s,
        "prefix_hit": prefix_hit,
        "wide_domains": wide_domains,
        "variation": variation,
        "trace": trace,
        "routing": routing,
        "percentile": percentile,
    }
    simulation, found = simulation_of(seed, requests, threads, progress)
    if requests is not None and trace is not None:
        requirement = "must be absent where trace is given, which has as many as it has"
        found.append(Problem(path="requests", requirement=requirement, value=requests))
    try:
        job, named = _job_of(scenario, arguments, changes, changes_from)
    except ScenarioError as error:
        _refuse([*error.problems, *found])
        raise
    _refuse(found)
    return served(job, named, simulation)


def _job_of(
    scenario: str | Path | None,
    arguments: Mapping[str, Any],
    changes: Changes | None,
    changes_from: str,
) -> tuple[ServingJob, dict[str, Any]]:
    """Return the job of the arguments of `serve`, and what it was made from."""
    if scenario is None:
        job = job_of({**arguments, "changes": changes} if changes else arguments)
        return job, {"gpus": {pool.gpu: pool.n_gpus for pool in job.pools}}
    requirement = "must be absent with a scenario, which has a key for it"
    given = [key for key, value in arguments.items() if value is not None]
    _refuse([Problem(path=key, requirement=requirement) for key in given])
    job = load_job(scenario, changes, changes_from=changes_from)
    return job, {"scenario": str(scenario), "changes": dict(changes or {})}


def served(
    job: ServingJob, named: Mapping[str, Any], simulation: Simulation | None = None
) -> Served:
    """Return what the pools of a job give.

    Parameters
    ----------
    job
        The job, whose names and numbers are right.
    named
        What it was made from, for the inputs.
    simulation
        How its queue is simulated; by default there is none.
    """
    found = {pool.name: searched(job, pool) for pool in job.pools}
    _refuse(_memory_problems(job, found))
    bests = {name: best_of(each, job) for name, each in found.items()}
    everything = [one for each in found.values() for one in each]
    split = best_split(everything, job)
    _refuse(_limit_problems(job, bests, split))
    most = {pool.name: _most(pool, bests[pool.name]) for pool in job.pools if bests[pool.name]}
    working = [
        _working(job, pool, found[pool.name], most) for pool in job.pools if pool.name in most
    ]
    shown = [one for each in bests.values() for one in each]
    if job.concurrency is not None:
        shown, split = [one for each in working for one in each.others], None
    shown = sorted(shown, key=_by_gpu)
    shown = sorted([*shown[: BEST - bool(split)], *([split] if split else [])], key=_by_gpu)
    rows = [each.row(job) for each in working]
    software, assumed = job.software
    total = _total(job, rows) if rows or split is None else _total_of_split(job, split)
    serving = [
        Serving(
            name=pool.name,
            replicas=pool.n_gpus // most[pool.name].n_gpus,
            layout=_layout_of(found[pool.name], most[pool.name]),
            chosen=most[pool.name],
            availability=_availability(pool, most[pool.name]),
        )
        for pool in job.pools
        if pool.name in most
    ]
    queue, of_queue = (None, []) if simulation is None else queue_of(job, serving, simulation)
    return Served(
        inputs={
            **named,
            "model": job.model_name,
            "engine": job.engine,
            "dtype": job.dtype,
            "input_tokens": job.load.input_tokens,
            "output_tokens": job.load.output_tokens,
            "prefix_hit": job.load.prefix_hit,
            "wide_domains": job.wide_domains,
            "ttft_s": job.limits.ttft_s,
            "tpot_s": job.limits.tpot_s,
            "concurrency": job.concurrency,
            "arrivals_per_s": job.arrivals_per_s,
            **stream_inputs(job),
            "software": software.model_dump(),
        },
        pools=rows,
        total=total,
        configurations=[_with_gpus_needed(job, one) for one in shown],
        frontier=_thinned([one.row() for one in frontier(everything, job)]),
        queue=queue,
        notes=(*_notes(job, found, working, rows), *of_queue),
        assumed=_assumed(assumed, everything),
    )


def _by_gpu(one: Configuration) -> float:
    return -one.output_tokens_per_s_per_gpu


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most so many rows, the first and the last among them."""
    n = min(FRONTIER_POINTS, len(rows))
    places = np.unique(np.linspace(0, len(rows) - 1, n).round().astype(int))
    return [rows[place] for place in places]


@dataclass(frozen=True, kw_only=True)
class _Working:
    """A pool as it works.

    Attributes
    ----------
    pool : ServingPool
        The pool.
    chosen : Configuration
        Its configuration.
    others : list of Configuration
        All of its layouts with as many requests at once, where these are given.
    requests_per_s : float
        Requests that it serves.
    most_requests_per_s : float
        Requests that it can serve within the limits.
    availability : float
        What failures leave of a replica's time.
    keeps_limits : bool
        Whether its users see no more than they are to see.
    """

    pool: ServingPool
    chosen: Configuration
    others: list[Configuration]
    requests_per_s: float
    most_requests_per_s: float
    availability: float
    keeps_limits: bool

    def row(self, job: ServingJob) -> dict[str, Any]:
        """Return the pool as a plain table."""
        pool, load = self.pool, job.load
        output_per_s = self.requests_per_s * load.output_tokens
        return {
            **self.chosen.row(),
            "n_gpus": pool.n_gpus,
            "replica_gpus": self.chosen.n_gpus,
            "replicas": pool.n_gpus // self.chosen.n_gpus,
            "availability": self.availability,
            "output_tokens_per_s_per_gpu": output_per_s / pool.n_gpus,
            "input_tokens_per_s_per_gpu": self.requests_per_s * load.input_tokens / pool.n_gpus,
            "output_tokens_per_s": output_per_s,
            "requests_per_s": self.requests_per_s,
            "most_requests_per_s": self.most_requests_per_s,
            "keeps_limits": self.keeps_limits,
        }


def _most(pool: ServingPool, best: Sequence[Configuration]) -> Configuration:
    """Return the configuration with which all of a pool gives most: some leave GPUs over."""
    return max(best, key=lambda one: _tokens_per_s(pool, one))


def _tokens_per_s(pool: ServingPool, one: Configuration) -> float:
    """Return the tokens of answers a second of all whole replicas of a pool."""
    whole = pool.n_gpus // one.n_gpus * one.n_gpus
    return one.output_tokens_per_s_per_gpu * whole * _availability(pool, one)


def _availability(pool: ServingPool, one: Configuration) -> float:
    # GPUs that make up no replica stand in for those that are repaired.
    return availability(
        pool.failures,
        pool.recovery,
        n_gpus=one.n_gpus,
        gpu=pool.accelerator,
        has_spares=pool.n_gpus % one.n_gpus > 0,
    )


def _working(
    job: ServingJob,
    pool: ServingPool,
    found: Sequence[Searched],
    most: Mapping[str, Configuration],
) -> _Working:
    """Return a pool as it works under the requests of a job.

    Its part of the requests is that of what all pools can serve.
    """
    pools = {each.name: each for each in job.pools}
    capacity = {name: _tokens_per_s(pools[name], one) for name, one in most.items()}
    part = capacity[pool.name] / sum(capacity.values())
    chosen, keeps_limits = most[pool.name], True
    others: list[Configuration] = []
    most_per_s = capacity[pool.name] / job.load.output_tokens
    requests_per_s = most_per_s
    if job.concurrency is not None:
        others, idle, keeps_limits = _at_concurrency(job, pool, found, job.concurrency * part)
        chosen = _most(pool, others)
        requests_per_s = _tokens_per_s(pool, chosen) / job.load.output_tokens * idle
    elif job.arrivals_per_s is not None:
        requests_per_s = min(most_per_s, job.arrivals_per_s * part)
        chosen = _at_arrivals(job, found, chosen, requests_per_s / most_per_s)
    return _Working(
        pool=pool,
        chosen=chosen,
        others=others,
        requests_per_s=requests_per_s,
        most_requests_per_s=most_per_s,
        availability=_availability(pool, chosen),
        keeps_limits=keeps_limits,
    )


def _at_concurrency(
    job: ServingJob, pool: ServingPool, found: Sequence[Searched], asked: float
) -> tuple[list[Configuration], float, bool]:
    """Return the layouts of a pool with so many requests at once on all of it.

    Returns
    -------
    layouts, share, keeps_limits
        The share of replicas that have a request, and whether any layout keeps to the limits;
        otherwise these are all layouts.
    """
    software, _ = job.software
    fixed, shares = [], []
    for one in found:
        of_replica = asked / (pool.n_gpus // one.replica.n_gpus)
        fits = one.replica.sequences_that_fit(job.load.context, memory_share=job.memory_share)
        # No replica has a part of a request: some have none.
        batch = np.array([min(max(of_replica, 1.0), fits)])
        of = cycle(one.replica, job.load, batch)
        at_once = max(of_replica, 1.0)
        made = rates(of, job.load, software, asked=at_once, pace=one.pace)
        fixed.append(replace(one, batch=batch, rates=made))
        shares.append(min(of_replica, 1.0))
    within = best_of(fixed, job)
    best = within or best_of(fixed, replace(job, limits=Limits()))
    chosen = _most(pool, best)
    idle = next(
        share
        for one, share in zip(fixed, shares, strict=True)
        if (one.replica.tensor, one.replica.attention_dp) == (chosen.tensor, chosen.attention_dp)
    )
    return best, idle, bool(within)


def _at_arrivals(
    job: ServingJob, found: Sequence[Searched], chosen: Configuration, share: float
) -> Configuration:
    """Return a configuration with the smallest batch that serves a share of what it can."""
    one = _layout_of(found, chosen)
    rate = one.rates.output_tokens_per_s_per_gpu
    needed = share * chosen.output_tokens_per_s_per_gpu * (1 - 1e-9)
    enough = np.flatnonzero((rate >= needed) & one.allowed(job))
    return one.at(int(enough[0]))


def _layout_of(found: Sequence[Searched], chosen: Configuration) -> Searched:
    """Return the layout of a configuration with all of its batches."""
    layout = chosen.tensor, chosen.attention_dp
    return next(
        each for each in found if (each.replica.tensor, each.replica.attention_dp) == layout
    )


def _total(job: ServingJob, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    output = sum(row["output_tokens_per_s"] for row in rows)
    asked = job.arrivals_per_s
    means = {
        key: float(sum(row[key] * row["output_tokens_per_s"] for row in rows) / output)
        for key in MEANS
    }
    return {
        **_rates_of(job, output),
        **means,
        "replicas": sum(row["replicas"] for row in rows),
        "most_requests_per_s": sum(row["most_requests_per_s"] for row in rows),
        "is_enough": None if asked is None else output / job.load.output_tokens >= asked * 0.999,
        "keeps_limits": all(row["keeps_limits"] for row in rows),
    }


def _total_of_split(job: ServingJob, split: Configuration) -> dict[str, Any]:
    """Return the total where only a split keeps to the limits."""
    assert split.prefill is not None
    taking_part = {split.pool, split.prefill["pool"]}
    n_gpus = sum(pool.n_gpus for pool in job.pools if pool.name in taking_part)
    output = split.output_tokens_per_s_per_gpu * n_gpus
    asked = job.arrivals_per_s
    most = output / job.load.output_tokens
    if asked is not None:
        output = min(output, asked * job.load.output_tokens)
    return {
        **_rates_of(job, output),
        **{key: getattr(split, key) for key in MEANS},
        "replicas": n_gpus // split.n_gpus,
        "most_requests_per_s": most,
        "is_enough": None if asked is None else most >= asked,
        "keeps_limits": True,
    }


def _rates_of(job: ServingJob, output_per_s: float) -> dict[str, Any]:
    n_gpus = sum(pool.n_gpus for pool in job.pools)
    ratio = job.load.input_tokens / job.load.output_tokens
    return {
        "n_gpus": n_gpus,
        "output_tokens_per_s": output_per_s,
        "input_tokens_per_s": output_per_s * ratio,
        "output_tokens_per_s_per_gpu": output_per_s / n_gpus,
        "input_tokens_per_s_per_gpu": output_per_s * ratio / n_gpus,
        "requests_per_s": output_per_s / job.load.output_tokens,
    }


def _with_gpus_needed(job: ServingJob, one: Configuration) -> dict[str, Any]:
    """Return a configuration, with the GPUs that the requests of the job take."""
    row = one.row()
    if job.arrivals_per_s is None:
        return row
    asked = job.arrivals_per_s * job.load.output_tokens
    n = math.ceil(asked / one.output_tokens_per_s_per_gpu / one.n_gpus) * one.n_gpus
    return {**row, "gpus_needed": n}


def _notes(
    job: ServingJob,
    found: Mapping[str, Sequence[Searched]],
    working: Sequence[_Working],
    rows: Sequence[Mapping[str, Any]],
) -> list[str]:
    notes = [
        f"{name} serves nothing: {job.model_name} in {job.dtype} fits into no domain's memory."
        for name, each in found.items()
        if not each
    ]
    served_by = [each.pool.name for each in working]
    notes += [
        f"{name} serves nothing: no configuration of it keeps to the limits."
        for name, each in found.items()
        if each and name not in served_by and rows
    ]
    if not rows:
        notes.append("Only the split keeps to the limits; the total is that of its pools.")
    beyond = [each.pool.name for each in working if not each.keeps_limits]
    if beyond:
        notes.append(
            f"With so many requests at once no configuration of {', '.join(beyond)} keeps to the "
            "limits."
        )
    return notes


def _assumed(of_software: str, found: Sequence[Searched]) -> tuple[str, ...]:
    of_gpus = [f"{one.pool.gpu}: {what}" for one in found for what in one.replica.assumed]
    return tuple(dict.fromkeys([of_software, *of_gpus] if of_software else of_gpus))


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise ScenarioError(problems)


def _memory_problems(job: ServingJob, found: Mapping[str, Sequence[Searched]]) -> list[Problem]:
    if any(found.values()):
        return []
    where = "in the layout" if job.tensor or job.attention_dp else "in a domain"
    return [
        Problem(
            path=f"pools.{pool.name}",
            requirement=f"must have room {where} for {job.model_name} in {job.dtype} and one "
            f"sequence of {job.load.context:,.0f} tokens",
            value=f"{min(pool.accelerator.domain_gpus, pool.n_gpus)} x {pool.gpu}",
            hint="fewer bytes a weight, more GPUs a replica or shorter sequences would do",
        )
        for pool in job.pools
    ]


def _limit_problems(
    job: ServingJob, bests: Mapping[str, Sequence[Configuration]], split: Configuration | None
) -> list[Problem]:
    if any(bests.values()) or split is not None:
        return []
    limits = [
        f"{name} {limit:g} s"
        for name, limit in (("ttft_s", job.limits.ttft_s), ("tpot_s", job.limits.tpot_s))
        if limit is not None
    ]
    kept = f"keeps to {' and '.join(limits)}" if limits else "gives any token"
    return [Problem(path="serving.slo", requirement=f"is too narrow: no configuration {kept}")]
