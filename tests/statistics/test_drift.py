"""Both engines follow one law where all ranks of a pool, or of the cluster, drift.

Not only the law of a step is compared but how steps follow each other: covariances of their
lengths, and how often the slowest pool stays the slowest.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.statistics.panel import (
    BESIDE_WORK,
    EXPOSED,
    RESIDUAL,
    SPEED,
    Table,
    exponential,
    gb200,
    h100,
    halt,
    lognormal,
    slow,
)
from tests.statistics.test_agreement import Rows, disagreements, rows

SAMPLE_SEED, ORDER_SEED = 20_261_129, 20_261_130
RUNS, STEPS = 10_000, 6
PAIRS = [(0, 5), (2, 5), (4, 5), (1, 3), (2, 3)]
"""Steps that are held together: anchors, and steps on both sides of them."""
MAX_ERRORS = 4.5


def drifting(cause: Table, correlation_s: float) -> Table:
    return {**cause, "span": "drift", "correlation_s": correlation_s}


SCENARIOS: dict[str, Table] = {
    "cluster beside a residual": {
        "pools": {"a": h100(64)},
        "causes": {"x": RESIDUAL, "wave": drifting(slow(lognormal(0.01), "cluster"), 8.0)},
    },
    "pools by themselves": {
        "pools": {"a": h100(64), "b": gb200(72)},
        "causes": {
            "x": RESIDUAL,
            "heat": drifting(slow(lognormal(0.01), "pool"), 5.0),
            "wave": drifting(slow(exponential(0.02), "cluster"), 1.0),
        },
    },
    "one pool of two, and speeds": {
        "pools": {"a": h100(64), "b": gb200(72, 1.01)},
        "causes": {
            "speed": SPEED,
            "x": RESIDUAL,
            "heat": {**drifting(slow(lognormal(0.02), "pool"), 30.0), "pools": ["a"]},
        },
    },
    "stalls": {
        "pools": {"a": h100(64)},
        "causes": {
            "x": RESIDUAL,
            "disk": drifting(halt(exponential(0.05, 0.0), "cluster"), 3.0),
        },
    },
    "ports": {
        "pools": {"a": h100(64), "b": h100(32, 0.99)},
        "collective": EXPOSED,
        "causes": {
            "x": RESIDUAL,
            "port": {**slow(lognormal(0.02)), "affects": "network"},
            "net": {**drifting(slow(lognormal(0.1), "cluster"), 6.0), "affects": "network"},
        },
    },
    "ports of a pool, beside work": {
        "pools": {"a": h100(64), "b": h100(32, 0.99)},
        "collective": BESIDE_WORK,
        "causes": {
            "wave": drifting(slow(lognormal(0.05), "cluster"), 2.0),
            "net": {**drifting(slow(lognormal(0.1), "pool"), 6.0), "affects": "network"},
        },
    },
}


def by_step(found: Rows, step: int) -> Rows:
    return {name: column.reshape(RUNS, STEPS)[:, step] for name, column in found.items()}


def products(found: Rows, first: int, second: int) -> NDArray[np.float64]:
    """Return products of deviations from the mean, whose mean is a covariance."""
    times_s = found["step_time_s"].reshape(RUNS, STEPS)
    away = times_s - times_s.mean(axis=0)
    product: NDArray[np.float64] = away[:, first] * away[:, second]
    return product


@pytest.mark.parametrize("name", SCENARIOS)
def test_engines_agree_in_steps_and_in_how_they_follow_each_other(name: str) -> None:
    table = SCENARIOS[name]
    sampled = rows(table, "sample", SAMPLE_SEED, runs=RUNS, steps=STEPS)
    drawn = rows(table, "order-statistics", ORDER_SEED, runs=RUNS, steps=STEPS)
    for step in (3, 5):
        assert disagreements(table, by_step(sampled, step), by_step(drawn, step)) == []
    for first, second in PAIRS:
        ours, theirs = (products(each, first, second) for each in (drawn, sampled))
        error = np.hypot(ours.std(), theirs.std()) / np.sqrt(RUNS)
        assert abs(ours.mean() - theirs.mean()) < MAX_ERRORS * error, (first, second)
        # They do follow each other.
        assert theirs.mean() > 0
    if len(table["pools"]) > 1:
        pools = [each["slowest_pool"].reshape(RUNS, STEPS) for each in (drawn, sampled)]
        stays = [(each[:, 4] == each[:, 5]).mean() for each in pools]
        share = float(np.mean(stays))
        error = np.sqrt(2 * share * (1 - share) / RUNS)
        assert abs(stays[0] - stays[1]) <= MAX_ERRORS * error + 1e-12
