"""Published rows that are nearest to a job, and how far predictions of them were off."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from hindmost.scenario import Scenario

FILE = "validation.csv"
"""Every row of docs/validation.md with its prediction."""
SHOWN = 5
"""Rows that are shown."""
OTHER_GPU, OTHER_DTYPE = 2.0, 1.0
"""Distance of another type of GPU and of another number format, as factors of 2 in GPUs are."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published figure beside its prediction.

    Attributes
    ----------
    family : str
        Name of the family of rows that are fitted together, as in docs/validation.md.
    gpu : str
        Type of GPU.
    n_gpus : int
        How many.
    dtype : str
        Number format.
    unit : str
        Of the figure.
    published : float
        The figure.
    is_fitted : bool
        Whether the family's numbers are fitted to it.
    error, stack_only_error : float or None
        Relative errors of the prediction: with the family's fitted numbers, and by a software stack
        alone.
    """

    family: str
    gpu: str
    n_gpus: int
    dtype: str
    unit: str
    published: float
    is_fitted: bool
    error: float | None
    stack_only_error: float | None


@cache
def published() -> tuple[Published, ...]:
    """Return all rows."""
    text = resources.files("hindmost.report").joinpath(FILE).read_text(encoding="utf-8")

    def number(value: str) -> float | None:
        return float(value) if value else None

    return tuple(
        Published(
            family=row["family"],
            gpu=row["gpu"],
            n_gpus=int(row["n_gpus"]),
            dtype=row["dtype"],
            unit=row["unit"],
            published=float(row["published"]),
            is_fitted=row["role"] == "fitted",
            error=number(row["error"]),
            stack_only_error=number(row["stack_only_error"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def nearest(scenario: Scenario) -> list[Published]:
    """Return the rows that are nearest to a job: in GPUs, their type, and the number format.

    One of each family, so that they are not all of one study.
    """
    gpus = {pool.gpu for pool in scenario.pools.values()}
    n_gpus = sum(pool.n_gpus for pool in scenario.pools.values())

    def distance(one: Published) -> float:
        return (
            abs(math.log2(one.n_gpus / n_gpus))
            + OTHER_GPU * (one.gpu not in gpus)
            + OTHER_DTYPE * (one.dtype != scenario.workload.dtype)
        )

    found: dict[str, Published] = {}
    for one in sorted(published(), key=distance):
        found.setdefault(one.family, one)
    return list(found.values())[:SHOWN]


def within(errors: Sequence[float], share: float) -> float:
    """Return the absolute error that a share of predictions does not exceed."""
    ordered = sorted(map(abs, errors))
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
