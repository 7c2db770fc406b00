"""Means and percentiles of the rows of all runs, with standard errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hindmost.metrics import PERCENTILES
from hindmost.order import Rows, without_run

MIN_ROWS_BEYOND = 100
"""Rows beyond a percentile below which its standard error is not to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One statistic of one metric.

    Attributes
    ----------
    statistic : str
        ``mean`` or a percentile.
    value : float
        Over all rows of all runs; a mean may be weighted.
    std_error : float or None
        Standard error by delete-one-run jackknife; None for one run.
    warning : str
        Why the standard error is not to be trusted; empty if it is.
    """

    statistic: str
    value: float
    std_error: float | None
    warning: str


def run_means(per_run: Rows, weights: Rows | None = None) -> Rows:
    """Return the mean of each run.

    Parameters
    ----------
    per_run : array of shape (runs, steps)
        Rows.
    weights : array of the same shape, optional
        Their weights, > 0; equal ones by default.
    """
    means: Rows = per_run.mean(axis=1)
    if weights is not None:
        means = (per_run * weights).mean(axis=1) / weights.mean(axis=1)
    return means


@dataclass(frozen=True, kw_only=True, eq=False)
class Replicates:
    """One statistic of one metric, and what it is without each run.

    Attributes
    ----------
    statistic : str
        ``mean`` or a percentile.
    value : float
        Over all rows of all runs; a mean may be weighted.
    left_out : array of shape (runs,)
        Its value without each run; empty for one run.
    warning : str
        Why the standard error is not to be trusted; empty if it is.
    """

    statistic: str
    value: float
    left_out: Rows
    warning: str


def estimates(rows: Rows, n_runs: int, *, weights: Rows | None = None) -> Iterator[Estimate]:
    """Return the estimates of one metric; parameters and notes are those of `replicates`."""
    return map(estimate, replicates(rows, n_runs, weights=weights))


def estimate(one: Replicates) -> Estimate:
    """Return a statistic with its standard error."""
    return Estimate(
        statistic=one.statistic,
        value=one.value,
        std_error=jackknife(one.left_out),
        warning=one.warning,
    )


def replicates(rows: Rows, n_runs: int, *, weights: Rows | None = None) -> Iterator[Replicates]:
    """Yield the statistics of one metric, each with its values without each run.

    Parameters
    ----------
    rows : array of shape (runs * steps,)
        Rows, runs one after another.
    n_runs
        Runs, all of the same length, >= 1.
    weights : array of the same shape, optional
        Weights of the rows in the mean, > 0; equal ones by default. Percentiles are those of rows.

    Notes
    -----
    A weighted mean is a ratio of sums, ``sum(w x) / sum(w)``. Of a ratio x = a / w, such as FLOPs
    over peak x time, it is ``sum(a) / sum(w)``.

    Percentiles are linear between order statistics (`numpy.quantile`'s
    default). With theta_i the statistic of all runs but the i-th, the error is
    ``sqrt((R - 1) / R * sum((theta_i - mean theta)**2))`` (Efron and Stein,
    The jackknife estimate of variance, 1981).
    """
    per_run = rows.reshape(n_runs, -1)
    if weights is None:
        mean, left_out_means = float(per_run.mean()), _means_without_each(per_run)
    else:
        weights = weights.reshape(n_runs, -1)
        weighted = per_run * weights
        mean = float(weighted.mean() / weights.mean())
        left_out_means = _means_without_each(weighted) / _means_without_each(weights)
    yield Replicates(statistic="mean", value=mean, left_out=left_out_means, warning="")
    # The last entry leaves no run out.
    left_out = np.arange(n_runs + 1) if n_runs > 1 else np.array([n_runs])
    n_left = np.where(left_out < n_runs, rows.size - per_run.shape[1], rows.size)
    percents = np.array(list(PERCENTILES.values()))[:, np.newaxis]
    places = percents / 100 * (n_left - 1)
    below = places.astype(np.intp)
    above = np.minimum(below + 1, n_left - 1)
    outward = np.where(percents > 50, above, np.ceil(places).astype(np.intp) - 1)
    wanted = np.stack([below, above, np.maximum(outward, 0)])
    low, high, nearest = without_run(per_run, left_out, wanted)
    values = low + (high - low) * (places - below)
    varies = bool(rows.min() < rows.max())
    for index, (name, percent) in enumerate(PERCENTILES.items()):
        row = float(nearest[index, -1])
        yield Replicates(
            statistic=name,
            value=float(values[index, -1]),
            left_out=values[index, :-1],
            warning=_warning(per_run, row, upwards=percent > 50) if varies else "",
        )


def _means_without_each(per_run: Rows) -> Rows:
    n_runs = len(per_run)
    if n_runs == 1:
        return np.array([])
    means = per_run.mean(axis=1)
    # As deviations from one run's mean, so that equal runs have an error of exactly zero.
    deviations = means - means[0]
    left_out: Rows = means[0] + (deviations.sum() - deviations) / (n_runs - 1)
    return left_out


def jackknife(left_out: Rows) -> float | None:
    """Return the standard error of a statistic, of its values without each run.

    None for one run.
    """
    n_runs = len(left_out)
    if n_runs < 2:
        return None
    # Rounding of the mean must not give equal values an error.
    deviations = left_out - left_out[0]
    deviations = deviations - deviations.mean()
    return float(np.sqrt((n_runs - 1) / n_runs * np.sum(deviations**2)))


def _warning(per_run: Rows, row: float, *, upwards: bool) -> str:
    """Return why the rows beyond a percentile do not make a good error.

    Rows that equal the nearest of these count too, on whichever side of the percentile: where a
    percentile lies among many equal rows, such as steps without a stall, few others do not move it.

    Parameters
    ----------
    per_run
        All rows, by run.
    row
        The nearest row beyond the percentile.
    upwards
        Whether the rows beyond are those above, or those below.
    """
    beyond = np.count_nonzero(per_run >= row if upwards else per_run <= row, axis=1)
    n_beyond = int(beyond.sum())
    if n_beyond < MIN_ROWS_BEYOND:
        return f"only {n_beyond} rows lie beyond it"
    if len(per_run) > 1 and beyond.max() > n_beyond / 2:
        return "most rows beyond it are of one run"
    return ""
