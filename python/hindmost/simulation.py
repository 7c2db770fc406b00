"""Simulation of a scenario: `simulate`, and the replay of single ranks and replicas."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.engines import METHODS, Progress, choose, counting
from hindmost.errors import Problem, ScenarioError
from hindmost.plan import make_plan
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario, to_table, with_changes
from hindmost.scenario.load import load

if TYPE_CHECKING:
    import polars as pl

DEFAULT_SIZES = {"order-statistics": (16, 10_000), "sample": (8, 250)}
"""Runs, and steps of each run, by method."""
MAX_RUNS = 65_536
"""Runs of a result, at most: random addresses have 16 bits for them."""
MAX_ROWS = 100_000_000
"""Rows of a result, at most; these take about 6 GB."""
MAX_TIMES = 2**31
"""Numbers that `rank_times` returns, at most; these take about 9 GB."""
MAX_THREADS = 1024
"""Threads of a simulation, at most."""
MAX_REPLICAS = 8
"""Replicas of each step that `slowest_replicas` returns, at most."""
SEED_BITS = 53
"""Bits of a drawn seed, so few that every JSON reader keeps them."""


def simulate(
    scenario: Scenario | str | Path,
    *,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: str = "auto",
    threads: int | None = None,
    changes: Changes | None = None,
    progress: Progress | None = None,
) -> Result:
    """Return the distribution of a scenario's step time and MFU.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    steps
        Steps of a run, >= 1; by default 10,000, with ``sample`` 250.
    runs
        Realisations of everything that lasts longer than a step, 1 to 65,536; by default 16,
        with ``sample`` 8. One run is one given cluster, and has no standard errors.
    seed
        0 to 2^64 - 1; drawn from the operating system by default. Equal seeds give equal
        numbers on any number of threads.
    method
        ``order-statistics`` draws each pool's slowest rank from the law of a maximum,
        at a cost that does not depend on the number of GPUs; ``sample`` draws every
        rank of every step. ``auto`` takes the first where it is exact and the second
        elsewhere; the result says which one and why. Where ranks wait for each other within
        a step, ``order-statistics`` is approximate: it takes the law of a replica's time
        from sampled replicas, and `Result.deviation` says how far the rows are from
        sampled ones.
    threads
        Threads; by default as many as this process may use.
    changes
        Key paths and their new values, laid over the scenario.
    progress
        Called with the draws done and all draws, about twenty times a second.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.
    """
    scenario = _scenario(scenario, changes)
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    threads = _available_threads() if threads is None else threads
    _refuse(
        [
            *_bounds("steps", 1 if steps is None else steps, 1, 2**32 - 1),
            *_bounds("runs", 1 if runs is None else runs, 1, MAX_RUNS),
            *_bounds("seed", seed, 0, 2**64 - 1),
            *_bounds("threads", threads, 1, MAX_THREADS),
            *_method(method),
        ]
    )
    _refuse(_rows(1 if runs is None else runs, 1 if steps is None else steps))
    started = time.monotonic()
    plan = make_plan(scenario)
    choice = choose(plan, method, seed=seed, threads=threads, progress=progress)
    default_runs, default_steps = DEFAULT_SIZES[choice.method]
    steps = default_steps if steps is None else steps
    runs = default_runs if runs is None else runs
    _refuse(_rows(runs, steps))
    if choice.engine is None:
        total = plan.core.draws_per_step * runs * steps
        columns = _core.sample(
            plan.core,
            seed=seed,
            runs=runs,
            steps=steps,
            threads=threads,
            progress=counting(progress, total),
        )
    else:
        total = runs * (plan.n_ranks + steps)
        columns = choice.engine.run(
            seed=seed,
            runs=runs,
            steps=steps,
            threads=threads,
            progress=counting(progress, total),
        )
    inputs = {
        "scenario": to_table(scenario),
        "seed": int(seed),
        "runs": int(runs),
        "steps": int(steps),
        "method": choice.method,
        "version": _core.__version__,
    }
    machine = {
        "threads": int(threads),
        "instruction_set": plan.core.instructions,
        "wall_time_s": round(time.monotonic() - started, 3),
    }
    return Result(
        scenario=scenario,
        plan=plan,
        columns=columns,
        inputs=inputs,
        machine=machine,
        why=choice.why,
        deviation=choice.deviation,
    )


def rank_times(
    scenario: Scenario | str | Path,
    *,
    seed: int,
    run: int,
    steps: Sequence[int] | range,
    threads: int | None = None,
    changes: Changes | None = None,
) -> NDArray[np.float32]:
    """Return the time that every rank computes in some steps of a sampled result.

    Parameters
    ----------
    scenario, seed, changes
        As in the call of `simulate` with ``method="sample"`` that made the result.
    run
        The run, counted from 0.
    steps
        The steps, counted from 0, in any order.
    threads
        Threads; by default as many as this process may use.

    Returns
    -------
    array of float32, shape (steps, ranks)
        Seconds that each rank works, its stalls included and its waiting
        excluded. Ranks are in the order of pools in the document and of GPUs in
        the pool, without spares. Where a step is one barrier, the largest of a row
        is the step's ``compute_s``, rounded to float32.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.
    """
    scenario = _scenario(scenario, changes)
    threads = _available_threads() if threads is None else threads
    _refuse(
        [
            *_bounds("seed", seed, 0, 2**64 - 1),
            *_bounds("run", run, 0, MAX_RUNS - 1),
            *_bounds("threads", threads, 1, MAX_THREADS),
            *_wanted(steps),
        ]
    )
    plan = make_plan(scenario)
    if len(steps) * plan.n_ranks > MAX_TIMES:
        requirement = f"must make at most {MAX_TIMES:,} numbers with {plan.n_ranks:,} ranks"
        _refuse([Problem(path="steps", requirement=requirement, value=len(steps))])
    times = np.empty((len(steps), plan.n_ranks), dtype=np.float32)
    wanted = [int(step) for step in steps]
    _core.rank_times(plan.core, seed=seed, run=run, steps=wanted, times=times, threads=threads)
    times.flags.writeable = False
    return times


def slowest_replicas(
    scenario: Scenario | str | Path,
    *,
    k: int = 8,
    steps: int = 250,
    runs: int = 8,
    seed: int | None = None,
    threads: int | None = None,
    changes: Changes | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Return the slowest replicas of each step, which a job would leave out first.

    Without the slowest replica the step would take the time of the second, and so on:
    this is what a job gains that does not wait for its slowest replicas.

    Parameters
    ----------
    scenario, seed, threads, changes, progress
        As in `simulate`.
    k
        Replicas, 1 to 8, and at most as many as there are.
    steps
        Steps of a run, >= 1.
    runs
        Runs, 1 to 65,536.

    Returns
    -------
    DataFrame
        ``k`` rows a step, the slowest replica first: run, step, place (from 1 on), pool,
        replica (counted in its pool by physical index, or in the job where stages are
        spread over pools) and compute_s, which is the time of its slowest rank or, with
        stages, of its schedule, stalls included.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if replicas wait for each other
        within a step.

    Notes
    -----
    Ranks are drawn as by ``simulate(..., method="sample")`` under an equal seed, so that
    the first replica of a step has that result's ``compute_s``.
    """
    import polars as pl

    scenario = _scenario(scenario, changes)
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    threads = _available_threads() if threads is None else threads
    _refuse(
        [
            *_bounds("k", k, 1, MAX_REPLICAS),
            *_bounds("steps", steps, 1, 2**32 - 1),
            *_bounds("runs", runs, 1, MAX_RUNS),
            *_bounds("seed", seed, 0, 2**64 - 1),
            *_bounds("threads", threads, 1, MAX_THREADS),
            *_rows(runs, steps * k if isinstance(k, Integral) else steps),
        ]
    )
    plan = make_plan(scenario)
    total = plan.core.draws_per_step * runs * steps
    try:
        columns = _core.slowest_replicas(
            plan.core,
            k=k,
            seed=seed,
            runs=runs,
            steps=steps,
            threads=threads,
            progress=counting(progress, total),
        )
    except _core.DomainError as error:
        path, value, requirement = error.args
        problem = Problem(path=path, requirement=f"must be {requirement}", value=int(value))
        raise ScenarioError([problem]) from None
    names = [pool.name for pool in plan.pools]
    pools = pl.Series(names, dtype=pl.Enum(names))
    return pl.DataFrame(
        {
            "run": np.repeat(np.arange(runs, dtype=np.uint32), steps * k),
            "step": np.tile(np.repeat(np.arange(steps, dtype=np.uint32), k), runs),
            "place": np.tile(np.arange(1, k + 1, dtype=np.uint8), runs * steps),
            "pool": pools.gather(columns["pool"]),
            "replica": columns["replica"],
            "compute_s": columns["compute_s"],
        }
    )


