"""Replica laws found by simulation: how accurate they are, and what they say of it."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from tests.statistics.panel import BASE, Table, h100, h200, scenario, slow

SEED = 41
RUNS, STEPS, SAMPLED_STEPS = 16, 8_000, 160
MAX_BIAS = 0.002
"""Relative error of a mean that is allowed besides chance."""
MAX_ERRORS = 4.5
"""Standard errors that chance explains, in some sixty comparisons."""


def lognormal(sigma: float, **more: Any) -> Table:
    return {"name": "lognormal", "sigma": sigma, **more}


def speed(sigma: float, scope: str = "gpu") -> Table:
    return slow(lognormal(sigma), scope, span="run")


def stall(probability: float, mean: float) -> Table:
    exponential = {"name": "exponential", "mean": mean, "shift": mean / 2}
    return slow(exponential, effect="stall", probability=probability)


def staged(
    *, pools: Table, causes: Table, schedule: str = "1f1b", n_microbatches: int = 8
) -> Table:
    return {
        "pools": pools,
        # Stages side by side, so that a node holds ranks of one replica.
        "layout": {
            "tensor": 2,
            "pipeline": 4,
            "schedule": schedule,
            "order": "tp-cp-pp-dp",
        },
        "workload": {**BASE["workload"], "n_microbatches": n_microbatches},
        "causes": causes,
    }


CONSTANT: Table = {"name": "constant", "value": 0.15}
SCENARIOS = {
    "a residual of every step": staged(
        pools={"one": h100(768)}, causes={"residual": slow(lognormal(0.04))}
    ),
    "a residual of every microbatch, next to speeds": staged(
        pools={"one": h100(1536)},
        causes={
            "speed": speed(0.025),
            "residual": slow(lognormal(0.03), span="microbatch"),
        },
    ),
    "two pools": staged(
        pools={"one": h100(768), "other": h200(768, 1.01)},
        causes={"speed": speed(0.02), "residual": slow(lognormal(0.02))},
        schedule="zero-bubble",
    ),
    "noise that all share in every microbatch": staged(
        pools={"one": h100(768)},
        causes={
            "speed": speed(0.02),
            "common": slow(lognormal(0.04), "cluster", span="microbatch"),
            "residual": slow(lognormal(0.02)),
        },
        schedule="gpipe",
    ),
    "sequences of a replica": staged(
        pools={"one": h100(768)},
        causes={
            "sequences": slow(lognormal(0.15), "replica", span="microbatch"),
            "residual": slow(lognormal(0.02)),
        },
    ),
    "nodes, and steps that a pool shares": staged(
        pools={"one": h100(768)},
        causes={
            "node": slow(lognormal(0.04), "node"),
            "pool": slow(lognormal(0.03), "pool"),
            "speed": speed(0.02, "node"),
        },
    ),
    "stalls": staged(
        pools={"one": h100(768)},
        causes={"stall": stall(1e-3, 0.3), "residual": slow(lognormal(0.01))},
    ),
    "stalls beside one that lasts a run, and layers that a pool shares": staged(
        pools={"one": h100(256)},
        causes={
            "persistent": slow(
                {"name": "constant", "value": 0.4}, "replica", effect="stall", span="run"
            ),
            "stall": stall(1e-2, 0.2),
            "layers": slow(lognormal(0.05), "pool", span="layer"),
            "residual": slow(lognormal(0.01), span="microbatch"),
        },
        n_microbatches=4,
    ),
    "stalls of few among replicas that are all alike": staged(
        pools={"one": h100(24)},
        causes={"stall": slow(CONSTANT, "node", effect="stall", probability=0.02)},
    ),
    "one replica": staged(
        pools={"one": h100(8)},
        causes={"residual": slow(lognormal(0.05), span="microbatch")},
    ),
    "many replicas": staged(
        pools={"one": h100(32_768)},
        causes={"speed": speed(0.02), "residual": slow(lognormal(0.02), span="microbatch")},
        n_microbatches=4,
    ),
}


WITH_STALLS = [
    name
    for name, table in SCENARIOS.items()
    if any(cause["effect"] == "stall" for cause in table["causes"].values())
]
WITH_POOLS = [name for name, table in SCENARIOS.items() if len(table["pools"]) > 1]
EVERY_SCENARIO = pytest.mark.parametrize("name", SCENARIOS)


@cache
def both(name: str) -> tuple[hm.Result, hm.Result]:
    """Return a scenario's result by a replica law, and by drawing every rank."""
    job = scenario(SCENARIOS[name])
    drawn = hm.simulate(job, method="order-statistics", seed=SEED, runs=RUNS, steps=STEPS)
    sampled = hm.simulate(job, method="sample", seed=SEED, runs=RUNS, steps=SAMPLED_STEPS)
    return drawn, sampled


