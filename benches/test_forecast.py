"""Forecasts against simulations at the scenario's own values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import hindmost as hm
from benches.gate import gate
from benches.test_process import fresh  # noqa: F401

MOST_TIMES = 1.3


@pytest.mark.parametrize(("stack", "most_times"), [("typical", 2.0), ("best", 1.8)])
def test_sixty_four_draws_take_the_time_of_a_few_simulations(
    benchmark: Any, stack: str, most_times: float
) -> None:
    scenario = hm.load("colossus-1", {"workload.stack": stack})
    # Another seed each time: laws of draws are kept, and would be found again.
    seeds = itertools.count(1)
    gate(
        benchmark,
        ours=lambda: hm.forecast(scenario, seed=next(seeds)),
        theirs=lambda: hm.simulate(scenario, seed=1),
        at_least=1 / most_times,
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
