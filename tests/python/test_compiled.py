"""A compiled scenario gives the numbers of `simulate`, whatever it has found before."""

from __future__ import annotations

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.scenarios import COLOSSUS_1_BARE
from tests.statistics.panel import Table, gb200, h100, halt, scenario, slow

import hindmost as hm
from hindmost import _core
from hindmost.memo import Memo, digest
from hindmost.scenario import from_table, to_table, with_changes

SIZES: dict[str, Any] = {"seed": 3, "runs": 3, "steps": 40}


def lognormal(sigma: float) -> Table:
    return {"name": "lognormal", "sigma": sigma}


JOBS: dict[str, Table] = {
    "shifted laws": {
        "pools": {"h100": h100(800), "gb200": gb200(288)},
        "causes": {
            "speed": slow(lognormal(0.02), span="run"),
            "residual": slow(lognormal(0.01)),
        },
    },
    "blocks of a node": {
        "pools": {"h100": h100(800)},
        "causes": {
            "speed": slow(lognormal(0.02), span="run"),
            "host": slow(lognormal(0.02), span="run", scope="node"),
            "residual": slow(lognormal(0.01)),
            "shared": slow(lognormal(0.01), scope="node"),
        },
    },
    "nothing but persistent speeds and stalls": {
        "pools": {"h100": h100(160)},
        "causes": {
            "speed": slow(lognormal(0.02), span="run"),
            "late": halt({"name": "constant", "value": 0.03}, span="run", probability=0.1),
        },
    },
    "persistent stalls and steps that differ": {
        "pools": {"h100": h100(160)},
        "causes": {
            "speed": slow(lognormal(0.02), span="run"),
            "late": halt({"name": "constant", "value": 0.03}, span="run", probability=0.1),
            "residual": slow(lognormal(0.01)),
        },
    },
    "ports": {
        "pools": {"h100": h100(160)},
        "collective": {"overlap_fraction": 0.0},
        "causes": {
            "cable": slow(lognormal(0.1), span="run", affects="network"),
            "jitter": slow(lognormal(0.1), affects="network"),
        },
    },
    "stages": {
        "pools": {"h100": h100(160)},
        "layout": {"tensor": 2, "pipeline": 2},
        "workload": {
            "model": "small",
            "seq_len": 2048,
            "microbatch_seqs": 1,
            "n_microbatches": 4,
        },
        "causes": {
            "speed": slow(lognormal(0.02), span="run"),
            "shared": slow(lognormal(0.01), scope="replica"),
        },
    },
}

CHANGES: list[dict[str, Any]] = [
    {},
    {"workload.overhead_s": 0.05},
    {"collective.overlap_fraction": 0.3},
    {"causes.residual": slow(lognormal(0.03))},
    {"causes.shared": slow(lognormal(0.02), scope="replica")},
    {"causes.speed": slow(lognormal(0.04), span="run")},
    {"causes.late": halt({"name": "constant", "value": 0.02}, span="run", probability=0.1)},
    {"causes.jitter": slow(lognormal(0.2), affects="network")},
    {"pools.h100.n_gpus": 240},
    {"pools.h100.forward_s": 0.5, "pools.h100.backward_s": 0.5},
]


@pytest.mark.parametrize("name", JOBS)
def test_changes_one_after_another_give_what_each_of_them_gives_alone(name: str) -> None:
    base = scenario(JOBS[name])
    compiled = hm.compile(base)
    # Forwards, where much is new, and backwards, where all has been there before.
    for changes in [*CHANGES, *reversed(CHANGES)]:
        assert compiled.simulate(changes=changes, **SIZES) == hm.simulate(
            base, changes=changes, **SIZES
        ), changes


def test_sizes_and_seeds_one_after_another_give_what_each_of_them_gives_alone() -> None:
    base = scenario(JOBS["shifted laws"])
    compiled = hm.compile(base)
    for seed, runs, steps in itertools.product((1, 2, 1), (1, 4, 2), (7, 30)):
        sizes: dict[str, Any] = {"seed": seed, "runs": runs, "steps": steps}
        assert compiled.simulate(**sizes) == hm.simulate(base, **sizes), sizes


def test_methods_of_a_compiled_scenario_are_those_of_simulate() -> None:
    base = scenario(JOBS["blocks of a node"])
    compiled = hm.compile(base)
    for method in ("sample", "order-statistics", "auto"):
        asked: dict[str, Any] = {"method": method, **SIZES}
        result = compiled.simulate(**asked)
        assert result == hm.simulate(base, **asked)
        assert (result.scenario, result.plan) == (compiled.scenario, compiled.plan)


