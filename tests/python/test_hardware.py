"""GPUs and fabrics of a scenario's own, and what is said of links that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.scenario import bases, from_table, scenario_warnings, to_table

Changes = dict[str, Any]

MINE: Changes = {
    "gpus.mine": {"extends": "h100-sxm", "memory_bytes": 96e9, "domain_gpus": 4, "node_gpus": 4},
    "pools.h100.gpu": "mine",
    "layout.tensor": 4,
}
WHOLE = {
    "peak_bf16_flop_per_s": 165.2e12,
    "kernel_efficiency": 0.9,
    "memory_bytes": 24e9,
    "scale_up_bytes_per_s": 25e9,
    "scale_up_latency_s": 10e-6,
    "nic_bytes_per_s": 12.5e9,
    "node_gpus": 8,
    "domain_gpus": 8,
}
FAST = {"extends": "infiniband-ndr", "port_bytes_per_s": 100e9}


def refusal(changes: Changes, preset: str = "h100-1k") -> str:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load(preset, changes)
    return str(refused.value)


def test_a_gpu_of_ones_own_is_the_catalogues_with_changes() -> None:
    scenario = hm.load("h100-1k", MINE)
    gpu, base = scenario.pools["h100"].accelerator, catalog.gpu("h100-sxm")
    assert (gpu.memory_bytes, gpu.domain_gpus, gpu.node_gpus) == (96e9, 4, 4)
    assert gpu.peak_bf16_flop_per_s == base.peak_bf16_flop_per_s
    assert hm.compile(scenario).plan.arguments["pools"][0]["domain_gpus"] == 4
    # A figure of the pool is still nearer than one of its GPU.
    own = hm.load("h100-1k", {**MINE, "pools.h100.kernel_efficiency": 0.5})
    assert own.pools["h100"].efficiency("bf16") == 0.5


def test_a_gpu_with_the_catalogues_figures_gives_the_catalogues_steps() -> None:
    call: Changes = {"seed": 1, "runs": 2, "steps": 20}
    same = hm.simulate(
        "h100-1k",
        changes={
            "gpus.mine": {"extends": "h100-sxm"},
            "pools.h100.gpu": "mine",
            "fabrics.net": {"extends": "infiniband-ndr"},
            "fabric.name": "net",
        },
        **call,
    )
    assert same.steps.equals(hm.simulate("h100-1k", **call).steps)


def test_a_whole_gpu_needs_no_entry_of_the_catalogue() -> None:
    changes = {
        "gpus.rtx-4090": WHOLE,
        "pools.h100.gpu": "rtx-4090",
        "workload.model": "llama3-8b",
        "layout": {"tensor": 1, "sharding": "zero3", "shard_group_replicas": None},
        "workload.microbatch_seqs": 1,
    }
    result = hm.simulate("h100-1k", changes=changes, seed=1, runs=1, steps=2)
    peak_s = result.plan.model_flops / (1024 * 165.2e12)
    assert result.plan.peak_step_s == pytest.approx(peak_s)
    assert "rtx-4090" in result.inputs["scenario"]["gpus"]


def test_own_hardware_is_part_of_the_value(tmp_path: Path) -> None:
    scenario = hm.load("h100-1k", MINE)
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    again = from_table(to_table(scenario))
    assert again == scenario
    assert again.pools["h100"].accelerator == scenario.pools["h100"].accelerator
    assert hm.with_changes(scenario, {"gpus.mine.memory_bytes": 90e9}) != scenario
    result = hm.simulate(scenario, seed=1, runs=1, steps=2)
    result.write(tmp_path / "x.parquet")
    assert hm.read(tmp_path / "x.parquet") == result


def test_a_compiled_scenario_is_planned_again_for_another_gpu() -> None:
    compiled = hm.compile("h100-1k", MINE)
    slower = {"gpus.mine.kernel_efficiency": 0.4}
    call: Changes = {"seed": 1, "runs": 1, "steps": 3}
    result = compiled.simulate(changes=slower, **call)
    assert result == hm.simulate("h100-1k", changes={**MINE, **slower}, **call)
    assert result.value("step_time_s") > 1.5 * compiled.simulate(**call).value("step_time_s")


def test_what_a_gpu_inherits_keeps_its_basis() -> None:
    found = bases(hm.load("h100-1k", MINE))
    assert found["mine.peak_bf16_flop_per_s"].kind == "quoted"
    assert "mine.memory_bytes" not in found
    fabric = bases(hm.load("h100-1k", {"fabrics.net": FAST, "fabric.name": "net"}))
    assert fabric["net.noise.law.sigma"].kind == "assumed"
    assert "net.port_bytes_per_s" not in fabric


def test_ports_of_twice_the_rate_take_half_the_time() -> None:
    alone = {"layout.tensor": 8, "collective.overlap_fraction": 0.0}
    fast = {**alone, "fabrics.xdr": FAST, "fabric.name": "xdr", "pools.h100.nic_bytes_per_s": 100e9}
    both = [hm.compile("h100-1k", changes).plan.pools[0].terms for changes in (alone, fast)]
    for slow, quick in zip(*both, strict=True):
        assert quick.cost.transfer_s == pytest.approx(slow.cost.transfer_s / 2)


def test_a_port_that_the_fabric_does_not_carry_is_refused_or_warned_of() -> None:
    line = "the line rate of infiniband-ndr, got 100000000000"
    hint = "[fabrics.NAME] with extends and port_bytes_per_s is a faster fabric"
    said = refusal({"pools.h100.nic_bytes_per_s": 100e9})
    assert said == f"changes: pools.h100.nic_bytes_per_s must be <= 5e+10, {line}; {hint}"
    own = {**MINE, "gpus.mine": {"extends": "h100-sxm", "nic_bytes_per_s": 100e9}}
    assert refusal({**own, "layout.tensor": 8}) == (
        f"changes: gpus.mine.nic_bytes_per_s must be <= 5e+10, {line}; {hint}"
    )
    warned = scenario_warnings(
        hm.load("h100-1k", {"pools.h100.gpu": "b300-sxm", "pools.h100.kernel_efficiency": 0.7})
    )
    assert [str(warning) for warning in warned] == [
        "pools.h100.gpu comes with ports of 1e+11 B/s, and infiniband-ndr has 5e+10: the fabric's "
        "rate counts"
    ]


def test_a_torus_with_slower_links_than_the_chips_have_is_warned_of() -> None:
    changes: Changes = {"pools.tpu.gpu": "tpu-v5p", "pools.tpu.kernel_efficiency": 0.9}
    warned = scenario_warnings(hm.load("palm-tpu-v4", changes))
    assert [str(warning) for warning in warned] == [
        "pools.tpu.gpu comes with links that carry 5.4e+11 B/s together, and those of tpu-ici-v4 "
        "carry 2.7e+11: the fabric's rate counts"
    ]
    quick = {**changes, "fabric": {"name": "tpu-ici-v5p", "shape": [12, 16]}}
    assert not scenario_warnings(hm.load("palm-tpu-v4", quick))
    assert not scenario_warnings(hm.load("palm-tpu-v4"))
    few = {"pools.tpu.gpu": "tpu-v5e", "pools.tpu.kernel_efficiency": 0.9}
    few |= {"fabric": {"name": "tpu-ici-v4", "shape": [4, 6, 8]}, "workload.recompute": "full"}
    warned = scenario_warnings(hm.load("palm-tpu-v4", few))
    assert [str(warning) for warning in warned] == [
        "pools.tpu.gpu comes with links that carry 1.8e+11 B/s together, and fabric.shape takes 6 "
        "links of 4.5e+10: the fabric's rate counts"
    ]


TORUS: Changes = {"extends": "tpu-ici-v4"}


def test_a_torus_of_half_its_chips_links_is_refused() -> None:
    chips: Changes = {"pools.tpu.gpu": "tpu-v5p", "pools.tpu.kernel_efficiency": 0.9}

    def said(torus: Changes, **changes: Any) -> str:
        fabric = {"fabric": {"name": "mine", "shape": [12, 16]}, "fabrics.mine": torus}
        return refusal(chips | fabric | changes, "palm-tpu-v4")

    assert said({**TORUS, "link_bytes_per_s": 45.5e9}) == (
        "changes: fabrics.mine.link_bytes_per_s must be >= 9e+10: the 6 links of the chips of pool "
        "tpu carry 5.4e+11 B/s, got 45500000000"
    )
    assert "link_bytes_per_s must be >= 1.35e+11: the 4 links" in said({**TORUS, "links": 4})
    hm.load(
        "palm-tpu-v4",
        chips
        | {"fabric": {"name": "mine", "shape": [12, 16]}}
        | {"fabrics.mine": {**TORUS, "link_bytes_per_s": 90e9}},
    )
    quick = {"pools.tpu.gpu": "mine", "pools.tpu.kernel_efficiency": 0.9}
    quick |= {"gpus.mine": {"extends": "tpu-v4", "scale_up_bytes_per_s": 300e9}}
    assert refusal(quick, "palm-tpu-v4").startswith(
        "changes: gpus.mine.scale_up_bytes_per_s must be <= 2.7e+11, what the 6 links of "
        "tpu-ici-v4 carry"
    )


@pytest.mark.parametrize(
    ("fabric", "words"),
    [
        (
            {**TORUS, "port_bytes_per_s": 90e9},
            "fabrics.mine.port_bytes_per_s must be absent: a torus fabric has links",
        ),
        (
            {"extends": "infiniband-ndr", "links": 6},
            "fabrics.mine.links must be absent: a switched fabric has ports",
        ),
        (
            {"kind": "torus", "links": 6, "bandwidth_efficiency": 1.0, "latency_s": 1e-6},
            "fabrics.mine.link_bytes_per_s must be given: the fabric is torus",
        ),
        (
            {"bandwidth_efficiency": 1.0, "latency_s": 1e-6},
            "fabrics.mine.port_bytes_per_s must be given: the fabric is switched",
        ),
        ({**TORUS, "links": 3}, "fabrics.mine.links must be even: two for each dimension, got 3"),
        (
            {"extends": "infiniband-ndr", "oversubscription": 2.0},
            "fabrics.mine.tier_domains must be given where oversubscription is",
        ),
        (
            {"extends": "infiniband-ndr", "tier_domains": 32},
            "fabrics.mine.oversubscription must be given where tier_domains is",
        ),
        (
            {"extends": "infiniband-ndr", "oversubscription": 0.5, "tier_domains": 32},
            "fabrics.mine.oversubscription must be >= 1, got 0.5",
        ),
        (
            {"extends": "infiniband-ndr", "beyond": {"gpus": 4, "bytes_per_s": 1e9}},
            "fabrics.mine.beyond.latency_s is missing",
        ),
        (
            {
                "extends": "infiniband-ndr",
                "beyond": {"gpus": 4, "bytes_per_s": 1e9, "latency_s": 1e-3},
            },
            "fabrics.mine.beyond.gpus must be >= 8, the GPUs of a domain, got 4",
        ),
    ],
)
def test_a_fabric_has_what_its_kind_has(fabric: Changes, words: str) -> None:
    assert words in refusal({"fabrics.mine": fabric, "fabric.name": "mine"})


def test_a_second_tier_in_other_units_is_warned_of() -> None:
    def warned(**changes: float) -> list[str]:
        beyond = {"gpus": 64, "bytes_per_s": 3e9, "latency_s": 0.05, **changes}
        own = {"fabrics.mine": {"extends": "infiniband-ndr", "beyond": beyond}}
        found = scenario_warnings(hm.load("h100-1k", {**own, "fabric.name": "mine"}))
        return [str(each) for each in found]

    assert warned() == []
    assert warned(bytes_per_s=25.0)[0].startswith(
        "fabrics.mine.beyond.bytes_per_s is outside of 1e+08 to 1e+13 B/s"
    )
    assert warned(latency_s=30.0)[0].startswith("fabrics.mine.beyond.latency_s is more than 1 s")
    assert warned(bytes_per_s=5e12) == [
        "fabrics.mine.beyond.bytes_per_s is more than a port of mine has, 5e+10 B/s: the port's "
        "rate counts"
    ]


def test_words_about_tokens_that_change_nothing_are_warned_of() -> None:
    def warned(**changes: float | int) -> list[str]:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}
        found = scenario_warnings(hm.load("deepseek-v3-2048", dotted))
        return [str(each) for each in found]

    assert warned() == []
    (said,) = warned(workload__expert_overlap_fraction=0.0)
    assert said == (
        "workload.expert_bandwidth_share changes nothing where "
        "workload.expert_overlap_fraction is 0"
    )
    assert len(warned(layout__expert=1)) == 3


def test_a_torus_has_two_links_for_each_dimension() -> None:
    said = refusal({"fabric": {"name": "tpu-ici-v5e", "shape": [4, 6, 8]}}, "palm-tpu-v4")
    assert "fabric.shape must have at most 2 dimensions of more than 1 rank, got [4, 6, 8]" in said


def test_memory_may_be_faster_than_any_link() -> None:
    warned = [
        scenario_warnings(
            hm.load("h100-1k", {**MINE, "gpus.mine": {"extends": "h100-sxm", "hbm_bytes_per_s": b}})
        )
        for b in (22e12, 3.9)
    ]
    assert [len(each) for each in warned] == [0, 1]
    assert str(warned[1][0]).startswith("gpus.mine.hbm_bytes_per_s is outside of 1e+08 to 1e+14")


WRONG: dict[str, tuple[Changes, str]] = {
    "no such base": (
        {"gpus.mine": {"extends": "h100-smx", "memory_bytes": 96e9}},
        'gpus.mine.extends must be one of the catalogue\'s gpus, got "h100-smx"; did you mean '
        '"h100-sxm"?',
    ),
    "a name of the catalogue": (
        {"gpus.h100-sxm": {"extends": "h100-sxm"}},
        "gpus.h100-sxm must not be a name of the catalogue",
    ),
    "a fabric of the catalogue": (
        {"fabrics.roce-400g": {"extends": "roce-400g"}},
        "fabrics.roce-400g must not be a name of the catalogue",
    ),
    "an unknown key": (
        {"gpus.mine": {"extends": "h100-sxm", "memory": 96e9}},
        'gpus.mine.memory is not a known key; did you mean "memory_bytes"?',
    ),
    "a missing key": (
        {"gpus.mine": {key: value for key, value in WHOLE.items() if key != "node_gpus"}},
        "gpus.mine.node_gpus is missing",
    ),
    "a wrong value": (
        {"gpus.mine": {"extends": "h100-sxm", "memory_bytes": -1.0}},
        "gpus.mine.memory_bytes must be > 0, got -1",
    ),
    "a name with capitals": (
        {"gpus.Mine": {"extends": "h100-sxm"}},
        'gpus.Mine must have a name of a-z, 0-9 and - only, got "Mine"',
    ),
    "no table": ({"gpus.mine": 3}, "gpus.mine must be a table, got 3; [gpus.NAME] holds such keys"),
    "no such gpu": (
        {"gpus.mine-1": {"extends": "h100-sxm"}, "pools.h100.gpu": "mien-1"},
        'pools.h100.gpu must be one of the catalogue\'s gpus, got "mien-1"; did you mean "mine-1"?',
    ),
    "a longer name": (
        {"pools.h100.gpu": "gb200"},
        'pools.h100.gpu must be one of the catalogue\'s gpus, got "gb200"; did you mean '
        '"gb200-nvl72"?',
    ),
    "two longer names": (
        {"fabric.name": "roce"},
        'fabric.name must be one of the catalogue\'s fabrics, got "roce"; did you mean '
        '"roce-400g", "roce-400g-shared" or "roce-800g"?',
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_once_and_by_its_path(name: str) -> None:
    changes, said = WRONG[name]
    assert refusal(changes) == f"changes: {said}"


def test_another_number_is_another_gpu() -> None:
    assert refusal({"pools.h100.gpu": "h30"}).startswith(
        'changes: pools.h100.gpu must be one of the catalogue\'s gpus, got "h30"; there is a100-sxm'
    )


def test_a_key_like_no_other_is_told_all_that_there_are() -> None:
    said = refusal({"causes.stall.warmth": 3})
    assert said.endswith(
        "; there is law, affects, effect, scope, span, correlation_s, probability, per_hour, "
        "duration, pools, units, period_steps, phase_steps, trend_per_hour, enabled"
    )
