"""Ranks or nodes that are slower than the spread of all others explains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.estimate import Estimate, normal
from hindmost.student import student_quantile

LEVEL = 0.01
"""Probability that a unit is named among equal ones."""
FEWEST = 4
"""Units among which one can be named, at least."""
MOST = 0.25
"""Share of units that can be named, at most."""
PRIOR_FREEDOM = 8
"""Degrees of freedom of a spread that is expected beforehand."""


@dataclass(frozen=True, kw_only=True)
class SlowUnit:
    """A rank or a node that is slower than all others.

    Attributes
    ----------
    unit : int
        Its place among the units.
    excess : Estimate
        Logarithm of its time over that of the others. The error is what units differ by.
    """

    unit: int
    excess: Estimate


def slow_units(
    means: NDArray[np.float64], name: str, *, expected_variance: float | None = None
) -> list[SlowUnit]:
    """Return the units whose means are too great, the slowest one first.

    Parameters
    ----------
    means : array of shape (units,)
        Logarithm of each unit's time; NaN for one that does not count.
    name
        What a unit is, for the names of estimates.
    expected_variance
        Variance of units that is expected beforehand, as if eight more units had shown it. With
        three or four nodes nothing would stand out otherwise.

    Notes
    -----
    The generalised extreme studentised deviate test, upwards: units are taken away one by one, and
    the last one whose deviation from those that are left exceeds its limit, and all before it, are
    named. So slow units do not hide each other (Rosner, Percentage points for a generalized ESD
    many-outlier procedure, 1983). The limits are those of normal means. A variance that is expected
    is averaged with that of the others by degrees of freedom, as in moderated t tests (Smyth,
    Linear models and empirical Bayes methods, 2004).

    Examples
    --------
    >>> [one.unit for one in slow_units(np.array([0.01, 0.0, 0.3, -0.01, 0.005, 0.02]), "node")]
    [2]
    """
    left = [int(unit) for unit in np.flatnonzero(np.isfinite(means))]
    n_all = len(left)
    if n_all < FEWEST:
        return []
    taken: list[int] = []
    n_named = 0
    while len(taken) < max(1, math.floor(MOST * n_all)) and len(left) > 2:
        slowest = left[int(means[left].argmax())]
        left.remove(slowest)
        taken.append(slowest)
        excess, error, freedom = _excess(means, slowest, left, expected_variance)
        if excess > error * student_quantile(1 - LEVEL / (len(left) + 1), freedom):
            n_named = len(taken)
    named = taken[:n_named]
    others = [unit for unit in np.flatnonzero(np.isfinite(means)).tolist() if unit not in named]
    return [
        SlowUnit(
            unit=unit,
            excess=normal(
                f"slow-{name}-{unit}", "share", *_excess(means, unit, others, expected_variance)[:2]
            ),
        )
        for unit in named
    ]


def _excess(
    means: NDArray[np.float64], unit: int, others: list[int], expected_variance: float | None
) -> tuple[float, float, int]:
    """Return a unit's excess over others, its standard error and the degrees of freedom."""
    values = means[others]
    variance, freedom = float(values.var(ddof=1)), len(others) - 1
    if expected_variance is not None:
        total = freedom + PRIOR_FREEDOM
        variance = (freedom * variance + PRIOR_FREEDOM * expected_variance) / total
        freedom = total
    error = math.sqrt(variance * (1 + 1 / len(others)))
    return float(means[unit] - values.mean()), error, freedom
