"""Arguments of calls, their defaults and their limits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from hindmost.engines import METHODS
from hindmost.errors import Problem, ScenarioError

MAX_RUNS = 65_536
"""Runs of a result, at most: random addresses have 16 bits for them."""
MAX_STEPS = 2**32 - 1
"""Steps of a run, at most: random addresses have 32 bits for them."""
MAX_ROWS = 100_000_000
"""Rows of a result, at most; these take about 6 GB."""
MAX_THREADS = 1024
"""Threads of a simulation, at most."""
SEED_BITS = 53
"""Bits of a drawn seed, so few that every JSON reader keeps them."""


DEFAULT_DAYS = 30.0
"""Days of a whole run, by default."""
DAYS = (1e-6, 36_500.0)
"""Days of a whole run, at least and at most."""
TOKENS = (1.0, 1e18)
"""Tokens that a job is to be trained on, at least and at most."""


def drawn_seed() -> int:
    """Return a seed from the operating system."""
    # What the module secrets does, which takes long to import.
    n_bytes = (SEED_BITS + 7) // 8
    return int.from_bytes(os.urandom(n_bytes), "little") >> (8 * n_bytes - SEED_BITS)


def available_threads() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bounds(path: str, value: int, low: int, high: int) -> list[Problem]:
    """Return the problem of an argument that is no integer from `low` to `high`, if it has one."""
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high:
        return []
    requirement = f"must be an integer from {low} to {high}"
    return [Problem(path=path, requirement=requirement, value=value)]


def as_int(value: Any) -> Any:
    """Return NumPy's integers as those of Python, which do not overflow."""
    is_number = isinstance(value, Integral) and not isinstance(value, bool)
    return int(value) if is_number else value


def as_float(value: Any) -> Any:
    """Return NumPy's numbers as those of Python, and all others as they are."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    try:
        return float(value) if is_number else value
    except OverflowError:
        return value


def whole_run_problems(
    *, days: float | None, tokens: float | None, has_failures: bool
) -> list[Problem]:
    """Return the problems of the days and tokens of a whole run, where None stands for a default.

    Parameters
    ----------
    days, tokens
        The arguments.
    has_failures
        Whether the scenario has failures, without which there is no account of a whole run.
    """
    found = []
    for path, value, (low, high) in (("days", days, DAYS), ("tokens", tokens, TOKENS)):
        if value is None:
            continue
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and low <= value <= high):
            requirement = f"must be a number from {low:g} to {high:g}"
            found.append(Problem(path=path, requirement=requirement, value=value))
        elif not has_failures:
            requirement = "must be left out: the scenario has no [failures], so no whole runs"
            found.append(Problem(path=path, requirement=requirement, value=value))
    return found


def seed_problems(seed: int) -> list[Problem]:
    """Return the problem of a seed, if it has one."""
    return bounds("seed", seed, 0, 2**64 - 1)


def thread_problems(threads: int) -> list[Problem]:
    """Return the problem of a number of threads, if it has one."""
    return bounds("threads", threads, 1, MAX_THREADS)


def size_problems(*, steps: int | None, runs: int | None) -> list[Problem]:
    """Return the problems of steps and runs, where None stands for a default."""
    return [
        *([] if steps is None else bounds("steps", steps, 1, MAX_STEPS)),
        *([] if runs is None else bounds("runs", runs, 1, MAX_RUNS)),
    ]


def wanted_problems(steps: Sequence[int] | range) -> list[Problem]:
    """Return what is wrong with the steps to replay; of a range only the ends are looked at."""
    if isinstance(steps, range):
        ends = list(steps[:1]) + list(steps[-1:])
        return [problem for step in ends for problem in bounds("steps", step, 0, MAX_STEPS)]
    if isinstance(steps, str) or not hasattr(steps, "__len__"):
        return [Problem(path="steps", requirement="must be a list of integers", value=steps)]
    return [problem for step in steps for problem in bounds("steps", step, 0, MAX_STEPS)]


def row_problems(runs: int, steps: int) -> list[Problem]:
    """Return the problem of runs and steps that make too many rows together."""
    if not (isinstance(runs, Integral) and isinstance(steps, Integral)):
        return []
    runs, steps = int(runs), int(steps)
    if runs * steps <= MAX_ROWS:
        return []
    requirement = f"must make at most {MAX_ROWS:,} rows"
    return [Problem(path="runs x steps", requirement=requirement, value=runs * steps)]


def method_problems(method: str) -> list[Problem]:
    """Return the problem of a method, if there is no such one."""
    if isinstance(method, str) and method in METHODS:
        return []
    requirement = f"must be one of {', '.join(METHODS)}"
    return [Problem(path="method", requirement=requirement, value=method)]


def terms_problems(terms: bool) -> list[Problem]:
    """Return the problem of a wish for terms that is neither True nor False."""
    if isinstance(terms, bool):
        return []
    return [Problem(path="terms", requirement="must be True or False", value=terms)]


def refuse(found: list[Problem]) -> None:
    """Raise problems, if there are any.

    Raises
    ------
    ScenarioError
        With all of them.
    """
    if found:
        raise ScenarioError(found)
