"""Several readings of one number, each by another source, of which any may be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

POINTS = 16
"""Values of a reading that its source gives as a range: the middles of as many equal parts."""
PERCENTILES = (("p5", 0.05), ("p50", 0.5), ("p95", 0.95))
"""Percentiles over readings."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A number as one source gives it.

    Attributes
    ----------
    name : str
        Name of the source: an entry of the catalogue, or ``given``.
    whose : str
        Whose number it is.
    date : str
        Year and month, or nothing.
    low, high : float
        The number, or both ends of its range.
    where : str
        Where it comes from.
    """

    name: str
    whose: str
    date: str
    low: float
    high: float
    where: str

    @property
    def middle(self) -> float:
        """The number, or the middle of its range."""
        return (self.low + self.high) / 2

    def values(self) -> Numbers:
        """Return values of equal probability: of a range, anywhere in it."""
        if self.low == self.high:
            return np.full(POINTS, self.low)
        places = (np.arange(POINTS) + 0.5) / POINTS
        return self.low + (self.high - self.low) * places

    def document(self) -> dict[str, object]:
        """Return it as a plain table."""
        return {key: getattr(self, key) for key in self.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True)
class Readings:
    """All readings of one number, each as good as any other.

    Attributes
    ----------
    readings : tuple of Reading
        One or more.
    """

    readings: tuple[Reading, ...]

    @property
    def at(self) -> float:
        """The median of the readings' middles."""
        return float(np.median([one.middle for one in self.readings]))

    @property
    def low(self) -> float:
        """The least of all."""
        return min(one.low for one in self.readings)

    @property
    def high(self) -> float:
        """The greatest of all."""
        return max(one.high for one in self.readings)

    def values(self) -> Numbers:
        """Return values of equal probability."""
        return np.concatenate([one.values() for one in self.readings])

    def documents(self) -> list[dict[str, object]]:
        """Return all as plain tables."""
        return [one.document() for one in self.readings]


def given(value: float, where: str) -> Readings:
    """Return the one reading of a number that is known."""
    reading = Reading(name="given", whose="given", date="", low=value, high=value, where=where)
    return Readings(readings=(reading,))


def percentiles(values: Numbers, weights: Numbers | None = None) -> dict[str, float]:
    """Return p5, p50 and p95 of values.

    Parameters
    ----------
    values : array
        The values.
    weights : array
        Their probabilities, which need not add up to 1; without them percentiles are linear between
        values.

    Examples
    --------
    >>> percentiles(np.arange(101.0))
    {'p5': 5.0, 'p50': 50.0, 'p95': 95.0}
    """
    order = np.argsort(values, axis=None, kind="stable")
    ordered = np.ravel(values)[order]
    if weights is None:
        places = np.arange(len(ordered))
        return {
            name: float(np.interp(share * places[-1], places, ordered))
            for name, share in PERCENTILES
        }
    reached = np.cumsum(np.ravel(weights)[order])
    # The least value below which, itself included, lies as much.
    found = (np.searchsorted(reached, share * reached[-1]) for _, share in PERCENTILES)
    return {
        name: float(ordered[min(int(place), len(ordered) - 1)])
        for (name, _), place in zip(PERCENTILES, found, strict=True)
    }


def paired(first: Readings, second: Readings) -> tuple[Numbers, Numbers, Numbers]:
    """Return values of two numbers together, and their probabilities.

    A source that has both gives them together: what it says of the one and of the other holds in
    one market, and a range of both has one place. Sources that have one of them only go with all
    of the other's.

    Returns
    -------
    first, second, weight : array
        All combinations; weights add up to 1.
    """
    names = {one.name: one for one in second.readings}
    found: list[tuple[Numbers, Numbers, Numbers]] = []
    for one in first.readings:
        if one.name in names:
            pair = one.values(), names[one.name].values()
        else:
            grid = np.meshgrid(one.values(), second.values(), indexing="ij")
            pair = grid[0].ravel(), grid[1].ravel()
        weight = np.full(len(pair[0]), 1 / len(pair[0]) / len(first.readings))
        found.append((*pair, weight))
    columns = zip(*found, strict=True)
    together, others, weights = (np.concatenate(column) for column in columns)
    return together, others, weights