def test_threads_may_share_a_compiled_scenario() -> None:
    base = scenario(JOBS["shifted laws"])
    compiled = hm.compile(base)
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda changes: compiled.simulate(changes=changes, **SIZES), 4 * CHANGES)
        )
    alone = [hm.simulate(base, changes=changes, **SIZES) for changes in CHANGES]
    assert found == 4 * alone


def test_a_compiled_scenario_is_equal_to_its_copies() -> None:
    compiled = hm.compile("h100-1k", {"workload.overhead_s": 0.1})
    compiled.simulate(**SIZES)
    for again in (
        pickle.loads(pickle.dumps(compiled)),
        copy.copy(compiled),
        copy.deepcopy(compiled),
    ):
        assert again == compiled
        assert again.simulate(**SIZES) == compiled.simulate(**SIZES)
    assert hm.compile("h100-1k") != compiled
    assert repr(compiled) == "<Compiled h100-1k>"


def test_a_wrong_call_of_a_compiled_scenario_is_refused_whole() -> None:
    compiled = hm.compile("h100-1k")
    exact: Any = "exact"
    with pytest.raises(hm.ScenarioError) as refused:
        compiled.simulate(steps=0, runs=0, seed=-1, threads=0, method=exact)
    assert [problem.path for problem in refused.value.problems] == [
        "steps",
        "runs",
        "seed",
        "threads",
        "method",
    ]
    with pytest.raises(hm.ScenarioError, match=r"causes\.residual\.law\.sigma"):
        compiled.simulate(changes={"causes.residual.law.sigma": -1.0})
    assert compiled.simulate(**SIZES) == hm.simulate("h100-1k", **SIZES)


def test_what_a_change_leaves_is_not_drawn_again() -> None:
    compiled = hm.compile(COLOSSUS_1_BARE)
    sizes: dict[str, Any] = {"seed": 5, "runs": 2, "steps": 8, "threads": 1}
    compiled.simulate(**sizes)
    memory = compiled._memory
    changed = compiled.with_changes({"causes.residual.law.sigma": 0.002})
    assert changed._memory is memory
    assert changed.core is not compiled.core
    # Laws of the same parameters are one object, with their tables.
    speeds = [each.scenario.causes["gpu-speed"].law for each in (compiled, changed)]
    assert speeds[0].core is speeds[1].core


def test_a_replica_law_is_found_once_for_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    causes = {
        "speed": slow(lognormal(0.02), span="run"),
        "residual": slow(lognormal(0.01), span="microbatch"),
    }
    compiled = hm.compile(scenario({**JOBS["stages"], "causes": causes}))
    asked: dict[str, Any] = {"method": "order-statistics", **SIZES}
    first = compiled.simulate(**asked)
    assert first.deviation is not None

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("replicas are sampled once more")

    monkeypatch.setattr("hindmost.compiled.choose", fail)
    assert compiled.simulate(**asked) == first
    with pytest.raises(AssertionError, match="once more"):
        compiled.simulate(**{**asked, "seed": 4})


PHYSICS: list[dict[str, Any]] = [
    {"workload.seq_len": 1024},
    {"layout.tensor": 2},
    {"collective.algorithm": "ring"},
    {"fabric.latency_s": 1e-5},
    {"fabric.hop_noise": {"name": "exponential", "mean": 0.5, "shift": 0.5}},
    {"pools.h100.software_efficiency": 0.5},
    {"models.small.n_layers": 8},
]


@pytest.mark.parametrize("changes", PHYSICS, ids=lambda changes: next(iter(changes)))
def test_pools_are_planned_anew_where_what_they_depend_on_changes(changes: dict[str, Any]) -> None:
    pools = {"h100": {"gpu": "h100-sxm", "n_gpus": 160}}
    base = scenario({**JOBS["ports"], "pools": pools})
    compiled = hm.compile(base)
    changed = compiled.with_changes(changes)
    assert changed.plan.pools != compiled.plan.pools
    assert changed.plan == hm.compile(base, changes).plan
    quiet = compiled.with_changes({"fabric.noise.enabled": True, "causes.jitter.enabled": False})
    assert quiet.plan.pools is compiled.plan.pools
    assert quiet.plan == hm.compile(quiet.scenario).plan


