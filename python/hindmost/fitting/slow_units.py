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


def slow_units(means: NDArray[np.float64], name: str) -> list[SlowUnit]:
    """Return the units whose means are too great, the slowest one first.

    Parameters
    ----------
    means : array of shape (units,)
        Logarithm of each unit's time; NaN for one that does not count.
    name
        What a unit is, for the names of estimates.

    Notes
    -----
    The generalised extreme studentised deviate test, upwards: units are taken away one by one, and
    the last one whose deviation from those that are left exceeds its limit, and all before it, are
    named. So slow units do not hide each other (Rosner, Percentage points for a generalized ESD
    many-outlier procedure, 1983). The limits are those of normal means.

    Examples
    --------
    >>> [one.unit for one in slow_units(np.array([0.01, 0.0, 0.3, -0.01, 0.005, 0.02]), "node")]
    [2]
    """
    left = [int(unit) for unit in np.flatnonzero(np.isfinite(means))]
    if len(left) < FEWEST:
        return []
    taken: list[int] = []
    n_named = 0
    while len(taken) < max(1, math.floor(MOST * (len(left) + len(taken)))) and len(left) > 2:
        values = means[left]
        slowest = left[int(values.argmax())]
        spread = float(values.std(ddof=1))
        deviation = float(means[slowest] - values.mean())
        taken.append(slowest)
        if spread > 0 and deviation > _limit(len(left)) * spread:
            n_named = len(taken)
        left.remove(slowest)
    named = taken[:n_named]
    others = np.delete(means, named)
    others = others[np.isfinite(others)]
    error = float(others.std(ddof=1)) * math.sqrt(1 + 1 / len(others))
    return [
        SlowUnit(
            unit=unit,
            excess=normal(
                f"slow-{name}-{unit}", "share", float(means[unit] - others.mean()), error
            ),
        )
        for unit in named
    ]


def _limit(n: int) -> float:
    t = student_quantile(1 - LEVEL / n, n - 2)
    return (n - 1) * t / math.sqrt((n - 2 + t * t) * n)
