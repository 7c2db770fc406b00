"""Posteriors of explanations: how often their intervals hold the truth, and how wide they are."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost.analyses.points import Outcome, Points
from hindmost.analyses.posterior import Observed, spread, weights
from hindmost.analyses.unknowns import Point, drawn, unknowns_of
from hindmost.scenario import from_table

SEED = 20_261_129
N_POINTS, N_TRUTHS = 4096, 200
HITS = (166, 191)
"""Hits of 200 intervals that hold the truth nine times in ten: 3.3 standard deviations around."""
TOLERANCE = 0.015

SOFTWARE = "pools.h100.software_efficiency"
LAWS: dict[str, dict[str, Any]] = {
    SOFTWARE: {"name": "uniform", "low": 0.5, "high": 0.9},
    "workload.overhead_s": {"name": "uniform", "low": 0.0, "high": 0.5},
    "causes.residual.law.sigma": {"name": "log-uniform", "low": 0.01, "high": 0.1},
    "causes.pause.per_hour": {"name": "log-uniform", "low": 10.0, "high": 1000.0},
}


def points_of(n_unknowns: int) -> Points:
    """Return how points of the first so many unknowns are simulated: a job of eight replicas."""
    changes = {
        "pools.h100.n_gpus": 64,
        "layout.shard_group_replicas": 8,
        "workload.model": "llama3-8b",
    }
    table = hm.load("h100-1k", changes).model_dump(mode="json", exclude_none=True)
    table["unknowns"] = dict(list(LAWS.items())[:n_unknowns])
    base = hm.compile(from_table(table, "small"))
    return Points(
        base=base,
        unknowns=unknowns_of(base.scenario),
        metric="mfu",
        seed=SEED,
        runs=2,
        steps=20,
        days=1.0,
        method="auto",
        threads=2,
    )


@cache
def simulated(n_unknowns: int) -> tuple[list[Point], list[Outcome], list[Point], list[Outcome]]:
    """Return points of a prior and truths of the same, with what they come to."""
    points = points_of(n_unknowns)
    sampled = drawn(points.unknowns, SEED, 0, N_POINTS)
    truths = drawn(points.unknowns, SEED + 1, 0, N_TRUTHS)
    found = [one for one in points.outcomes(sampled + truths) if one is not None]
    assert len(found) == N_POINTS + N_TRUTHS
    return sampled, found[:N_POINTS], truths, found[N_POINTS:]


@pytest.mark.parametrize("n_unknowns", [1, 2, 4])
def test_intervals_hold_the_truth_as_often_as_they_say(n_unknowns: int) -> None:
    sampled, outcomes, truths, true_outcomes = simulated(n_unknowns)
    rng = np.random.default_rng(SEED)
    hits = dict.fromkeys(truths[0], 0)
    for truth, outcome in zip(truths, true_outcomes, strict=True):
        value = outcome.value + TOLERANCE * rng.normal()
        weight = weights(outcomes, Observed(value=value, tolerance=TOLERANCE))
        for path in hits:
            found = spread(np.array([point[path] for point in sampled]), weight)
            hits[path] += found.p5 <= truth[path] <= found.p95
    assert all(HITS[0] <= n <= HITS[1] for n in hits.values()), hits


def test_a_posterior_is_as_wide_as_the_tolerance_over_the_slope() -> None:
    sampled, outcomes, _, _ = simulated(1)
    points = points_of(1)
    # In the middle of its range, four standard deviations from both ends.
    middle = 0.7
    ends = points.outcomes([{SOFTWARE: x} for x in (middle - 0.02, middle, middle + 0.02)])
    low, at, high = (one.value for one in ends if one is not None)
    slope = (high - low) / 0.04
    tolerance = 0.2 / 4.5 * slope
    weight = weights(outcomes, Observed(value=at, tolerance=tolerance))
    found = spread(np.array([point[SOFTWARE] for point in sampled]), weight)
    assert found.sd == pytest.approx(tolerance / abs(slope), rel=0.1)
    assert found.mean == pytest.approx(middle, abs=0.01)
