"""Numbers that a log determines, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hindmost.student import student_quantile

ERRORS = 2
"""Standard errors of a normal number to either end of an interval."""
LOWER = NormalDist().cdf(-ERRORS)
"""Probability below an interval, and above it: that beyond two errors of a normal number."""
LOWER_OF_ONE = NormalDist().cdf(-1)
"""Probability beyond one error."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that a log determines.

    Attributes
    ----------
    name : str
        What it is, such as ``persistent-rank``.
    unit : str
        ``share`` (such as a standard deviation of the logarithm of times), ``s``, ``steps`` or
        ``probability``.
    value : float
        The number.
    std_error : float
        Its standard error; of a number that is not normal, half of the interval that holds it with
        the probability of one error on either side.
    low, high : float
        The ends of its two-error interval: of a normal number, two standard errors on either side.
        Those of standard deviations reach further up than down.
    """

    name: str
    unit: str
    value: float
    std_error: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0

    def holds(self, truth: float) -> bool:
        """Return whether a number lies within two errors."""
        return self.low <= truth <= self.high


def of_draws(name: str, unit: str, draws: NDArray[np.float64], value: float) -> Estimate:
    """Return an estimate whose interval is that of draws of the number.

    Parameters
    ----------
    name, unit, value
        As in `Estimate`.
    draws : array of shape (n,)
        Draws from what is known of the number.
    """
    ends = [LOWER, LOWER_OF_ONE, 1 - LOWER_OF_ONE, 1 - LOWER]
    low, below, above, high = np.quantile(draws, ends).tolist()
    return Estimate(
        name=name,
        unit=unit,
        value=value,
        std_error=(above - below) / 2,
        low=min(low, value),
        high=max(high, value),
    )


def positive(name: str, unit: str, value: float, std_error: float, *, freedom: int) -> Estimate:
    """Return an estimate of a positive number, whose logarithm has a known error.

    Parameters
    ----------
    name, unit, value, std_error
        As in `Estimate`.
    freedom
        Degrees of freedom of the error. The interval is that of Student's t, but no wider than that
        of two errors of 100%; with none it is that.

    Examples
    --------
    >>> one = positive("x", "s", 1.0, 0.1, freedom=1000)
    >>> round(one.low, 2), round(one.high, 2)
    (0.82, 1.22)
    """
    reach = student_quantile(1 - LOWER, freedom) if freedom else ERRORS
    factor = math.exp(min(reach * std_error / value, ERRORS))
    return Estimate(
        name=name,
        unit=unit,
        value=value,
        std_error=std_error,
        low=value / factor,
        high=value * factor,
    )


def normal(name: str, unit: str, value: float, std_error: float) -> Estimate:
    """Return an estimate with a normal error."""
    reach = ERRORS * std_error
    return Estimate(
        name=name,
        unit=unit,
        value=value,
        std_error=std_error,
        low=value - reach,
        high=value + reach,
    )
