"""Results that are read back from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.arguments import seed_problems, size_problems
from hindmost.attributed import Attribution
from hindmost.engines import METHODS
from hindmost.file_terms import columns_of_lists, list_types, lists_fit, without_terms
from hindmost.forecasted import Forecast
from hindmost.metrics import METRICS
from hindmost.result import BY_RUN_AND_POOL, IN_EPISODE, Result
from hindmost.scenario import Scenario, from_table
from hindmost.store import Parts, damaged, read_parts, wants_terms
from hindmost.whole_run.hours import NAMES, RunHours


def read(path: str | Path) -> Result:
    """Return the result that a Parquet file holds.

    Parameters
    ----------
    path
        Path of a file that `Result.write` or ``hindmost run -o`` has written.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is not of a result, is damaged, or is of a version that stored
        the inputs only; ``hindmost run FILE`` repeats such a result.
    """
    path = Path(path)
    parts = read_parts(path)
    document, rest = parts.document, parts.rest
    inputs = document["inputs"]
    scenario = from_table(inputs["scenario"], str(path))
    _check_fit(path, parts, scenario)
    result = Result(
        scenario=scenario,
        plan=rest.plan,
        columns=_columns(parts),
        inputs=inputs,
        machine=document["machine"],
        why=document["why"],
        deviation=rest.deviation,
        hours=rest.hours,
        forecast=None if rest.forecast is None else rest.forecast.with_scenario(inputs["scenario"]),
        attribution=None
        if rest.attribution is None
        else rest.attribution.with_scenario(inputs["scenario"]),
    )
    if not result.steps.equals(without_terms(parts.table)):
        raise damaged(path, "other steps than its inputs and its plan make")
    return result


def _check_fit(path: Path, parts: Parts, scenario: Scenario) -> None:
    """Refuse parts of a file that do not belong together."""
    import polars as pl

    inputs, rest, table = parts.document["inputs"], parts.rest, parts.table
    runs, steps = inputs["runs"], inputs["steps"]
    sizes = [*size_problems(steps=steps, runs=runs), *seed_problems(inputs["seed"])]
    if sizes or inputs["method"] not in METHODS:
        raise damaged(path, "inputs that no result has")
    plan = rest.plan
    names = [pool.name for pool in plan.pools]
    if names != list(scenario.pools):
        raise damaged(path, "a plan of other pools than the scenario's")
    if not (plan.n_ranks > 0 and plan.peak_flop_per_s > 0 and plan.model_flops > 0):
        raise damaged(path, "a plan without work")
    wanted: dict[str, Any] = {
        **dict.fromkeys(("run", "step"), pl.UInt32),
        **dict.fromkeys(METRICS, pl.Float64),
        "slowest_pool": pl.Enum(names),
        **({IN_EPISODE: pl.Boolean} if plan.has_episodes else {}),
    }
    with_terms = wants_terms(inputs)
    if with_terms:
        wanted |= list_types(plan)
    if dict(table.schema) != wanted or table.height != runs * steps:
        raise damaged(path, "other columns or rows than its inputs make")
    if any(table.null_count().row(0)) or (with_terms and not lists_fit(table, plan)):
        raise damaged(path, "steps without numbers")
    step_time_s = table["step_time_s"]
    if not (step_time_s.is_finite().all() and (step_time_s > 0).all()):
        raise damaged(path, "steps that take no time")
    if (rest.hours is not None) != ("days" in inputs):
        raise damaged(path, "whole runs that its inputs do not make")
    if rest.hours is not None and not _hours_fit(rest.hours, runs, len(names)):
        raise damaged(path, "no hours for each run and pool")
    if not _forecast_fits(rest.forecast, parts.document.get("forecast")):
        raise damaged(path, "a forecast of other runs than its document's")
    if not _attribution_fits(rest.attribution, parts.document):
        raise damaged(path, "an attribution other than its document's")
    for name in _by_run_and_pool(parts):
        if [len(row) for row in getattr(rest, name) or []] != [len(names)] * runs:
            raise damaged(path, f"no {name} for each run and pool")


def _by_run_and_pool(parts: Parts) -> list[str]:
    """Return the columns with one row a run and pool that a file is to hold."""
    has_episodes = IN_EPISODE in parts.table.columns
    return [name for name in BY_RUN_AND_POOL if has_episodes or name != "episode_s"]


def _hours_fit(hours: RunHours, runs: int, n_pools: int) -> bool:
    """Return whether simulated whole runs have numbers for each run, pool and kind."""
    by_kind = (hours.interruptions, hours.failures)
    return (
        [[len(names) for names in run] for run in hours.gpu_hours]
        == [[len(NAMES)] * n_pools] * runs
        and all([len(run) for run in each] == [len(hours.kinds)] * runs for each in by_kind)
        and len(hours.regrows) == runs
        and len(hours.nodes_down) == n_pools
        and hours.days > 0
    )


def _forecast_fits(found: Forecast | None, document: Any) -> bool:
    """Return whether a forecast has numbers for each run, and is that of the document."""
    if found is None:
        return document is None
    columns = (found.step_time_s, found.mfu, *found.draws.values())
    return (
        {"stack", "seed", "runs", "steps", "method", "version"} <= found.inputs.keys()
        and {len(numbers) for numbers in columns} == {found.inputs["runs"]}
        and found.draws.keys() == found.unknowns.keys()
        and min(found.step_time_s) > 0
        and found.document() == document
    )


def _attribution_fits(found: Attribution | None, document: dict[str, Any]) -> bool:
    """Return whether an attribution is that of the document."""
    known = document.get("attribution")
    if found is None:
        return known is None
    whole = found.with_scenario(document["inputs"]["scenario"])
    return whole.totals.keys() >= {"mfu"} and whole.document() == known


def _columns(parts: Parts) -> _core.Columns:
    """Return the columns of a file, frozen like those of the engines."""
    columns: dict[str, NDArray[Any]] = {
        name: parts.table[name].to_numpy()
        for name in ("step_time_s", "compute_s", "exposed_comm_s", "stall_s")
    }
    columns["slowest"] = parts.table["slowest_pool"].to_physical().to_numpy().astype(np.uint32)
    if IN_EPISODE in parts.table.columns:
        columns["in_episode"] = parts.table[IN_EPISODE].to_numpy()
    for name in _by_run_and_pool(parts):
        columns[name] = np.array(getattr(parts.rest, name), dtype=np.float64).ravel()
    if wants_terms(parts.document["inputs"]):
        columns |= columns_of_lists(parts.table)
    for array in columns.values():
        array.flags.writeable = False
    return cast("_core.Columns", columns)
