"""Forecasts against simulations at the scenario's own values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
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
    rng = np.random.default_rng(1)
    gate(
        benchmark,
        ours=lambda: hm.forecast(scenario, seed=next(seeds)),
        theirs=lambda: rng.standard_normal(NORMALS),
        at_least=1.0,
        work=millions,
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
