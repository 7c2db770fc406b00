"""Simulation of a scenario: `simulate`, and the replay of single ranks and replicas."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.arguments import (
    MAX_RUNS,
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    thread_problems,
    wanted_problems,
)
from hindmost.compiled import Compiled, scenario_of
from hindmost.engines import Method, Progress, counting
from hindmost.errors import Problem, ScenarioError
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario

if TYPE_CHECKING:
    import polars as pl

MAX_TIMES = 2**31
"""Numbers that `rank_times` returns, at most; these take about 9 GB."""
MAX_REPLICAS = 8
"""Replicas of each step that `slowest_replicas` returns, at most."""


def simulate(
    scenario: Scenario | str | Path,
    *,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    changes: Changes | None = None,
    terms: bool = False,
    days: float | None = None,
    tokens: float | None = None,
    precision: float | None = None,
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
    terms
        Whether to keep what each step is made of, as `Result.terms`; it changes no row.
    days
        Days of each whole run, with failures, restarts and checkpoints, of which `Result.account`
        says where the time went; 30 by default. Only for scenarios with failures.
    tokens
        Tokens to be trained on: `Result.account` then says how many days that takes. Only for
        scenarios with failures.
    precision
        Relative standard error of the mean step time, 1e-6 to below 1, such as 1e-3, instead of a
        number of runs: there are at least 8, and 4 more at a time until the error is no greater.
        Runs have 1,000 steps then, with ``sample`` 8, unless ``steps`` says otherwise.
    progress
        Called with the draws done and all draws, about twenty times a second.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.

    Notes
    -----
    Many simulations may run side by side, in threads or in processes; then give each of them one
    thread. Start processes by ``spawn`` or ``forkserver``: a forked child that uses Polars, as
    `Result.write`, `read` and all tables do, may wait for ever if its parent has used it before.
    """
    return Compiled(scenario_of(scenario, changes)).simulate(
        steps=steps,
        runs=runs,
        seed=seed,
        method=method,
        threads=threads,
        terms=terms,
        days=days,
        tokens=tokens,
        precision=precision,
        progress=progress,
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
        the pool, without spares. Where a step is one barrier, the step's ``compute_s``,
        rounded to float32, is one of its row: that of the rank with which the step takes
        longest. It is the largest unless a stalled rank, which hides less communication
        meanwhile, ends later.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.
    """
    seed, run, threads = (as_int(each) for each in (seed, run, threads))
    compiled = Compiled(scenario_of(scenario, changes))
    threads = available_threads() if threads is None else threads
    refuse(
        [
            *seed_problems(seed),
            *bounds("run", run, 0, MAX_RUNS - 1),
            *thread_problems(threads),
            *wanted_problems(steps),
        ]
    )
    core, n_ranks = compiled.core, compiled.plan.n_ranks
    if len(steps) * n_ranks > MAX_TIMES:
        requirement = f"must make at most {MAX_TIMES:,} numbers with {n_ranks:,} ranks"
        refuse([Problem(path="steps", requirement=requirement, value=len(steps))])
    times = np.empty((len(steps), n_ranks), dtype=np.float32)
    wanted = [int(step) for step in steps]
    _core.rank_times(core, seed=seed, run=run, steps=wanted, times=times, threads=threads)
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

    The slowest is the one with which the step takes longest, what its compute leaves exposed
    included. Without it the step would be that of the second, and so on: this is what a job
    gains that does not wait for its slowest replicas.

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

    k, steps, runs, seed, threads = (as_int(each) for each in (k, steps, runs, seed, threads))
    compiled = Compiled(scenario_of(scenario, changes))
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    refuse(
        [
            *bounds("k", k, 1, MAX_REPLICAS),
            *size_problems(steps=steps, runs=runs),
            *seed_problems(seed),
            *thread_problems(threads),
            *row_problems(runs, steps * k if isinstance(k, Integral) else steps),
        ]
    )
    total = compiled.core.draws_per_step * runs * steps
    try:
        columns = _core.slowest_replicas(
            compiled.core,
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
    names = [pool.name for pool in compiled.plan.pools]
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
