"""Which measurement to take next: what each unknown adds to the uncertainty of a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost.analyses.forecast import as_forecast, what_is_drawn
from hindmost.analyses.matters import name_of
from hindmost.analyses.points import Metric, Points, sizes_of, sizes_problems
from hindmost.analyses.sides import sides
from hindmost.analyses.sobol_indices import Index, sobol_indices
from hindmost.analyses.unknowns import MAX_POINTS, Unknown, drawn
from hindmost.arguments import as_int, bounds, refuse
from hindmost.compiled import compile
from hindmost.engines import Method, Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.scenario import Changes, Scenario

if TYPE_CHECKING:
    import polars as pl

DEFAULT_N = 256
"""Points that each unknown is varied in."""
METRICS = ("mfu", "fleet_mfu")
"""What may be predicted."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one unknown, or some that move together, add to the uncertainty.

    Attributes
    ----------
    paths : tuple of str
        Key paths; several where a software stack implies them.
    index : Index
        Sobol indices of its law.
    left : float
        Share of the standard deviation that is left on average once it is known.
    """

    paths: tuple[str, ...]
    index: Index
    left: float

    @property
    def name(self) -> str:
        """Its key path, with a star for what those that move together have instead."""
        return name_of(self.paths)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sensitivity:
    """What the unknowns of a scenario add to the uncertainty of a prediction.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    metric : str
        What is predicted: ``mfu`` or ``fleet_mfu``.
    inputs : dict
        n, seed, runs, steps, method and days of each point.
    mean, sd : float
        Mean and standard deviation over the laws of all unknowns.
    shares : tuple of Share
        By total index, the greatest first.
    n_points, n_refused : int
        Points that were simulated, and those that the scenario refuses: what is drawn with one of
        these is left out.
    held : tuple of str
        Unknowns that stay as the scenario has them, as in a forecast: they make another job.
    idle : tuple of str
        Unknowns that do not act on the metric.
    """

    scenario: Scenario
    metric: Metric
    inputs: dict[str, Any]
    mean: float
    sd: float
    shares: tuple[Share, ...]
    n_points: int
    n_refused: int
    held: tuple[str, ...]
    idle: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of `frame`, made without Polars."""
        return [
            {"path": path, **asdict(share.index), "left": share.left}
            for share in self.shares
            for path in share.paths
        ]

    @property
    def frame(self) -> pl.DataFrame:
        """One row an unknown: path, first, first_error, total, total_error and left."""
        import polars as pl

        return pl.DataFrame(self.rows)

    def document(self) -> dict[str, Any]:
        """Return it as plain tables, as ``sensitivity --format json`` prints it."""
        return {
            "inputs": self.inputs,
            "scenario": self.scenario.name,
            "metric": self.metric,
            "mean": self.mean,
            "sd": self.sd,
            "unknowns": self.rows,
            "n_points": self.n_points,
            "n_refused": self.n_refused,
            "held": list(self.held),
            "idle": list(self.idle),
        }


