"""Forecasts: what a scenario comes to in each of some draws of what is not known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost.errors import Problem, UnknownNameError, did_you_mean
from hindmost.metrics import PERCENTILES
from hindmost.order import Rows

if TYPE_CHECKING:
    import polars as pl

Row = dict[str, Any]

FORECAST_METRICS = ("mfu", "step_time_s")
"""Metrics of a forecast."""
FORECAST_STATISTICS = ("p5", "p50", "p95", "mean")
"""Statistics of a forecast: both ends of the 90% interval, the median and the mean, over runs."""
MIN_RUNS = 2
"""Runs of a forecast, at least: one run has no interval."""
CELLS = 64
"""Points of the law of an order statistic between two others."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Forecast:
    """What a scenario comes to, with what is not known of it drawn anew in every run.

    A forecast is a value: plain data that compares and pickles. Percentiles are those over runs of
    the runs' means.

    Attributes
    ----------
    inputs : dict
        scenario, stack, seed, runs, steps, method and version: everything that a repetition needs.
        The scenario is as it was given, and stack the software stack that its forecast takes.
    unknowns : dict of str to dict
        Laws of what is drawn, as tables by key path.
    draws : dict of str to tuple of number
        What is drawn, by key path, one number a run.
    step_time_s, mfu : tuple of float
        Mean of each run. That of mfu is FLOPs over peak x time, a ratio of sums.
    held : tuple of str
        Unknowns that stay as the scenario has them, because another value of them is another job:
        they change the tokens of a step.
    idle : tuple of str
        Unknowns that are drawn and do not act on steps, but on whole runs alone.
    n_redrawn : int
        Draws of runs that were made again because the scenario refuses their values.
    """

    inputs: dict[str, Any]
    unknowns: dict[str, dict[str, Any]]
    draws: dict[str, tuple[int | float, ...]]
    step_time_s: tuple[float, ...]
    mfu: tuple[float, ...]
    held: tuple[str, ...]
    idle: tuple[str, ...]
    n_redrawn: int

    def __repr__(self) -> str:
        low, middle, high = (self.value("mfu", name) for name in ("p5", "p50", "p95"))
        runs = f"{len(self.mfu)} runs with the stack {self.inputs['stack']}"
        return f"<Forecast: MFU {middle:.3g} ({low:.3g} to {high:.3g}), {runs}>"

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run: run, what is drawn by key path, step_time_s and mfu."""
        import polars as pl

        numbers = pl.Series(range(len(self.mfu)), dtype=pl.UInt32)
        means = {"step_time_s": self.step_time_s, "mfu": self.mfu}
        return pl.DataFrame({"run": numbers, **self.draws, **means})

    @cached_property
    def summary(self) -> pl.DataFrame:
        """One row a metric and statistic: metric, statistic, value, std_error.

        Statistics are over runs. std_error is how far they may be off because runs are so many and
        not more: the standard error of independent runs, which strata make no larger; null for the
        one run of a result without unknowns.
        """
        import polars as pl

        return pl.DataFrame(self.summary_rows, schema_overrides={"std_error": pl.Float64})

    @cached_property
    def summary_rows(self) -> list[Row]:
        """Rows of `summary`, made without Polars."""
        return [
            {"metric": metric, "statistic": statistic, "value": value, "std_error": std_error}
            for metric in FORECAST_METRICS
            for statistic, (value, std_error) in _statistics(getattr(self, metric)).items()
        ]

    def value(self, metric: str, statistic: str = "p50") -> float:
        """Return one value of the summary.

        Raises
        ------
        ScenarioError
            If there is no such metric or statistic, with those that there are. It is a KeyError,
            too.
        """
        found = forecast_name_problems(metric, statistic)
        if found:
            raise UnknownNameError(found)
        names = metric, statistic
        return next(
            float(row["value"])
            for row in self.summary_rows
            if (row["metric"], row["statistic"]) == names
        )

    def document(self) -> dict[str, Any]:
        """Return the forecast as plain tables, without its scenario, as JSON holds it."""
        tables: dict[str, dict[str, dict[str, float | None]]] = {"value": {}, "std_error": {}}
        for row in self.summary_rows:
            for key, table in tables.items():
                table.setdefault(row["metric"], {})[row["statistic"]] = row[key]
        return {
            **tables["value"],
            "std_error": tables["std_error"],
            **{key: self.inputs[key] for key in ("stack", "seed", "runs", "steps", "method")},
            "unknowns": self.unknowns,
            "held": list(self.held),
            "idle": list(self.idle),
            "n_redrawn": self.n_redrawn,
        }

    def with_scenario(self, scenario: Mapping[str, Any]) -> Forecast:
        """Return the forecast with the table of its scenario among its inputs."""
        return replace(self, inputs={"scenario": dict(scenario), **self.inputs})

    def without_scenario(self) -> Forecast:
        """Return the forecast without its scenario, to be kept where that is kept already."""
        inputs = {key: value for key, value in self.inputs.items() if key != "scenario"}
        return replace(self, inputs=inputs)


def forecast_name_problems(metric: str, statistic: str) -> list[Problem]:
    """Return the problems of the names of a value in a forecast; none if there is such a value."""
    found = []
    for path, name, known in (
        ("metric", metric, FORECAST_METRICS),
        ("statistic", statistic, FORECAST_STATISTICS),
    ):
        if name not in known:
            requirement = f"must be one of {', '.join(known)} in a forecast"
            hint = did_you_mean(name, known, or_list=False) if isinstance(name, str) else ""
            found.append(Problem(path=path, requirement=requirement, value=name, hint=hint))
    return found


def _statistics(means: tuple[float, ...]) -> dict[str, tuple[float, float | None]]:
    """Return each statistic of the means of runs, and its standard error; None for one run."""
    ordered = np.sort(np.array(means))
    found: dict[str, tuple[float, float | None]] = {}
    if len(ordered) == 1:
        return dict.fromkeys(FORECAST_STATISTICS, (float(ordered[0]), None))
    for name in FORECAST_STATISTICS:
        if name == "mean":
            error = float(ordered.std(ddof=1)) / math.sqrt(len(ordered))
            found[name] = float(ordered.mean()), error
        else:
            share = PERCENTILES[name] / 100
            # What np.quantile gives, which imports masked arrays first.
            places = np.arange(len(ordered))
            value = np.interp(share * places[-1], places, ordered)
            found[name] = float(value), quantile_error(ordered, share)
    return found


def quantile_error(ordered: Rows, share: float) -> float:
    """Return the standard error of a quantile that is linear between order statistics.

    Parameters
    ----------
    ordered : array of shape (n,)
        Independent numbers in ascending order, n >= 2.
    share
        Probability of the quantile, 0 to 1.

    Notes
    -----
    The r-th least of n numbers is their quantile at a probability of law Beta(r, n - r + 1). With
    the numbers as their own law it is the i-th of them with the probability of ((i - 1)/n, i/n],
    and its standard deviation follows (Maritz and Jarrett, A note on estimating the variance of the
    sample median, 1978). Between two of them the error is linear, which is at least the right one.
    """
    n = len(ordered)
    place = share * (n - 1)
    below = min(int(place), n - 2)
    cells = (np.arange(n * CELLS) + 0.5) / (n * CELLS)
    # Around their middle: rounding must not give equal numbers an error.
    numbers = ordered - ordered[n // 2]

    def error(rank: int) -> float:
        logs = rank * np.log(cells) + (n - 1 - rank) * np.log1p(-cells)
        weights = np.exp(logs - logs.max()).reshape(n, CELLS).sum(axis=1)
        weights /= weights.sum()
        mean = float(weights @ numbers)
        return math.sqrt(float(weights @ (numbers - mean) ** 2))

    return error(below) + (place - below) * (error(below + 1) - error(below))
