"""Percentiles, errors and warnings equal, bit for bit, those of sorting all that is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hindmost.metrics import PERCENTILES
from hindmost.order import without_run
from hindmost.statistics import Estimate, estimates

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]

SEED = 20_250_117

DRAWS: dict[str, Draw] = {
    "smooth": lambda rng, shape: rng.normal(5.0, 1.0, shape),
    "ties within and across runs": lambda rng, shape: rng.normal(5.0, 1.0, shape).round(1),
    "three values": lambda rng, shape: rng.integers(0, 3, shape).astype(np.float64),
    "mostly zero": lambda rng, shape: rng.exponential(size=shape) * (rng.random(shape) < 0.03),
    "mostly one maximum": lambda rng, shape: np.minimum(rng.exponential(50.0, shape), 1.0),
    "runs of unequal levels": lambda rng, shape: (
        rng.normal(size=(shape[0], 1)) + rng.normal(0.0, 0.1, shape).round(2)
    ),
    "runs of unequal scales": lambda rng, shape: (
        rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8, (shape[0], 1))
    ),
    "heavy tails": lambda rng, shape: rng.standard_cauchy(shape) ** 3,
    "few rows far above": lambda rng, shape: np.where(
        rng.random(shape) < 1e-3, 1e100, rng.normal(size=shape)
    ),
    "differences that round to nothing": lambda rng, shape: np.where(
        rng.random(shape) < 0.1, 1e100, rng.integers(0, 9, shape) * 5e-324
    ),
    "ascending": lambda rng, shape: np.sort(rng.normal(size=shape).ravel()).reshape(shape),
    "equal": lambda _, shape: np.full(shape, 0.1),
}
SHAPES = [(1, 1), (1, 5_000), (2, 1), (2, 2_000), (3, 1_000), (16, 33), (16, 1_000), (2_000, 2)]


def percentile(ordered: Floats, percent: float) -> float:
    """Return the percentile that is linear between order statistics."""
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)


def warning(per_run: Floats, percent: float) -> str:
    """Return what the sorted rows, and all that equal the nearest one beyond, have to say."""
    rows = per_run.ravel()
    ordered = np.sort(rows)
    if ordered[0] == ordered[-1]:
        return ""
    place = percent / 100 * (len(rows) - 1)
    if percent > 50:
        beyond = np.flatnonzero(rows >= ordered[int(place) + 1])
    else:
        beyond = np.flatnonzero(rows <= ordered[int(np.ceil(place)) - 1])
    if len(beyond) < 100:
        return f"only {len(beyond)} rows lie beyond it"
    of_one_run = np.bincount(beyond // per_run.shape[1]).max() > len(beyond) / 2
    return "most rows beyond it are of one run" if of_one_run and len(per_run) > 1 else ""


def expected(per_run: Floats) -> list[Estimate]:
    """Return the percentiles' estimates by leaving out each run and sorting what is left."""
    n_runs = len(per_run)
    whole = np.sort(per_run, axis=None)
    left = [np.sort(np.delete(per_run, run, axis=0), axis=None) for run in range(n_runs)]
    found = []
    for name, percent in PERCENTILES.items():
        std_error = None
        if n_runs > 1:
            without = np.array([percentile(rest, percent) for rest in left])
            without -= without[0]
            squares = np.sum((without - without.mean()) ** 2)
            std_error = float(np.sqrt((n_runs - 1) / n_runs * squares))
        found.append(
            Estimate(
                statistic=name,
                value=percentile(whole, percent),
                std_error=std_error,
                warning=warning(per_run, percent),
            )
        )
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", DRAWS)
def test_percentiles_equal_those_of_sorting_what_is_left(kind: str, shape: tuple[int, int]) -> None:
    per_run = DRAWS[kind](np.random.default_rng(SEED), shape)
    _, *found = estimates(per_run.ravel(), shape[0])
    assert found == expected(per_run)


@pytest.mark.parametrize("kind", DRAWS)
def test_every_place_is_that_of_sorting_what_is_left(kind: str) -> None:
    per_run = DRAWS[kind](np.random.default_rng(SEED), (5, 60))
    for run in range(6):
        rest = np.sort(np.delete(per_run, run, axis=0) if run < 5 else per_run, axis=None)
        places = np.arange(len(rest))
        np.testing.assert_array_equal(without_run(per_run, np.array(run), places), rest)


def test_a_percentile_among_many_equal_rows_is_trusted() -> None:
    rng = np.random.default_rng(SEED)
    per_run = rng.exponential(size=(4, 2_000)) * (rng.random((4, 2_000)) < 0.02)
    found = {estimate.statistic: estimate for estimate in estimates(per_run.ravel(), 4)}
    for name in ("p1", "p5", "p50", "p95"):
        assert (found[name].value, found[name].std_error, found[name].warning) == (0.0, 0.0, "")
    assert found["p99.9"].warning == "only 8 rows lie beyond it"


def test_a_run_that_holds_most_of_many_equal_rows_is_named() -> None:
    per_run = np.zeros((4, 1_000))
    per_run[2, :600] = 1.0
    found = {estimate.statistic: estimate.warning for estimate in estimates(per_run.ravel(), 4)}
    assert found["p95"] == "most rows beyond it are of one run"
    # 2,000 of 3,400 zeros, those of the first two runs.
    assert found["p50"] == ""
