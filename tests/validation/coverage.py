"""Intervals of rows that a family's smallest scale predicts, and how many hold their figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

import hindmost as hm
from tests.validation.families import Family, Row, gated
from tests.validation.fitting import (
    SEED,
    STEPS,
    estimate,
    figure,
    fit,
    fitted_on,
    predicted_rows,
    scenario,
)
from tests.validation.recipes import recipes

ENDS = (0.05, 0.95)
"""Probabilities of both ends of a 90% interval."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The 90% interval of a predicted row, over its published figure."""

    family: Family
    row: Row
    low: float
    high: float
    scatter: float
    """What rows of other families are off, root mean square: what a fit leaves open by itself."""

    @property
    def is_covered(self) -> bool:
        """Whether the published figure is within what is drawn."""
        return self.low <= 1 <= self.high

    @property
    def is_covered_with_scatter(self) -> bool:
        """Whether it is within that and the scatter of other families together."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return abs(1 - middle) <= float(np.hypot(half, stats.norm.ppf(ENDS[1]) * self.scatter))


@cache
def intervals() -> tuple[Interval, ...]:
    """Return the intervals of all predicted rows of families with one fitted number.

    What is not known is drawn alike for both scales, and the smallest one has its published step in
    each draw: a fit would make it so.
    """
    return tuple(_interval(family, row) for family in _families() for row in predicted_rows(family))


def _families() -> list[Family]:
    return [family for family in (*gated(), *recipes()) if len(fitted_on(family)) == 1]


def _interval(family: Family, row: Row) -> Interval:
    (first,) = fitted_on(family)
    published_s = figure(scenario(first, fit(family)), family.unit, first.published)
    growth = np.array(_steps_s(family, row)) / np.array(_steps_s(family, first))
    ends_s = published_s * np.quantile(growth, ENDS)
    of_row = scenario(row, fit(family))
    low, high = sorted(figure(of_row, family.unit, end_s) / row.published for end_s in ends_s)
    return Interval(family=family, row=row, low=low, high=high, scatter=_scatter(family))


@cache
def _scatter(family: Family) -> float:
    """Return the root mean square of the errors of predicted rows of the other families."""
    errors = [
        estimate(other, row, fit(other)).error
        for other in _families()
        if other.name != family.name
        for row in predicted_rows(other)
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


@cache
def _steps_s(family: Family, row: Row) -> tuple[float, ...]:
    found = hm.forecast(scenario(row, fit(family)), seed=SEED, steps=STEPS)
    return found.step_time_s
