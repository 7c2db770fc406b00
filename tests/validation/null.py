"""Models that know next to nothing, held against the same rows as predictions.

A prediction is worth something only where it is nearer than these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hindmost import catalog
from tests.validation.families import Family, Row
from tests.validation.fitting import Fit, estimate, figure, fit, scenario

CONSTANT_MFU = 0.50
"""Share of the dense BF16 peak that the constant model gives every job."""

ANY = Fit(kernel_efficiency=0.5, overhead_s=0.0)
"""Numbers of a scenario of which only FLOPs are asked."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Signed errors of a model's rows, as shares of the published figures."""

    errors: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean absolute error."""
        return float(np.mean(np.abs(self.errors)))

    @property
    def worst(self) -> float:
        """Greatest absolute error."""
        return float(np.max(np.abs(self.errors)))

    @property
    def bias(self) -> float:
        """Mean error."""
        return float(np.mean(self.errors))


def ours(family: Family, row: Row) -> float:
    """Return the error of the prediction with fitted numbers."""
    return estimate(family, row, fit(family)).error


def constant(family: Family, row: Row) -> float:
    """Return the error of the same MFU for every job."""
    job = scenario(row, ANY)
    peak = catalog.gpu(row.gpu).peak_flop_per_s("bf16")
    assert peak is not None
    # A rate of FLOPs and the seconds of a step are the same function of each other.
    flop_per_s_of_1_s = figure(job, "TFLOP/s", 1.0) * 1e12
    step_s = flop_per_s_of_1_s / (CONSTANT_MFU * peak)
    return figure(job, family.unit, step_s) / row.published - 1


def unchanged(family: Family, row: Row) -> float:
    """Return the error of the rate of a GPU that the family's smallest fitted scale has."""
    first = family.fitted[0]
    of_first, of_row = scenario(first, ANY), scenario(row, ANY)
    first_s = figure(of_first, family.unit, first.published)
    flops = figure(of_row, "TFLOP/s", 1.0) / figure(of_first, "TFLOP/s", 1.0)
    return figure(of_row, family.unit, first_s * flops) / row.published - 1


MODELS: dict[str, Callable[[Family, Row], float]] = {
    "fitted": ours,
    "MFU 0.50": constant,
    "unchanged by scale": unchanged,
}


def errors_of(model: str, families: list[Family]) -> Errors:
    """Return the errors of a model on all predicted rows of some families."""
    of = MODELS[model]
    return Errors(errors=tuple(of(family, row) for family in families for row in family.predicted))
