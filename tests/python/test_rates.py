"""Causes that go with time: rates an hour become probabilities of steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

import hindmost as hm
from hindmost.compiled import compile
from hindmost.scenario import from_table, to_table

PRESETS = [
    "colossus-1",
    "colossus-1-pp16",
    "colossus-2",
    "gpt3-h100-512",
    "gpt3-h100-10752",
    "h100-1k",
    "llama3-405b-8192",
    "megascale-175b-12288",
    "palm-tpu-v4",
]
HICCUP: dict[str, Any] = {
    "law": {"name": "constant", "value": 0.5},
    "affects": "compute",
    "effect": "stall",
    "scope": "cluster",
    "span": "step",
}


def with_hiccup(**fields: Any) -> hm.Scenario:
    """Return `h100-1k` with a stall of everybody, whose fields differ from HICCUP's."""
    table = to_table(hm.load("h100-1k"))
    table["causes"]["hiccup"] = {**HICCUP, **fields}
    return from_table(table)


def without_causes(scenario: hm.Scenario) -> dict[str, Any]:
    """Return changes that switch off whatever disturbs a scenario."""
    off: dict[str, Any] = {f"causes.{name}.enabled": False for name in scenario.causes}
    if scenario.noise is not None:
        off["fabric.noise.enabled"] = False
    return off


def planned_probability(scenario: hm.Scenario, cause: str = "hiccup") -> float:
    """Return the probability that the core is given."""
    causes = {each["name"]: each for each in compile(scenario).plan.arguments["causes"]}
    probability: float = causes[cause]["probability"]
    return probability


@pytest.mark.parametrize("name", PRESETS)
def test_the_plan_knows_how_long_a_step_takes_without_causes(name: str) -> None:
    compiled = compile(hm.load(name, without_causes(hm.load(name))))
    result = compiled.simulate(runs=1, steps=2, seed=1)
    steps_s = result.steps["step_time_s"].to_list()
    assert steps_s == pytest.approx([compiled.plan.noiseless_step_s] * 2, rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"layout.placement": "mixed"},
        {"collective.overlap_fraction": 0.0},
        {"collective.n_buckets": 1},
        {"pools.gb200.nic_bytes_per_s": 2e9},
    ],
)
def test_it_knows_so_where_pools_differ_and_transfers_show(changes: dict[str, Any]) -> None:
    name = "colossus-1-pp16"
    changes = {**without_causes(hm.load(name)), **changes}
    compiled = compile(hm.load(name, changes))
    result = compiled.simulate(runs=1, steps=2, seed=1, method="sample")
    assert result.value("step_time_s") == pytest.approx(compiled.plan.noiseless_step_s, rel=1e-6)


def test_causes_do_not_change_how_long_a_step_takes_without_them() -> None:
    scenario = hm.load("h100-1k")
    without = hm.load("h100-1k", without_causes(scenario))
    assert compile(scenario).plan.noiseless_step_s == compile(without).plan.noiseless_step_s


def test_what_occurs_at_a_rate_does_so_as_a_poisson_process() -> None:
    scenario = with_hiccup(per_hour=36.0)
    step_s = compile(scenario).plan.noiseless_step_s
    # 1% of a second, for some 4.4 s.
    assert step_s == pytest.approx(4.38, abs=0.01)
    assert planned_probability(scenario) == pytest.approx(1 - math.exp(-0.01 * step_s), rel=1e-12)
    assert planned_probability(with_hiccup(per_hour=0.0)) == 0
    assert planned_probability(with_hiccup(per_hour=1e9)) == 1
    assert planned_probability(with_hiccup()) == 1


def test_a_rate_is_the_probability_that_it_comes_to() -> None:
    rate = with_hiccup(per_hour=36.0)
    probability = with_hiccup(probability=planned_probability(rate))
    rows = [
        hm.simulate(each, runs=2, steps=100, seed=3).steps["step_time_s"].to_list()
        for each in (rate, probability)
    ]
    assert rows[0] == rows[1]


def test_steps_that_are_longer_meet_more_of_it() -> None:
    scenario = with_hiccup(per_hour=36.0)
    twice = compile(scenario).with_changes({"workload.n_microbatches": 8})
    once = compile(scenario).with_changes({"workload.n_microbatches": 4})
    ratio = twice.plan.noiseless_step_s / once.plan.noiseless_step_s
    assert ratio > 1.5
    expected = [1 - math.exp(-0.01 * each.plan.noiseless_step_s) for each in (once, twice)]
    found = [planned_probability(each.scenario) for each in (once, twice)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_as_many_steps_are_hit_as_the_rate_says() -> None:
    runs, steps = 4, 20_000
    off = without_causes(hm.load("h100-1k"))
    scenario = compile(with_hiccup(per_hour=36.0)).with_changes(off).scenario
    result = hm.simulate(scenario, runs=runs, steps=steps, seed=7)
    p = planned_probability(scenario)
    n = runs * steps
    found = int((result.steps["stall_s"] > 0).sum())
    assert abs(found - n * p) < 4 * math.sqrt(n * p * (1 - p))


def test_noise_of_a_fabric_may_go_with_time() -> None:
    noise = {**HICCUP, "affects": "network", "scope": "gpu", "per_hour": 3.6}
    table = to_table(hm.load("h100-1k"))
    table["fabric"]["noise"] = noise
    scenario = from_table(table)
    step_s = compile(scenario).plan.noiseless_step_s
    expected = 1 - math.exp(-1e-3 * step_s)
    assert planned_probability(scenario, "fabric-noise") == pytest.approx(expected, rel=1e-12)


def test_a_probability_of_a_later_layer_takes_the_place_of_a_rate() -> None:
    changed = hm.load("h100-1k", {"causes.stall.probability": 1e-3})
    assert planned_probability(changed, "stall") == 1e-3
    assert changed.causes["stall"].per_hour is None
    # With the rate go its basis and what is not known of it.
    assert "causes.stall.per_hour" not in {**changed.basis, **changed.unknowns}
    assert "causes.pause.per_hour" in changed.unknowns
    again = compile(changed).with_changes({"causes.stall.per_hour": 36.0}).scenario
    assert again.causes["stall"].probability is None
    assert planned_probability(again, "stall") == pytest.approx(0.043, rel=0.02)


def test_a_rate_survives_as_a_table() -> None:
    scenario = with_hiccup(per_hour=36.0)
    assert from_table(to_table(scenario)) == scenario


@pytest.mark.parametrize(
    ("fields", "requirement"),
    [
        ({"per_hour": 1.0, "probability": 0.5}, "must be left out where probability is given"),
        ({"per_hour": 1.0, "probability": 1.0}, "must be left out where probability is given"),
        ({"per_hour": 1.0, "span": "run"}, "must be left out where span is run"),
        ({"per_hour": -1.0}, "must be >= 0"),
        ({"per_hour": math.inf}, "must be finite"),
    ],
)
def test_a_rate_that_means_nothing_is_refused(fields: dict[str, Any], requirement: str) -> None:
    with pytest.raises(hm.ScenarioError) as caught:
        with_hiccup(**fields)
    (problem,) = caught.value.problems
    assert problem.path == "causes.hiccup.per_hour"
    assert problem.requirement.startswith(requirement)
