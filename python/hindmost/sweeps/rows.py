"""Rows of a sweep as numbers close together: some hundred bytes a point."""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass, field
from typing import Any

from hindmost.metrics import METRICS, RUN_METRICS, STATISTICS

COLUMNS = tuple(
    f"{metric}_{statistic}" for metric in (*METRICS, *RUN_METRICS) for statistic in STATISTICS
)
"""Columns of numbers, in their order."""
_PLACES = {name: place for place, name in enumerate(COLUMNS)}


def is_row(found: Any) -> bool:
    """Return whether something that was read is a row of a point."""
    match found:
        case {"error": str()}:
            return True
        case {"method": str(), "values": dict(values)}:
            numbers = (value is None or type(value) in (int, float) for value in values.values())
            return values.keys() <= _PLACES.keys() and all(numbers)
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
    _values: array[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._methods = [None] * self.n
        self._errors = {}
        self._values = array("d", [math.nan]) * (self.n * len(COLUMNS))

    def take(self, place: int, row: dict[str, Any]) -> None:
        """Take the row of a point."""
        if "error" in row:
            self.refuse(place, row["error"])
            return
        # One text for all points.
        self._methods[place] = sys.intern(row["method"])
        first = place * len(COLUMNS)
        for name, value in row["values"].items():
            if value is not None:
                self._values[first + _PLACES[name]] = value

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

    def column(self, name: str) -> list[float | None]:
        """Return a column of numbers; None where a point has none."""
        numbers = self._values[_PLACES[name] :: len(COLUMNS)]
        return [None if math.isnan(number) else number for number in numbers]
