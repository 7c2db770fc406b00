"""What causes inside a replica cost: its GPUs wait for the slowest of them, and no others do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hindmost.cause import Cause
from hindmost.law import LawModel
from hindmost.memo import Memo, digest

Numbers = NDArray[np.float64]
Masses = tuple[int, Numbers]
"""Place of the first point of ln x, in steps, and the probability of each point."""

POINTS = 2**15
"""Points of ln x between the least and the greatest product of slowdowns."""
LEAST_TAIL = 1e-15
"""Tail probability at which the values of a law end here."""


def pace(causes: Mapping[str, Cause], *, n_gpus: int, node_gpus: int) -> float:
    """Return the expected pace of a replica over that of one whose GPUs are all median.

    Parameters
    ----------
    causes
        Causes of a pool. Those of computing that slow a GPU or a node down count; what is shared
        by more slows all replicas alike, and ports carry nothing within a domain.
    n_gpus
        GPUs of the replica.
    node_gpus
        GPUs of a node.

    Returns
    -------
    float
        The mean of 1 / the slowest. What lasts a run makes replicas unlike, of which each has a
        pace; of what changes from iteration to iteration the mean slowest counts.

    Notes
    -----
    With F the distribution of a GPU's product of slowdowns, that of the slowest of n is
    ``F ** n``. Laws are put on one grid of ln x and convolved; a cause that does not always occur
    has an atom at 1. With R of what lasts and S of the rest,
    ``E[1 / max R] E[max R] / E[max R S]``, which is exact where only one of both varies.
    """
    slowing = [cause for cause in causes.values() if _slows(cause)]
    if not slowing:
        return 1.0
    lasting = [cause for cause in slowing if cause.span == "run"]
    step = _step(slowing)

    def mean(some: Sequence[Cause], power: float) -> float:
        first, masses = _slowest(some, step, n_gpus=n_gpus, node_gpus=node_gpus)
        places = first + np.arange(len(masses))
        return float(np.sum(masses * np.exp(power * places * step)))

    if len(lasting) == len(slowing):
        return mean(slowing, -1.0)
    return mean(lasting, -1.0) * mean(lasting, 1.0) / mean(slowing, 1.0)


def _slowest(causes: Sequence[Cause], step: float, *, n_gpus: int, node_gpus: int) -> Masses:
    """Return the law of the slowest GPU of a replica."""
    of_gpu = [cause for cause in causes if cause.scope == "gpu"]
    of_node = [cause for cause in causes if cause.scope == "node"]
    one = _power(_product(of_gpu, step), min(n_gpus, node_gpus))
    node = _convolved(one, _product(of_node, step))
    return _power(node, math.ceil(n_gpus / node_gpus))


def _slows(cause: Cause) -> bool:
    """Return whether a cause counts.

    How often an iteration meets those by the hour, and those of named units, nobody knows here.
    """
    acts = cause.enabled and cause.affects == "compute" and cause.effect == "slowdown"
    by_share = cause.per_hour is None and cause.units is None and cause.period_steps is None
    return acts and by_share and cause.scope in ("gpu", "node")


def _range(law: LawModel) -> tuple[float, float]:
    return law.ppf(LEAST_TAIL), law.isf(LEAST_TAIL)


def _step(causes: Sequence[Cause]) -> float:
    ends = [_range(cause.law) for cause in causes]
    widths = [math.log(max(high, 1.0)) - math.log(min(low, 1.0)) for low, high in ends]
    return max(sum(widths), 1e-9) / POINTS


def _product(causes: Sequence[Cause], step: float) -> Masses:
    found: Masses = (0, np.ones(1))
    for cause in causes:
        found = _convolved(found, _of_cause(cause, step))
    return found


_MASSES: Memo[Masses] = Memo(64)
"""Laws on grids. Each size of a replica asks for those of its pool's causes again."""


def _of_cause(cause: Cause, step: float) -> Masses:
    key = digest((cause.law.model_dump(exclude_none=True), step))
    first, masses = _MASSES.get(key, lambda: _of_law(cause.law, step))
    share = _probability(cause)
    masses = masses * share
    masses[-first] += 1 - share
    return first, masses


def _of_law(law: LawModel, step: float) -> Masses:
    low, high = _range(law)
    first = math.floor(math.log(min(low, 1.0)) / step) - 1
    last = math.ceil(math.log(max(high, 1.0)) / step) + 1
    # Half a step around each point.
    edges = np.exp((np.arange(first, last + 2) - 0.5) * step)
    below = np.array([law.cdf(float(edge)) for edge in edges])
    below[0], below[-1] = 0.0, 1.0
    return first, np.diff(below)


def _probability(cause: Cause) -> float:
    return 1.0 if cause.probability is None else cause.probability


def _convolved(one: Masses, other: Masses) -> Masses:
    size = len(one[1]) + len(other[1]) - 1
    n = 1 << (size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(one[1], n) * np.fft.rfft(other[1], n), n)[:size]
    return one[0] + other[0], np.maximum(product, 0.0)


def _power(of: Masses, n: int) -> Masses:
    """Return the greatest of n independent numbers."""
    first, masses = of
    below = np.minimum(np.cumsum(masses), 1.0)
    below[-1] = 1.0
    return first, np.diff(below**n, prepend=0.0)
