"""What one would have to believe: unknowns of a scenario, given an MFU that was observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost.analyses.convention import ConvertedMfu, convention
from hindmost.analyses.points import Metric, Outcome, Points, sizes_of, sizes_problems
from hindmost.analyses.posterior import (
    Observed,
    Spread,
    distance,
    effective_size,
    spread,
    weights,
)
from hindmost.analyses.reach import Lever, corners, lever_of, value_that_would_do
from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import MAX_POINTS, Point, drawn, some_unknowns_of
from hindmost.arguments import as_float, refuse
from hindmost.compiled import Compiled, compile
from hindmost.engines import Method, Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.plots.intervals import Interval, intervals
from hindmost.plots.plot import Plot
from hindmost.scenario import Changes, Scenario

if TYPE_CHECKING:
    import polars as pl

FIRST_POINTS = 1024
"""Points by which it is judged what can be reached."""
LEAST_POINTS = 4096
"""Points of a posterior, at least."""
ENOUGH = 400.0
"""Effective sample size of a posterior, at least."""
FAR = 3.0
"""Standard deviations beyond which an observation is not reached."""
MFUS = (1e-6, 4.0)
"""MFU that can have been observed; above 1 where the peak is that of another number format."""
TAILS = (1.0, 1e6)
"""p95 over p50 of step times that can have been observed."""
TOLERANCES = (1e-9, 1e6)
"""How far off these may be."""


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What is known of one unknown before and after an observation.

    Attributes
    ----------
    path : str
        Its key path.
    prior, posterior : Spread
        Spread of its values among all points, without and with their weights.
    """

    path: str
    prior: Spread
    posterior: Spread


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What one would have to believe, given an observation.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    metric : str
        What was observed: ``mfu`` or ``fleet_mfu``.
    observed : Observed
        The observation.
    inputs : dict
        seed, runs, steps, method and days of each point.
    given : float
        What the scenario as it is comes to.
    lowest, highest : float
        What points and corners come to.
    nearest : dict of str to number
        The point that comes closest, by key path.
    nearest_value : float
        What it comes to.
    nearest_tail : float or None
        p95 over p50 of its step times, if that was observed.
    reachable : bool or None
        Whether points come within 3 standard deviations of the observation, of its tolerances and
        of their simulations together; None if too few do.
    levers : tuple of Lever
        What each unknown reaches alone.
    beliefs : tuple of Belief
        The posterior; none where the observation is not reached.
    n_points, n_refused : int
        Points of the posterior, and those among them that the scenario refuses.
    ess : float or None
        Their effective sample size; None without a posterior.
    idle : tuple of str
        Unknowns that do not act on what was observed.
    by_tool : ConvertedMfu or None
        What another tool printed, where that was observed; `observed` is what it is here.
    """

    scenario: Scenario
    metric: Metric
    observed: Observed
    inputs: dict[str, Any]
    given: float
    lowest: float
    highest: float
    nearest: Point
    nearest_value: float
    nearest_tail: float | None
    reachable: bool | None
    levers: tuple[Lever, ...]
    beliefs: tuple[Belief, ...]
    n_points: int
    n_refused: int
    ess: float | None
    idle: tuple[str, ...]
    by_tool: ConvertedMfu | None = None

    def plot(self) -> Plot:
        """Return what is believed of each unknown before and after the observation.

        Raises
        ------
        ScenarioError
            If the observation is not reached, so that nothing follows from it.
        """
        if not self.beliefs:
            requirement = "must be reached: nothing follows from an observation that is not"
            raise ScenarioError([Problem(path="observed", requirement=requirement)])
        panels = []
        for one in self.beliefs:
            rows = [
                Interval("", kind, of.p5, of.p50, of.p95)
                for kind, of in (("before", one.prior), ("after", one.posterior))
            ]
            panels.append((one.path, rows))
        name = {"mfu": "MFU", "fleet_mfu": "fleet MFU"}[self.metric]
        return intervals(
            panels,
            title=f"What {name} {self.observed.value:g} says, {self.scenario.name}",
            subtitle="median and 90% interval of each unknown, before and after",
        )

    @property
    def unexplained_factor(self) -> float | None:
        """The observation over what comes closest to it; None if that is 0."""
        return self.observed.value / self.nearest_value if self.nearest_value else None

    @property
    def frame(self) -> pl.DataFrame:
        """`beliefs` as a table, one row an unknown."""
        import polars as pl

        return pl.DataFrame(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of `frame`, made without Polars."""
        return [
            {
                "path": belief.path,
                **{f"prior_{key}": value for key, value in asdict(belief.prior).items()},
                **asdict(belief.posterior),
            }
            for belief in self.beliefs
        ]

    def belief(self, path: str) -> Belief:
        """Return what is known of one unknown; raises KeyError if there is no such posterior."""
        for one in self.beliefs:
            if one.path == path:
                return one
        raise KeyError(path)

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain tables, as ``explain --format json`` prints it."""
        return {
            "inputs": self.inputs,
            "scenario": self.scenario.name,
            "metric": self.metric,
            "observed": asdict(self.observed),
            "by_tool": None if self.by_tool is None else self.by_tool.document(),
            "given": self.given,
            "reached": {"lowest": self.lowest, "highest": self.highest},
            "reachable": self.reachable,
            "nearest": {
                "value": self.nearest_value,
                "tail": self.nearest_tail,
                "point": self.nearest,
            },
            "unexplained_factor": self.unexplained_factor,
            "levers": [asdict(lever) for lever in self.levers],
            "n_points": self.n_points,
            "n_refused": self.n_refused,
            "ess": self.ess,
            "unknowns": [asdict(belief) for belief in self.beliefs],
            "idle": list(self.idle),
        }


def explain(
    scenario: Scenario | str | Path,
    *,
    mfu: float | None = None,
    mfu_of: str | Path | None = None,
    fleet_mfu: float | None = None,
    tolerance: float,
    tail: float | None = None,
    tail_tolerance: float | None = None,
    changes: Changes | None = None,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    days: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Return what one would have to believe of a scenario's unknowns, given an observed MFU.

    First it is judged whether anything in the range of the unknowns comes within three tolerances
    of the observation. If nothing does, there is no posterior: it is said what comes closest,
    which factor is left unexplained, and for each unknown the value that would do alone, inside
    or outside its range. Otherwise points of the prior, ``[unknowns]``, are weighed by how well
    they explain the observation.

    Parameters
    ----------
    scenario
        A scenario with unknowns, or a name or path that `load` takes.
    mfu, fleet_mfu
        What was observed, one of them: of steps, or of whole runs of all GPUs.
    mfu_of
        Tool that printed `mfu`, as `convention` takes it; `mfu` and `tolerance` are converted. By
        default they are as MFU is counted here.
    tolerance
        How far off that may be: a standard deviation, > 0.
    tail, tail_tolerance
        p95 over p50 of observed step times, and its standard deviation; both or none.
    changes
        Key paths and their new values, laid over the scenario.
    steps, runs
        Steps of a run, and runs, of each point: by default 4 runs of 250 with order statistics, and
        2 of 10 with ``sample``.
    seed, method, threads, days
        As in `simulate`, the same for all points.
    progress
        Called with the points that are done and all of a batch of them.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if it has no unknowns.

    Notes
    -----
    Points are as many as are needed for an effective sample size of 400, from 4,096 to 65,536.
    Point k has its own random word for each unknown, so that another unknown leaves them as they
    are; all points share those of their simulations.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.explain("h100-1k", mfu=0.11, tolerance=0.01, seed=1, runs=1, steps=20)
    >>> found.reachable, found.beliefs
    (False, ())
    """
    sizes = sizes_of(steps=steps, runs=runs, seed=seed, threads=threads, method=method, days=days)

    def call_problems(*, has_failures: bool) -> list[Problem]:
        return [
            *_tool_problems(mfu_of, mfu),
            *observation_problems(
                mfu=mfu,
                fleet_mfu=fleet_mfu,
                tolerance=tolerance,
                tail=tail,
                tail_tolerance=tail_tolerance,
                has_failures=has_failures,
            ),
            *sizes_problems(**sizes, has_failures=has_failures),
        ]

    try:
        base = compile(scenario, changes)
        unknowns = some_unknowns_of(base.scenario)
    except ScenarioError as error:
        # Whether it has failures is not known then.
        refuse([*error.problems, *call_problems(has_failures=True)])
        raise
    refuse(call_problems(has_failures=bool(base.scenario.enabled_failures)))
    value = mfu if fleet_mfu is None else fleet_mfu
    assert value is not None
    by_tool, factor = None, 1.0
    if mfu_of is not None:
        by_tool = convention(base.scenario, tool=mfu_of, mfu=mfu)
        counts_causal = base.scenario.workload.counted_attention == "causal"
        factor = (by_tool.causal if counts_causal else by_tool.full) / value
    observed = Observed(
        value=float(value) * factor,
        tolerance=float(tolerance) * factor,
        tail=None if tail is None else float(tail),
        tail_tolerance=None if tail_tolerance is None else float(tail_tolerance),
    )
    points = Points.of(base, unknowns, "mfu" if fleet_mfu is None else "fleet_mfu", **sizes)
    return replace(_explained(base, points, observed, progress), by_tool=by_tool)