SPEEDS_OF_ONE: list[dict[str, Any]] = [
    {"pools.b.software_efficiency": 0.5},
    {"pools.b.kernel_efficiency": 0.5},
    {"pools.b.forward_s": 0.5, "pools.b.backward_s": 1.0},
]
OTHERS: list[dict[str, Any]] = [
    {"pools.b.n_gpus": 96},
    {"pools.b.microbatch_seqs": 2},
    {"ideal.stage_imbalance": True, "pools.b.software_efficiency": 0.5},
]


@pytest.mark.parametrize("changes", [*SPEEDS_OF_ONE, *OTHERS], ids=lambda one: next(iter(one)))
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ideal.mixed_generations": True},
        {"layout.pipeline": 2, "layout.placement": "mixed"},
    ],
    ids=["plain", "balanced", "mixed"],
)
def test_only_the_pool_whose_speed_changes_is_planned_anew(
    more: dict[str, Any], changes: dict[str, Any]
) -> None:
    if "layout.pipeline" in more and "pools.b.microbatch_seqs" in changes:
        pytest.skip("refused")
    pools = {name: {"gpu": "h100-sxm", "n_gpus": 160} for name in "abc"}
    base = with_changes(scenario({**JOBS["ports"], "pools": pools}), more)
    compiled = hm.compile(base)
    changed = compiled.with_changes(changes)
    assert changed.plan == hm.compile(base, changes).plan
    before, after = compiled.plan.pools, changed.plan.pools
    kept = [one is other for one, other in zip(before, after, strict=True)]
    assert kept == ([True, False, True] if not more and changes in SPEEDS_OF_ONE else [False] * 3)


def test_what_collectives_hide_behind_changes_no_pool() -> None:
    compiled = hm.compile(scenario(JOBS["ports"]))
    changed = compiled.with_changes({"collective.overlap_fraction": 0.25})
    assert changed.plan.pools is compiled.plan.pools
    assert changed.plan == hm.compile(changed.scenario).plan
    ideal = compiled.with_changes({"ideal.collective_latency": True})
    both = ideal.with_changes({"collective.overlap_fraction": 0.25})
    assert both.plan == hm.compile(both.scenario).plan


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"pools.a.software_efficiency": 0.5},
        {"ideal.mixed_generations": True, "pools.a.software_efficiency": 0.5},
        {"ideal.recompute_and_overhead": True},
        {"layout.pipeline": 2, "layout.placement": "mixed"},
        {"workload.offload_optimizer": True, "pools.a.host_bytes_per_s": 1e9},
        {"workload.global_batch_seqs": 170, "workload.uneven_batch": "sequences"},
    ],
    ids=["plain", "unlike", "balanced", "ideal", "mixed", "offloaded", "uneven"],
)
def test_another_overhead_is_that_of_a_plan_of_its_own(more: dict[str, Any]) -> None:
    pools = {"a": {"gpu": "h100-sxm", "n_gpus": 160}}
    base = with_changes(scenario({**JOBS["ports"], "pools": pools}), more)
    compiled = hm.compile(base)
    for overhead_s in (0.1, 0.3, 0.0):
        changes = {"workload.overhead_s": overhead_s}
        changed = compiled.with_changes(changes)
        assert changed.plan == hm.compile(base, changes).plan
        both = {**changes, "pools.a.software_efficiency": 0.7, "collective.overlap_fraction": 0.3}
        assert changed.with_changes(both).plan == hm.compile(base, both).plan


def test_what_does_not_change_is_not_validated_again() -> None:
    base = scenario({**JOBS["ports"], "pools": {name: h100(160) for name in "ab"}})
    changed = with_changes(base, {"pools.a.n_gpus": 320, "workload.seq_len": 1024})
    assert changed.pools["b"] is base.pools["b"]
    assert changed.fabric is base.fabric
    assert all(changed.causes[name] is base.causes[name] for name in base.causes)
    assert changed.workload.seq_len == 1024
    assert changed.pools["a"].n_gpus == 320
    assert changed == from_table(to_table(changed))
    assert base == from_table(to_table(base))


