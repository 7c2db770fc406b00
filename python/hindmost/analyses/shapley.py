"""Exact Shapley values and interactions of players, from the values of all coalitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""Values of coalitions, an array of shape (2, ..., 2, replicates): index 1 of axis i is for the
coalitions that player i belongs to."""


def shapley(values: Values) -> Values:
    """Return the Shapley value of each player, an array of shape (players, replicates).

    Parameters
    ----------
    values : array of shape (2, ..., 2, replicates)
        Values of coalitions.

    Notes
    -----
    A player's value is the mean of what it adds to those who came before it, over all orders:
    ``sum over S of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))`` (Shapley, A value for n-person
    games, 1953). They add up to the value of all less that of nobody.

    Examples
    --------
    >>> import numpy as np
    >>> of_both = np.array([[0.0, 1.0], [2.0, 5.0]])[..., np.newaxis]
    >>> shapley(of_both)[:, 0].tolist()
    [3.0, 2.0]
    """
    n = values.ndim - 1
    weights = [math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n) for k in range(n)]
    return np.array([_weighted(_gain(values, (player,)), weights) for player in range(n)])


def alone(values: Values) -> Values:
    """Return what each player adds to nobody, an array of shape (players, replicates)."""
    return _gains_at(values, 0)


def last(values: Values) -> Values:
    """Return what each player adds to all others, an array of shape (players, replicates)."""
    return _gains_at(values, -1)


def interactions(values: Values) -> dict[tuple[int, int], Values]:
    """Return the Shapley interaction of each pair, an array of shape (replicates,) each.

    Notes
    -----
    ``sum over S of |S|! (n - |S| - 2)! / (n - 1)! (v(S + ij) - v(S + i) - v(S + j) + v(S))``
    (Grabisch and Roubens, An axiomatic approach to the concept of interaction among players in
    cooperative games, 1999): above 0 where two are worth more together than one by one.
    """
    n = values.ndim - 1
    if n < 2:
        return {}
    weights = [
        math.factorial(k) * math.factorial(n - k - 2) / math.factorial(n - 1) for k in range(n - 1)
    ]
    pairs = itertools.combinations(range(n), 2)
    return {pair: _weighted(_gain(values, pair), weights) for pair in pairs}


def _gain(values: Values, players: tuple[int, ...]) -> Values:
    """Return what some players add together, less what fewer of them do, by coalition of others."""
    gain = values
    # The last axis first, so that the numbers of those before it stay.
    for player in sorted(players, reverse=True):
        gain = np.take(gain, 1, axis=player) - np.take(gain, 0, axis=player)
    return gain


def _weighted(gain: Values, weights: list[float]) -> Values:
    """Return the sum of gains over coalitions, each with the weight of its size."""
    sizes = np.indices(gain.shape[:-1]).sum(axis=0).ravel()
    total: Values = np.array(weights)[sizes] @ gain.reshape(len(sizes), -1)
    return total


def _gains_at(values: Values, place: int) -> Values:
    """Return what each player adds to the first or the last coalition of the others."""
    n = values.ndim - 1
    gains = (_gain(values, (player,)).reshape(-1, values.shape[-1]) for player in range(n))
    return np.array([gain[place] for gain in gains])
