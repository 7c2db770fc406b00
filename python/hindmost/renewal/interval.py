"""The interval between checkpoints that keeps most."""

from __future__ import annotations

import math
from collections.abc import Callable

GOLDEN = (math.sqrt(5) - 1) / 2
WIDEST = 1e4
"""Factor by which the best interval may be off the first one, either way, where it is searched."""
LEAST_LOST = 1e-12
"""Failures while a checkpoint stops the job, below which Young's interval is exact enough."""


def of_constant_rate(rate: float, blocking_s: float) -> float:
    """Return the best interval where failures have a constant rate, in seconds.

    It depends neither on the restart nor on when a checkpoint is durable.

    Parameters
    ----------
    rate
        Failures a second, > 0.
    blocking_s
        Seconds for which a checkpoint stops the job, > 0.

    Notes
    -----
    ``L dt = 1 + W0(-exp(-1 - L w))``, the root of ``y = 1 - exp(-y - L w)``, by Newton's steps.
    Young's ``sqrt(2 w / L)`` is its limit for small ``L w``.

    Examples
    --------
    >>> [round(of_constant_rate(1 / 829.2, blocking_s), 1) for blocking_s in (40, 300)]
    [231.6, 521.2]
    """
    lost = rate * blocking_s
    if lost < LEAST_LOST:
        return math.sqrt(2 * blocking_s / rate)
    y = min(1.0, math.sqrt(2 * lost))
    for _ in range(100):
        rest = math.exp(-y - lost)
        step = (y - 1 + rest) / (1 - rest)
        y -= step
        if abs(step) <= 1e-15 * y:
            break
    return y / rate


def by_search(
    kept: Callable[[float], float], first_s: float, *, tolerance: float, per_decade: int
) -> float:
    """Return the interval at which `kept` is greatest.

    Intervals of all lengths around the first one are tried, and then golden sections of the
    logarithm around the best of them.

    Parameters
    ----------
    kept
        Share of time kept at an interval in seconds.
    first_s
        An interval of the best one's order of magnitude.
    tolerance
        Relative width at which the search ends.
    per_decade
        Intervals of each factor of ten that are tried first.
    """
    n_points = 1 + 2 * round(per_decade * math.log10(WIDEST))
    step = 2 * math.log(WIDEST) / (n_points - 1)
    points = [math.log(first_s / WIDEST) + step * k for k in range(n_points)]
    best = max(points, key=lambda x: kept(math.exp(x)))
    low, high = best - step, best + step
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    values = [kept(math.exp(x)) for x in inner]
    while high - low > tolerance:
        if values[0] >= values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - GOLDEN * (high - low)
            values[0] = kept(math.exp(inner[0]))
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + GOLDEN * (high - low)
            values[1] = kept(math.exp(inner[1]))
    return math.exp((low + high) / 2)
