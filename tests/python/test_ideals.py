"""Ideals: each against a switch by hand or a closed form, and all of them together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.cause import Cause
from hindmost.compiled import Compiled
from hindmost.errors import ScenarioError
from hindmost.plan import Plan, make_plan
from hindmost.scenario import from_table
from hindmost.scenario.ideal import MECHANISMS, Ideal, mechanism_of

ALL = {one.path: True for one in MECHANISMS}

MIXED: dict[str, Any] = {
    "name": "mixed",
    "pools": {
        "a": {"gpu": "h100-sxm", "n_gpus": 256},
        "b": {"gpu": "b200-sxm", "n_gpus": 512, "software_efficiency": 0.8},
    },
    "fabric": {"name": "infiniband-ndr"},
    "workload": {
        "model": "llama3-70b",
        "seq_len": 4096,
        "microbatch_seqs": 1,
        "n_microbatches": 16,
        "recompute": "full",
        "overhead_s": 0.1,
    },
    "layout": {"tensor": 8, "pipeline": 4, "sharding": "zero1"},
    "causes": {
        "speed": {"law": {"name": "lognormal", "sigma": 0.01}, "scope": "gpu", "span": "run"},
        "sequence": {
            "law": {"name": "lognormal", "sigma": 0.05},
            "scope": "replica",
            "span": "microbatch",
        },
        "layer": {"law": {"name": "lognormal", "sigma": 0.01}, "scope": "gpu", "span": "layer"},
        "port": {
            "law": {"name": "constant", "value": 0.01},
            "affects": "network",
            "effect": "stall",
            "scope": "gpu",
            "span": "step",
            "probability": 0.01,
        },
    },
}
for _cause in MIXED["causes"].values():
    _cause.setdefault("affects", "compute")
    _cause.setdefault("effect", "slowdown")

BARRIER: dict[str, Any] = {
    **MIXED,
    "layout": {"tensor": 8, "sharding": "zero3"},
    "causes": {
        **{name: MIXED["causes"][name] for name in ("speed", "port")},
        "common": {
            "law": {"name": "lognormal", "sigma": 0.01},
            "affects": "compute",
            "effect": "slowdown",
            "scope": "cluster",
            "span": "step",
        },
    },
}

SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one barrier": (BARRIER, {}),
    "random hops": (BARRIER, {"fabric.hop_noise": {"name": "exponential", "mean": 1.0}}),
    "context": (BARRIER, {"layout.context": 2}),
    "1f1b": (MIXED, {}),
    "gpipe": (MIXED, {"layout.schedule": "gpipe"}),
    "zero bubble": (MIXED, {"layout.schedule": "zero-bubble"}),
    "interleaved": (MIXED, {"layout.schedule": "interleaved", "layout.chunks": 2}),
    "mixed stages": (MIXED, {"layout.placement": "mixed"}),
    "uneven": (MIXED, {"layout.stage_layers": [10, 20, 30, 20]}),
    "heavy last stage": (
        MIXED,
        {"layout.last_stage_forward": 1.5, "layout.last_stage_backward": 1.4},
    ),
    "measured": (MIXED, {"pools.a.forward_s": 0.3, "pools.a.backward_s": 0.9}),
    "smoothed": (MIXED, {"pools.b.smoothing": {"seconds_per_transition": 2.0}}),
    "smoothed barrier": (BARRIER, {"pools.a.smoothing": {"seconds_per_transition": 2.0}}),
    "capped": (MIXED, {"pools.b.power_cap_w": 700.0, "pools.b.clock_exponent": 0.4}),
    "experts": (
        BARRIER,
        {
            "workload.model": "mixtral-8x7b",
            "layout.expert": 8,
            "layout.tensor": 4,
            "workload.n_microbatches": 4,
        },
    ),
}


def plan_of(table: dict[str, Any], changes: dict[str, Any]) -> Plan:
    return make_plan(hm.with_changes(from_table(table, table["name"]), changes))


@pytest.mark.parametrize("name", SHAPES)
def test_all_ideal_is_the_peak(name: str) -> None:
    table, changes = SHAPES[name]
    scenario = from_table(table, name)
    for method in ("sample", "auto"):
        result = hm.simulate(
            scenario, changes={**changes, **ALL}, seed=1, runs=2, steps=3, method=method
        )
        assert result.value("mfu") == pytest.approx(1, abs=1e-12)
        assert result.value("mfu", "p1") == pytest.approx(1, abs=1e-12)


def test_all_ideal_is_the_peak_of_the_frozen_scenario() -> None:
    result = hm.simulate(COLOSSUS_1_BARE, changes=ALL, seed=1, runs=2, steps=10)
    assert result.value("mfu") == pytest.approx(1, abs=1e-12)


OFF: dict[str, Any] = {"causes.speed.enabled": False}
NO_LATENCY = {"fabric.latency_s": 0.0}
BY_HAND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "kernel_efficiency": (
        MIXED,
        {f"pools.{name}.kernel_efficiency": 1.0 for name in "ab"},
    ),
    "software_mismatch": (
        {
            **MIXED,
            "pools": {**MIXED["pools"], "a": {**MIXED["pools"]["a"], "software_efficiency": 0.9}},
        },
        {f"pools.{name}.software_efficiency": 1.0 for name in "ab"},
    ),
    "recompute_and_overhead": (
        # What recomputation saves fits here without it, too.
        {
            **BARRIER,
            "workload": {
                **MIXED["workload"],
                "model": "llama3-8b",
                "seq_len": 1024,
                "n_microbatches": 2,
            },
        },
        {"workload.recompute": "none", "workload.overhead_s": 0.0},
    ),
    "gpu_spread": (BARRIER, OFF),
    "step_common": (BARRIER, {"causes.common.enabled": False}),
    "stalls": (BARRIER, {"causes.port.enabled": False}),
    "sequence_imbalance": (MIXED, {"causes.sequence.enabled": False}),
    "layer_barriers": (MIXED, {"causes.layer.enabled": False}),
    # Without tensor groups a hop's latency is that of collectives between replicas alone.
    "collective_latency": (
        {
            **BARRIER,
            "layout": {"tensor": 1, "sharding": "zero3"},
            "workload": SHAPES["one barrier"][0]["workload"] | {"model": "llama3-8b"},
        },
        {**NO_LATENCY, **{f"pools.{name}.scale_up_latency_s": 0.0 for name in "ab"}},
    ),
    "network_noise": (MIXED, {"fabric.noise.enabled": False}),
    "power_smoothing": (
        {
            **MIXED,
            "pools": {
                **MIXED["pools"],
                "a": {**MIXED["pools"]["a"], "smoothing": {"seconds_per_transition": 0.5}},
            },
        },
        {"pools.a.power_aware": True},
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_ideal_is_what_a_switch_by_hand_gives(name: str) -> None:
    table, changes = BY_HAND[name]
    if name == "network_noise":
        table = {**table, "fabric": {"name": "roce-400g"}}
    scenario = from_table(table, name)
    size: dict[str, Any] = {"seed": 3, "runs": 2, "steps": 6, "method": "sample"}
    as_it_is = hm.simulate(scenario, **size).columns["step_time_s"]
    ideal = hm.simulate(scenario, changes={f"ideal.{name}": True}, **size).columns["step_time_s"]
    by_hand = hm.simulate(scenario, changes=changes, **size).columns["step_time_s"]
    np.testing.assert_allclose(ideal, by_hand, rtol=1e-12)
    assert np.any(ideal < as_it_is)
    # What all ranks share may also be shorter than its median.
    assert name == "step_common" or np.all(ideal <= as_it_is)


def test_infinite_bandwidth_leaves_the_latency() -> None:
    ideal, before = plan_of(BARRIER, {"ideal.collective_bandwidth": True}), plan_of(BARRIER, {})
    neither = plan_of(
        BARRIER, {"ideal.collective_bandwidth": True, "ideal.collective_latency": True}
    )
    for pool, other, last in zip(ideal.pools, before.pools, neither.pools, strict=True):
        for one, term, nothing in zip(pool.terms, other.terms, last.terms, strict=True):
            assert one.cost.latency_s == term.cost.latency_s > 0
            assert one.cost.transfer_s == one.cost.scale_up_s == 0
            # Free collectives are still there: a port's stall holds the last of them.
            assert nothing.cost.total_s == 0


BALANCED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "at the peak": {"ideal.kernel_efficiency": True},
    "not recomputed": {"ideal.recompute_and_overhead": True},
    "mixed stages": {"layout.placement": "mixed", "layout.pipeline": 8},
    "even mixed stages": {
        "layout.placement": "mixed",
        "layout.pipeline": 8,
        "ideal.stage_imbalance": True,
    },
}


@pytest.mark.parametrize("name", BALANCED)
def test_work_is_in_proportion_to_speed(name: str) -> None:
    changes = BALANCED[name]
    equal = plan_of(MIXED, changes)
    balanced = plan_of(MIXED, {**changes, "ideal.mixed_generations": True})
    passes = [pool.compute.step_s - pool.compute.overhead_s for pool in equal.pools]
    flops = [pool.n_ranks * pool.rank_model_flops for pool in equal.pools]
    # As much work as before, all done at the same time.
    together = sum(flops) / sum(n / s for n, s in zip(flops, passes, strict=True))
    for pool, before in zip(balanced.pools, passes, strict=True):
        assert pool.compute.step_s - pool.compute.overhead_s == pytest.approx(together, rel=1e-14)
        assert pool.compute.work == pytest.approx(together / before, rel=1e-14)
    for plan in (equal, balanced):
        total = sum(pool.n_ranks * pool.rank_model_flops for pool in plan.pools)
        assert total == pytest.approx(plan.model_flops, rel=1e-14)


@pytest.mark.parametrize("n_gpus", [(192, 56), (64, 128), (8, 24)])
def test_equal_gpus_in_two_pools_have_equal_work(n_gpus: tuple[int, int]) -> None:
    pools = {name: {"gpu": "h100-sxm", "n_gpus": n} for name, n in zip("ab", n_gpus, strict=True)}
    table = {
        **BARRIER,
        "pools": pools,
        "workload": {**BARRIER["workload"], "model": "llama3-8b", "n_microbatches": 1},
    }
    plan = plan_of(table, {"ideal.mixed_generations": True})
    assert [pool.compute.work for pool in plan.pools] == [1, 1]


def test_every_mechanism_is_a_key() -> None:
    assert {one.name for one in MECHANISMS} == set(Ideal.model_fields) - {"causes"}


def test_a_replica_without_bubbles_takes_as_long_as_its_busiest_stage_computes() -> None:
    for changes in SHAPES["1f1b"][1], SHAPES["interleaved"][1], SHAPES["uneven"][1]:
        plan = plan_of(MIXED, {**changes, "ideal.pipeline_bubble": True})
        for pool in plan.pools:
            stages = [pool.compute.stages[stage::4] for stage in range(4)]
            busiest_s = max(sum(one.total_s for one in chunks) for chunks in stages)
            assert pool.compute.step_s == pytest.approx(16 * busiest_s + 0.1, rel=1e-13)


def test_even_stages_take_the_mean_time() -> None:
    plan = plan_of(MIXED, {**SHAPES["uneven"][1], "ideal.stage_imbalance": True})
    uneven = plan_of(MIXED, SHAPES["uneven"][1])
    for pool, before in zip(plan.pools, uneven.pools, strict=True):
        assert len(set(pool.compute.stages)) == 1
        mean_s = sum(stage.total_s for stage in before.compute.stages) / 4
        assert pool.compute.stages[0].total_s == pytest.approx(mean_s, rel=1e-14)


def test_exchange_inside_goes_and_nothing_else() -> None:
    plan = plan_of(MIXED, {"ideal.exchange_inside": True})
    before = plan_of(MIXED, {})
    for pool, other in zip(plan.pools, before.pools, strict=True):
        assert pool.compute.tensor_s == 0
        assert set(pool.compute.transfers_s) == {0.0}
        assert [term.cost for term in pool.terms] == [term.cost for term in other.terms]
        passes = sum(stage.total_s for stage in pool.compute.stages)
        others = sum(stage.total_s for stage in other.compute.stages)
        # Two passes and a recomputed one of each microbatch.
        assert 16 * (others - passes) == pytest.approx(other.compute.tensor_s, rel=1e-12)


def test_measured_passes_are_of_the_kernel_but_for_what_is_recomputed() -> None:
    changes = SHAPES["measured"][1]
    plan = plan_of(MIXED, {**changes, "ideal.recompute_and_overhead": True})
    compute = plan.pools[0].compute
    assert compute.forward_s == pytest.approx(0.3, rel=1e-14)
    # A backward pass of two thirds of the FLOPs, and a third of them recomputed.
    assert compute.backward_s == pytest.approx(0.9 * 2 / 3, rel=1e-14)
    at_peak = plan_of(MIXED, {**changes, **ALL, "ideal.mixed_generations": False}).pools[0]
    flops = 16 * at_peak.rank_model_flops / 16
    assert at_peak.compute.step_s == pytest.approx(flops / at_peak.peak_flop_per_s, rel=1e-13)


def test_memory_is_judged_without_ideals() -> None:
    scenario = from_table(MIXED, "mixed")
    before = make_plan(scenario)
    plan = make_plan(hm.with_changes(scenario, ALL))
    assert [pool.memory for pool in plan.pools] == [pool.memory for pool in before.pools]


def test_causes_with_a_rate_come_as_often_as_without_ideals() -> None:
    table = {**BARRIER, "causes": dict(BARRIER["causes"])}
    port = {key: value for key, value in table["causes"]["port"].items() if key != "probability"}
    table["causes"]["port"] = {**port, "per_hour": 5.0}
    before = plan_of(table, {})
    for changes in (ALL, {"ideal.kernel_efficiency": True}):
        plan = plan_of(table, {**changes, "ideal.stalls": False})
        causes = {cause["name"]: cause for cause in plan.arguments["causes"]}
        others = {cause["name"]: cause for cause in before.arguments["causes"]}
        assert causes["port"]["probability"] == others["port"]["probability"]
        assert plan.rate_step_s == before.noiseless_step_s
        assert plan.noiseless_step_s < before.noiseless_step_s


def cause(**fields: Any) -> Cause:
    table = {
        "law": {"name": "constant", "value": 1.1},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "gpu",
        "span": "step",
    }
    return Cause.model_validate({**table, **fields})


@pytest.mark.parametrize(
    ("fields", "mechanism"),
    [
        ({"affects": "network"}, "network_noise"),
        ({"affects": "network", "scope": "cluster"}, "network_noise"),
        ({"affects": "network", "effect": "stall"}, "stalls"),
        ({"effect": "stall", "scope": "cluster"}, "stalls"),
        ({"effect": "stall", "span": "run"}, "stalls"),
        ({"scope": "cluster"}, "step_common"),
        ({"scope": "pool", "span": "run"}, "step_common"),
        ({"scope": "cluster", "span": "layer"}, "step_common"),
        ({"span": "run"}, "gpu_spread"),
        ({"scope": "replica", "span": "run"}, "gpu_spread"),
        ({"scope": "node", "span": "run", "units": [3]}, "gpu_spread"),
        ({"scope": "replica", "span": "microbatch"}, "sequence_imbalance"),
        ({"scope": "gpu", "span": "microbatch"}, "residual"),
        ({"scope": "gpu", "span": "layer"}, "layer_barriers"),
        ({"scope": "replica", "span": "layer"}, "layer_barriers"),
        ({"scope": "node"}, "residual"),
        ({"period_steps": 7}, "residual"),
    ],
)
def test_each_cause_is_of_one_mechanism(fields: dict[str, Any], mechanism: str) -> None:
    one = cause(**fields)
    assert mechanism_of(one) == mechanism
    for other in MECHANISMS:
        assert Ideal.model_validate({other.name: True}).has("it", one) == (other.name == mechanism)
    assert Ideal(causes=["it"]).has("it", one)


FAILURES: dict[str, Any] = {
    "failures.node": {"scope": "node", "per_hour": 1e-3, "repair_hours": 10.0},
    "recovery": {"restart_s": 600.0, "spares": 64, "watchdog_s": 5.0},
    "checkpoint": {"blocking_s": 30.0},
}


def test_without_failures_everything_held_is_kept_and_without_idle_all_is_held() -> None:
    scenario = hm.load("h100-1k", FAILURES)
    size: dict[str, Any] = {"seed": 1, "runs": 3, "steps": 20, "days": 5.0}
    found = {
        names: hm.simulate(
            scenario, changes={f"ideal.{name}": True for name in names}, **size
        ).account
        for names in ((), ("failures",), ("idle",), ("failures", "idle"))
    }
    as_it_is, healthy, busy, both = found.values()
    assert as_it_is is not None
    assert healthy is not None
    assert busy is not None
    assert both is not None
    assert as_it_is.S < 1
    assert as_it_is.R < 1
    assert healthy.R == 1
    assert pytest.approx(1 - 64 / 1024, abs=1e-12) == healthy.S
    assert sum(map(sum, healthy.hours_of.failures)) == 0
    assert busy.S == 1
    assert busy.R == as_it_is.R
    assert both.S == both.R == 1
    assert both.fleet_mfu == pytest.approx(both.P, abs=1e-15)


def test_stalls_that_a_watchdog_ends_are_failures() -> None:
    long: dict[str, Any] = {
        "law": {"name": "exponential", "mean": 4.0},
        "affects": "compute",
        "effect": "stall",
        "scope": "cluster",
        "span": "step",
        "probability": 0.1,
    }
    scenario = hm.load("h100-1k", {**FAILURES, "causes.long": long})
    size: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 50, "days": 5.0}

    def stopped(**ideals: bool) -> int:
        changes = {f"ideal.{name}": value for name, value in ideals.items()}
        account = hm.simulate(scenario, changes=changes, **size).account
        assert account is not None
        return sum(map(sum, account.hours_of.failures))

    assert stopped(stalls=True) == stopped() > 0
    assert stopped(failures=True) == 0
    # What the watchdog ends is no stall, whether or not it counts as a failure.
    steps = [
        hm.simulate(scenario, changes={"ideal.failures": ideal}, **size).columns["step_time_s"]
        for ideal in (False, True)
    ]
    assert steps[0].tolist() == steps[1].tolist()


def test_ideals_compiled_from_another_scenario_are_as_compiled_anew() -> None:
    base = hm.compile(from_table(MIXED, "mixed"))
    some = base
    for names in (["kernel_efficiency"], ["kernel_efficiency", "stalls"], ["stalls"], []):
        changes = {one.path: one.name in names for one in MECHANISMS}
        some = some.with_changes(changes)
        assert some.plan == Compiled(some.scenario).plan


def test_wrong_ideals_are_told_all_at_once() -> None:
    with pytest.raises(ScenarioError) as raised:
        hm.load("h100-1k", {"ideal.stall": True, "ideal.residual": 1})
    said = str(raised.value)
    assert 'ideal.stall is not a known key; did you mean "stalls"?' in said
    assert "ideal.residual must be true or false, got 1" in said
    with pytest.raises(ScenarioError) as raised:
        hm.load("h100-1k", {"ideal.causes": ["residul"]})
    said = str(raised.value)
    assert 'ideal.causes must name causes of this scenario, got "residul"' in said
    assert 'did you mean "residual"?' in said
