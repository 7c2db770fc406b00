"""Changes of a compiled scenario, against NumPy and against stated rates."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from benches.gate import gate, gate_of_a_count
from benches.yardstick import OBJECTS
from hindmost.engines import Reason
from hindmost.scenario import from_table, to_table

SIZES: dict[str, Any] = {"seed": 1, "runs": 8, "steps": 1_000}
NORMALS = 1_000_000

Change = Callable[[int], dict[str, Any]]

QUICK: dict[str, Change] = {
    "causes": lambda k: {"causes.residual.law.sigma": 0.0015 + 1e-7 * k},
    "software_efficiency": lambda k: {"pools.gb200.software_efficiency": 0.9 - 1e-6 * k},
    "overhead_s": lambda k: {"workload.overhead_s": 1e-4 * k},
    "overlap": lambda k: {"collective.overlap_fraction": 0.8 - 1e-6 * k},
}
"""Changes of what lies above FLOPs and bytes; each is another one than those before it."""
OTHERS: dict[str, Change] = {
    "gpus": lambda k: {"pools.h100.n_gpus": 150_000 - 512 * (k % 200)},
    "sequence length": lambda k: {"workload.seq_len": 4096 + k % 4096},
}


def changed(compiled: Any, change: Change) -> Callable[[], object]:
    """Return what plans another change each time that it is called."""
    number = itertools.count(1)
    return lambda: compiled.with_changes(change(next(number)))


@pytest.mark.parametrize("name", QUICK)
def test_a_change_of_a_compiled_scenario_is_planned_in_two_milliseconds(
    benchmark: Any, name: str
) -> None:
    ours = changed(hm.compile(COLOSSUS_1_BARE), QUICK[name])
    gate_of_a_count(benchmark, ours=ours, count=1, at_least_per_s=500, yardstick=OBJECTS)


def test_a_change_of_causes_is_planned_in_two_milliseconds_with_stages_too(benchmark: Any) -> None:
    ours = changed(hm.compile("llama3-405b-16384"), QUICK["causes"])
    gate_of_a_count(benchmark, ours=ours, count=1, at_least_per_s=500, yardstick=OBJECTS)


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_change_is_planned_in_six_milliseconds(benchmark: Any, name: str) -> None:
    ours = changed(hm.compile(COLOSSUS_1_BARE), OTHERS[name])
    gate_of_a_count(benchmark, ours=ours, count=1, at_least_per_s=1_000 / 6, yardstick=OBJECTS)


@pytest.mark.parametrize("name", ["causes", "software_efficiency"])
def test_a_change_is_simulated_in_the_time_of_three_million_normal_numbers(
    benchmark: Any, name: str
) -> None:
    compiled = hm.compile(COLOSSUS_1_BARE)
    compiled.simulate(**SIZES)
    rng, number = np.random.default_rng(1), itertools.count(1)
    gate(
        benchmark,
        ours=lambda: compiled.simulate(changes=QUICK[name](next(number)), **SIZES),
        theirs=lambda: rng.standard_normal(NORMALS),
        at_least=1 / 3,
    )


def test_keeping_what_steps_are_made_of_takes_as_long_again_at_most(benchmark: Any) -> None:
    compiled = hm.compile(COLOSSUS_1_BARE)
    sizes = {**SIZES, "steps": 10_000}
    gate(
        benchmark,
        ours=lambda: compiled.simulate(terms=True, **sizes),
        theirs=lambda: compiled.simulate(**sizes),
        at_least=1 / 2,
    )


N_POOLS = 3_000
GPUS = "h100-sxm", "h200-sxm", "h800-sxm", "b200-sxm"
IN_LAYERS = {
    "layout": {"tensor": 8, "sharding": "hybrid", "shard_group_replicas": 4},
    "causes": {
        "residual": {
            "law": {"name": "lognormal", "sigma": 0.01},
            "affects": "compute",
            "effect": "slowdown",
            "scope": "gpu",
            "span": "layer",
        }
    },
}
MANY_POOLS: dict[str, dict[str, Any]] = {
    "alike": {},
    "of four GPUs and a hundred sizes": {},
    "in layers": IN_LAYERS,
}


@pytest.mark.parametrize("name", MANY_POOLS)
def test_three_thousand_pools_are_compiled_in_three_seconds(benchmark: Any, name: str) -> None:
    base = to_table(hm.load("h100-1k"))

    def pool(k: int) -> dict[str, Any]:
        if name == "alike":
            return {"gpu": "h100-sxm", "n_gpus": 64}
        return {"gpu": GPUS[k % 4], "n_gpus": 64 + 8 * (k % 100)}

    table = {
        **base,
        "workload": {**base["workload"], "model": "llama3-8b"},
        "pools": {f"k{k}x": pool(k) for k in range(N_POOLS)},
        "unknowns": {},
        "basis": {},
        **MANY_POOLS[name],
    }

    def compiled() -> None:
        assert not isinstance(hm.compile(from_table(table)).exact, Reason)

    gate_of_a_count(benchmark, ours=compiled, count=1, at_least_per_s=1 / 3, yardstick=OBJECTS)
