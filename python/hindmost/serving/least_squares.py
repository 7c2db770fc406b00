"""Least squares of a few numbers that are not negative."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def not_negative(terms: Numbers, target: Numbers, *, lowest: Sequence[float]) -> Numbers:
    """Return the numbers whose products with some terms are nearest to a target.

    Parameters
    ----------
    terms : array of shape (rows, n)
        What each number multiplies.
    target : array of shape (rows,)
        What the products should add up to in each row.
    lowest
        Least value of each number, >= 0. One that may be 0 may be left out.

    Notes
    -----
    There are so few that all ways to leave some out are tried.
    """
    may_be_left_out = [low == 0 for low in lowest]
    best, least = np.array(lowest, dtype=np.float64), np.inf
    for kept in itertools.product(*((False, True) if may else (True,) for may in may_be_left_out)):
        if not 0 < sum(kept) <= len(target):
            continue
        some = terms[:, np.array(kept)]
        # Columns differ by orders of magnitude.
        scale = np.linalg.norm(some, axis=0)
        found, *_ = np.linalg.lstsq(some / scale, target, rcond=None)
        numbers = np.zeros(len(lowest))
        numbers[np.array(kept)] = found / scale
        if (numbers < np.where(kept, lowest, 0.0)).any():
            continue
        error = float(np.sum((terms @ numbers - target) ** 2))
        if error < least:
            best, least = numbers, error
    return best
