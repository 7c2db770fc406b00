"""Software stacks: what they set, what they leave open, and what a scenario says itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plans import compute_time

import hindmost as hm
from hindmost import catalog
from hindmost.errors import ScenarioError
from hindmost.scenario import Changes, Scenario, bases, with_changes
from hindmost.scenario.stack import (
    classes_not_measured,
    classes_of,
    forecast_stack,
    stack_unknowns,
)
from hindmost.scenario.warnings import scenario_warnings


def stacked(stack: str | None, changes: Changes | None = None, name: str = "h100-1k") -> Scenario:
    named: dict[str, Any] = {} if stack is None else {"workload.stack": stack}
    return with_changes(hm.load(name), {**named, **(changes or {})})


def test_no_stack_is_the_best_one() -> None:
    none, best = (hm.compile(stacked(name)).plan for name in (None, "best"))
    assert none.noiseless_step_s == best.noiseless_step_s
    assert none.arguments == best.arguments


def test_a_stack_is_as_its_numbers_set_one_by_one() -> None:
    tuned = catalog.stack("tuned")
    assert tuned.memory_efficiency is not None
    one_by_one: Changes = {
        "pools.h100.memory_efficiency": tuned.memory_efficiency,
        "pools.h100.attention_efficiency": catalog.gpu("h100-sxm").attention_efficiency,
        "workload.tensor_overlap_fraction": tuned.tensor_overlap_fraction,
        "collective.hidden_cost": tuned.hidden_cost,
    }
    by_hand, by_name = hm.compile(stacked(None, one_by_one)), hm.compile(stacked("tuned"))
    assert by_name.plan.arguments == by_hand.plan.arguments
    assert by_name.plan.noiseless_step_s > hm.compile(stacked("best")).plan.noiseless_step_s


def test_what_a_scenario_sets_wins() -> None:
    own: Changes = {"collective.hidden_cost": 0.0, "workload.tensor_overlap_fraction": 0.9}
    scenario = stacked("tuned", own)
    assert scenario.hidden_cost == 0.0
    # With less exchange a step is shorter than the stack's.
    assert compute_time(scenario, "h100").step_s < compute_time(stacked("tuned"), "h100").step_s


@pytest.mark.parametrize("stack", ["tuned", "typical"])
def test_its_software_loses_a_share_of_all_compute(stack: str) -> None:
    whole = compute_time(stacked(stack, {"layout.tensor": 1, "layout.sharding": "zero3"}), "h100")
    half = compute_time(
        stacked(
            stack,
            {
                "layout.tensor": 1,
                "layout.sharding": "zero3",
                "pools.h100.software_efficiency": 0.5,
            },
        ),
        "h100",
    )
    assert half.step_s == pytest.approx(2 * whole.step_s)


def test_laws_are_of_the_keys_that_are_not_set() -> None:
    assert stack_unknowns(stacked(None)) == {}
    assert stack_unknowns(stacked("best")) == {}
    paths = ["pools.h100.software_efficiency", "collective.hidden_cost"]
    assert list(stack_unknowns(stacked("typical"))) == paths
    overlap = "workload.tensor_overlap_fraction"
    assert list(stack_unknowns(stacked("tuned"))) == [*paths, overlap]
    known: Changes = {"collective.hidden_cost": 0.3, overlap: 0.1}
    assert list(stack_unknowns(stacked("tuned", known))) == paths[:1]
    assert list(stack_unknowns(stacked("tuned", {paths[0]: 0.9}))) == [*paths[1:], overlap]


@pytest.mark.parametrize(
    "fit",
    [
        {"pools.h100.kernel_efficiency": 0.6},
        {"pools.h100.forward_s": 1.0, "pools.h100.backward_s": 2.0},
    ],
)
def test_a_fit_leaves_nothing_of_its_software_open(fit: Changes) -> None:
    assert "pools.h100.software_efficiency" not in stack_unknowns(stacked("typical", fit))
    assert forecast_stack(stacked(None, fit)) == "best"


def test_a_known_efficiency_leaves_the_rest_of_its_software_open() -> None:
    known: Changes = {"pools.h100.software_efficiency": 0.7}
    assert list(stack_unknowns(stacked("typical", known))) == ["collective.hidden_cost"]
    assert forecast_stack(stacked(None, known)) == "typical"
    # One that is all but 1 is forecast much like one that is left open at its best.
    found = [
        hm.forecast(stacked(None, {"pools.h100.software_efficiency": share}), seed=1, runs=8)
        for share in (0.999, 0.768)
    ]
    near_one, at_median = (one.value("mfu") for one in found)
    assert near_one > at_median > 0.75 * near_one


def test_a_fit_of_one_pool_leaves_the_others_open() -> None:
    fit: Changes = {"pools.h200.kernel_efficiency": 0.6}
    mixed = stacked(None, fit, name="colossus-1")
    assert forecast_stack(mixed) == "typical"
    paths = stack_unknowns(with_changes(mixed, {"workload.stack": "typical"}))
    assert [path for path in paths if path.endswith("software_efficiency")] == [
        "pools.h100.software_efficiency",
        "pools.gb200.software_efficiency",
    ]


def test_a_cost_of_nothing_is_known() -> None:
    free: Changes = {"collective.hidden_cost": 0.0, "workload.tensor_overlap_fraction": 0.0}
    assert list(stack_unknowns(stacked("tuned", free))) == ["pools.h100.software_efficiency"]


def test_gpus_of_no_named_generation_are_classes_of_their_own() -> None:
    scenario = stacked("tuned", {"pools.h100.gpu": "mi300x", "pools.h100.scale_up_latency_s": 3e-6})
    assert classes_of(scenario, scenario.pools["h100"])[-1] == "mi300x"
    law = stack_unknowns(scenario)["pools.h100.software_efficiency"].model_dump()
    tuned = catalog.stack("tuned").software_efficiency
    assert tuned is not None
    assert law["sigma"] == tuned.sigma_elsewhere
    assert classes_not_measured(scenario, "tuned") == ["mi300x"]


def test_forecasts_of_scenarios_that_say_nothing_take_what_is_typical() -> None:
    assert forecast_stack(stacked(None)) == "typical"
    assert forecast_stack(stacked("tuned")) == "tuned"
    assert forecast_stack(stacked("best")) == "best"


def test_the_law_is_that_of_the_jobs_classes() -> None:
    tuned = catalog.stack("tuned").software_efficiency
    assert tuned is not None
    factors = tuned.factors
    scenario = stacked("tuned")
    assert classes_of(scenario, scenario.pools["h100"]) == ("dense", "bf16", "hopper")
    law = stack_unknowns(scenario)["pools.h100.software_efficiency"].model_dump()
    assert law["median"] == pytest.approx(tuned.median * factors["dense"] * factors["bf16"])
    assert (law["sigma"], law["cap"]) == (tuned.sigma, 1.0)
    in_fp8 = stack_unknowns(stacked("tuned", {"workload.dtype": "fp8"}))
    law = in_fp8["pools.h100.software_efficiency"].model_dump()
    assert law["median"] == pytest.approx(tuned.median * factors["dense"] * factors["fp8"])


def test_a_class_of_which_no_family_was_measured_scatters_as_all_of_them_do() -> None:
    # Typical software was measured on A100 alone.
    typical = catalog.stack("typical").software_efficiency
    assert typical is not None
    law = stack_unknowns(stacked("typical"))["pools.h100.software_efficiency"].model_dump()
    assert (law["median"], law["sigma"]) == (typical.median, typical.sigma_elsewhere)
    assert typical.sigma_elsewhere > typical.sigma


def test_classes_that_nobody_measured_are_named_of_pools_that_are_open() -> None:
    assert classes_not_measured(stacked(None), "typical") == ["hopper"]
    assert classes_not_measured(stacked(None), "tuned") == []
    assert classes_not_measured(stacked(None), "best") == []
    assert classes_not_measured(stacked(None, name="colossus-1"), "typical") == [
        "hopper",
        "blackwell",
    ]
    assert classes_not_measured(stacked(None, {"workload.dtype": "fp8"}), "typical") == [
        "fp8",
        "hopper",
    ]
    assert (
        classes_not_measured(stacked(None, {"pools.h100.kernel_efficiency": 0.5}), "typical") == []
    )


def test_an_unknown_stack_is_refused_by_name() -> None:
    with pytest.raises(ScenarioError) as caught:
        stacked("tunned")
    (problem,) = caught.value.problems
    assert problem.path == "workload.stack"
    assert "tuned" in problem.hint


def test_its_numbers_have_their_bases_beside_the_scenarios() -> None:
    found = bases(stacked("typical"))
    assert {"typical.memory_efficiency", "typical.hidden_cost"} <= set(found)
    assert "h100-sxm.attention_efficiency" in found
    assert "typical.hidden_cost" not in bases(stacked("typical", {"collective.hidden_cost": 0.2}))
    assert not any(path.startswith("best.") for path in bases(stacked(None)))
    assert "h100-sxm.attention_efficiency" not in bases(stacked(None))


def test_memory_whose_rate_nobody_gave_is_warned_of() -> None:
    table: Changes = {
        "gpus.mine.peak_bf16_flop_per_s": 1e15,
        "gpus.mine.kernel_efficiency": 0.8,
        "gpus.mine.memory_bytes": 96e9,
        "gpus.mine.scale_up_bytes_per_s": 400e9,
        "gpus.mine.scale_up_latency_s": 3e-6,
        "gpus.mine.nic_bytes_per_s": 50e9,
        "gpus.mine.node_gpus": 8,
        "gpus.mine.domain_gpus": 8,
        "pools.h100.gpu": "mine",
    }
    warned = [str(one) for one in scenario_warnings(stacked("typical", table))]
    assert any(one.startswith("workload.stack counts work that memory bounds") for one in warned)
    own = {**table, "pools.h100.memory_efficiency": 0.7}
    warned = [str(one) for one in scenario_warnings(stacked(None, own))]
    assert any(one.startswith("pools.h100.memory_efficiency counts work") for one in warned)


def test_changes_of_speed_and_hiding_plan_as_from_the_start() -> None:
    base = hm.compile(stacked("typical"))
    for changes in (
        {"collective.hidden_cost": 0.9},
        {"pools.h100.software_efficiency": 0.7},
        {"workload.overhead_s": 0.3},
        {"pools.h100.memory_efficiency": 0.5, "workload.overhead_s": 0.3},
    ):
        changed = base.with_changes(changes)
        assert changed.plan == hm.compile(stacked("typical", changes)).plan
