"""Plots of a result: its steps, pools, forecast and whole runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost.energy import PoolPower
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.forecasted import FORECAST_METRICS, Forecast
from hindmost.metrics import METRICS
from hindmost.physics.power import together
from hindmost.plots.bars import Bar, Fall, bars, waterfall
from hindmost.plots.course import course
from hindmost.plots.distribution import distribution
from hindmost.plots.intervals import Interval, intervals
from hindmost.plots.kinds import KINDS, STEPS
from hindmost.plots.plot import Plot
from hindmost.whole_run.account import Account
from hindmost.whole_run.hours import WORDS

Numbers = NDArray[np.float64]

NOT_HELD = ("spare", "leftover", "drained", "repair", "other_jobs")
"""Time that the job does not hold; it loses all other that is not kept."""


@dataclass(frozen=True, kw_only=True)
class Plotted:
    """What of a result is plotted.

    Attributes
    ----------
    name : str
        Name of the scenario.
    sizes : str
        Runs and steps, in words.
    rows : callable
        Returns the number of each step of a metric.
    pools : sequence of mapping
        Rows of pools.
    forecast : Forecast or None
        Its forecast.
    account : Account or None
        Its whole runs.
    powers : sequence of PoolPower
        Power of each pool over a mean step.
    power_hint : str or None
        What is missing of them, if anything is.
    """

    name: str
    sizes: str
    rows: Callable[[str], Numbers]
    pools: Sequence[Mapping[str, Any]]
    forecast: Forecast | None
    account: Account | None
    powers: Sequence[PoolPower]
    power_hint: str | None


def result_plot(kind: str, of: Plotted) -> Plot:
    """Return one plot of a result.

    Parameters
    ----------
    kind
        One of `KINDS`.
    of
        What is plotted.

    Raises
    ------
    ScenarioError
        If there is no such kind, or the result has nothing of it.
    """
    problem = kind_problem(
        kind,
        has_forecast=bool(of.forecast),
        has_runs=bool(of.account),
        power_hint=of.power_hint,
    )
    if problem is not None:
        raise ScenarioError([problem])
    if kind in STEPS:
        return _steps(STEPS[kind], of)
    if kind == "forecast":
        assert of.forecast is not None
        return _forecast(of.name, of.forecast)
    if kind == "account":
        assert of.account is not None
        return _account(of.name, of.account)
    if kind == "power":
        return _power(of)
    return _waiting(of) if kind == "waiting" else _slowest(of)


def kind_problem(
    kind: Any, *, has_forecast: bool, has_runs: bool, power_hint: str | None
) -> Problem | None:
    """Return what is wrong with a kind of plot, if anything."""
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
        requirement = f"must be one of {', '.join(KINDS)}"
        return Problem(path="kind", requirement=requirement, value=kind, hint=hint)
    if kind == "forecast" and not has_forecast:
        requirement = "must be of a result with a forecast, which hindmost run makes"
        return Problem(path="kind", requirement=requirement, value=kind)
    if kind == "account" and not has_runs:
        requirement = "must be of whole runs: without [failures] there are none"
        return Problem(path="kind", requirement=requirement, value=kind)
    if kind == "power" and power_hint is not None:
        requirement = "must be of GPUs whose powers are known"
        return Problem(path="kind", requirement=requirement, value=kind, hint=power_hint)
    return None


def _steps(metric: str, of: Plotted) -> Plot:
    title = METRICS[metric].title
    unit = METRICS[metric].unit
    return distribution(
        of.rows(metric),
        title=f"{title[0].upper()}{title[1:]} of {of.name}",
        subtitle=f"at the scenario's own values; {of.sizes}",
        axis=f"{title}, {unit}" if unit else title,
        is_better_high=metric == "mfu",
    )


def _waiting(of: Plotted) -> Plot:
    rows = [Bar(row["pool"], row["wait_frac"], f"{row['wait_frac']:.1%}") for row in of.pools]
    return bars(
        rows,
        title=f"Waiting for slower ranks, {of.name}",
        subtitle=f"share of a rank's time by pool; {of.sizes}",
        axis="share of time",
        as_percent=True,
    )


def _slowest(of: Plotted) -> Plot:
    rows = [Bar(row["pool"], row["slowest_frac"], f"{row['slowest_frac']:.1%}") for row in of.pools]
    return bars(
        rows,
        title=f"Whom steps wait for, {of.name}",
        subtitle=f"share of steps in which the slowest replica is of a pool; {of.sizes}",
        axis="share of steps",
        as_percent=True,
    )


def _power(of: Plotted) -> Plot:
    """Return the power of each pool over a mean step, and of all of them together."""
    traces = {one.pool: one.trace for one in of.powers}
    if len(traces) > 1:
        traces["cluster"] = together(list(traces.values()))
    return course(
        {
            name: [
                point
                for piece in trace
                for point in ((piece.start_s, piece.start_w), (piece.end_s, piece.end_w))
            ]
            for name, trace in traces.items()
        },
        title=f"Power over a mean step, {of.name}",
        subtitle=f"peak while ranks compute, then idle, the floor or a ramp; {of.sizes}",
        x="seconds of the step",
        y="power, W",
    )


def _forecast(name: str, found: Forecast) -> Plot:
    values = {(row["metric"], row["statistic"]): row["value"] for row in found.summary_rows}
    panels = []
    for metric in FORECAST_METRICS:
        low, middle, high = (values[metric, statistic] for statistic in ("p5", "p50", "p95"))
        unit = f", {METRICS[metric].unit}".rstrip(", ")
        draws = tuple(getattr(found, metric))
        row = Interval("", "forecast", low, middle, high, draws)
        panels.append((f"{METRICS[metric].title}{unit}", [row]))
    return intervals(
        panels,
        title=f"Forecast of {name}",
        subtitle=f"median and 90% interval of {len(found.mfu)} draws of what is not known",
    )


def _account(name: str, account: Account) -> Plot:
    """Return the waterfall from the peak of all GPUs and hours to the fleet MFU."""
    lost = {key: share for key, share in account.shares.items() if key != "kept" and share > 0.0}
    order = sorted(lost, key=lambda key: (key not in NOT_HELD, -lost[key]))
    rows, left = [Fall("all GPUs and hours", 0.0, 1.0, "100%", "total")], 1.0
    for key in order:
        share = lost[key]
        rows.append(Fall(WORDS[key], left - share, left, f"-{share:.2%}", "loss"))
        left -= share
    kept = account.shares["kept"]
    rows.append(Fall("steps kept, S x R", 0.0, kept, f"{kept:.1%}", "total"))
    mfu = account.fleet_mfu
    rows.append(Fall("below peak in these", mfu, kept, f"-{kept - mfu:.1%}", "loss"))
    rows.append(Fall("fleet MFU, S x R x P", 0.0, mfu, f"{mfu:.1%}", "total"))
    days = f"{account.hours_of.days:g}"
    return waterfall(
        rows,
        title=f"Where the peak goes, {name}",
        subtitle=f"whole runs of {days} days at the scenario's own values, weighted by peak",
        axis="share of all peak-hours",
        as_percent=True,
    )
