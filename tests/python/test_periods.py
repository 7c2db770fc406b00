"""Causes that come regularly: collections of garbage, saves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.calm import ANY, calm

import hindmost as hm
from hindmost.compiled import compile
from hindmost.scenario import from_table, to_table, with_changes

Fields = dict[str, Any]

PAUSE: Fields = {
    **ANY,
    "law": {"name": "constant", "value": 0.5},
    "scope": "cluster",
    "period_steps": 7,
}
COLLECT: Fields = {**PAUSE, "scope": "gpu"}


def stalls_s(cause: Fields, n_steps: int = 40, run: int = 0) -> NDArray[np.float64]:
    """Return the seconds of each rank of `h100-1k` that a cause adds, by step."""
    times_s = hm.rank_times(calm(pause=cause), seed=3, run=run, steps=range(n_steps))
    base_s = compile(calm()).plan.pools[0].replica_s
    return np.asarray(times_s, dtype=np.float64) - base_s


def comes(cause: Fields, n_steps: int = 40, run: int = 0) -> NDArray[np.bool_]:
    """Return whether a cause of half a second comes, by step and rank."""
    added_s = stalls_s(cause, n_steps, run)
    assert np.all((np.abs(added_s) < 1e-3) | (np.abs(added_s - 0.5) < 1e-3))
    found: NDArray[np.bool_] = added_s > 0.25
    return found


@pytest.mark.parametrize("scope", ["gpu", "node", "domain", "replica", "pool", "cluster"])
def test_a_number_is_the_first_step_of_all(scope: str) -> None:
    found = comes({**PAUSE, "scope": scope, "phase_steps": 3})
    due = np.arange(40) % 7 == 3
    assert np.array_equal(found, np.repeat(due[:, np.newaxis], 1024, axis=1))


@pytest.mark.parametrize("period", [2, 3, 5, 265])
def test_steps_wait_for_whoever_is_due(period: int) -> None:
    scenario = calm(pause={**PAUSE, "period_steps": period, "phase_steps": period - 1})
    result = hm.simulate(scenario, seed=1, runs=2, steps=600)
    base_s = compile(calm()).plan.noiseless_step_s
    due = np.arange(600) % period == period - 1
    for run in range(2):
        times_s = result.steps.filter(run=run)["step_time_s"].to_numpy()
        assert times_s == pytest.approx(base_s + 0.5 * due, rel=1e-6)
    assert result.inputs["method"] == "sample"


def test_every_gpu_has_a_step_of_its_own_by_default() -> None:
    found = comes(COLLECT, 70)
    phases = found[:7].argmax(axis=0)
    # Once a period, always in the same step of it.
    assert np.array_equal(found, np.arange(70)[:, np.newaxis] % 7 == phases)
    counts = np.bincount(phases, minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-3
    # Another run has other phases.
    others = comes(COLLECT, 7, run=1).argmax(axis=0)
    assert 0.05 < np.mean(others == phases) < 0.25


def test_units_share_a_phase_by_scope() -> None:
    phases = comes({**PAUSE, "scope": "node"}, 7).argmax(axis=0)
    by_node = phases.reshape(128, 8)
    assert np.all(by_node == by_node[:, :1])
    assert len(np.unique(by_node[:, 0])) == 7


def test_a_law_of_phases_is_drawn_once_a_run() -> None:
    law: Fields = {"name": "uniform", "low": 2.0, "high": 5.0}
    found = comes({**COLLECT, "phase_steps": law, "period_steps": 20}, 60)
    phases = found[:20].argmax(axis=0)
    assert np.array_equal(found, np.arange(60)[:, np.newaxis] % 20 == phases)
    counts = np.bincount(phases, minlength=20)
    assert counts[2:5].sum() == 1024
    assert stats.chisquare(counts[2:5]).pvalue > 1e-3


def test_a_law_beyond_the_period_wraps() -> None:
    law: Fields = {
        "name": "mixture",
        "components": [
            {"weight": 0.25, "law": {"name": "constant", "value": 9.0}},
            {"weight": 0.75, "law": {"name": "constant", "value": 4.9}},
        ],
    }
    phases = comes({**COLLECT, "phase_steps": law}, 7).argmax(axis=0)
    assert set(phases) == {2, 4}
    assert stats.binomtest(int(np.sum(phases == 2)), 1024, 0.25).pvalue > 1e-3


def test_a_number_below_one_is_the_first_step() -> None:
    phases = comes({**COLLECT, "phase_steps": {"name": "constant", "value": 0.5}}, 7)
    assert phases[0].all()


def test_what_comes_in_every_step_is_no_period() -> None:
    always: Fields = {k: v for k, v in COLLECT.items() if k != "period_steps"}
    scenarios = [calm(pause=cause) for cause in (always, {**always, "period_steps": 1})]
    found = [hm.simulate(scenario, seed=1, runs=2, steps=20) for scenario in scenarios]
    assert found[0].steps.equals(found[1].steps)
    assert found[0].inputs["method"] == found[1].inputs["method"] == "order-statistics"


def test_a_probability_is_that_of_a_step_that_is_due() -> None:
    found = comes({**COLLECT, "probability": 0.3, "phase_steps": 0}, 70)
    due = np.arange(70) % 7 == 0
    assert not found[~due].any()
    assert stats.binomtest(int(found[due].sum()), found[due].size, 0.3).pvalue > 1e-3


def test_what_comes_has_the_size_that_it_has_in_every_step() -> None:
    law: Fields = {"name": "lognormal", "sigma": 0.5}
    always: Fields = {k: v for k, v in COLLECT.items() if k != "period_steps"}
    everywhere = stalls_s({**always, "law": law})
    some = stalls_s({**COLLECT, "law": law, "phase_steps": 3})
    due = (np.arange(40) % 7 == 3)[:, np.newaxis]
    assert some == pytest.approx(np.where(due, everywhere, 0.0), abs=1e-6)


PIPELINE: Fields = {
    "pools.h100.n_gpus": 128,
    "layout.pipeline": 4,
    "layout.order": "tp-cp-pp-dp",
    "workload.n_microbatches": 4,
}


@pytest.mark.parametrize("scope", ["gpu", "node", "replica", "pool", "cluster"])
@pytest.mark.parametrize("span", ["step", "microbatch", "layer"])
def test_within_steps_it_comes_in_the_steps_that_are_due(scope: str, span: str) -> None:
    slow: Fields = {
        "law": {"name": "uniform", "low": 1.1, "high": 1.5},
        "affects": "compute",
        "effect": "slowdown",
        "scope": scope,
        "span": span,
    }
    regular = {**slow, "period_steps": 3, "phase_steps": 1}
    always, some, never = (
        hm.simulate(calm(changes=PIPELINE, slow=cause), seed=2, runs=2, steps=12, method="sample")
        .steps["compute_s"]
        .to_numpy()
        for cause in (slow, regular, {**slow, "enabled": False})
    )
    due = np.tile(np.arange(12) % 3 == 1, 2)
    assert some == pytest.approx(np.where(due, always, never), rel=1e-12)
    assert np.all(always[due] > never[due] * 1.001)


def test_ports_are_slow_regularly() -> None:
    noise: Fields = {
        "law": {"name": "constant", "value": 20.0},
        "affects": "network",
        "effect": "slowdown",
        "scope": "gpu",
        "span": "step",
        "period_steps": 4,
        "phase_steps": 2,
    }
    changes: Fields = {"collective.overlap_fraction": 0.0}
    rows = hm.simulate(calm(changes=changes, slow=noise), seed=1, runs=1, steps=12).steps
    exposed_s = rows["exposed_comm_s"].to_numpy()
    due = np.arange(12) % 4 == 2
    assert len(np.unique(exposed_s[due])) == len(np.unique(exposed_s[~due])) == 1
    assert exposed_s[due][0] > 2 * exposed_s[~due][0]


def test_order_statistics_says_why_it_declines() -> None:
    scenario = calm(pause={**PAUSE, "phase_steps": 3})
    why = "pause comes regularly, so that steps are unlike each other"
    with pytest.raises(hm.ScenarioError, match=why):
        hm.simulate(scenario, seed=1, runs=1, steps=4, method="order-statistics")


def test_a_period_replaces_the_rate_of_an_earlier_layer() -> None:
    regular = hm.load("h100-1k", {"causes.stall.period_steps": 100}).causes["stall"]
    assert (regular.period_steps, regular.per_hour) == (100, None)
    rated = hm.load("h100-1k").causes["stall"]
    assert rated.per_hour is not None
    again = with_changes(
        hm.load("h100-1k", {"causes.stall.period_steps": 100}), {"causes.stall.per_hour": 1.0}
    )
    assert (again.causes["stall"].period_steps, again.causes["stall"].per_hour) == (None, 1.0)


@pytest.mark.parametrize("phase", [None, 3, {"name": "uniform", "low": 1.0, "high": 5.0}])
def test_periods_survive_as_a_table(phase: int | Fields | None) -> None:
    scenario = calm(pause=PAUSE if phase is None else {**PAUSE, "phase_steps": phase})
    assert from_table(to_table(scenario)) == scenario
    assert scenario.causes["pause"].period_steps == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"period_steps": 0}, "pause.period_steps must be >= 1, got 0"),
        ({"period_steps": 2.5}, "pause.period_steps must be an integer, got 2.5"),
        ({"phase_steps": 7}, "pause.phase_steps must be < 7, the period, got 7"),
        ({"phase_steps": -1}, "pause.phase_steps must be >= 0, got -1"),
        ({"phase_steps": 1.5}, "pause.phase_steps must be a whole number, or a law, got 1.5"),
        ({"phase_steps": "late"}, 'must be a whole number, or a law, got "late"'),
        (
            {"phase_steps": {"name": "uniform", "low": 0.5, "high": 2e9}},
            "pause.phase_steps must be a law of numbers <= 16,777,216, or have a cap",
        ),
        (
            {"phase_steps": {"name": "lognormol"}},
            "pause.phase_steps.name must be the name of a law",
        ),
        (
            {"phase_steps": {"name": "lognormal", "sigma": -1.0}},
            "pause.phase_steps.sigma must be finite and >= 0, got -1",
        ),
        (
            {"phase_steps": {"name": "lognormal", "sigma": 1.0, "sigmas": 1.0}},
            "pause.phase_steps.sigmas is not a known key",
        ),
        ({"phase_steps": 3, "period_steps": None}, "pause.period_steps is missing"),
        ({"per_hour": 3.0}, "pause.per_hour must be left out where causes.pause.period_steps"),
        ({"span": "run"}, "pause.period_steps must be left out where span is run"),
    ],
)
def test_periods_that_mean_nothing_are_refused(changes: Fields, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        calm(pause={**PAUSE, **changes})
    assert said in str(refused.value)
