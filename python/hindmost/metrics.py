"""Metrics of a step and statistics of their rows, one table of each.

Results, thresholds of ``--fail-if``, reports and the JSON Schema of a result all read them here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hindmost.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from hindmost import _core
    from hindmost.order import Rows

RowsOf = Callable[["_core.Columns", float], "Rows"]
"""Returns the rows of a metric from an engine's columns and the step time in which every rank
would run at its dense peak, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that every step has.

    Attributes
    ----------
    name : str
        Name in tables, thresholds and documents.
    title : str
        Name for people.
    unit : str
        ``s`` for seconds, empty for a ratio.
    meaning : str
        Definition, in one sentence.
    rows : Callable
        Returns its rows, one a step, runs one after another.
    weights : Callable or None
        Returns what its rows are weighted by in a mean; None for equal weights. A ratio is weighted
        by its denominator, so that its mean is a ratio of sums.
    """

    name: str
    title: str
    unit: str
    meaning: str
    rows: RowsOf
    weights: RowsOf | None = None

    @property
    def heading(self) -> str:
        """Title with the unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="step_time_s",
            title="step time",
            unit="s",
            meaning="Duration of the step: compute_s + exposed_comm_s.",
            rows=lambda columns, _: columns["step_time_s"],
        ),
        Metric(
            name="compute_s",
            title="compute",
            unit="s",
            meaning="Compute time of the slowest replica, its stalls included.",
            rows=lambda columns, _: columns["compute_s"],
        ),
        Metric(
            name="exposed_comm_s",
            title="exposed",
            unit="s",
            meaning="Communication between replicas that no compute hides.",
            rows=lambda columns, _: columns["exposed_comm_s"],
        ),
        Metric(
            name="stall_s",
            title="stall",
            unit="s",
            meaning="Part of compute_s that stalls cost.",
            rows=lambda columns, _: columns["stall_s"],
        ),
        Metric(
            name="mfu",
            title="MFU",
            unit="",
            meaning="Model FLOPs over what the dense peak of all ranks does in the step time; its "
            "mean is FLOPs over peak x time, a ratio of sums.",
            rows=lambda columns, peak_step_s: peak_step_s / columns["step_time_s"],
            weights=lambda columns, _: columns["step_time_s"],
        ),
    )
}
"""Metrics by name, in the order of summaries."""


@dataclass(frozen=True, kw_only=True)
class RunMetric:
    """One number that every whole run has, where a scenario has failures.

    Attributes
    ----------
    name : str
        Name in tables, thresholds and documents.
    title : str
        Name for people.
    meaning : str
        Definition, in one sentence.
    """

    name: str
    title: str
    meaning: str


RUN_METRICS = {
    metric.name: metric
    for metric in (
        RunMetric(
            name="goodput",
            title="goodput",
            meaning="Share of the time of the GPUs held by the job, weighted by their peaks, in "
            "steps whose result was kept; its mean is a ratio of sums.",
        ),
        RunMetric(
            name="n_interruptions",
            title="interruptions",
            meaning="Failures that stop the job.",
        ),
        RunMetric(
            name="tokens_per_day",
            title="tokens a day",
            meaning="Tokens of steps whose result was kept, a day.",
        ),
        RunMetric(
            name="fleet_mfu",
            title="fleet MFU",
            meaning="Model FLOPs of steps whose result was kept over what all GPUs of the cluster "
            "do at their dense peak all the time.",
        ),
    )
}
"""Metrics of whole runs by name, in the order of summaries."""

PERCENTILES = {
    "p1": 1.0,
    "p5": 5.0,
    "p50": 50.0,
    "p95": 95.0,
    "p99": 99.0,
    "p99.9": 99.9,
    "p99.99": 99.99,
}
"""Percentiles of a summary by name, in percent."""

STATISTICS = ("mean", *PERCENTILES)
"""Names of the statistics of a summary, in its order."""


def name_problems(metric: str, statistic: str) -> list[Problem]:
    """Return the problems of the names of a value in a summary; none if there is such a value."""
    return [
        *_name_problems("metric", metric, [*METRICS, *RUN_METRICS]),
        *_name_problems("statistic", statistic, STATISTICS),
    ]


def _name_problems(path: str, name: str, known: Iterable[str]) -> list[Problem]:
    known = list(known)
    if name in known:
        return []
    requirement = f"must be one of {', '.join(known)}"
    hint = did_you_mean(name, known, or_list=False) if isinstance(name, str) else ""
    return [Problem(path=path, requirement=requirement, value=name, hint=hint)]