def _scenario(scenario: Scenario | str | Path, changes: Changes | None) -> Scenario:
    if isinstance(scenario, Scenario):
        return with_changes(scenario, changes or {})
    return load(scenario, changes)


def _available_threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _bounds(path: str, value: int, low: int, high: int) -> list[Problem]:
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high:
        return []
    requirement = f"must be an integer from {low} to {high}"
    return [Problem(path=path, requirement=requirement, value=value)]


def _wanted(steps: Sequence[int] | range) -> list[Problem]:
    """Return what is wrong with the steps to replay; of a range only the ends are looked at."""
    if isinstance(steps, range):
        ends = list(steps[:1]) + list(steps[-1:])
        return [problem for step in ends for problem in _bounds("steps", step, 0, 2**32 - 1)]
    if isinstance(steps, str) or not hasattr(steps, "__len__"):
        return [Problem(path="steps", requirement="must be a list of integers", value=steps)]
    return [problem for step in steps for problem in _bounds("steps", step, 0, 2**32 - 1)]


def _rows(runs: int, steps: int) -> list[Problem]:
    if not (isinstance(runs, Integral) and isinstance(steps, Integral)):
        return []
    if runs * steps <= MAX_ROWS:
        return []
    requirement = f"must make at most {MAX_ROWS:,} rows"
    return [Problem(path="runs x steps", requirement=requirement, value=runs * steps)]


def _method(method: str) -> list[Problem]:
    if method in METHODS:
        return []
    requirement = f"must be one of {', '.join(METHODS)}"
    return [Problem(path="method", requirement=requirement, value=method)]


def _refuse(found: list[Problem]) -> None:
    if found:
        raise ScenarioError(found)
