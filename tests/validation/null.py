"""Models that know next to nothing, held against the same rows as predictions.

A prediction is worth something only where it is nearer than these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.validation.families import Family, Row, gated
from tests.validation.fitting import Fit, estimate, figure, fit, predicted_rows, scenario
from tests.validation.recipes import recipes

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
    return _error(family, row, CONSTANT_MFU)


def _error(family: Family, row: Row, mfu: float) -> float:
    """Return the error of an MFU, against the dense BF16 peak."""
    job = scenario(row, ANY)
    # A rate of FLOPs and the seconds of a step are the same function of each other.
    step_s = figure(job, "MFU %", 100 * mfu)
    return figure(job, family.unit, step_s) / row.published - 1


def unchanged(family: Family, row: Row) -> float:
    """Return the error of the rate of a GPU that the family's smallest fitted scale has."""
    first = family.fitted[0]
    of_first, of_row = scenario(first, ANY), scenario(row, ANY)
    first_s = figure(of_first, family.unit, first.published)
    flops = figure(of_row, "TFLOP/s", 1.0) / figure(of_first, "TFLOP/s", 1.0)
    return figure(of_row, family.unit, first_s * flops) / row.published - 1


def fp8_as_others(family: Family, row: Row) -> float:
    """Return the error of the mean MFU of the other FP8 families; in BF16 of half of the peak.

    Of each other family its smallest scale counts.
    """
    if row.dtype != "fp8":
        return constant(family, row)
    others = [
        _mfu(other, min(other.rows, key=lambda row: row.n_gpus))
        for other in (*gated(), *recipes())
        if other.rows[0].dtype == "fp8" and other.name != family.name
    ]
    return _error(family, row, float(np.mean(others)))


def _mfu(family: Family, row: Row) -> float:
    """Return the share of the dense BF16 peak that a published figure comes to."""
    job = scenario(row, ANY)
    step_s = figure(job, family.unit, row.published)
    return figure(job, "MFU %", step_s) / 100


MODELS: dict[str, Callable[[Family, Row], float]] = {
    "fitted": ours,
    "MFU 0.50": constant,
    "unchanged by scale": unchanged,
}


OF_STACKS: dict[str, Callable[[Family, Row], float]] = {
    "MFU 0.50": constant,
    "FP8 as other FP8": fp8_as_others,
}
"""Models that need no figure of the family itself."""


def of_family(model: str, family: Family) -> list[float]:
    """Return the errors of such a model on all rows of a family."""
    return [OF_STACKS[model](family, row) for row in family.rows]


def errors_of(model: str, families: list[Family]) -> Errors:
    """Return the errors of a model on all predicted rows of some families."""
    of = MODELS[model]
    return Errors(
        errors=tuple(of(family, row) for family in families for row in predicted_rows(family))
    )