def rows(result: hm.Result, column: str) -> Any:
    return result.steps[column].to_numpy().reshape(RUNS, -1)


def of_runs(values: Any) -> tuple[float, float]:
    """Return the mean of one number a run, and its error."""
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


@EVERY_SCENARIO
def test_means_are_those_of_sampled_steps(name: str) -> None:
    drawn, sampled = (rows(result, "compute_s") for result in both(name))
    miss, error = of_runs(drawn.mean(axis=1) / sampled.mean(axis=1) - 1)
    assert abs(miss) < MAX_BIAS + MAX_ERRORS * error


@EVERY_SCENARIO
def test_one_in_twenty_sampled_steps_is_beyond_the_95th_percentile(name: str) -> None:
    drawn, sampled = (rows(result, "compute_s") for result in both(name))
    beyond, error = of_runs((sampled > np.quantile(drawn, 0.95, axis=1, keepdims=True)).mean(1))
    error = max(error, math.sqrt(0.05 * 0.95 / sampled.size))
    assert abs(beyond - 0.05) < 0.02 + MAX_ERRORS * error


@pytest.mark.parametrize("name", WITH_STALLS)
def test_stalls_cost_what_they_cost_sampled_steps(name: str) -> None:
    drawn, sampled = (rows(result, "stall_s") for result in both(name))
    assert sampled.any()
    miss, error = of_runs(drawn.mean(axis=1) - sampled.mean(axis=1))
    assert abs(miss) <= 0.1 * sampled.mean() + MAX_ERRORS * error
    hit, error = of_runs((drawn > 0).mean(axis=1) - (sampled > 0).mean(axis=1))
    assert abs(hit) <= 0.03 + MAX_ERRORS * error


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in WITH_STALLS])
def test_without_a_cause_that_stalls_nothing_does(name: str) -> None:
    for result in both(name):
        assert not rows(result, "stall_s").any()


@pytest.mark.parametrize("name", WITH_POOLS)
def test_pools_are_the_slowest_as_often(name: str) -> None:
    for pool in SCENARIOS[name]["pools"]:
        drawn, sampled = (
            (rows(result, "slowest_pool") == pool).mean(axis=1) for result in both(name)
        )
        assert 0.05 < sampled.mean() < 0.95
        _, error = of_runs(drawn - sampled)
        assert abs(drawn.mean() - sampled.mean()) < 0.05 + MAX_ERRORS * error


@EVERY_SCENARIO
def test_deviations_are_what_other_runs_show(name: str) -> None:
    drawn, sampled = (rows(result, "compute_s") for result in both(name))
    deviation = both(name)[0].deviation
    assert deviation is not None
    miss, error = of_runs(drawn.mean(axis=1) / sampled.mean(axis=1) - 1)
    together = math.hypot(error, deviation.std_error)
    assert abs(deviation.mean - miss) < MAX_BIAS / 2 + MAX_ERRORS * together
    assert deviation.n_steps == 256


def test_a_law_that_does_not_hold_says_so() -> None:
    """Few replicas with a bad GPU are not like the others, and are the slowest ones."""
    bad = slow({"name": "constant", "value": 1.3}, span="run", probability=2e-3)
    table = staged(
        pools={"one": h100(1024)},
        causes={"bad": bad, "residual": slow(lognormal(0.02), span="microbatch")},
    )
    drawn = hm.simulate(scenario(table), method="order-statistics", seed=SEED, runs=1, steps=4)
    assert drawn.deviation is not None
    assert drawn.deviation.mean < -2 * drawn.deviation.std_error
    assert drawn.deviation.beyond_p95 > 0.1
    assert f"{drawn.deviation.mean:+.3%}" in drawn.why
