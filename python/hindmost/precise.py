"""Runs that are added until a mean is known precisely enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, cast

import numpy as np

from hindmost import _core
from hindmost.errors import Problem

FIRST_RUNS = 8
"""Runs of which an error is taken for the first time: with fewer it says little."""
ADDED_RUNS = 4
"""Runs that are added at a time."""
STEPS = {"order-statistics": 1_000, "sample": 8}
"""Steps of a run by method, by default. Runs differ by what persists in them, which no number of
steps averages out: those of ``llama3-405b-16384`` by as much as 8 steps add to it."""
LIMITS = (1e-6, 1.0)
"""Relative error of a mean that can be asked for, at least, and below what."""


def precision_problems(precision: float | None, *, runs: int | None) -> list[Problem]:
    """Return the problems of a relative error that is asked for, where None stands for none.

    Parameters
    ----------
    precision
        The argument.
    runs
        Runs that the call asks for, too.
    """
    if precision is None:
        return []
    low, high = LIMITS
    found = []
    is_number = isinstance(precision, Real) and not isinstance(precision, bool)
    if not (is_number and low <= precision < high):
        requirement = f"must be a number from {low:g} to below {high:g}"
        found.append(Problem(path="precision", requirement=requirement, value=precision))
    if runs is not None:
        requirement = "must be left out with precision, which says how many there are"
        found.append(Problem(path="runs", requirement=requirement, value=runs))
    return found


def precise_columns(
    draw: Callable[[int, int], _core.Columns], *, precision: float, most_runs: int
) -> tuple[_core.Columns, int]:
    """Return the columns of as many runs as a precise mean takes, and their number.

    These are the columns of that number of runs, whatever they were added by.

    Parameters
    ----------
    draw
        Returns the columns of some runs: the first one, counted from 0, and how many there are.
    precision
        Standard error of the mean step time, as a share of it, that is small enough: that between
        runs, > 0.
    most_runs
        Runs at which it ends in any case, >= 8.
    """
    parts = [draw(0, FIRST_RUNS)]
    means = _run_means(parts[0], FIRST_RUNS)
    while not _is_precise(means, precision) and len(means) + ADDED_RUNS <= most_runs:
        parts.append(draw(len(means), ADDED_RUNS))
        means += _run_means(parts[-1], ADDED_RUNS)
    return _joined(parts), len(means)


def _run_means(columns: _core.Columns, runs: int) -> list[float]:
    return [float(mean) for mean in columns["step_time_s"].reshape(runs, -1).mean(axis=1)]


def _is_precise(means: list[float], precision: float) -> bool:
    error = float(np.std(means, ddof=1)) / math.sqrt(len(means))
    return error <= precision * float(np.mean(means))


def _joined(parts: list[_core.Columns]) -> _core.Columns:
    if len(parts) == 1:
        return parts[0]
    each = cast("list[dict[str, Any]]", parts)
    joined = {name: np.concatenate([part[name] for part in each]) for name in each[0]}
    for column in joined.values():
        # Rows of a result are never written to.
        column.flags.writeable = False
    return cast("_core.Columns", joined)
