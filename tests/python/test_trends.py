"""Factors that grow from a restart on, in both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.calm import ANY, Fields, calm
from tests.statistics.test_random_scenarios import same_bytes

import hindmost as hm
from hindmost.compiled import compile
from hindmost.engines import Method
from hindmost.scenario import with_changes

PER_HOUR = 30.0
TREND: Fields = {
    "law": {"name": "constant", "value": 1.0},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "cluster",
    "span": "step",
    "trend_per_hour": PER_HOUR,
}
"""So much that some steps show it."""
NOISY: Fields = {"law": {"name": "lognormal", "sigma": 0.01}}
SMALL: Fields = {"pools.h100.n_gpus": 64, "layout.shard_group_replicas": 8}
TWO: Fields = {
    "pools.h200": {"gpu": "h200-sxm", "n_gpus": 32},
    "pools.h100.n_gpus": 64,
    "layout.shard_group_replicas": 4,
}
PIPELINE: Fields = {
    "pools.h100.n_gpus": 128,
    "layout.pipeline": 4,
    "layout.order": "tp-cp-pp-dp",
    "workload.n_microbatches": 4,
}
RUNS, STEPS = 2, 30
SIZE: Fields = {"seed": 1, "runs": RUNS, "steps": STEPS}
METHODS: tuple[Method, ...] = ("sample", "order-statistics")


def growth(scenario: hm.Scenario) -> Any:
    """Return what factors have grown by in each step, by their definition."""
    hours = np.arange(STEPS) * compile(scenario).plan.noiseless_step_s / 3600
    return 1 + PER_HOUR * hours


def compute_s(scenario: hm.Scenario, **call: Any) -> Any:
    rows = hm.simulate(scenario, **{**SIZE, **call}).steps
    return rows["compute_s"].to_numpy().reshape(RUNS, STEPS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scope", ["pool", "cluster"])
def test_a_factor_grows_with_the_hours_since_the_run_began(method: Method, scope: str) -> None:
    scenario = calm(changes=SMALL, trend={**TREND, "scope": scope})
    bare = compute_s(calm(changes=SMALL))[0, 0]
    expected = np.tile(bare * growth(scenario), (RUNS, 1))
    np.testing.assert_allclose(compute_s(scenario, method=method), expected, rtol=1e-6)


@pytest.mark.parametrize("changes", [SMALL, TWO, PIPELINE], ids=["one", "two", "pipeline"])
@pytest.mark.parametrize("span", ["step", "drift"])
def test_a_law_is_multiplied_by_what_it_has_grown(changes: Fields, span: str) -> None:
    """In all steps of all engines, next to the same job without a trend."""
    cause = {**TREND, **NOISY, "span": span}
    if span == "drift":
        cause["correlation_s"] = 60.0
    changes = {**changes, "collective.overlap_fraction": 0.0}
    grown = calm(changes=changes, trend=cause)
    plain = with_changes(grown, {"causes.trend.trend_per_hour": 0.0})
    factors = growth(grown)
    assert factors[-1] > 1.01
    # Transfers between stages do not follow the slowdown.
    rtol = 1e-3 if changes.get("layout.pipeline") else 1e-5
    for method in METHODS:
        ratio = compute_s(grown, method=method) / compute_s(plain, method=method)
        np.testing.assert_allclose(ratio, np.tile(factors, (RUNS, 1)), rtol=rtol)


@pytest.mark.parametrize("terms", [False, True])
def test_both_engines_have_the_same_trend(terms: bool) -> None:
    changes = {**TWO, "collective.overlap_fraction": 0.0}
    scenario = calm(
        changes=changes,
        trend={**TREND, **NOISY},
        port={**TREND, **NOISY, "affects": "network", "scope": "pool"},
    )
    drawn, sampled = (
        hm.simulate(scenario, **SIZE, method=method, terms=terms)
        for method in ("order-statistics", "sample")
    )
    assert drawn.steps.equals(sampled.steps)
    exposed_s = drawn.steps["exposed_comm_s"].to_numpy().reshape(RUNS, STEPS).mean(axis=0)
    assert np.polyfit(np.arange(STEPS), exposed_s, 1)[0] > 0


def test_ranks_are_busy_for_longer_as_factors_grow() -> None:
    scenario = calm(changes=SMALL, trend=TREND, other={**TREND, "trend_per_hour": 5.0})
    hours = (growth(scenario) - 1) / PER_HOUR
    mean = ((1 + PER_HOUR * hours) * (1 + 5 * hours)).mean()
    bare = compute_s(calm(changes=SMALL))[0, 0]
    for method in METHODS:
        result = hm.simulate(scenario, **SIZE, method=method)
        busy_s = result.pool_rows[0]["busy_frac"] * result.value("step_time_s")
        assert busy_s == pytest.approx(bare * mean, rel=1e-6)


def test_one_step_is_replayed_alone() -> None:
    scenario = calm(changes=SMALL, trend={**TREND, **NOISY}, late={**ANY, "probability": 0.5})
    times = hm.rank_times(scenario, seed=1, run=1, steps=range(STEPS))
    alone = hm.rank_times(scenario, seed=1, run=1, steps=[17])
    np.testing.assert_array_equal(alone[0], times[17])
    rows = compute_s(scenario, method="sample")
    np.testing.assert_allclose(times.max(axis=1), rows[1], rtol=1e-6)
    found = hm.timeline(scenario, seed=1, run=1, step=17)
    assert found.compute_s == pytest.approx(rows[1, 17], rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_trend_of_zero_changes_no_byte(method: Method) -> None:
    cause = {**TREND, **NOISY}
    zero = calm(changes=SMALL, trend={**cause, "trend_per_hour": 0.0})
    del cause["trend_per_hour"]
    none = calm(changes=SMALL, trend=cause)
    one, other = (hm.simulate(each, **SIZE, method=method) for each in (zero, none))
    assert same_bytes(one.columns, other.columns)


def test_a_mechanism_frees_of_what_grows() -> None:
    scenario = calm(changes=SMALL, trend=TREND)
    free = with_changes(scenario, {"ideal.step_common": True})
    assert np.ptp(compute_s(free)) == 0 < np.ptp(compute_s(scenario))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"effect": "stall"}, "trend.effect must be slowdown where causes.trend.trend_per_hour"),
        ({"scope": "node"}, "trend.scope must be pool or cluster where"),
        ({"span": "run"}, "trend.span must be step or drift where"),
        ({"probability": 0.5}, "trend.probability must be left out where"),
        ({"per_hour": 0.5}, "trend.per_hour must be left out where"),
        ({"period_steps": 5}, "trend.period_steps must be left out where"),
        ({"trend_per_hour": -0.1}, "trend.trend_per_hour must be >= 0, got -0.1"),
        ({"trend_per_hour": 101.0}, "trend.trend_per_hour must be <= 100, got 101"),
        ({"trend_per_hour": float("nan")}, "trend.trend_per_hour must be finite, got nan"),
    ],
)
def test_trends_that_mean_nothing_are_refused(changes: Fields, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        calm(changes=SMALL, trend={**TREND, **changes})
    assert said in str(refused.value)


def test_a_trend_has_all_its_problems_at_once() -> None:
    wrong = {"effect": "stall", "scope": "node", "span": "run", "probability": 0.5}
    with pytest.raises(hm.ScenarioError) as refused:
        calm(changes=SMALL, trend={**TREND, **wrong})
    assert len(str(refused.value).splitlines()) == 4


def test_steps_that_last_much_longer_than_a_restart_is_away_are_warned_of() -> None:
    """Whole runs take their mean step, which grows with the steps that are simulated."""
    changes: Fields = {
        "failures.job": {"scope": "job", "per_hour": 1.0},
        "recovery": {"restart_s": 60.0},
        "checkpoint": {"interval_s": 60.0, "blocking_s": 0.0},
    }
    scenario = calm(changes={**SMALL, **changes}, trend={**TREND, "trend_per_hour": 0.001})
    step_s = compile(scenario).plan.noiseless_step_s

    def warnings(steps: int) -> list[str]:
        result = hm.simulate(scenario, seed=1, runs=8, steps=steps, days=60)
        account = result.account
        assert account is not None
        # A failure comes an hour after the last restart, which cannot fail.
        assert account.hours_between_restarts == pytest.approx(1.0, rel=0.05)
        return [one["warning"] for one in result.scenario_warnings if "trend" in one["path"]]

    fitting = round(3600 / step_s)
    assert not warnings(fitting)
    [warning] = warnings(10 * fitting)
    assert "from a restart to the next one: --steps" in warning
    assert len(warnings(max(1, fitting // 10))) == 1
