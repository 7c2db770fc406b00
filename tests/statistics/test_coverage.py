"""How often two errors around a far percentile cover it, for laws whose percentiles are known."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from hindmost.statistics import estimates

Floats = NDArray[np.float64]

SEED = 20_250_118
REPEATS = {20_000: 400, 62_500: 200}
"""Repetitions by steps of a run. A coverage of 0.92 is then known to 0.014 and to 0.019, so that
errors that are right are within the limits below, and errors that are a third too small, which
cover 0.80, are not."""
RUNS = 16
FAR = {"p99.9": 1e-3, "p99.99": 1e-4}

BEYOND = 0.05
"""Share of rows that are drawn. All others are anything below, as only their number matters for
percentiles far above."""


class Coverage(NamedTuple):
    """Shares of repetitions, and the ratio of root mean square error to actual deviation."""

    covered: float
    too_low: float
    error_ratio: float


@cache
def rows_below(floor: float, n_steps: int) -> Floats:
    """Return as many rows below a floor as there are rows, as alike in each run as can be."""
    rows = np.linspace(0.0, floor, n_steps * RUNS, endpoint=False)
    return np.ascontiguousarray(rows.reshape(n_steps, RUNS).T)


def exponential(rng: np.random.Generator, n_steps: int) -> Floats:
    """Return independent exponential rows of mean one."""
    floor = -np.log(BEYOND)
    rows = rows_below(floor, n_steps).copy()
    for run, n_beyond in zip(rows, rng.binomial(n_steps, BEYOND, RUNS), strict=True):
        run[:n_beyond] = floor + rng.standard_exponential(n_beyond)
    return rows.ravel()


def normal(rng: np.random.Generator, n_steps: int, level: float) -> Floats:
    """Return normal rows of deviation one around each run's own level, which is normal too."""
    levels = level * rng.standard_normal(RUNS)
    floor = -special.ndtri(BEYOND) * np.hypot(1.0, level)
    shares = special.ndtr(levels - floor)
    rows = rows_below(floor, n_steps).copy()
    for run, own, share in zip(rows, levels, shares, strict=True):
        n_beyond = rng.binomial(n_steps, share)
        run[:n_beyond] = own - special.ndtri(share * (1.0 - rng.random(n_beyond)))
    return rows.ravel()


def coverage(n_steps: int, level: float | None) -> dict[str, Coverage]:
    """Return what two errors cover; without a level, of exponential rows."""
    rng = np.random.default_rng(SEED)
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in FAR}
    for _ in range(REPEATS[n_steps]):
        rows = exponential(rng, n_steps) if level is None else normal(rng, n_steps, level)
        for estimate in estimates(rows, RUNS):
            if estimate.statistic in FAR:
                assert estimate.std_error is not None
                values[estimate.statistic].append((estimate.value, estimate.std_error))
    found = {}
    for name, share in FAR.items():
        normal_place = -special.ndtri(share)
        true = -np.log(share) if level is None else normal_place * np.hypot(1.0, level)
        value, error = np.array(values[name]).T
        found[name] = Coverage(
            covered=float(np.mean(np.abs(value - true) <= 2 * error)),
            too_low=float(np.mean(value + 2 * error < true)),
            error_ratio=float(np.sqrt(np.mean(error**2)) / value.std()),
        )
    return found


# With 32 to 100 rows beyond p99.99, two to six a run, the error itself is rough.
@pytest.mark.parametrize("n_steps", [20_000, 62_500])
def test_two_errors_cover_far_percentiles_of_independent_rows(n_steps: int) -> None:
    found = coverage(n_steps, level=None)
    assert 0.88 <= found["p99.9"].covered <= 0.98
    assert 0.80 <= found["p99.99"].covered <= 0.98


@pytest.mark.parametrize("n_steps", [20_000, 62_500])
def test_two_errors_cover_far_percentiles_of_runs_that_differ_a_little(n_steps: int) -> None:
    found = coverage(n_steps, level=0.3)
    assert 0.82 <= found["p99.9"].covered <= 0.98
    assert 0.78 <= found["p99.99"].covered <= 0.98


def test_runs_that_differ_as_much_as_rows_leave_far_percentiles_too_low() -> None:
    """Sixteen runs do not show the far end of what differs from run to run.

    The error is right about how percentiles scatter, but not about how far they are from
    those of all runs that could have been: what it does not cover is above.
    """
    for coverage_of_one in coverage(20_000, level=1.0).values():
        assert 0.5 <= coverage_of_one.covered <= 0.8
        assert 1 - coverage_of_one.covered - coverage_of_one.too_low <= 0.02
        assert 0.85 <= coverage_of_one.error_ratio <= 1.25
