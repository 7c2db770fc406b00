"""What matters most in a forecast: effects of unknowns, and none by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost.analyses.matters import matters

RUNS = 48


def forecast(draws: dict[str, Any], mfu: Any, idle: tuple[str, ...] = ()) -> hm.Forecast:
    return hm.Forecast(
        inputs={},
        unknowns={path: {"name": "uniform"} for path in draws},
        draws={path: tuple(np.asarray(values).tolist()) for path, values in draws.items()},
        step_time_s=tuple((1 / np.asarray(mfu)).tolist()),
        mfu=tuple(np.asarray(mfu).tolist()),
        held=(),
        idle=idle,
        n_redrawn=0,
    )


def uniform(random: np.random.Generator) -> Any:
    """Return stratified draws, as forecasts have them."""
    return (random.permutation(RUNS) + random.random(RUNS)) / RUNS


def test_effects_are_those_that_made_the_draws() -> None:
    random = np.random.default_rng(3)
    first, second, none = uniform(random), uniform(random), uniform(random)
    mfu = 0.4 + 0.1 * first - 0.05 * second + 0.002 * random.standard_normal(RUNS)
    found = matters(forecast({"a": 10 * first, "b": second, "c": none}, mfu))
    assert [one.paths for one in found] == [("a",), ("b",)]
    a, b = found
    # Between p5 and p95.
    assert a.effect == pytest.approx(0.09, abs=4 * a.effect_error)
    assert b.effect == pytest.approx(-0.045, abs=4 * b.effect_error)
    assert a.effect_error < 0.002
    assert a.low == pytest.approx(0.5, abs=0.2)
    assert a.high == pytest.approx(9.5, abs=0.2)


def test_hardly_any_unknown_matters_by_chance() -> None:
    random = np.random.default_rng(4)
    trials = 400
    found = 0
    for _ in range(trials):
        draws = {str(k): uniform(random) for k in range(8)}
        found += bool(matters(forecast(draws, 0.4 + 0.01 * random.standard_normal(RUNS))))
    # In a twentieth of all forecasts at most.
    assert found <= 0.05 * trials + 4 * (0.05 * 0.95 * trials) ** 0.5


def test_unknowns_that_are_drawn_alike_are_one() -> None:
    random = np.random.default_rng(5)
    one = uniform(random)
    draws = {"a": one, "b": 2 * one, "idle": one[::-1]}
    (found,) = matters(forecast(draws, 0.2 + 0.1 * one, idle=("idle",)))
    assert found.paths == ("a", "b")
    assert found.effect == pytest.approx(0.09, rel=0.02)


def test_nothing_matters_where_nothing_varies() -> None:
    one = uniform(np.random.default_rng(6))
    assert matters(forecast({"a": one}, np.full(RUNS, 0.4))) == []
    assert matters(forecast({}, 0.4 + 0.1 * one)) == []
    assert matters(forecast({"a": np.ones(RUNS)}, 0.4 + 0.1 * one)) == []
    few = hm.forecast("h100-1k", seed=1, runs=2, steps=5)
    assert matters(few) == []


def test_a_preset_moves_with_its_software() -> None:
    found = matters(hm.forecast("h100-1k", seed=1, runs=32, steps=20))
    assert found[0].paths == ("pools.h100.software_efficiency",)
    assert found[0].effect > 0
    hidden = next(one for one in found if one.paths == ("collective.hidden_cost",))
    assert hidden.effect < 0
