"""How many of equal, independent things are up."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def probabilities(n: int, availability: float) -> Floats:
    """Return the probabilities that 0, 1, ... n of some things are up.

    Parameters
    ----------
    n
        How many there are, >= 0.
    availability
        Share of time in which each of them is up, independent of the others, 0 to 1.

    Returns
    -------
    array of shape (n + 1,)
        ``C(n, k) a^k (1 - a)^(n - k)``; they add up to 1.

    Examples
    --------
    >>> probabilities(2, 0.9).round(4).tolist()
    [0.01, 0.18, 0.81]
    """
    found = np.zeros(n + 1)
    if availability in (0.0, 1.0):
        found[-1 if availability == 1.0 else 0] = 1.0
        return found
    up = np.arange(n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    combinations = logs[n] - logs - logs[::-1]
    found = np.exp(
        combinations + up * math.log(availability) + (n - up) * math.log1p(-availability)
    )
    normal: Floats = found / found.sum()
    return normal


def quantile(law: Floats, probability: float) -> int:
    """Return the least count of a law that is not exceeded with a probability.

    Parameters
    ----------
    law : array of shape (n + 1,)
        Probabilities of 0, 1, ... n.
    probability
        Probability, 0 to 1.

    Examples
    --------
    >>> quantile(probabilities(2, 0.9), 0.05)
    1
    """
    reached = np.cumsum(law)
    return min(int(np.searchsorted(reached, probability)), len(law) - 1)
