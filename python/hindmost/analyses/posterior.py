"""Importance sampling: points of a prior, weighed by how well they explain what was observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.analyses.points import Outcome

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was observed.

    Attributes
    ----------
    value, tolerance : float
        The metric, and how far off it may be: a standard deviation.
    tail, tail_tolerance : float or None
        p95 over p50 of step times, and its standard deviation.
    """

    value: float
    tolerance: float
    tail: float | None = None
    tail_tolerance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean, standard deviation and quantiles of weighted numbers."""

    mean: float
    sd: float
    p5: float
    p50: float
    p95: float


def weights(outcomes: Sequence[Outcome | None], observed: Observed) -> Floats:
    """Return the weight of each point, 1 in all: 0 for one that was refused.

    Notes
    -----
    The normal density of what was observed around what the point comes to, with a variance of
    ``tolerance**2 + std_error**2``: what a simulation is off by adds to how far off the observation
    may be.
    """
    log = np.array([-np.inf if one is None else _log_likelihood(one, observed) for one in outcomes])
    greatest = log.max()
    if not np.isfinite(greatest):
        return np.zeros(len(log))
    raw = np.exp(log - greatest)
    total: Floats = raw / raw.sum()
    return total


def effective_size(weight: Floats) -> float:
    """Return the effective sample size of weights: 1 over the sum of their squares."""
    squares = float((weight**2).sum())
    return 1 / squares if squares else 0.0


def spread(numbers: Floats, weight: Floats) -> Spread:
    """Return the spread of weighted numbers.

    Quantiles are the least numbers that reach their share of the weight.
    """
    mean = float((weight * numbers).sum())
    order = np.argsort(numbers, kind="stable")
    below = np.cumsum(weight[order])
    places = np.searchsorted(below, np.array((0.05, 0.5, 0.95)) * below[-1])
    p5, p50, p95 = numbers[order][np.minimum(places, len(numbers) - 1)].tolist()
    return Spread(
        mean=mean,
        sd=float(np.sqrt(max(0.0, (weight * (numbers - mean) ** 2).sum()))),
        p5=p5,
        p50=p50,
        p95=p95,
    )


def misses(one: Outcome, observed: Observed) -> list[float]:
    """Return how many standard deviations an outcome is off each figure that was observed.

    Those of the tolerance and of the simulation together.
    """
    found = [_miss(observed.value - one.value, observed.tolerance, one.std_error)]
    if observed.tail is not None:
        assert observed.tail_tolerance is not None
        found.append(_miss(observed.tail - one.tail, observed.tail_tolerance, one.tail_error))
    return found


def distance(one: Outcome, observed: Observed) -> float:
    """Return how far an outcome is off an observation, in standard deviations of all figures."""
    return math.hypot(*misses(one, observed))


def _miss(off: float, tolerance: float, std_error: float) -> float:
    return abs(off) / math.hypot(tolerance, std_error)


def _log_likelihood(one: Outcome, observed: Observed) -> float:
    spread = math.log(math.hypot(observed.tolerance, one.std_error))
    if observed.tail is not None:
        assert observed.tail_tolerance is not None
        spread += math.log(math.hypot(observed.tail_tolerance, one.tail_error))
    return -0.5 * distance(one, observed) ** 2 - spread
