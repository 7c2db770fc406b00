"""Numbers that a log determines, with their errors."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

ERRORS = 2
"""Standard errors of a normal number to either end of an interval."""
LOWER = NormalDist().cdf(-ERRORS)
"""Probability below an interval, and above it: that beyond two errors of a normal number."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that a log determines.

    Attributes
    ----------
    name : str
        What it is, such as ``persistent-rank``.
    unit : str
        ``share`` for a standard deviation of the logarithm of times or a share, ``s``,
        ``probability``, or empty.
    value : float
        The number.
    low, high : float
        The ends of its two-error interval: of a normal estimate, two standard errors on either
        side. Those of standard deviations reach further up than down.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float

    @property
    def std_error(self) -> float:
        """A quarter of the two-error interval: the standard error of a normal estimate."""
        return (self.high - self.low) / (2 * ERRORS)

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
    low, high = np.quantile(draws, [LOWER, 1 - LOWER]).tolist()
    return Estimate(name=name, unit=unit, value=value, low=min(low, value), high=max(high, value))


def normal(name: str, unit: str, value: float, std_error: float) -> Estimate:
    """Return an estimate with a normal error."""
    reach = ERRORS * std_error
    return Estimate(name=name, unit=unit, value=value, low=value - reach, high=value + reach)
