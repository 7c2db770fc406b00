"""Differences between scenarios on common random numbers, with the errors of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindmost.arguments import available_threads, drawn_seed
from hindmost.compiled import DEFAULT_SIZES, Compiled, scenario_of
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem, ScenarioError
from hindmost.metrics import METRICS, RUN_METRICS
from hindmost.notebook import Cells, shown
from hindmost.parallel import in_parallel
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario, with_changes
from hindmost.scenario.change import as_changes
from hindmost.statistics import jackknife
from hindmost.student import student_quantile

if TYPE_CHECKING:
    import polars as pl

MAX_SIDES = 64
"""Sides beside the base, at most."""
EXACT: Method = "order-statistics"
"""Method that is taken where it is exact for all sides."""
CONFIDENCE = 0.95
"""Probability with which an interval holds the difference."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How one statistic of one metric differs between a side and the base.

    Attributes
    ----------
    side : str
        Name of the side.
    metric, statistic : str
        What differs.
    base, value : float
        Its value in the base and in the side.
    difference : float
        value - base.
    std_error : float or None
        Standard error of the difference, by leaving out each run of both; None for one run.
    low, high : float or None
        Ends of its 95% interval, by Student's t with one degree of freedom less than runs.
    is_clear : bool or None
        Whether the interval leaves out 0; None for one run.
    """

    side: str
    metric: str
    statistic: str
    base: float
    value: float
    difference: float
    std_error: float | None
    low: float | None
    high: float | None
    is_clear: bool | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """A base and other sides, simulated on common random numbers.

    Attributes
    ----------
    base : Result
        The result of the base.
    sides : mapping of str to Result
        Those of the other sides, by name.
    why : str
        Why all of them were simulated by the method that they were.
    unchanged : tuple of str
        Sides whose plan and failures are those of the base, so that nothing can differ.
    """

    base: Result
    sides: Mapping[str, Result]
    why: str
    unchanged: tuple[str, ...]

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Differences of all sides, metrics and statistics; of whole runs, where both have them."""
        return tuple(
            difference
            for name, side in self.sides.items()
            for difference in _differences(name, self.base, side)
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: differences of means."""
        keys = ("side", "metric", "base", "value", "difference", "std_error", "is_clear")
        rows = [
            [getattr(one, key) for key in keys]
            for one in self.differences
            if one.statistic == "mean"
        ]
        return shown(f"{self.base.scenario.name} and others: means", Cells(keys, rows))

    @property
    def frame(self) -> pl.DataFrame:
        """`differences` as a table, one row each."""
        import polars as pl

        floats = dict.fromkeys(("std_error", "low", "high"), pl.Float64)
        schema = {**floats, "is_clear": pl.Boolean}
        return pl.DataFrame(list(map(asdict, self.differences)), schema_overrides=schema)

    def difference(self, side: str, metric: str, statistic: str = "mean") -> Difference:
        """Return one difference; raises KeyError if there is none."""
        for one in self.differences:
            if (one.side, one.metric, one.statistic) == (side, metric, statistic):
                return one
        raise KeyError((side, metric, statistic))

    def document(self) -> dict[str, Any]:
        """Return the comparison as plain tables, as ``compare --format json`` prints it."""
        inputs = {key: self.base.inputs[key] for key in ("seed", "runs", "steps", "method")}
        return {
            "inputs": {**inputs, "version": self.base.inputs["version"]},
            "why": self.why,
            "base": self.base.scenario.name,
            "sides": [{"side": name, "unchanged": name in self.unchanged} for name in self.sides],
            "differences": [asdict(one) for one in self.differences],
        }


def compare(
    scenario: Scenario | str | Path,
    sides: Mapping[str, Changes | Scenario | str | Path],
    *,
    changes: Changes | None = None,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    days: float | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Return how other sides differ from a scenario, on common random numbers.

    Parameters
    ----------
    scenario
        The base: a scenario, or a name or path that `load` takes.
    sides
        The others by name: changes of the base, or scenarios, names or paths.
    changes
        Key paths and their new values, laid over the base.
    steps, runs, seed, threads, days, progress
        As in `simulate`, the same for all sides; days only count for those with failures.
    method
        As in `simulate`. All sides are simulated by one method, ``sample`` with ``auto`` if any of
        them needs it.

    Raises
    ------
    ScenarioError
        With every problem of a scenario or the call.

    Notes
    -----
    Run r of each side has the random numbers of run r of the base, so that the difference varies
    less than either. Its error leaves out one run of both at a time.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.compare(
    ...     "h100-1k", {"slow software": {"pools.h100.software_efficiency": 0.9}}, seed=1, steps=100
    ... )
    >>> round(found.difference("slow software", "mfu").difference, 2)
    -0.03
    """
    base = Compiled(scenario_of(scenario, changes))
    others = {name: _side(base, name, side) for name, side in _judged(sides).items()}
    method, why = _one_method(base, others, method)
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    default_runs, default_steps = DEFAULT_SIZES["sample" if method == "sample" else EXACT]
    call: dict[str, Any] = {
        "seed": seed,
        "method": method,
        "runs": default_runs if runs is None else runs,
        "steps": default_steps if steps is None else steps,
    }

    def simulated(compiled: Compiled, *, threads: int, progress: Progress | None) -> Result:
        has_failures = bool(compiled.scenario.enabled_failures)
        sides_days = days if has_failures else None
        return compiled.simulate(**call, days=sides_days, threads=threads, progress=progress)

    result, *of_sides = in_parallel(
        [base, *others.values()], simulated, threads=threads, progress=progress
    )
    return Comparison(
        base=result,
        sides=dict(zip(others, of_sides, strict=True)),
        why=why,
        unchanged=tuple(name for name, side in others.items() if _is_unchanged(base, side)),
    )


def _judged(sides: Any) -> Mapping[str, Any]:
    """Return sides by name, or refuse what is none."""
    if not (isinstance(sides, Mapping) and 1 <= len(sides) <= MAX_SIDES):
        requirement = f"must be a mapping of 1 to {MAX_SIDES} names to changes or scenarios"
        raise ScenarioError([Problem(path="sides", requirement=requirement)])
    for name in sides:
        if not (isinstance(name, str) and name):
            requirement = "must have names that are texts"
            raise ScenarioError([Problem(path="sides", requirement=requirement, value=name)])
    return sides


def _side(base: Compiled, name: str, side: Any) -> Compiled:
    """Return a side, compiled; what is wrong with its changes names it."""
    if isinstance(side, Scenario | str | Path):
        return Compiled(scenario_of(side, None))
    source = f"side {name}"
    changes = as_changes(side, source)
    return Compiled(with_changes(base.scenario, changes, changes_from=source), like=base)


def _one_method(
    base: Compiled, others: Mapping[str, Compiled], method: Method
) -> tuple[Method, str]:
    """Return the method for all sides, and why."""
    if method != "auto":
        return method, "as asked"
    for name, compiled in {"the base": base, **others}.items():
        if isinstance(compiled.exact, Reason):
            return "sample", f"{name}: {compiled.exact}"
    return EXACT, "exact: each step is a tree of maxima, on all sides"


def _is_unchanged(base: Compiled, side: Compiled) -> bool:
    """Return whether nothing that is simulated differs."""
    keys = ("failures", "recovery", "checkpoint", "slices")
    tables = (tuple(getattr(compiled.scenario, key) for key in keys) for compiled in (base, side))
    return base.plan == side.plan and next(tables) == next(tables)


def _differences(name: str, base: Result, side: Result) -> list[Difference]:
    metrics = [*METRICS]
    if base.account is not None and side.account is not None:
        metrics += RUN_METRICS
    found = []
    for metric in metrics:
        pairs = zip(base.replicates(metric), side.replicates(metric), strict=True)
        for ours, theirs in pairs:
            difference = theirs.value - ours.value
            std_error = jackknife(theirs.left_out - ours.left_out)
            reach = None
            if std_error is not None:
                reach = std_error * student_quantile((1 + CONFIDENCE) / 2, len(ours.left_out) - 1)
            found.append(
                Difference(
                    side=name,
                    metric=metric,
                    statistic=ours.statistic,
                    base=ours.value,
                    value=theirs.value,
                    difference=difference,
                    std_error=std_error,
                    low=None if reach is None else difference - reach,
                    high=None if reach is None else difference + reach,
                    is_clear=None if reach is None else bool(abs(difference) > reach),
                )
            )
    return found
