"""Errors of statistics of a series whose values are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

RESAMPLES = 400
"""Series that are made anew."""
FEWEST_BLOCKS = 8
"""Blocks that a series is cut into, at least."""
MOST_VALUES = 20_000
"""Values of a series that is made anew, at most; the error of a longer one is scaled."""


def block_errors(
    stretches: Sequence[Vector], statistics: Sequence[Callable[[Vector], float]], *, seed: int = 0
) -> Vector:
    """Return the standard errors of some statistics of a series.

    Parameters
    ----------
    stretches : sequence of arrays
        Values, from one restart to the next one.
    statistics
        Functions of a series.
    seed
        Seed of the resampling.

    Notes
    -----
    The circular block bootstrap (Politis and Romano, 1992) with blocks of ``2 c`` values, where c
    is the time in which correlations die away: ``(1 + r) / (1 - r)`` of the correlation r of values
    that follow each other, after its white part is taken out by that of values two apart. There are
    at least eight blocks, so the error of a drift as slow as the series is too small.
    """
    values = np.concatenate(list(stretches))
    n = len(values)
    length = min(max(1, round(2 * _correlation_time(values))), max(1, n // FEWEST_BLOCKS))
    size = min(n, MOST_VALUES)
    n_blocks = -(-size // length)
    random = np.random.default_rng(seed)
    found = np.empty((RESAMPLES, len(statistics)))
    for row in found:
        begins = random.integers(0, n, n_blocks)
        places = (begins[:, np.newaxis] + np.arange(length)).ravel()[:size] % n
        sample = values[places]
        row[:] = [statistic(sample) for statistic in statistics]
    errors: Vector = found.std(axis=0, ddof=1) * np.sqrt(size / n)
    return errors


def _correlation_time(values: Vector) -> float:
    """Return the values in which correlations die away, as a sum of both sides."""
    ranks = np.argsort(np.argsort(values)).astype(np.float64)
    ranks -= ranks.mean()
    square = float((ranks**2).mean())
    if square == 0 or len(values) < 4:
        return 1.0
    lags = [float((ranks[lag:] * ranks[:-lag]).mean()) / square for lag in (1, 2)]
    if lags[0] <= 2 / np.sqrt(len(values)):
        return 1.0
    kept = min(max(lags[1] / lags[0], 0.0), 0.999)
    return float((1 + kept) / (1 - kept))