def test_hardware_that_changes_changes_the_pools_that_have_it() -> None:
    own = {
        **JOBS["ports"],
        "gpus": {"mine": {"extends": "h100-sxm"}},
        "fabrics": {"ours": {"extends": "infiniband-ndr"}},
        "fabric": {"name": "ours"},
        "pools": {"a": {"gpu": "mine", "n_gpus": 160}},
    }
    base = scenario(own)
    changed = with_changes(base, {"gpus.mine.memory_bytes": 96e9})
    assert changed.pools["a"].accelerator.memory_bytes == 96e9
    changed = with_changes(changed, {"fabrics.ours.latency_s": 1e-5})
    assert changed.fabric.network.latency_s == 1e-5
    assert changed.pools["a"].accelerator.memory_bytes == 96e9
    assert changed == from_table(to_table(changed))


def test_a_table_is_left_as_it_is() -> None:
    table = to_table(scenario(JOBS["ports"]))
    table.pop("collective", None)
    table.setdefault("basis", {}).pop("collective.overlap_fraction", None)
    before = copy.deepcopy(table)
    assert "collective.overlap_fraction" in from_table(table).basis
    assert table == before


def test_a_memo_keeps_what_was_used_last_and_makes_the_rest_anew() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return 10 * key

    memo: Memo[int] = Memo(2)
    for key in (1, 2, 1, 3, 1, 2):
        assert memo.get(key, lambda key=key: make(key)) == 10 * key  # type: ignore[misc]
    assert made == [1, 2, 3, 2]


def test_a_memo_keeps_nothing_of_what_could_not_be_made() -> None:
    def fail() -> int:
        raise ValueError("no")

    memo: Memo[int] = Memo(2)
    with pytest.raises(ValueError, match="no"):
        memo.get("key", fail)
    assert memo.get("key", lambda: 1) == 1


def test_keys_tell_data_apart() -> None:
    tables: list[Table] = [
        {"name": "lognormal", "sigma": 0.1},
        {"name": "lognormal", "sigma": 0.1 + 2**-55},
        {"name": "lognormal", "sigma": 1},
        {"name": "lognormal", "sigma": True},
        {"name": "empirical", "samples": [1.0, 2.0]},
        {"name": "empirical", "samples": [1.0, 2.0], "cap": 2.0},
    ]
    assert len({digest(table) for table in tables}) == len(tables)
    assert digest(tables[0]) == digest({"name": "lognormal", "sigma": 0.1})
    assert _core.Law({"name": "lognormal", "sigma": 0.1, "median": 1.0}) == _core.Law(
        {"name": "lognormal", "sigma": 0.1, "median": 1.0}
    )


FAILING: Table = {
    "failures.node": {"scope": "node", "per_hour": 1e-3, "repair_hours": 10.0},
    "recovery": {"restart_s": 60.0, "spares": 16},
    "checkpoint": {"blocking_s": 5.0},
}


def test_whole_runs_one_after_another_are_those_of_each_change_alone() -> None:
    """Those that are known from an equal cluster, and those that are not."""
    base = hm.load("h100-1k", FAILING)
    compiled = hm.compile(base)
    size: dict[str, Any] = {"seed": 3, "runs": 2, "steps": 20}
    changes: list[Table] = [
        {},
        {"pools.h100.software_efficiency": 0.9},
        {"failures.node.per_hour": 2e-3},
        {"recovery.spares": 32},
        {"checkpoint.interval_s": 600.0},
        {"ideal.idle": True},
        {"ideal.failures": True},
        {"layout.tensor": 4},
    ]
    shares = []
    for change in (*changes, *reversed(changes)):
        for days in (None, 5.0):
            found = compiled.simulate(changes=change, days=days, **size)
            alone = hm.simulate(with_changes(base, change), days=days, **size)
            assert found == alone, (change, days)
        assert found.account is not None
        shares.append(found.account.gpu_hours.tobytes())
    # All but the speed of software, and how a node is divided, act on whole runs.
    assert len(set(shares)) == len(changes) - 2


def test_whole_runs_that_do_not_change_are_not_simulated_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = hm.compile(hm.load("h100-1k", FAILING))
    walks = []

    def walk(*arguments: Any, **call: Any) -> Any:
        walks.append(call)
        return fleet_runs(*arguments, **call)

    fleet_runs = _core.fleet_runs
    monkeypatch.setattr(_core, "fleet_runs", walk)
    for efficiency in (0.8, 0.9, 1.0):
        changes = {"pools.h100.software_efficiency": efficiency}
        compiled.simulate(changes=changes, **SIZES)
    assert len(walks) == 1
