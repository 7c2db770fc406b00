"""Forecasts against simulations at the scenario's own values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from benches.gate import gate
from benches.test_process import fresh  # noqa: F401

NORMALS = 1_000_000
MOST_TIMES = 1.3


@pytest.mark.parametrize(("stack", "millions"), [("typical", 35), ("best", 30)])
def test_sixty_four_draws_take_the_time_of_so_many_million_normal_numbers(
    benchmark: Any, stack: str, millions: int
) -> None:
    # Not that of simulations: these need not look at all pools, which draws do.
    scenario = hm.load("colossus-1", {"workload.stack": stack})
    # Another seed each time: laws of draws are kept, and would be found again.
    seeds = itertools.count(1)
    # Both sides take as long, on two threads: what slows a machine for a moment, or one of its
    # cores, meets both alike.
    rngs = [np.random.default_rng(seed) for seed in range(2)]

    def draw(rng: np.random.Generator) -> None:
        for _ in range(millions):
            rng.standard_normal(NORMALS)

    with ThreadPoolExecutor(len(rngs)) as pool:
        gate(
            benchmark,
            ours=lambda: hm.forecast(scenario, seed=next(seeds), threads=2),
            theirs=lambda: list(pool.map(draw, rngs)),
            at_least=1.0,
        )


@pytest.mark.parametrize("name", ["colossus-1", "llama3-405b-16384"])
def test_a_run_takes_little_longer_than_one_without_a_forecast(
    benchmark: Any,
    fresh: Callable[..., None],  # noqa: F811
    name: str,
) -> None:
    words = "-m", "hindmost", "run", name, "--seed", "1"
    gate(
        benchmark,
        ours=lambda: fresh(*words),
        theirs=lambda: fresh(*words, "--at-values"),
        at_least=1 / MOST_TIMES,
    )
