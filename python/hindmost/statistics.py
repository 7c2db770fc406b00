"""Means and percentiles of rows in runs, with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = {"p1": 1.0, "p5": 5.0, "p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
STATISTICS = ("mean", *PERCENTILES)

FEWEST_EXCEEDANCES = 100
"""Rows beyond a percentile with fewer than this are too few for its error."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One statistic of one metric.

    Attributes
    ----------
    statistic : str
        ``mean`` or a percentile.
    value : float
        Over all rows of all runs.
    std_error : float or None
        Delete-one-run jackknife; None for one run, which says nothing of others.
    warning : str
        What speaks against trusting the error, or nothing.
    """

    statistic: str
    value: float
    std_error: float | None
    warning: str


def estimates(rows: Rows, n_runs: int) -> Iterator[Estimate]:
    """Yield the estimates of one metric.

    Parameters
    ----------
    rows : array of shape (runs * steps,)
        Rows, runs one after another.
    n_runs
        Runs, all of the same length, >= 1.

    Notes
    -----
    Percentiles are linear between order statistics (`numpy.quantile`'s
    default). With theta_i the statistic of all runs but the i-th, the error is
    ``sqrt((R - 1) / R * sum((theta_i - mean theta)**2))`` (Efron and Stein,
    The jackknife estimate of variance, 1981).
    """
    per_run = rows.reshape(n_runs, -1)
    mean = float(per_run.mean())
    left_out = _means_without_each(per_run)
    yield Estimate(statistic="mean", value=mean, std_error=_jackknife(left_out), warning="")
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    run_of = (order // per_run.shape[1]).astype(np.uint32)
    without = [ordered[run_of != run] for run in range(n_runs)] if n_runs > 1 else []
    for name, percent in PERCENTILES.items():
        value = _percentile(ordered, percent)
        errors = np.array([_percentile(rest, percent) for rest in without])
        yield Estimate(
            statistic=name,
            value=value,
            std_error=_jackknife(errors),
            warning=_warning(ordered, run_of, n_runs, percent),
        )


def _means_without_each(per_run: Rows) -> Rows:
    n_runs = len(per_run)
    if n_runs == 1:
        return np.array([])
    means = per_run.mean(axis=1)
    # As deviations from one run's mean, so that equal runs leave no error.
    deviations = means - means[0]
    left_out: Rows = means[0] + (deviations.sum() - deviations) / (n_runs - 1)
    return left_out


def _jackknife(left_out: Rows) -> float | None:
    n_runs = len(left_out)
    if n_runs < 2:
        return None
    # The mean's rounding must not make an error out of equal values.
    deviations = left_out - left_out[0]
    deviations = deviations - deviations.mean()
    return float(np.sqrt((n_runs - 1) / n_runs * np.sum(deviations**2)))


def _percentile(ordered: Rows, percent: float) -> float:
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)


def _warning(ordered: Rows, run_of: NDArray[np.uint32], n_runs: int, percent: float) -> str:
    if ordered[0] == ordered[-1]:
        return ""
    place = percent / 100 * (len(ordered) - 1)
    beyond = run_of[math.floor(place) + 1 :] if percent > 50 else run_of[: math.ceil(place)]
    if len(beyond) < FEWEST_EXCEEDANCES:
        return f"only {len(beyond)} rows lie beyond it"
    if n_runs > 1 and np.bincount(beyond).max() > len(beyond) / 2:
        return "most rows beyond it are of one run"
    return ""