def _tool_problems(mfu_of: Any, mfu: Any) -> list[Problem]:
    """Return the problem of a tool without an MFU that it printed."""
    if mfu_of is None or mfu is not None:
        return []
    requirement = "must be left out: it is of mfu, which is not given"
    return [Problem(path="mfu_of", requirement=requirement, value=str(mfu_of))]


def observation_problems(
    *,
    mfu: Any,
    fleet_mfu: Any,
    tolerance: Any,
    tail: Any,
    tail_tolerance: Any,
    has_failures: bool,
) -> list[Problem]:
    """Return the problems of an observation."""
    found = []
    if (mfu is None) == (fleet_mfu is None):
        requirement = "must be given, or fleet_mfu, and not both"
        found.append(Problem(path="mfu", requirement=requirement, value=mfu))
    if fleet_mfu is not None and not has_failures:
        requirement = "needs whole runs, and the scenario has no [failures]"
        hint = 'extends = ["llama3-failures"] has published rates, or observe mfu'
        found.append(Problem(path="fleet_mfu", requirement=requirement, hint=hint))
    if (tail is None) != (tail_tolerance is None):
        requirement = "must be given together with tail"
        if tail is not None:
            requirement = "is missing: how far off tail may be"
        found.append(Problem(path="tail_tolerance", requirement=requirement, value=tail_tolerance))
    for path, value, (least, most) in (
        ("mfu", mfu, MFUS),
        ("fleet_mfu", fleet_mfu, MFUS),
        ("tolerance", tolerance, TOLERANCES),
        ("tail", tail, TAILS),
        ("tail_tolerance", tail_tolerance, TOLERANCES),
    ):
        if value is None and path != "tolerance":
            continue
        number = as_float(value)
        if not (isinstance(number, float) and least <= number <= most):
            requirement = f"must be a number from {least:g} to {most:g}"
            is_percent = (least, most) == MFUS and isinstance(number, float) and most < number
            hint = "a share of the peak: 0.4 is 40%" if is_percent and number <= 100 else ""
            found.append(Problem(path=path, requirement=requirement, value=value, hint=hint))
    return found


