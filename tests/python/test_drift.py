"""Causes that drift: alike within a correlation time, the same in both engines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.calm import ANY, Fields, calm

import hindmost as hm
from hindmost import _core
from hindmost.compiled import compile
from hindmost.scenario import from_table, to_table, with_changes
from hindmost.scenario.ideal import mechanism_of

DRIFT: Fields = {
    "law": {"name": "lognormal", "sigma": 0.01},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "cluster",
    "span": "drift",
    "correlation_s": 60.0,
}
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
SIZE: Fields = {"seed": 1, "runs": 3, "steps": 40}


def planned(scenario: hm.Scenario, cause: str = "drift") -> dict[str, Any]:
    """Return the cause as the core is given it."""
    causes = {each["name"]: each for each in compile(scenario).plan.arguments["causes"]}
    found: dict[str, Any] = causes[cause]
    return found


def test_a_step_counts_as_long_as_it_takes_without_causes() -> None:
    scenario = calm(changes=SMALL, drift=DRIFT, late={**ANY, "probability": 0.5})
    step_s = compile(scenario).plan.noiseless_step_s
    assert planned(scenario)["correlation_steps"] == 60.0 / step_s
    assert planned(scenario)["span"] == "step"
    slower = with_changes(scenario, {"pools.h100.software_efficiency": 0.5})
    assert compile(slower).plan.noiseless_step_s > 1.5 * step_s
    assert planned(slower)["correlation_steps"] == pytest.approx(
        60.0 / compile(slower).plan.noiseless_step_s
    )
    # An ideal changes what it names only.
    ideal = with_changes(scenario, {"ideal.kernel_efficiency": True})
    assert planned(ideal)["correlation_steps"] == 60.0 / step_s


@pytest.mark.parametrize("scope", ["pool", "cluster"])
@pytest.mark.parametrize("affects", ["compute", "network"])
@pytest.mark.parametrize("effect", ["slowdown", "stall"])
def test_both_engines_have_the_same_drift(scope: str, affects: str, effect: str) -> None:
    law = {"slowdown": DRIFT["law"], "stall": {"name": "exponential", "mean": 0.1}}[effect]
    drift = {**DRIFT, "scope": scope, "affects": affects, "effect": effect, "law": law}
    changes = {**TWO, "collective.overlap_fraction": 0.0}
    scenario = calm(changes=changes, drift=drift)
    drawn = hm.simulate(scenario, **SIZE)
    assert drawn.inputs["method"] == "order-statistics"
    sampled = hm.simulate(scenario, **SIZE, method="sample")
    assert drawn.steps.equals(sampled.steps)
    assert drawn.steps["step_time_s"].n_unique() == 120


def test_steps_next_to_each_other_are_alike() -> None:
    scenario = calm(changes=SMALL, drift=DRIFT)
    rho = math.exp(-compile(scenario).plan.noiseless_step_s / 60.0)
    rows = hm.simulate(scenario, seed=2, runs=4000, steps=3).steps
    x = np.log(rows["compute_s"].to_numpy()).reshape(4000, 3)
    x = (x - x.mean()) / 0.01
    for lag in (1, 2):
        error = math.sqrt((1 + rho ** (2 * lag)) / 4000)
        assert np.mean(x[:, 0] * x[:, lag]) == pytest.approx(rho**lag, abs=4 * error)


@pytest.mark.parametrize("scope", ["node", "pool", "cluster"])
@pytest.mark.parametrize("shortest_s", [1e-6, 5e-324])
def test_without_correlation_it_is_span_step(scope: str, shortest_s: float) -> None:
    step = {key: value for key, value in DRIFT.items() if key != "correlation_s"}
    scenarios = [
        calm(changes=SMALL, drift={**DRIFT, "scope": scope, "correlation_s": shortest_s}),
        calm(changes=SMALL, drift={**step, "scope": scope, "span": "step"}),
    ]
    drifting, anew = (hm.simulate(one, **SIZE, method="sample") for one in scenarios)
    assert drifting.steps.equals(anew.steps)


def test_nodes_that_drift_are_sampled_and_it_is_said_why() -> None:
    scenario = calm(changes=SMALL, heat={**DRIFT, "scope": "node"})
    result = hm.simulate(scenario, **SIZE)
    why = "heat drifts by node, so that who is slow in a step depends on who was slow before"
    assert (result.inputs["method"], result.why) == ("sample", why)
    with pytest.raises(hm.ScenarioError, match=why):
        hm.simulate(scenario, **SIZE, method="order-statistics")
    # GPUs of a node share it; nodes do not.
    times_s = hm.rank_times(scenario, seed=1, run=2, steps=range(40))
    by_node = times_s.reshape(40, 8, 8)
    assert np.all(by_node == by_node[:, :, :1])
    assert len(np.unique(by_node[0, :, 0])) == 8
    of_run = result.steps.filter(run=2)["compute_s"].to_numpy()
    assert times_s.max(axis=1) == pytest.approx(of_run, rel=1e-6)


def test_named_nodes_drift_alone() -> None:
    every = calm(changes=SMALL, heat={**DRIFT, "scope": "node"})
    some = calm(changes=SMALL, heat={**DRIFT, "scope": "node", "units": [2]})
    all_s, some_s = (hm.rank_times(one, seed=1, run=0, steps=range(9)) for one in (every, some))
    base_s = compile(calm(changes=SMALL)).plan.pools[0].replica_s
    assert np.array_equal(some_s[:, 16:24], all_s[:, 16:24])
    others = np.delete(some_s, np.s_[16:24], axis=1)
    assert others == pytest.approx(base_s, rel=1e-6)


def test_any_step_is_replayed_alone() -> None:
    for scope in ("node", "pool"):
        scenario = calm(changes=TWO, heat={**DRIFT, "scope": scope})
        together = hm.rank_times(scenario, seed=3, run=1, steps=range(300))
        for step in (0, 1, 77, 256, 299):
            alone = hm.rank_times(scenario, seed=3, run=1, steps=[step])
            assert np.array_equal(alone[0], together[step])


def test_slowest_replicas_are_slow_for_long() -> None:
    scenario = calm(changes=SMALL, heat={**DRIFT, "scope": "node", "correlation_s": 1e5})
    rows = hm.slowest_replicas(scenario, k=1, seed=5, runs=1, steps=30)
    result = hm.simulate(scenario, seed=5, runs=1, steps=30)
    assert np.array_equal(rows["compute_s"], result.steps["compute_s"])
    assert rows["replica"].n_unique() <= 3


@pytest.mark.parametrize("scope", ["node", "pool", "cluster"])
def test_with_stages_a_drift_slows_all_passes_of_a_step(scope: str) -> None:
    drift = {**DRIFT, "scope": scope}
    step = {**drift, "span": "step"}
    del step["correlation_s"]
    never = {**drift, "correlation_s": 1e-6}
    found = [
        hm.simulate(calm(changes=PIPELINE, x=cause), **SIZE, method="sample").steps
        for cause in (drift, step, never)
    ]
    # The same law for single steps, bit by bit where nothing correlates.
    assert found[2].equals(found[1])
    assert not found[0].equals(found[1])
    first = found[0].filter(step=0)
    assert first.equals(found[1].filter(step=0)), "step 0 is an anchor"
    if scope == "node":
        with pytest.raises(hm.ScenarioError, match="x drifts by node"):
            hm.simulate(calm(changes=PIPELINE, x=drift), **SIZE, method="order-statistics")
        return
    law = hm.simulate(calm(changes=PIPELINE, x=drift), **SIZE, method="order-statistics")
    ours, theirs = law.steps["compute_s"], found[0]["compute_s"]
    # Transfers between stages do not follow the slowdown, which a replica law leaves out.
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-3)


def test_a_change_of_a_compiled_scenario_is_a_scenario_of_its_own() -> None:
    compiled = compile(calm(changes=TWO, drift=DRIFT, x={**ANY, "probability": 1e-3}))
    for changes in (
        {"causes.drift.correlation_s": 7.5},
        {"causes.drift.law.sigma": 0.03},
        {"causes.drift.scope": "pool"},
        {"causes.drift.span": "step"},
    ):
        ours = compiled.simulate(**SIZE, changes=changes)
        fresh = hm.simulate(with_changes(compiled.scenario, changes), **SIZE)
        assert ours == fresh
        assert not ours.steps.equals(compiled.simulate(**SIZE).steps)


def test_another_span_makes_the_correlation_time_void() -> None:
    scenario = calm(drift=DRIFT)
    anew = with_changes(scenario, {"causes.drift.span": "step"})
    assert anew.causes["drift"].correlation_s is None
    again = with_changes(anew, {"causes.drift.span": "drift", "causes.drift.correlation_s": 5.0})
    assert again.causes["drift"].correlation_s == 5.0


def test_a_drift_survives_as_a_table_and_in_files(tmp_path: Any) -> None:
    scenario = calm(changes=SMALL, drift=DRIFT)
    assert from_table(to_table(scenario)) == scenario
    result = hm.simulate(scenario, **SIZE)
    result.write(tmp_path / "result.parquet")
    again = hm.read(tmp_path / "result.parquet")
    assert again == result
    assert hm.simulate(again.scenario, **SIZE) == result


@pytest.mark.parametrize(
    ("fields", "mechanism"),
    [
        ({}, "step_common"),
        ({"scope": "pool"}, "step_common"),
        ({"scope": "node"}, "residual"),
        ({"affects": "network"}, "network_noise"),
        ({"effect": "stall"}, "stalls"),
    ],
)
def test_a_drift_belongs_to_one_mechanism(fields: Fields, mechanism: str) -> None:
    scenario = calm(changes=SMALL, drift={**DRIFT, **fields})
    assert mechanism_of(scenario.causes["drift"]) == mechanism
    free = with_changes(scenario, {f"ideal.{mechanism}": True})
    base = hm.simulate(calm(changes=SMALL), **SIZE)
    assert hm.simulate(free, **SIZE).value("step_time_s") == base.value("step_time_s")


def test_attribute_gives_what_a_drift_costs() -> None:
    slow = {**DRIFT, "law": {"name": "uniform", "low": 1.02, "high": 1.08}}
    scenario = calm(changes=SMALL, drift=slow)
    found = hm.attribute(scenario, seed=1, runs=2, steps=50)
    (common,) = (one for one in found.shares if one.mechanism == "step_common")
    free = with_changes(scenario, {"ideal.step_common": True})
    mfu, free_mfu = (
        hm.simulate(one, seed=1, runs=2, steps=50).value("mfu") for one in (scenario, free)
    )
    assert common.alone == pytest.approx(free_mfu - mfu, rel=1e-9)
    assert common.alone > 0.01 * mfu


def test_caps_of_a_drift_are_moved() -> None:
    law = {"name": "lognormal", "sigma": 0.05, "cap": 1.05}
    result = hm.simulate(
        calm(changes=SMALL, drift={**DRIFT, "law": law}), seed=1, runs=8, steps=500
    )
    assert set(hm.caps(result)["cause"]) == {"drift"}


def test_a_correlation_time_may_be_unknown() -> None:
    table = to_table(calm(changes=SMALL, drift=DRIFT))
    table["unknowns"] = {
        "causes.drift.correlation_s": {"name": "log-uniform", "low": 10.0, "high": 1000.0},
        "causes.drift.law.sigma": {"name": "log-uniform", "low": 0.002, "high": 0.2},
    }
    scenario = from_table(table)
    observed = hm.simulate(scenario, seed=1, runs=2, steps=20).value("mfu")
    found = hm.explain(scenario, mfu=observed, tolerance=0.01, seed=1, runs=2, steps=20)
    assert found.reachable
    assert {lever.path for lever in found.levers} == set(table["unknowns"])
    # How long it lasts moves no mean, and is no part of one step's law.
    longer = with_changes(scenario, {"causes.drift.correlation_s": 1000.0})
    assert hm.simulate(longer, seed=1, runs=2, steps=20).value("mfu") != observed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"correlation_s": None}, "drift.correlation_s is missing, and causes.drift has span"),
        ({"correlation_s": 0.0}, "drift.correlation_s must be > 0, got 0"),
        ({"correlation_s": -3.0}, "drift.correlation_s must be > 0, got -3"),
        ({"correlation_s": math.inf}, "drift.correlation_s must be finite, got inf"),
        ({"correlation_s": math.nan}, "drift.correlation_s must be finite, got nan"),
        ({"correlation_s": "long"}, "drift.correlation_s must be a number"),
        ({"span": "step"}, "drift.correlation_s must be left out where span is step"),
        ({"span": "run"}, "drift.correlation_s must be left out where span is run"),
        ({"scope": "gpu"}, "drift.scope must be node, pool or cluster where span is drift"),
        ({"scope": "domain"}, 'where span is drift, got "domain"'),
        ({"scope": "replica"}, 'where span is drift, got "replica"'),
        ({"probability": 0.5}, "drift.probability must be left out where span is drift, got 0.5"),
        ({"per_hour": 0.5}, "drift.per_hour must be left out where span is drift, got 0.5"),
        ({"period_steps": 4}, "drift.period_steps must be left out where span is drift"),
        (
            {
                "law": {
                    "name": "mixture",
                    "components": [
                        {"weight": 0.5, "law": {"name": "constant", "value": 1.0}},
                        {"weight": 0.5, "law": {"name": "lognormal", "sigma": 0.1}},
                    ],
                }
            },
            'drift.law.name must be one law where span is drift, got "mixture"',
        ),
        ({"span": "drif"}, 'did you mean "drift"?'),
    ],
)
def test_drifts_that_mean_nothing_are_refused(changes: Fields, said: str) -> None:
    cause = {key: value for key, value in {**DRIFT, **changes}.items() if value is not None}
    with pytest.raises(hm.ScenarioError) as refused:
        calm(drift=cause)
    assert said in str(refused.value)


def test_a_drift_of_racks_is_refused_for_its_scope() -> None:
    with pytest.raises(hm.ScenarioError, match=r"drift\.scope must be node, pool or cluster"):
        calm(drift={**DRIFT, "scope": "rack"})


def test_a_correlation_time_beyond_any_run_is_refused() -> None:
    step_s = compile(calm(changes=SMALL)).plan.noiseless_step_s
    longest_s = _core.MAX_CORRELATION_STEPS * step_s
    assert compile(calm(changes=SMALL, drift={**DRIFT, "correlation_s": 0.99 * longest_s}))
    with pytest.raises(hm.ScenarioError) as refused:
        compile(calm(changes=SMALL, drift={**DRIFT, "correlation_s": 1.01 * longest_s}))
    said = str(refused.value)
    assert "causes.drift.correlation_s must be at most" in said
    assert "100,000,000 steps" in said
    assert 'span = "run" lasts for a whole run' in said


def test_stalls_that_drift_stay_below_a_watchdog() -> None:
    stall = {**DRIFT, "effect": "stall", "law": {"name": "exponential", "mean": 60.0}}
    changes: Fields = {
        "failures.node": {"scope": "node", "per_hour": 1e-4},
        "recovery": {"restart_s": 60.0, "watchdog_s": 300.0},
    }
    said = r"drift\.law must not exceed recovery\.watchdog_s \(300 s\) where span is drift"
    with pytest.raises(hm.ScenarioError, match=said):
        calm(changes=changes, drift=stall)
    capped = {**stall, "law": {**stall["law"], "cap": 300.0}}
    assert calm(changes=changes, drift=capped).causes["drift"].law.cap == 300.0


def test_noise_of_a_fabric_may_drift() -> None:
    table = to_table(calm(changes={**SMALL, "collective.overlap_fraction": 0.0}))
    noise = {**DRIFT, "affects": "network", "law": {"name": "lognormal", "sigma": 0.1}}
    table["fabric"]["noise"] = noise
    rows = hm.simulate(from_table(table), **SIZE)
    assert rows.inputs["method"] == "order-statistics"
    assert rows.steps.select(pl.col("exposed_comm_s").n_unique()).item() == 120
    table["fabric"]["noise"] = {**noise, "correlation_s": 1e12}
    with pytest.raises(hm.ScenarioError, match=r"fabric\.noise\.correlation_s must be at most"):
        compile(from_table(table))
