"""The interval between checkpoints that keeps most."""

from __future__ import annotations

import math
from collections.abc import Callable

GOLDEN = (math.sqrt(5) - 1) / 2
WIDEST = 30.0
"""Factor by which the best interval may be off Young's, either way, where it is searched."""


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
    y = min(1.0, math.sqrt(2 * lost))
    for _ in range(100):
        rest = math.exp(-y - lost)
        step = (y - 1 + rest) / (1 - rest)
        y -= step
        if abs(step) <= 1e-15 * y:
            break
    return y / rate


def by_search(kept: Callable[[float], float], first_s: float, *, tolerance: float) -> float:
    """Return the interval at which `kept` is greatest, by golden sections of its logarithm.

    Parameters
    ----------
    kept
        Share of time kept at an interval in seconds; it rises to one greatest value and falls.
    first_s
        An interval near the best one.
    tolerance
        Relative width at which the search ends.
    """
    low, high = math.log(first_s / WIDEST), math.log(first_s * WIDEST)
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