def _explained(
    base: Compiled,
    points: Points,
    observed: Observed,
    progress: Progress | None,
) -> Explanation:
    unknowns = points.unknowns
    alone = [{unknown.path: end} for unknown in unknowns for end in unknown.ends]
    given, *at_ends = points.outcomes([{}, *alone])
    assert given is not None
    values = [None if one is None else one.value for one in at_ends]
    pairs = zip(unknowns, values[::2], values[1::2], strict=True)
    levers = [lever_of(unknown, (low, high)) for unknown, low, high in pairs]
    sampled = drawn(unknowns, points.seed, 0, FIRST_POINTS)
    tried = [*sampled, *corners(unknowns, levers)]
    outcomes = points.outcomes(tried, progress=progress)
    reached = [(point, one) for point, one in zip(tried, outcomes, strict=True) if one is not None]
    if not reached:
        requirement = "must leave some scenario that is not refused"
        refuse([Problem(path="unknowns", requirement=requirement, source=base.scenario.source)])
    nearest, closest = _nearest(reached, observed)
    on_steps, on_runs = sides(base.scenario, unknowns)
    acting = on_steps if points.metric == "mfu" else [*on_steps, *on_runs]
    found = Explanation(
        scenario=base.scenario,
        metric=points.metric,
        observed=observed,
        inputs=points.inputs,
        given=given.value,
        lowest=min(one.value for _, one in reached),
        highest=max(one.value for _, one in reached),
        nearest=nearest,
        nearest_value=closest.value,
        nearest_tail=None if observed.tail is None else closest.tail,
        reachable=_may_be_reached([one for _, one in reached], observed),
        levers=tuple(_with_what_would_do(points, levers, observed)),
        beliefs=(),
        n_points=FIRST_POINTS,
        n_refused=sum(one is None for one in outcomes[:FIRST_POINTS]),
        ess=None,
        idle=tuple(unknown.path for unknown in unknowns if unknown.path not in acting),
    )
    if not found.reachable:
        return found
    return _with_posterior(found, points, sampled, outcomes[:FIRST_POINTS], progress)


