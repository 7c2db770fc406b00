"""Attributions and explanations against stated rates: a number of them in a time."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from benches.gate import gate_of_a_count
from hindmost.analyses.points import Points
from hindmost.analyses.unknowns import drawn, unknowns_of


@cache
def frozen() -> hm.Scenario:
    """Return the frozen scenario with the failures of colossus-1 and slow software on GB200."""
    preset = hm.load("colossus-1").model_dump(mode="json", exclude_none=True)
    changes = {name: preset[name] for name in ("failures", "recovery", "checkpoint")}
    changes["pools.gb200.software_efficiency"] = 0.7
    return hm.load(COLOSSUS_1_BARE, changes)


def test_all_mechanisms_of_220_000_gpus_in_15_seconds(benchmark: Any) -> None:
    found = hm.attribute(frozen(), seed=0, runs=1, steps=4)
    # Nine on ranks, three on the network and two between steps; ports with and without noise.
    assert found.n_simulations == 2**9 + 2
    there = [one.metric for one in found.shares if one.mechanism not in found.absent]
    assert there.count("mfu") == 12
    assert there.count("fleet_mfu") == 14
    gate_of_a_count(
        benchmark,
        ours=lambda: hm.attribute(frozen(), seed=0, runs=8, steps=1000),
        count=1,
        at_least_per_s=1 / 15,
    )


def test_groups_of_mechanisms_of_a_sampled_pipeline_in_four_minutes(benchmark: Any) -> None:
    scenario = hm.load("colossus-1-pp16")
    gate_of_a_count(
        benchmark,
        ours=lambda: hm.attribute(scenario, seed=0, runs=4, steps=20),
        count=1,
        at_least_per_s=1 / 240,
    )


N_POINTS = 512


def test_points_of_an_explanation_are_4096_in_90_seconds(benchmark: Any) -> None:
    base = hm.compile(COLOSSUS_1_BARE)
    points = Points(
        base=base,
        unknowns=unknowns_of(base.scenario),
        metric="mfu",
        seed=0,
        runs=4,
        steps=250,
        days=1.0,
        method="auto",
        threads=2,
    )
    sampled = drawn(points.unknowns, 0, 0, N_POINTS)
    gate_of_a_count(
        benchmark,
        ours=lambda: points.outcomes(sampled),
        count=N_POINTS,
        at_least_per_s=4096 / 90,
    )
