"""Sobol indices: which part of a variance each of several independent inputs explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.statistics import jackknife

GROUPS = 32
"""Groups of samples, each of which is left out once for the errors."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Index:
    """Which part of a variance one input explains.

    Attributes
    ----------
    first, first_error : float
        First-order index, by which the variance would fall on average if the input were known, as
        a share of it; and its standard error.
    total, total_error : float
        Total index: what the input takes part in, alone and with others.
    """

    first: float
    first_error: float
    total: float
    total_error: float


def sobol_indices(of_a: Floats, of_b: Floats, of_ab: Floats) -> list[Index]:
    """Return the indices of each input.

    Parameters
    ----------
    of_a, of_b
        What n points come to, shape (n,), and n others, all drawn independently.
    of_ab
        What the points of `of_a` come to with one input of those of `of_b`, shape (inputs, n).

    Notes
    -----
    Estimators are those of Saltelli et al. (Computer Physics Communications 181, 2010) for the
    first order, and of Jansen (Computer Physics Communications 117, 1999) for the total. Errors are
    by leaving out groups of points, one after another. Without any variance all indices are 0.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.random.default_rng(1).random((2, 3, 4096))
    >>> of = lambda x: 2 * x[0] + x[1]
    >>> ab = np.stack([of(np.where(np.arange(3)[:, None] == i, b, a)) for i in range(3)])
    >>> [round(one.first, 1) for one in sobol_indices(of(a), of(b), ab)]
    [0.8, 0.2, 0.0]
    """
    n = of_a.size
    if n == 0:
        return [Index(first=0.0, first_error=0.0, total=0.0, total_error=0.0)] * len(of_ab)
    # Sums of differences are far more exact about the middle.
    middle = float(np.concatenate([of_a, of_b]).mean())
    of_a, of_b, of_ab = of_a - middle, of_b - middle, of_ab - middle
    sums = [of_a + of_b, of_a**2 + of_b**2]
    terms = np.stack(
        [
            *sums,
            *((of_b * (each - of_a)) for each in of_ab),
            *((of_a - each) ** 2 for each in of_ab),
        ]
    )
    whole = terms.sum(axis=1)
    groups = np.array_split(np.arange(n), min(GROUPS, n))
    left_out = [
        (whole - terms[:, group].sum(axis=1), n - group.size) for group in groups if group.size < n
    ]
    values = _shares(whole, n)
    others = np.array([_shares(one, size) for one, size in left_out])
    k = len(of_ab)
    errors = [jackknife(column) or 0.0 for column in others.T] if len(others) else [0.0] * 2 * k
    return [
        Index(
            first=float(values[place]),
            first_error=float(errors[place]),
            total=float(values[k + place]),
            total_error=float(errors[k + place]),
        )
        for place in range(k)
    ]


def _shares(sums: Floats, n: int) -> Floats:
    """Return first-order and total indices by sums over points."""
    mean, square = sums[0] / (2 * n), sums[1] / (2 * n)
    variance = square - mean**2
    first, total = np.split(sums[2:], 2)
    if not variance > 0:
        return np.zeros(sums.size - 2)
    shares: Floats = np.concatenate([first / n, total / (2 * n)]) / variance
    return shares
