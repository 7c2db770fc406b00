"""Order statistics: against NumPy, against itself at other sizes, and against stated rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from benches.gate import gate, gate_of_a_count
from hindmost import _core

STEPS = 1_000_000
SEED = 1
KNOTS = 4096

RESIDUAL = {"name": "lognormal", "median": 1.0, "sigma": 0.0015}
SPEED = {"name": "lognormal", "median": 1.0, "sigma": 0.0172, "cap": 1.062}


def engine(n_gpus: int, **persistent: Any) -> _core.OrderStatistics:
    """Return the engine of one pool with a residual and persistent causes."""
    causes = [
        {
            "name": name,
            "affects": "compute",
            "effect": "slowdown",
            "scope": "gpu",
            "span": span,
            "probability": 1.0,
            "law": law,
            "pools": [0],
        }
        for name, span, law in [
            ("residual", "step", RESIDUAL),
            *((name, "run", law) for name, law in persistent.items()),
        ]
    ]
    pool = {
        "name": "pool",
        "n_gpus": n_gpus,
        "node_gpus": 8,
        "domain_gpus": 8,
        "rack_gpus": None,
        "tensor_gpus": 8,
        "compute_s": 1.0,
    }
    plan = _core.Plan(pools=[pool], causes=causes, terms=[], overlap_fraction=0.0)
    return _core.OrderStatistics(plan)


def test_a_million_steps_against_interpolation_in_a_table(benchmark: Any) -> None:
    pool = engine(100_000, speed=SPEED)
    rng = np.random.default_rng(SEED)
    x = np.linspace(0.0, 1.0, KNOTS)
    y = np.sort(rng.random(KNOTS))
    gate(
        benchmark,
        ours=lambda: pool.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        theirs=lambda: np.interp(rng.random(STEPS), x, y),
        at_least=1 / 4,
    )


def test_steps_of_a_billion_gpus_take_as_long_as_those_of_a_thousand(benchmark: Any) -> None:
    small, large = engine(1_000), engine(1_000_000_000)
    gate(
        benchmark,
        ours=lambda: large.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        theirs=lambda: small.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        at_least=1 / 1.3,
    )


def test_the_survey_of_all_gpus_takes_little_more_than_their_words(benchmark: Any) -> None:
    n_gpus = 64_000_000
    large = engine(n_gpus, speed=SPEED)
    instructions = _core.instruction_sets()[-1]
    gate(
        benchmark,
        ours=lambda: large.run(seed=SEED, runs=1, steps=1, threads=1),
        theirs=lambda: _core.probe_words(n_gpus // 64, instructions),
        at_least=0.6,
    )


LAWS = {
    "lognormal": {"name": "lognormal", "median": 1.0, "sigma": 0.3},
    "exponential": {"name": "exponential", "mean": 1.0, "shift": 0.02},
    "gamma": {"name": "gamma", "shape": 3.5, "scale": 1.0},
    "weibull": {"name": "weibull", "shape": 1.7, "scale": 1.0},
    "pareto": {"name": "pareto", "alpha": 3.0, "minimum": 1.0},
    "normal": {"name": "normal", "mean": 1.0, "sigma": 0.3},
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_compiled_in_a_millisecond(benchmark: Any, name: str) -> None:
    law = _core.Law(LAWS[name])
    gate_of_a_count(benchmark, ours=law.check_drawable, count=1, at_least_per_s=1_000)


def test_the_slowest_law_of_colossus_1_is_compiled_in_five_milliseconds(benchmark: Any) -> None:
    core = hm.compile(COLOSSUS_1_BARE).core
    gate_of_a_count(
        benchmark,
        ours=lambda: _core.OrderStatistics(core).law(0, SEED, 0),
        count=1,
        at_least_per_s=200,
    )
