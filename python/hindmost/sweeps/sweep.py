"""Sweeps: the frame of many points, on any executor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindmost.arguments import (
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    method_problems,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    thread_problems,
)
from hindmost.engines import Method, Progress
from hindmost.errors import Problem, Verbatim
from hindmost.metrics import METRICS, STATISTICS
from hindmost.scenario import Scenario
from hindmost.scenario.change import as_changes
from hindmost.scenario.load import judged, load
from hindmost.sweeps.inputs import Inputs, point_problems
from hindmost.sweeps.rows import Rows
from hindmost.sweeps.run import Run
from hindmost.sweeps.store import Store

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import polars as pl

MAX_RETRIES = 100
"""How often a point is tried again, at most."""


def sweep(
    points: Iterable[Any],
    base: Scenario | str | Path | None = None,
    executor: Executor | None = None,
    store: str | Path | None = None,
    retries: int = 2,
    *,
    seed: int | None = None,
    runs: int | None = None,
    steps: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Return what each of many points comes to, one row a point, in their order.

    Every point is simulated by itself on one thread, wherever that is, so rows do not depend on
    executors, on retries or on what a store has. All points share their random numbers, but for
    those that bring a seed of their own.

    Parameters
    ----------
    points
        Changes of `base`, each a mapping of key paths to values; without a base whole scenarios:
        `Scenario`, or mappings with the key ``scenario`` and, if wanted, ``seed``, ``runs``,
        ``steps`` and ``method``, such as `Result.inputs`.
    base
        The scenario that points change, or its name or path.
    executor
        Any executor of the protocol of ``concurrent.futures``: of threads or processes, loky's, or
        Dask's by ``client.get_executor()``. Workers need hindmost of the same version. By default
        threads of this process. It is not shut down.
    store
        A folder in which each row is kept as soon as it is there: a sweep that is cut off, even by
        a kill, computes none of them again. Points are named by a digest of their inputs and of
        the version, so sweeps may share a folder.
    retries
        How often a point is tried again whose worker fails. A point that its scenario refuses is a
        row with the reason, and never tried again.
    seed, runs, steps, method
        As in `simulate`, of each point.
    threads
        Threads without an executor; all available processors by default.
    progress
        Called with the points that are done and all of them.

    Returns
    -------
    polars.DataFrame
        Columns index, one for each key path that points change, seed, method,
        METRIC_STATISTIC of each metric and statistic of `Result.summary`, and error: why a point
        has no numbers. Tables and lists among changed values are JSON.

    Raises
    ------
    ScenarioError
        If points are none, or the base or another argument is refused.
    ExecutorError
        If the executor breaks, such as a pool of which a process was killed.
    OutputError
        If a row cannot be kept.

    Examples
    --------
    >>> import hindmost as hm
    >>> points = hm.grid({"pools.h100.software_efficiency": [0.8, 1.0], "layout.tensor": [4, 8]})
    >>> found = hm.sweep(points, "h100-1k", seed=1, runs=2, steps=50)
    >>> found.select("index", "layout.tensor", "error").rows()
    [(0, 4, None), (1, 8, None), (2, 4, None), (3, 8, None)]
    >>> bool(found["mfu_mean"][3] > found["mfu_mean"][1])
    True
    """
    seed, runs, steps, retries = (as_int(each) for each in (seed, runs, steps, retries))
    threads = available_threads() if threads is None else as_int(threads)
    if isinstance(points, Mapping | str | bytes) or not isinstance(points, Iterable):
        requirement = "must be a list of points"
        value = Verbatim(f"a {type(points).__name__}")
        refuse([Problem(path="points", requirement=requirement, value=value)])
    listed = list(points)
    scenario = base if isinstance(base, Scenario) else None
    refuse(
        [
            *size_problems(steps=steps, runs=runs),
            *row_problems(1 if runs is None else runs, 1 if steps is None else steps),
            *([] if seed is None else seed_problems(seed)),
            *method_problems(method),
            *thread_problems(threads),
            *bounds("retries", retries, 0, MAX_RETRIES),
        ]
    )
    if base is not None:
        scenario = judged(base) if isinstance(base, Scenario) else load(base)
    refuse(point_problems(listed, scenario))
    if scenario is not None:
        listed = [as_changes(point) for point in listed]
    folder = None if store is None else Store(Path(store))
    if folder is not None:
        folder.prepare()
    inputs = Inputs(
        points=listed,
        base=scenario,
        seed=0 if seed is None else seed,
        runs=runs,
        steps=steps,
        method=method,
    )
    if seed is None:
        # One that was cut off goes on with its own.
        seed = drawn_seed() if folder is None else folder.seed_of(inputs.digest)
        inputs = replace(inputs, seed=seed)
    run = Run(inputs=inputs, store=folder, retries=retries)
    return _frame(inputs, run.rows(executor, threads=threads, progress=progress))


def _frame(inputs: Inputs, rows: Rows) -> pl.DataFrame:
    import polars as pl

    places = range(len(inputs))
    changes = [inputs.changes(place) for place in places]
    paths = dict.fromkeys(path for one in changes for path in one)
    seeds = [inputs.size(place)["seed"] for place in places]
    of_steps = [f"{metric}_{name}" for metric in METRICS for name in STATISTICS]
    # Only scenarios with failures have whole runs.
    of_runs = [name for name in rows.names if name not in of_steps]
    # One after another, so that numbers are not there twice.
    numbers = [pl.Series(name, rows.pop(name)).fill_nan(None) for name in (*of_steps, *of_runs)]
    return pl.DataFrame(
        [
            pl.Series("index", places, dtype=pl.UInt32),
            *(_changed(path, [one.get(path) for one in changes]) for path in paths),
            pl.Series("seed", seeds, dtype=pl.UInt64),
            pl.Series("method", rows.methods, dtype=pl.String),
            *numbers,
            pl.Series("error", rows.errors, dtype=pl.String),
        ]
    )


def _changed(path: str, values: list[Any]) -> pl.Series:
    """Return a column of changed values, of one type."""
    import polars as pl

    given = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in given):
        return pl.Series(path, values, dtype=pl.Boolean)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in given):
        return pl.Series(path, values, dtype=pl.Int64, strict=False)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return pl.Series(path, values, dtype=pl.Float64, strict=False)
    texts = [
        value if value is None or isinstance(value, str) else json.dumps(value) for value in values
    ]
    return pl.Series(path, texts, dtype=pl.String)
