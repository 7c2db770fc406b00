"""What stalls, placements and gangs come to in a step with stages."""

from collections.abc import Mapping
from typing import Any

import pytest

import hindmost as hm
from hindmost.plan import make_plan

QUIET: dict[str, Any] = {
    "pools.h100.n_gpus": 2048,
    "fabric.noise.enabled": False,
    **{f"causes.{name}.enabled": False for name in hm.load("llama3-405b-8192").causes},
    "workload.global_batch_seqs": 16 * 16,
    "layout.schedule": "1f1b",
    "layout.chunks": 1,
}


def cause(name: str, **fields: Any) -> dict[str, Any]:
    whole = {"affects": "compute", "effect": "stall", "scope": "gpu", "span": "microbatch"}
    table = {**whole, "law": {"name": "constant", "value": 0.05}, **fields}
    return {f"causes.{name}.{key}": value for key, value in table.items()}


def simulated(*changes: Mapping[str, Any], steps: int = 4) -> hm.Result:
    together: dict[str, Any] = dict(QUIET)
    for more in changes:
        together |= more
    return hm.simulate("llama3-405b-8192", changes=together, seed=3, runs=1, steps=steps)


@pytest.mark.parametrize("scope", ["replica", "pool", "cluster"])
@pytest.mark.parametrize(("span", "times"), [("step", 1), ("microbatch", 16)])
def test_what_stops_a_whole_replica_costs_what_it_takes(scope: str, span: str, times: int) -> None:
    free_s = simulated().value("compute_s")
    result = simulated(cause("stop", scope=scope, span=span))
    assert result.value("compute_s") == pytest.approx(free_s + times * 0.05, rel=1e-6)
    assert result.value("stall_s") == pytest.approx(times * 0.05, rel=1e-5)


def test_stalls_cost_what_the_step_would_take_less_without_them() -> None:
    free_s = simulated().value("compute_s")
    result = simulated(cause("stop"))
    assert result.value("stall_s") == pytest.approx(result.value("compute_s") - free_s, rel=1e-6)
    # Each stage stops in each microbatch, but stages stop side by side.
    assert 16 * 0.05 < result.value("stall_s") < 16 * 16 * 0.05


def test_stalls_leave_the_window_of_collectives_as_it_was() -> None:
    free_s = simulated().value("exposed_comm_s")
    stalled = simulated(cause("stop", law={"name": "constant", "value": 1.0}))
    assert stalled.value("exposed_comm_s") == pytest.approx(free_s, rel=1e-6)


@pytest.mark.parametrize("sharding", ["hybrid", "zero3"])
def test_mixed_placement_without_stages_is_aligned(sharding: str) -> None:
    changes: dict[str, Any] = {
        "layout.sharding": sharding,
        "layout.shard_group_replicas": 16 if sharding == "hybrid" else None,
        "causes.residual.span": "layer",
    }
    if sharding != "hybrid":
        del changes["layout.shard_group_replicas"]
    scenario = hm.load("h100-1k", changes)
    mixed = hm.load("h100-1k", {**changes, "layout.placement": "mixed"})
    assert make_plan(mixed).ranks == make_plan(scenario).ranks == [1024]
    one, other = (hm.simulate(each, seed=1, runs=1, steps=2) for each in (scenario, mixed))
    assert one.steps.equals(other.steps)


@pytest.mark.parametrize("context", [1, 2, 3, 5])
def test_context_ranks_are_in_a_replica_without_stages_too(context: int) -> None:
    plan = make_plan(hm.load("h100-1k", {"layout.context": context}))
    assert plan.n_replicas == 128 // context
    assert plan.ranks == [128 // context * context * 8]
    whole = cause(
        "whole",
        scope="replica",
        span="step",
        effect="slowdown",
        law={"name": "lognormal", "sigma": 0.1},
    )
    quiet = {f"causes.{name}.enabled": False for name in hm.load("h100-1k").causes}
    scenario = hm.load("h100-1k", {"layout.context": context, **quiet, **whole})
    (times,) = hm.rank_times(scenario, seed=1, run=0, steps=[0])
    of_replicas = times.reshape(plan.n_replicas, context * 8)
    assert (of_replicas == of_replicas[:, :1]).all()
    assert len(set(of_replicas[:, 0])) == plan.n_replicas


def test_more_ranks_than_can_wait_for_each_other_are_refused() -> None:
    changes = {"pools.h100.n_gpus": 2**21, "layout.sharding": "zero3"}
    changes |= {"causes.residual.span": "layer", "workload.n_microbatches": 1}
    with pytest.raises(hm.ScenarioError, match="more than 1,048,576 ranks wait for each other"):
        hm.load("h100-1k", changes)


def test_a_few_experts_too_busy_slow_layers_down() -> None:
    """Load imbalance of experts is a slowdown of scope gpu and span layer."""
    mixtral = {"workload.model": "mixtral-8x7b", "layout.tensor": 1, "layout.expert": 8}
    mixtral |= {"layout.shard_group_replicas": 64, "workload.microbatch_seqs": 1}
    mixtral |= {f"causes.{name}.enabled": False for name in hm.load("h100-1k").causes}
    law = {"name": "lognormal", "sigma": 0.1}
    busy = cause("experts", effect="slowdown", span="layer", law=law)
    free = hm.simulate("h100-1k", changes=mixtral, seed=1, runs=1, steps=2)
    slow = hm.simulate("h100-1k", changes={**mixtral, **busy}, seed=1, runs=1, steps=2)
    # 64 ranks wait in each layer: the greatest of 64 normal numbers is 2.36 on average.
    rise = slow.value("compute_s") / free.value("compute_s")
    assert 1.2 < rise < 1.32