def sensitivity(
    scenario: Scenario | str | Path,
    *,
    metric: Metric = "mfu",
    n: int | None = None,
    changes: Changes | None = None,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    days: float | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Return which part of the uncertainty of a prediction each unknown explains.

    Of a forecast: what is not known is what `forecast` draws, so that a scenario which names no
    stack has the unknowns of the stack ``typical``.

    Parameters
    ----------
    scenario
        A scenario with unknowns, or a name or path that `load` takes.
    metric
        ``mfu`` of steps, or ``fleet_mfu`` of whole runs.
    n
        Points that each unknown is varied in, from 16 on; 256 by default. Simulated are
        n x (unknowns + 2) of them.
    changes
        Key paths and their new values, laid over the scenario.
    steps, runs
        Of each point: by default 4 runs of 250 with order statistics, and 2 of 10 with ``sample``.
    seed, method, threads, days
        As in `simulate`, the same for all points.
    progress
        Called with the points that are done and all of them.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if it has no unknowns, or refuses nearly
        all of their points.

    Notes
    -----
    Indices are Sobol's, of the laws of the unknowns, which are independent of each other; the
    efficiencies that a software stack implies are one. With V the variance of the metric over all
    of them, the first-order index of x is Var(E[metric | x]) / V, and the total one
    E[Var(metric | all but x)] / V. All points share the random numbers of their simulations.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.sensitivity("h100-1k", n=32, seed=1, runs=1, steps=20)
    >>> found.shares[0].index.total > found.shares[-1].index.total
    True
    """
    n = DEFAULT_N if n is None else as_int(n)
    sizes = sizes_of(steps=steps, runs=runs, seed=seed, threads=threads, method=method, days=days)

    def call_problems(*, has_failures: bool) -> list[Problem]:
        return [
            *_metric_problems(metric, has_failures=has_failures),
            *bounds("n", n, 16, MAX_POINTS // 2),
            *sizes_problems(**sizes, has_failures=has_failures),
        ]

    try:
        base = as_forecast(compile(scenario, changes))
    except ScenarioError as error:
        # Whether it has failures is not known then.
        refuse([*error.problems, *call_problems(has_failures=True)])
        raise
    unknowns, held, _ = what_is_drawn(base.scenario)
    refuse(
        [
            *_unknown_problems(base.scenario, unknowns),
            *call_problems(has_failures=bool(base.scenario.enabled_failures)),
        ]
    )
    return _found(Points.of(base, unknowns, metric, **sizes), n, held, progress)


def _unknown_problems(scenario: Scenario, unknowns: Sequence[Unknown]) -> list[Problem]:
    if unknowns:
        return []
    requirement = "must name at least one value and its law"
    hint = '"causes.stall.per_hour" = { name = "log-uniform", low = 0.005, high = 0.05 }'
    return [Problem(path="unknowns", requirement=requirement, hint=hint, source=scenario.source)]


def _metric_problems(metric: Any, *, has_failures: bool) -> list[Problem]:
    if metric not in METRICS:
        requirement = f"must be one of {', '.join(METRICS)}"
        return [Problem(path="metric", requirement=requirement, value=metric)]
    if metric == "fleet_mfu" and not has_failures:
        requirement = "must be mfu: fleet_mfu needs whole runs, and the scenario has no [failures]"
        return [Problem(path="metric", requirement=requirement, value=metric)]
    return []


def _found(points: Points, n: int, held: tuple[str, ...], progress: Progress | None) -> Sensitivity:
    base = points.base
    on_steps, on_runs = sides(base.scenario, points.unknowns)
    acting = on_steps if points.metric == "mfu" else [*on_steps, *on_runs]
    groups = _groups([one for one in points.unknowns if one.path in acting])
    drawn_a, drawn_b = (drawn(points.unknowns, points.seed, first, first + n) for first in (0, n))
    tried = [*drawn_a, *drawn_b]
    for paths in groups:
        tried += [
            {**of_a, **{path: of_b[path] for path in paths}}
            for of_a, of_b in zip(drawn_a, drawn_b, strict=True)
        ]
    outcomes = points.outcomes(tried, progress=progress)
    values = np.array([math.nan if one is None else one.value for one in outcomes]).reshape(-1, n)
    whole = ~np.isnan(values).any(axis=0)
    if whole.sum() < 2:
        requirement = "must leave scenarios that are not refused, and hardly any point does"
        refuse([Problem(path="unknowns", requirement=requirement, source=base.scenario.source)])
    of_a, of_b, *of_ab = values[:, whole]
    indices = sobol_indices(of_a, of_b, np.array(of_ab).reshape(len(groups), -1))
    shares = [
        Share(paths=paths, index=index, left=math.sqrt(min(1.0, max(0.0, 1 - index.first))))
        for paths, index in zip(groups, indices, strict=True)
    ]
    both = np.concatenate([of_a, of_b])
    return Sensitivity(
        scenario=base.scenario,
        metric=points.metric,
        inputs={"n": n, **points.inputs},
        mean=float(both.mean()),
        sd=float(both.std()),
        shares=tuple(sorted(shares, key=lambda share: -share.index.total)),
        n_points=len(tried),
        n_refused=int(np.isnan(values).sum()),
        held=held,
        idle=tuple(one.path for one in points.unknowns if one.path not in acting),
    )


def _groups(unknowns: Sequence[Unknown]) -> list[tuple[str, ...]]:
    """Return the key paths of unknowns, those together that share a random word."""
    by_stream: dict[str, list[str]] = {}
    for one in unknowns:
        by_stream.setdefault(one.stream, []).append(one.path)
    return [tuple(paths) for paths in by_stream.values()]
