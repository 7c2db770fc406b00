"""How far predictions with fitted numbers are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.validation.families import Family
from tests.validation.fitting import Estimate, estimate, fit, predicted_rows


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
            for row in predicted_rows(family)
        ]
    )


def _score(found: list[tuple[str, Estimate]]) -> Score:
    errors = [abs(one.error) for _, one in found]
    worst = int(np.argmax(errors))
    return Score(
        mean=float(np.mean(errors)),
        worst=errors[worst],
        worst_row=found[worst][0],
        n_rows=len(found),
    )
