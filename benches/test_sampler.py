"""The sampler against NumPy: rank-draws, random words, whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from benches import numpy_side
from benches.gate import gate
from hindmost import _core
from hindmost.simulation import rank_times, simulate

SEED = 1
N_STEPS = 1_000
SPEEDS = numpy_side.speeds()


def one_cause() -> hm.Scenario:
    """Return the scenario of NumPy's side: a persistent factor and one residual."""
    kept = ("gpu-speed", "residual")
    others = [name for name in hm.load("h100-1k").causes if name not in kept]
    speed = {"sigma": numpy_side.SPEED_SIGMA, "cap": numpy_side.SPEED_CAP}
    scenario = hm.load(
        "h100-1k",
        {
            "pools.h100.n_gpus": numpy_side.N_RANKS,
            "fabric.noise.enabled": False,
            **{f"causes.{name}.enabled": False for name in others},
            "causes.gpu-speed.law": {"name": "lognormal", **speed},
            "causes.residual.law": {"name": "lognormal", "sigma": numpy_side.SIGMA},
        },
    )
    assert hm.compile(scenario).core.draws_per_step == numpy_side.N_RANKS
    return scenario


ONE_CAUSE_BARS = {"portable": 4.0, "avx2": 8.0, "avx512": 12.0}


def test_one_cause_with_a_persistent_factor_and_max(benchmark: Any, instructions: str) -> None:
    scenario = one_cause()
    gate(
        benchmark,
        ours=lambda: sampled(scenario),
        theirs=lambda: numpy_side.slowest(SPEEDS, N_STEPS // 4),
        work=4.0,
        at_least=ONE_CAUSE_BARS[instructions],
    )


WORD_BARS = {"avx2": 2.0, "avx512": 2.5}


@pytest.mark.parametrize("name", [name for name in WORD_BARS if name in _core.instruction_sets()])
def test_random_words(benchmark: Any, name: str) -> None:
    n_words = 1 << 24
    rng = np.random.Generator(np.random.SFC64(SEED))
    numbers = np.empty(n_words // 256, dtype=np.float32)

    def theirs() -> None:
        # In pieces of 256 KiB, which stay in the cache.
        for _ in range(256):
            rng.random(dtype=np.float32, out=numbers)

    gate(
        benchmark,
        ours=lambda: _core.probe_words(n_words // 256, name),
        theirs=theirs,
        at_least=WORD_BARS[name],
    )


def test_colossus_1_draws_a_third_as_fast_as_one_cause(benchmark: Any) -> None:
    shipped, plain = hm.load(COLOSSUS_1_BARE), one_cause()
    draws = [hm.compile(scenario).core.draws_per_step for scenario in (shipped, plain)]
    gate(
        benchmark,
        ours=lambda: sampled(shipped),
        theirs=lambda: sampled(plain),
        work=draws[0] / draws[1],
        at_least=1 / 3,
    )


def test_a_named_node_costs_a_quarter_of_a_sampled_step_at_most(benchmark: Any) -> None:
    slow = {"law": {"name": "constant", "value": 1.05}, "affects": "compute", "effect": "slowdown"}
    named = {**slow, "scope": "node", "span": "step", "units": [17], "pools": ["h100"]}
    without = hm.load(COLOSSUS_1_BARE)
    scenario = hm.load(COLOSSUS_1_BARE, {"causes.slow-node": named})
    gate(
        benchmark,
        ours=lambda: sampled(scenario),
        theirs=lambda: sampled(without),
        at_least=0.8,
    )


def test_episodes_cost_a_third_of_a_sampled_step_at_most(benchmark: Any) -> None:
    """Of 0.5% of 27,500 nodes at a time; so mild that few of them rule others out."""
    slow = {"law": {"name": "uniform", "low": 1.0, "high": 1.05}, "affects": "compute"}
    often = {"per_hour": 0.03, "duration": {"name": "exponential", "mean": 600.0}}
    episodes = {**slow, **often, "effect": "slowdown", "scope": "node", "span": "episode"}
    without = hm.load(COLOSSUS_1_BARE)
    scenario = hm.load(COLOSSUS_1_BARE, {"causes.fail-slow": episodes})
    gate(
        benchmark,
        ours=lambda: sampled(scenario),
        theirs=lambda: sampled(without),
        at_least=1 / 1.3,
    )


def test_steps_of_its_own_cost_every_gpu_little_more_than_a_probability(benchmark: Any) -> None:
    collect = {"law": {"name": "constant", "value": 0.2}, "affects": "compute", "effect": "stall"}
    collect |= {"scope": "gpu", "span": "step"}
    regular, by_chance = (
        hm.load(COLOSSUS_1_BARE, {"causes.garbage": {**collect, **often}})
        for often in ({"period_steps": 10_000}, {"probability": 1e-4})
    )
    gate(
        benchmark,
        ours=lambda: sampled(regular),
        theirs=lambda: sampled(by_chance),
        at_least=0.7,
    )


# The plain path looks up one value at a time, and AVX2 half as many as AVX-512.
ARRAY_BARS = {"portable": 0.85, "avx2": 3.0, "avx512": 4.0}


def test_the_times_of_all_ranks_in_one_array(benchmark: Any, instructions: str) -> None:
    scenario = one_cause()
    steps = range(200)
    gate(
        benchmark,
        ours=lambda: rank_times(scenario, seed=SEED, run=0, steps=steps, threads=2),
        theirs=lambda: numpy_side.rank_times(SPEEDS, len(steps)),
        at_least=ARRAY_BARS[instructions],
    )


def sampled(scenario: hm.Scenario) -> hm.Result:
    """Draw every rank of some steps on two threads."""
    return simulate(scenario, runs=1, steps=N_STEPS, seed=SEED, threads=2, method="sample")
