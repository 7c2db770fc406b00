"""Rows of a sweep as numbers close together: some hundred bytes a point."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost.metrics import METRICS, RUN_METRICS, STATISTICS

COLUMNS = tuple(
    f"{metric}_{statistic}" for metric in (*METRICS, *RUN_METRICS) for statistic in STATISTICS
)
"""Columns of numbers, in their order."""
_KNOWN = frozenset(COLUMNS)


def is_row(found: Any) -> bool:
    """Return whether something that was read is a row of a point."""
    match found:
        case {"error": str()}:
            return True
        case {"method": str(), "values": dict(values)}:
            numbers = (value is None or type(value) in (int, float) for value in values.values())
            return values.keys() <= _KNOWN and all(numbers)
    return False


@dataclass
class Rows:
    """What each point of a sweep comes to, filled in any order.

    Attributes
    ----------
    n : int
        Points.
    """

    n: int
    _methods: list[str | None] = field(init=False, repr=False)
    _errors: dict[int, str] = field(init=False, repr=False)
    _columns: dict[str, NDArray[np.float64]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._methods = [None] * self.n
        self._errors = {}
        self._columns = {}

    def take(self, place: int, row: dict[str, Any]) -> None:
        """Take the row of a point, from any thread."""
        if "error" in row:
            self.refuse(place, row["error"])
            return
        # One text for all points.
        self._methods[place] = sys.intern(row["method"])
        for name, value in row["values"].items():
            if value is not None:
                column = self._columns.get(name)
                if column is None:
                    column = self._columns.setdefault(name, np.full(self.n, np.nan))
                column[place] = value

    def refuse(self, place: int, reason: str) -> None:
        """Say why a point has no row."""
        self._errors[place] = reason

    @property
    def methods(self) -> list[str | None]:
        """The method of each point; None for one without a row."""
        return self._methods

    @property
    def errors(self) -> list[str | None]:
        """Why points have no rows; None for those that have one."""
        return [self._errors.get(place) for place in range(self.n)]

    @property
    def names(self) -> list[str]:
        """Names of the columns of numbers that any point has, in their order."""
        return [name for name in COLUMNS if name in self._columns]

    def pop(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, NaN where a point has none, and forget it."""
        column = self._columns.pop(name, None)
        return np.full(self.n, np.nan) if column is None else column
