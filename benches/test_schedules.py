"""Pipeline schedules: passes a second on one core, against stated counts."""

from __future__ import annotations

from typing import Any

import pytest

from benches.gate import gate_of_a_count
from hindmost import _core

STAGES, MICROBATCHES = 16, 32
PASSES = 2 * STAGES * MICROBATCHES
LANES = 16
"""Replicas that one walk goes through at once."""

SEED = 1
SETS = _core.instruction_sets()

WALK_BARS = {"portable": 1.4e9, "avx2": 3e9, "avx512": 3e9}


@pytest.mark.parametrize("name", SETS)
def test_passes_of_1f1b_whose_times_are_given(benchmark: Any, name: str) -> None:
    n_walks = 2_000
    gate_of_a_count(
        benchmark,
        ours=lambda: _core.probe_walks(STAGES, MICROBATCHES, n_walks, name),
        count=n_walks * LANES * PASSES,
        at_least_per_s=WALK_BARS[name],
    )


DRAW_BARS = {"portable": 0.09e9, "avx2": 0.3e9, "avx512": 0.4e9}
REPLICAS, STEPS = 1024, 16


@pytest.mark.parametrize("name", SETS)
def test_passes_of_1f1b_with_one_draw_each(benchmark: Any, name: str) -> None:
    plan = one_draw_a_pass(name)
    assert plan.draws_per_step == REPLICAS * PASSES
    gate_of_a_count(
        benchmark,
        ours=lambda: _core.sample(plan, seed=SEED, runs=1, steps=STEPS, threads=1),
        count=STEPS * REPLICAS * PASSES,
        at_least_per_s=DRAW_BARS[name],
    )


def one_draw_a_pass(instructions: str) -> _core.Plan:
    """Return a plan with two causes a rank and microbatch, whose passes are two."""
    causes = [
        {
            "name": name,
            "affects": "compute",
            "effect": "slowdown",
            "scope": "gpu",
            "span": "microbatch",
            "probability": 1.0,
            "law": {"name": "lognormal", "median": 1.0, "sigma": 0.01},
            "pools": [0],
        }
        for name in ("one", "other")
    ]
    pool = {
        "name": "pool",
        "n_gpus": REPLICAS * STAGES,
        "node_gpus": 8,
        "domain_gpus": 8,
        "rack_gpus": None,
        "tensor_gpus": 1,
        "compute_s": 3.0 * (MICROBATCHES + STAGES - 1),
    }
    times = {
        "forward_s": [1.0] * STAGES,
        "backward_s": [2.0] * STAGES,
        "weight_s": [],
        "overhead_s": 0.0,
        "transfer_s": 0.0,
    }
    pipeline = {
        "kind": "1f1b",
        "stages": STAGES,
        "chunks": 1,
        "microbatches": MICROBATCHES,
        "context": 1,
        "gang_replicas": 1,
        "placement": "aligned",
        "layers": [1] * STAGES,
        "times": [times],
    }
    return _core.Plan(
        pools=[pool],
        causes=causes,
        terms=[],
        overlap_fraction=0.9,
        pipeline=pipeline,
        instructions=instructions,
    )
