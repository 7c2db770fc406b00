"""Whole runs of clusters whose units fail, against stated rates."""

from __future__ import annotations

from functools import cache
from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count
from benches.yardstick import MEMORY
from hindmost import _core
from hindmost.plan import make_plan
from hindmost.whole_run.fleet import SECONDS_PER_DAY, Fleet
from hindmost.whole_run.hours import run_hours

N_INTERRUPTIONS = 1_000_000
YEAR = 365.0

CONSTANT = {
    "pools.h100.n_gpus": 220_000,
    "failures.node": {"scope": "node", "per_hour": 3.789e-3 / 24},
    "recovery": {"restart_s": 600.0},
    "checkpoint": {"interval_s": 300.0, "blocking_s": 30.0},
}
"""27,500 nodes at Llama 3's rate."""

WEIBULL = {
    "pools.h100.n_gpus": 1_000_000,
    "pools.h100.spares": 8_000,
    "pools.h100.rack_gpus": 64,
    "failures.node": {
        "scope": "node",
        "per_hour": 3.789e-3 / 24,
        "law": {"name": "weibull", "shape": 0.7},
        "repair_hours": 24.0,
    },
    "recovery": {"restart_s": 60.0},
    "checkpoint": {"interval_s": 300.0, "blocking_s": 5.0},
}
"""125,000 nodes, each with a clock of its own."""

RACKS = {
    **WEIBULL,
    "failures.rack": {
        "scope": "rack",
        "per_hour": 1e-4 / 24,
        "law": {"name": "weibull", "shape": 0.7},
        "repair_hours": 24.0,
    },
}
"""The nodes of `WEIBULL`, in racks that fail as a whole."""


POD = "tpu-v4-optical"
"""A slice of 3,072 chips on a pod of 4,096, whose hosts fail and are repaired."""
CENTURY = 100 * YEAR


@cache
def fleet(name: str) -> Fleet:
    changes = {"constant": CONSTANT, "weibull": WEIBULL, "racks": RACKS}.get(name)
    scenario = hm.load(POD) if changes is None else hm.load("h100-1k", changes)
    return Fleet(scenario=scenario, plan=make_plan(scenario))


def failures(name: str, **end: Any) -> float:
    found = _core.fleet_runs(fleet(name).arguments(), seed=1, runs=(0, 1), threads=1, **end)
    return float(found["failures"].sum())


def test_five_million_failures_a_second_and_core_on_a_cluster(benchmark: Any) -> None:
    end = {"seconds": 1e12, "interruptions": N_INTERRUPTIONS}
    gate_of_a_count(
        benchmark,
        ours=lambda: failures("constant", **end),
        count=failures("constant", **end),
        at_least_per_s=5e6,
        yardstick=MEMORY,
    )


def test_a_million_failures_a_second_and_core_of_clocks_that_age(benchmark: Any) -> None:
    end = {"seconds": 10 * YEAR * SECONDS_PER_DAY}
    gate_of_a_count(
        benchmark,
        ours=lambda: failures("weibull", **end),
        count=failures("weibull", **end),
        at_least_per_s=1e6,
        yardstick=MEMORY,
    )


def test_a_year_of_a_million_gpus_in_two_seconds(benchmark: Any) -> None:
    gate_of_a_count(
        benchmark,
        ours=lambda: run_hours(fleet("racks"), seed=1, runs=16, days=YEAR, threads=2),
        count=1.0,
        at_least_per_s=0.5,
        yardstick=MEMORY,
    )


def test_a_thousand_years_of_a_pod_in_slices_in_two_seconds(benchmark: Any) -> None:
    gate_of_a_count(
        benchmark,
        ours=lambda: run_hours(fleet(POD), seed=1, runs=10, days=CENTURY, threads=1),
        count=1.0,
        at_least_per_s=0.5,
        yardstick=MEMORY,
    )
