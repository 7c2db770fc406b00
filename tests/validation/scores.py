"""How far predictions are off: with fitted numbers, and with those of other families."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hindmost import catalog
from tests.plans import compute_time
from tests.validation.families import Family, Row, gated
from tests.validation.fitting import Estimate, Fit, estimate, fit, scenario


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors of some rows, as shares of the published figures."""

    mean: float
    worst: float
    worst_row: str
    n_rows: int


def score_of_predictions(families: list[Family]) -> Score:
    """Return the score of all predicted rows of some families."""
    return _score(
        [
            (f"{family.title}, {row.n_gpus:,} GPUs", estimate(family, row, fit(family)))
            for family in families
            for row in family.predicted
        ]
    )


def borrowed(family: Family) -> tuple[float, float]:
    """Return the kernel efficiency and the overhead's share that other papers' families have.

    The kernel efficiency relative to the catalogue's; the overhead as a share of
    the noiseless step, a mean over those families that two numbers were fitted for.
    """
    others = [other for other in gated() if other.paper != family.paper]
    relative = [fit(other).share_of_catalogue(other.rows[0]) for other in others]
    shares = [
        np.mean([fit(other).overhead_s / _noiseless_s(row, fit(other)) for row in other.fitted])
        for other in others
        if len(other.fitted) == 2
    ]
    return float(np.mean(relative)), float(np.mean(shares))


def score_of_borrowed(family: Family) -> Score:
    """Return the score of all rows of a family with the numbers of other papers' families."""
    return _score(
        [(f"{row.n_gpus:,} GPUs", estimate(family, row, _lent(family, row))) for row in family.rows]
    )


def _lent(family: Family, row: Row) -> Fit:
    relative, share = borrowed(family)
    known = catalog.gpu(row.gpu).kernel_efficiency_of(row.dtype)
    assert known is not None
    bare = Fit(kernel_efficiency=relative * known, overhead_s=0.0)
    step_s = _noiseless_s(row, bare)
    return Fit(kernel_efficiency=bare.kernel_efficiency, overhead_s=share / (1 - share) * step_s)


def _noiseless_s(row: Row, numbers: Fit) -> float:
    return compute_time(scenario(row, numbers), "gpus").step_s


def _score(found: list[tuple[str, Estimate]]) -> Score:
    errors = [abs(one.error) for _, one in found]
    worst = int(np.argmax(errors))
    return Score(
        mean=float(np.mean(errors)),
        worst=errors[worst],
        worst_row=found[worst][0],
        n_rows=len(found),
    )
