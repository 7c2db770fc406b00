"""Causes that act on named units: the slow node, the rank with 200 ms more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.calm import ANY, calm

import hindmost as hm
from hindmost.compiled import compile
from hindmost.scenario import from_table, to_table

Fields = dict[str, Any]

SLOW: Fields = {
    "law": {"name": "constant", "value": 1.2},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "node",
    "span": "run",
}


def step_s(scenario: hm.Scenario) -> float:
    result = hm.simulate(scenario, runs=2, steps=8, seed=5, method="sample")
    found = result.steps["step_time_s"].unique().to_list()
    assert len(found) == 1
    return float(found[0])


def test_one_slow_node_slows_every_step() -> None:
    # Exposed communication gets shorter with compute, so compute is compared.
    scenario = calm(slow={**SLOW, "units": [17]})
    result = hm.simulate(scenario, runs=2, steps=8, seed=5)
    base_s = compile(calm()).plan.pools[0].replica_s
    assert result.inputs["method"] == "sample"
    assert result.steps["compute_s"].unique().to_list() == pytest.approx([1.2 * base_s], rel=1e-6)


def test_a_stall_of_one_rank_is_in_every_step() -> None:
    base_s = compile(calm()).plan.noiseless_step_s
    assert step_s(calm(late={**ANY, "units": [1023]})) == pytest.approx(base_s + 0.2, rel=1e-6)


@pytest.mark.parametrize("scope", ["gpu", "node", "domain", "replica"])
@pytest.mark.parametrize(("span", "p"), [("run", 1.0), ("run", 0.4), ("step", 1.0), ("step", 0.4)])
def test_named_units_have_the_draws_that_they_have_without_names(
    scope: str, span: str, p: float
) -> None:
    cause = {**SLOW, "scope": scope, "span": span, "probability": p}
    cause["law"] = {"name": "lognormal", "sigma": 0.2}
    # 24 nodes of 8; a replica is one tensor group of 4.
    changes = {"pools.h100.n_gpus": 192, "layout.tensor": 4, "workload.model": "llama3-8b"}
    size = {"gpu": 1, "node": 8, "domain": 8, "replica": 4}[scope]
    n_units = 192 // size
    named = [3, 4, n_units - 1]
    scenarios = (calm(changes=changes, slow=each) for each in (cause, {**cause, "units": named}))
    everyone, some = (
        hm.rank_times(scenario, seed=11, run=0, steps=range(3, 9)) for scenario in scenarios
    )
    neutral_s = compile(calm(changes=changes)).plan.pools[0].replica_s
    is_named = np.isin(np.arange(192) // size, named)
    assert some == pytest.approx(np.where(is_named, everyone, neutral_s), rel=1e-6)
    assert len(np.unique(some)) > 1


def test_a_range_is_the_list_of_its_numbers() -> None:
    ways = ({"first": 2, "last": 5}, [5, 3, 2, 4, 4])
    noisy = {**SLOW, "span": "step", "law": {"name": "lognormal", "sigma": 0.2}}
    rows = [
        hm.simulate(calm(slow={**noisy, "units": units}), runs=2, steps=40, seed=1).steps
        for units in ways
    ]
    assert rows[0].equals(rows[1])


def test_a_slow_stage_slows_its_pipeline() -> None:
    # One node of a middle stage 20% slow, of sixteen stages: as a pool of its own would.
    name = "colossus-1-pp16"
    plan = compile(calm(name)).plan
    slow = calm(name, slow={**SLOW, "units": [100], "pools": ["h100"]})
    result = hm.simulate(slow, runs=1, steps=2, seed=0, method="sample")
    assert result.inputs["method"] == "sample"
    rise = result.value("compute_s") / plan.pools[0].replica_s - 1
    assert 0 < rise < 0.2


@pytest.mark.parametrize("scope", ["gpu", "node", "domain", "replica"])
@pytest.mark.parametrize("span", ["run", "step", "microbatch", "layer"])
def test_all_units_by_name_are_all_units(scope: str, span: str) -> None:
    changes: Fields = {
        "pools.h100.n_gpus": 128,
        "layout.pipeline": 4,
        "layout.order": "tp-cp-pp-dp",
        "workload.n_microbatches": 4,
    }
    cause = {**SLOW, "scope": scope, "span": span, "law": {"name": "lognormal", "sigma": 0.1}}
    last = 128 // {"gpu": 1, "node": 8, "domain": 8, "replica": 32}[scope] - 1
    ways = (None, {"first": 0, "last": last}, {"first": 0, "last": 0})
    everyone, by_name, one = (
        hm.simulate(
            calm(changes=changes, slow={**cause, "units": units} if units else cause),
            runs=2,
            steps=6,
            seed=4,
            method="sample",
        ).steps["compute_s"]
        for units in ways
    )
    assert everyone.equals(by_name)
    assert not everyone.equals(one)
    # A unit that is faster than the others changes nothing.
    base_s = compile(calm(changes=changes)).plan.pools[0].replica_s
    assert one.to_numpy().min() >= base_s * (1 - 1e-6)


def test_units_are_numbered_physically() -> None:
    # 64 of 72 GPUs of each domain work: GPU 71 is not in the job, GPU 72 is.
    changes: Fields = {
        "pools.h100": {"gpu": "gb200-nvl72", "n_gpus": 128, "domain_gpus_used": 64},
        "layout.tensor": 8,
    }
    base_s = compile(calm(changes=changes)).plan.noiseless_step_s
    times_s = [step_s(calm(changes=changes, late={**ANY, "units": [gpu]})) for gpu in (63, 71, 72)]
    assert times_s == pytest.approx([base_s + 0.2, base_s, base_s + 0.2], rel=1e-6)
    with pytest.raises(hm.ScenarioError, match="must be numbers below 136, those of a gpu of pool"):
        calm(changes=changes, late={**ANY, "units": [136]})


@pytest.mark.parametrize(
    ("scope", "units", "share"),
    [
        ("gpu", [71], 0),
        ("gpu", [0, 71, 72], 2 / 128),
        ("node", [15, 16], 4 / 128),
        ("domain", [1], 0.5),
        ("replica", {"first": 4, "last": 7}, 0.25),
    ],
)
@pytest.mark.parametrize("span", ["run", "step"])
def test_the_average_rank_is_busy_for_its_share_of_named_units(
    scope: str, units: object, share: float, span: str
) -> None:
    # 64 of 72 GPUs of each of two racks, in trays of 4; 16 replicas of 8.
    changes: Fields = {
        "pools.h100": {"gpu": "gb200-nvl72", "n_gpus": 128, "domain_gpus_used": 64},
        "layout.tensor": 8,
    }
    scenario = calm(changes=changes, slow={**SLOW, "scope": scope, "span": span, "units": units})
    result = hm.simulate(scenario, runs=1, steps=4, seed=1)
    busy_s = result.pool_rows[0]["busy_frac"] * result.value("step_time_s")
    base_s = result.plan.pools[0].replica_s
    assert busy_s == pytest.approx(base_s * (1 + 0.2 * share), rel=1e-6)


def test_only_sampling_knows_named_units() -> None:
    with pytest.raises(hm.ScenarioError, match="slow acts on some units of its pool"):
        hm.simulate(
            calm(slow={**SLOW, "units": [17]}), method="order-statistics", runs=1, steps=1, seed=1
        )


def test_named_units_survive_as_a_table() -> None:
    for units in ([17], {"first": 0, "last": 7}):
        scenario = calm(slow={**SLOW, "units": units})
        assert from_table(to_table(scenario)) == scenario


WRONG: dict[str, tuple[Fields, str]] = {
    "none": ({"units": []}, "units must be a list of whole numbers"),
    "below 0": ({"units": [-1]}, "units must be a list of whole numbers"),
    "a number": ({"units": 17}, "units must be a list of whole numbers"),
    "a part": ({"units": [1.5]}, "units must be a list of whole numbers"),
    "backwards": ({"units": {"first": 3, "last": 2}}, "units must be a list of whole numbers"),
    "no last": ({"units": {"first": 3}}, "units must be a list of whole numbers"),
    "too many": ({"units": [128]}, "units must be numbers below 128, those of a node of pool h100"),
    "one unit": (
        {"units": [0], "scope": "cluster"},
        "units must be left out where scope is cluster, which is one unit",
    ),
    "no such pool": ({"units": [0], "pools": ["a"]}, "pools must name pools of this scenario"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=list(WRONG))
def test_wrong_units_are_refused(fields: Fields, message: str) -> None:
    with pytest.raises(hm.ScenarioError) as caught:
        calm(slow={**SLOW, **fields})
    (problem,) = caught.value.problems
    assert str(problem).split(" ", 1)[1].startswith(f"causes.slow.{message}")


def test_units_are_counted_in_one_pool() -> None:
    with pytest.raises(hm.ScenarioError, match="must name one pool, in which"):
        calm("colossus-1", slow={**SLOW, "units": [17]})
