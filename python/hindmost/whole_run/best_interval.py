"""The interval between checkpoints that keeps most of simulated runs."""

from __future__ import annotations

from collections.abc import Callable

from hindmost.renewal.interval import by_search, of_constant_rate

TOLERANCE, POINTS_PER_DECADE = 1e-3, 8
"""Relative width at which the search ends, and intervals of each factor of ten that are tried."""
FEW_LOSSES = 30
"""Losses below which their rate alone is used: they do not say how they are spread."""


def best_of_stretches(
    kept_s: Callable[[float], float],
    *,
    n_lost: int,
    seconds: float,
    first_s: float,
    blocking_s: float,
) -> float:
    """Return the interval that keeps most of the stretches between stops of some runs.

    Stretches hardly depend on the interval that they were simulated with, so that all intervals
    are tried on the same ones.

    Parameters
    ----------
    kept_s
        Seconds of computing that are kept of them, at an interval in seconds.
    n_lost
        How many of them ended with work that was lost.
    seconds
        Seconds of all of them.
    first_s
        The interval that is returned if nothing was lost.
    blocking_s
        Seconds for which the average checkpoint stops the job, > 0.
    """
    if n_lost == 0:
        return first_s
    at_this_rate_s = of_constant_rate(n_lost / seconds, blocking_s)
    if n_lost < FEW_LOSSES:
        return at_this_rate_s
    return by_search(kept_s, at_this_rate_s, tolerance=TOLERANCE, per_decade=POINTS_PER_DECADE)
