"""What points of unknowns come to: steps and whole runs, each simulated for its own unknowns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import Point, Unknown
from hindmost.arguments import (
    DEFAULT_DAYS,
    as_float,
    as_int,
    available_threads,
    drawn_seed,
    method_problems,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    thread_problems,
    whole_run_problems,
)
from hindmost.compiled import Compiled
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem, ScenarioError
from hindmost.parallel import in_parallel
from hindmost.plan import Plan
from hindmost.statistics import jackknife
from hindmost.whole_run.account import Account
from hindmost.whole_run.fleet import Fleet
from hindmost.whole_run.hours import RunHours, run_hours

Metric = Literal["mfu", "fleet_mfu"]
SIZES = {"order-statistics": (4, 250), "sample": (2, 10)}
"""Runs, and steps of each run, by method: of each point, so fewer than of one simulation."""


def sizes_of(
    *,
    steps: int | None,
    runs: int | None,
    seed: int | None,
    threads: int | None,
    method: Method,
    days: float | None,
) -> dict[str, Any]:
    """Return how points are to be simulated, with a seed and threads where none are given."""
    steps, runs, seed, threads = (as_int(each) for each in (steps, runs, seed, threads))
    return {
        "steps": steps,
        "runs": runs,
        "seed": drawn_seed() if seed is None else seed,
        "threads": available_threads() if threads is None else threads,
        "method": method,
        "days": as_float(days),
    }


def sizes_problems(
    *,
    steps: int | None,
    runs: int | None,
    seed: int,
    threads: int,
    method: str,
    days: float | None,
    has_failures: bool,
) -> list[Problem]:
    """Return the problems of how points are to be simulated."""
    return [
        *size_problems(steps=steps, runs=runs),
        *seed_problems(seed),
        *thread_problems(threads),
        *method_problems(method),
        *whole_run_problems(days=days, tokens=None, has_failures=has_failures),
    ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one point comes to.

    Attributes
    ----------
    value, std_error : float
        The metric, and its standard error; 0 for one run.
    tail, tail_error : float
        p95 over p50 of step times, and its standard error.
    """

    value: float
    std_error: float
    tail: float
    tail_error: float


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Steps of a point."""

    plan: Plan
    mean_step_s: NDArray[np.float64]
    tails: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Points:
    """How points are simulated.

    Attributes
    ----------
    base : Compiled
        The scenario.
    unknowns : sequence of Unknown
        Its unknowns.
    metric : str
        What is observed.
    seed, runs, steps : int
        As in `simulate`, the same for all points.
    days : float
        Days of whole runs.
    threads : int
        Threads for all of them.
    """

    base: Compiled
    unknowns: Sequence[Unknown]
    metric: Metric
    seed: int
    runs: int
    steps: int
    days: float
    method: Method
    threads: int

    @classmethod
    def of(
        cls,
        base: Compiled,
        unknowns: Sequence[Unknown],
        metric: Metric,
        *,
        steps: int | None,
        runs: int | None,
        seed: int,
        threads: int,
        method: Method,
        days: float | None,
    ) -> Points:
        """Return points of default sizes where none are given.

        Raises
        ------
        ScenarioError
            If a point has too many rows.
        """
        default_runs, default_steps = SIZES[_method_of(base, method)]
        runs = default_runs if runs is None else runs
        steps = default_steps if steps is None else steps
        refuse(row_problems(runs, steps))
        return cls(
            base=base,
            unknowns=unknowns,
            metric=metric,
            seed=seed,
            runs=runs,
            steps=steps,
            days=DEFAULT_DAYS if days is None else days,
            method=method,
            threads=threads,
        )

    @property
    def inputs(self) -> dict[str, Any]:
        """Seed, runs, steps, method and days of each point."""
        return {
            "seed": self.seed,
            "runs": self.runs,
            "steps": self.steps,
            "method": _method_of(self.base, self.method),
            "days": self.days if self.base.scenario.enabled_failures else None,
        }

    def outcomes(
        self, points: Sequence[Point], *, progress: Progress | None = None
    ) -> list[Outcome | None]:
        """Return what each point comes to; None for one that the scenario refuses.

        Steps are simulated with the values of those unknowns that act on steps, and whole runs
        with those of the others, so that each is simulated once where its values are the same.
        """
        on_steps, on_runs = sides(self.base.scenario, self.unknowns)
        of_steps = self._distinct(points, on_steps, self._steps, progress)
        if self.metric == "mfu":
            return [None if steps is None else self._of_steps(steps) for steps in of_steps]
        of_runs = self._distinct(points, on_runs, self._hours, None)
        pairs = zip(of_steps, of_runs, strict=True)
        return [
            None if steps is None or hours is None else self._of_both(steps, hours)
            for steps, hours in pairs
        ]

    def _distinct(
        self,
        points: Sequence[Point],
        paths: Sequence[str],
        simulate: Callable[[Compiled, int, Progress | None], Any],
        progress: Progress | None,
    ) -> list[Any]:
        """Return what points come to on one side, each of equal values simulated once."""
        keys = [tuple((path, point[path]) for path in paths if path in point) for point in points]
        distinct = list(dict.fromkeys(keys))

        def simulated(
            key: tuple[tuple[str, Any], ...], *, threads: int, progress: Progress | None
        ) -> Any:
            try:
                return simulate(self.base.with_changes(dict(key)), threads, progress)
            except ScenarioError:
                return None

        found = in_parallel(distinct, simulated, threads=self.threads, progress=progress)
        by_key = dict(zip(distinct, found, strict=True))
        return [by_key[key] for key in keys]

    def _steps(self, compiled: Compiled, threads: int, progress: Progress | None) -> _Steps:
        result = compiled.simulate_steps(
            seed=self.seed,
            runs=self.runs,
            steps=self.steps,
            method=self.method,
            threads=threads,
            progress=progress,
        )
        rows = result.columns["step_time_s"].reshape(self.runs, -1)
        return _Steps(
            plan=compiled.plan,
            mean_step_s=result.mean_step_s,
            tails=_with_each_left_out(_tail, rows),
        )

    def _hours(self, compiled: Compiled, threads: int, progress: Progress | None) -> RunHours:
        del progress
        fleet = Fleet(scenario=compiled.scenario, plan=compiled.plan)
        return run_hours(fleet, seed=self.seed, runs=self.runs, days=self.days, threads=threads)

    def _of_steps(self, steps: _Steps) -> Outcome:
        def mfu(mean_step_s: NDArray[np.float64]) -> float:
            return float(steps.plan.peak_step_s / mean_step_s.mean())

        return _outcome(_with_each_left_out(mfu, steps.mean_step_s), steps.tails)

    def _of_both(self, steps: _Steps, hours: RunHours) -> Outcome:
        account = Account.of(hours, steps.plan, steps.mean_step_s)
        both = np.stack([account.kept_flops, account.possible_flops], axis=1)

        def fleet_mfu(flops: NDArray[np.float64]) -> float:
            return float(flops[:, 0].sum() / flops[:, 1].sum())

        return _outcome(_with_each_left_out(fleet_mfu, both), steps.tails)


def _method_of(base: Compiled, method: Method) -> str:
    """Return the method that a scenario is simulated by."""
    if method != "auto":
        return method
    return "sample" if isinstance(base.exact, Reason) else "order-statistics"


def _with_each_left_out(
    of: Callable[[NDArray[np.float64]], float], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what all runs come to, then without each of several runs."""
    n_runs = len(rows)
    left_out = (np.delete(rows, run, axis=0) for run in range(n_runs)) if n_runs > 1 else ()
    return np.array([of(rows), *map(of, left_out)])


def _tail(rows: NDArray[np.float64]) -> float:
    """Return p95 over p50 of step times."""
    middle, far = np.quantile(rows, (0.5, 0.95))
    return float(far / middle)


def _outcome(values: NDArray[np.float64], tails: NDArray[np.float64]) -> Outcome:
    return Outcome(
        value=float(values[0]),
        std_error=jackknife(values[1:]) or 0.0,
        tail=float(tails[0]),
        tail_error=jackknife(tails[1:]) or 0.0,
    )