def _with_posterior(
    found: Explanation,
    points: Points,
    sampled: list[Point],
    outcomes: list[Outcome | None],
    progress: Progress | None,
) -> Explanation:
    """Return an explanation with a posterior, of as many points as it takes."""
    sampled, outcomes = list(sampled), list(outcomes)
    n_points = LEAST_POINTS
    while True:
        more = drawn(points.unknowns, points.seed, len(sampled), n_points)
        outcomes += points.outcomes(more, progress=progress)
        sampled += more
        weight = weights(outcomes, found.observed)
        ess = effective_size(weight)
        if ess >= ENOUGH or 2 * n_points > MAX_POINTS:
            break
        n_points *= 2
    reached = [
        (point, one) for point, one in zip(sampled, outcomes, strict=True) if one is not None
    ]
    nearest, closest = _nearest(reached, found.observed)
    n_refused = sum(one is None for one in outcomes)
    found = replace(
        found,
        nearest=nearest,
        nearest_value=closest.value,
        nearest_tail=None if found.observed.tail is None else closest.tail,
        n_points=len(sampled),
        n_refused=n_refused,
    )
    if distance(closest, found.observed) > FAR:
        # Between what is reached there may be a gap, and weights of points that all miss would
        # still have an effective sample size.
        return replace(found, reachable=False)
    equal = np.array([one is not None for one in outcomes], dtype=np.float64)
    beliefs = []
    for unknown in points.unknowns:
        numbers = np.array([point[unknown.path] for point in sampled], dtype=np.float64)
        prior = spread(numbers, equal / equal.sum())
        beliefs.append(Belief(path=unknown.path, prior=prior, posterior=spread(numbers, weight)))
    return replace(
        found,
        reachable=True if ess >= ENOUGH else None,
        beliefs=tuple(beliefs) if ess else (),
        ess=ess,
    )


def _may_be_reached(reached: Sequence[Outcome], observed: Observed) -> bool:
    """Return whether each figure that was observed lies within what is reached, or near it."""

    def near(value: float, ranges: list[tuple[float, float]]) -> bool:
        return min(low for low, _ in ranges) <= value <= max(high for _, high in ranges)

    def around(value: float, tolerance: float, std_error: float) -> tuple[float, float]:
        far = FAR * math.hypot(tolerance, std_error)
        return value - far, value + far

    of_value = [around(one.value, observed.tolerance, one.std_error) for one in reached]
    if not near(observed.value, of_value):
        return False
    if observed.tail is None:
        return True
    assert observed.tail_tolerance is not None
    of_tail = [around(one.tail, observed.tail_tolerance, one.tail_error) for one in reached]
    return near(observed.tail, of_tail)


def _nearest(reached: Sequence[tuple[Point, Outcome]], observed: Observed) -> tuple[Point, Outcome]:
    """Return the point that comes closest to an observation, and what it comes to."""
    return min(reached, key=lambda pair: distance(pair[1], observed))


def _with_what_would_do(points: Points, levers: list[Lever], observed: Observed) -> list[Lever]:
    """Return levers with the value of each that would do alone."""

    def value(point: Point) -> float | None:
        (one,) = points.outcomes([point])
        return None if one is None else one.value

    found = []
    for unknown, lever in zip(points.unknowns, levers, strict=True):
        would_do = value_that_would_do(
            unknown, lever, observed.value, value, tolerance=observed.tolerance
        )
        if would_do is not None:
            lever = replace(lever, would_do=would_do[0], is_inside=would_do[1])
        found.append(lever)
    return found
