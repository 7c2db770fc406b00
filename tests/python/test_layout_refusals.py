"""What is refused of layouts, schedules, collectives and what happens within a step."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost import cli
from hindmost.plan import make_plan

Changes = dict[str, Any]

LAW = {"name": "lognormal", "sigma": 0.01}
SUITS = "tp-cp-ep-dp-pp suits every layout"
MOE: Changes = {"workload.model": "mixtral-8x7b", "layout.tensor": 1}
STAGES: Changes = {"layout.pipeline": 4, "workload.n_microbatches": 8}
INTERLEAVED: Changes = {**STAGES, "layout.schedule": "interleaved", "layout.chunks": 2}
TPU: Changes = {
    "pools.h100.gpu": "tpu-v4",
    "pools.h100.n_gpus": 1024,
    "pools.h100.kernel_efficiency": 0.7,
    "pools.h100.nic_bytes_per_s": 45e9,
    "pools.h100.scale_up_latency_s": 1e-6,
}
TORUS: Changes = {**TPU, "fabric.name": "tpu-ici-v4", "collective.algorithm": "torus"}


def cause(**fields: Any) -> Changes:
    usual = {"law": LAW, "affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "step"}
    return {"causes.own": {**usual, **fields}}


def said(changes: Changes, preset: str = "h100-1k") -> list[str]:
    """Return the lines that are said of changes that must not load."""
    with pytest.raises(hm.ScenarioError) as caught:
        hm.load(preset, changes)
    return [line.partition(": ")[2] for line in str(caught.value).splitlines()]


MULTIPLE = "must make a multiple of 4 microbatches to be interleaved"
COUNTS = (
    "counts (pipeline x chunks) that add up to 80, the layers of llama3-70b; "
    "only the first and the last may be 0"
)

REFUSED: dict[str, tuple[Changes, str]] = {
    "odd microbatches": (
        {**INTERLEAVED, "workload.n_microbatches": 6},
        f"workload.n_microbatches {MULTIPLE}, got 6",
    ),
    "odd global batch": (
        {**INTERLEAVED, "workload.global_batch_seqs": 32 * 2 * 6},
        "workload.global_batch_seqs must make a multiple of 4 microbatches (it makes 6) to be "
        "interleaved, got 384",
    ),
    "chunks of 1f1b": (
        {**STAGES, "layout.chunks": 2},
        'layout.chunks must be 1 unless layout.schedule is "interleaved", got 2',
    ),
    "chunks of one stage": (
        {"layout.schedule": "interleaved", "layout.chunks": 2},
        "layout.chunks must be 1 where layout.pipeline is 1, got 2",
    ),
    "too many stages": (
        {"layout.pipeline": 83, "layout.tensor": 1},
        "layout.pipeline times layout.chunks must be <= 82: llama3-70b has 80 layers, "
        "an input embedding and an output layer, got 83",
    ),
    "too many chunks": (
        {**INTERLEAVED, "layout.chunks": 21},
        "layout.pipeline times layout.chunks must be <= 82: llama3-70b has 80 layers, "
        "an input embedding and an output layer, got 84",
    ),
    "too few counts": (
        {**STAGES, "layout.stage_layers": [40, 40]},
        f"layout.stage_layers must hold 4 {COUNTS}, got [40, 40]",
    ),
    "a layer too many": (
        {**STAGES, "layout.stage_layers": [20, 20, 20, 21]},
        f"layout.stage_layers must hold 4 {COUNTS}, got [20, 20, 20, 21]",
    ),
    "an empty stage": (
        {**STAGES, "layout.stage_layers": [40, 0, 20, 20]},
        f"layout.stage_layers must hold 4 {COUNTS}, got [40, 0, 20, 20]",
    ),
    "heavy only stage": (
        {"layout.last_stage_forward": 1.5},
        "layout.last_stage_forward must be absent where layout.pipeline is 1, got 1.5",
    ),
    "experts": (
        {**MOE, "layout.expert": 3},
        "layout.expert must divide the 8 experts of mixtral-8x7b, got 3",
    ),
    "expert ranks": (
        {**MOE, "layout.expert": 8, "pools.h100.n_gpus": 1020, "layout.pipeline": 4},
        "layout.expert must divide the 254 ranks of a stage, got 8",
    ),
    "order without tp": (
        {"layout.order": "dp-tp-cp-ep-pp"},
        "layout.order must begin with tp: a tensor group lies on GPUs that follow each other, got "
        f'"dp-tp-cp-ep-pp"; {SUITS}',
    ),
    "order without ep": (
        {**MOE, "layout.expert": 8, "layout.order": "tp-cp-dp-pp"},
        f'layout.order must name ep, too: layout.expert is more than 1, got "tp-cp-dp-pp"; {SUITS}',
    ),
    "order of other stages for experts": (
        {
            **MOE,
            "layout.expert": 8,
            "layout.tensor": 2,
            "layout.expert_tensor": 1,
            "layout.pipeline": 2,
            "workload.n_microbatches": 4,
            "layout.order": "tp-cp-pp-ep-dp",
        },
        "layout.order must give experts the same stages as all other weights, got "
        f'"tp-cp-pp-ep-dp"; {SUITS}',
    ),
    "order of mixed stages": (
        {
            **STAGES,
            "layout.placement": "mixed",
            "layout.context": 2,
            "layout.order": "tp-dp-cp-ep-pp",
        },
        "layout.order must begin with tp-cp where layout.placement is mixed: a stage is in one "
        f'pool, got "tp-dp-cp-ep-pp"; {SUITS}',
    ),
    "a part of an expert": (
        {**MOE, "layout.tensor": 4, "layout.expert_tensor": 3},
        "layout.expert_tensor must divide layout.tensor (4), got 3",
    ),
    "parts of no experts": (
        {"layout.expert_tensor": 1},
        "layout.expert_tensor must be absent: llama3-70b has no experts, got 1",
    ),
    "more than a domain": (
        {"pools.h100.domain_gpus_used": 9},
        "pools.h100.domain_gpus_used must be <= 8, the domain of h100-sxm, got 9",
    ),
    "less than a tensor group": (
        {"pools.h100.domain_gpus_used": 6},
        "layout.tensor must be <= 6, GPUs of a domain of pool h100 (h100-sxm), got 8",
    ),
    "mixed and replica": (
        {**STAGES, **cause(scope="replica"), "layout.placement": "mixed"},
        "causes.own.scope must not be replica where layout.placement is mixed, but for causes "
        'of span microbatch that act in all pools, got "replica"',
    ),
    "mixed and a pool's stall": (
        {
            **STAGES,
            **cause(scope="pool", effect="stall", span="microbatch"),
            "layout.placement": "mixed",
        },
        "causes.own.scope must be gpu, replica, or cluster in all pools for a stall of span "
        'microbatch where layout.placement is mixed, got "pool"',
    ),
    "torus without shape": (TORUS, "fabric.shape is missing: the fabric is a torus"),
    "no dimensions": (
        {**TORUS, "fabric.shape": []},
        "fabric.shape must have 16 ranks: those of a shard group, or all that have the same "
        "part of the model, got []",
    ),
    "ring on a torus": (
        {**TORUS, "fabric.shape": [4, 4], "collective.algorithm": "ring"},
        'collective.algorithm must be torus on tpu-ici-v4, which is one, got "ring"',
    ),
    "pat": (
        {"collective.algorithm": "pat", "layout.tensor": 4, "layout.sharding": "zero3"},
        "collective.algorithm must not be pat where a domain holds several ranks with the same "
        'part of the model, as in pool h100, got "pat"',
    ),
    "pat between shard groups": (
        {"collective.algorithm": "pat"},
        'collective.algorithm must not be pat where layout.sharding is "hybrid", which '
        'all-reduces, got "pat"; hierarchical, ring or tree would do; with sharding zero1, zero2 '
        "or zero3 nothing is all-reduced",
    ),
    "pat without sharding": (
        {
            **STAGES,
            "collective.algorithm": "pat",
            "layout.sharding": "none",
        },
        'collective.algorithm must not be pat where layout.sharding is "none", which all-reduces, '
        'got "pat"; hierarchical, ring or tree would do; with sharding zero1, zero2 or zero3 '
        "nothing is all-reduced",
    ),
    "nccl": (
        {"collective.latency": "nccl"},
        'collective.latency must be "hops" unless collective.algorithm is ring, tree or pat, '
        'got "nccl"',
    ),
    "stall of a layer": (
        cause(effect="stall", span="layer"),
        'causes.own.span must not be layer where effect is stall, got "layer"',
    ),
    "stall of nodes": (
        cause(effect="stall", span="microbatch", scope="node"),
        "causes.own.scope must be gpu, replica, pool or cluster for a stall of span microbatch, "
        'got "node"',
    ),
    "network of a microbatch": (
        cause(affects="network", span="microbatch"),
        'causes.own.span must be run, drift or step where affects is network, got "microbatch"',
    ),
    "draws": (
        {**cause(span="layer"), "workload.n_microbatches": 2000},
        "causes.own.span must make at most 262,144 draws of a GPU in a step, got 320000",
    ),
    "replica": (
        {"layout.pipeline": 32, "layout.context": 8},
        "pools.h100.n_gpus must hold a replica, 2,048 GPUs in full domains of 8, got 1024; "
        "layout.placement = mixed spreads stages over pools",
    ),
    "mixed replica": (
        {"layout.pipeline": 32, "layout.context": 8, "layout.placement": "mixed"},
        "pools must hold a replica together, 2,048 GPUs in full domains",
    ),
    "mixed without stages": (
        {
            "layout.placement": "mixed",
            "layout.context": 4,
            "pools.small": {"gpu": "h200-sxm", "n_gpus": 24},
        },
        "pools.small.n_gpus must hold a replica, 32 GPUs in full domains of 8, got 24",
    ),
    "passes": (
        {**STAGES, "workload.n_microbatches": 2**22},
        "workload.n_microbatches must make at most 2,097,152 passes of a replica in a step, "
        "got 50331648",
    ),
    "one measured pass": (
        {"pools.h100.forward_s": 0.5},
        "pools.h100.backward_s is missing where pools.h100.forward_s is given",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_together_is_refused_with_what_would_do(name: str) -> None:
    changes, message = REFUSED[name]
    assert message in said(changes)


def test_all_problems_are_named_at_once() -> None:
    changes = {**STAGES, **cause(effect="stall", span="layer")}
    changes |= {"layout.chunks": 2, "layout.stage_layers": [1], "layout.expert": 2}
    changes |= {"collective.latency": "nccl", "fabric.shape": [4], "pools.h100.forward_s": 1.0}
    paths = [line.split()[0] for line in said(changes)]
    assert sorted(paths) == [
        "causes.own.span",
        "collective.latency",
        "fabric.shape",
        "layout.chunks",
        "layout.expert",
        "layout.stage_layers",
        "pools.h100.backward_s",
    ]


ALLOWED: dict[str, Changes] = {
    "as many stages as there can be": {
        "layout.pipeline": 82,
        "layout.tensor": 1,
        "layout.sharding": "none",
    },
    "ends without layers": {**STAGES, "layout.stage_layers": [0, 40, 40, 0]},
    "one chunk of one stage": {"layout.schedule": "interleaved"},
    "replica causes of microbatches": {
        **STAGES,
        **cause(scope="replica", span="microbatch"),
        "layout.placement": "mixed",
    },
    "PAT with a rank a node": {
        "collective.algorithm": "pat",
        "collective.latency": "nccl",
        "layout.sharding": "zero3",
    },
    "PAT in one shard group": {
        "collective.algorithm": "pat",
        "layout.shard_group_replicas": 128,
    },
    "a line": {**TORUS, "fabric.shape": [16]},
    "stalls of microbatches": cause(effect="stall", span="microbatch"),
    "nothing sharded, one microbatch": {**STAGES, "workload.n_microbatches": 1},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_just_allowed_makes_a_plan(name: str) -> None:
    assert make_plan(hm.load("h100-1k", ALLOWED[name])).n_replicas > 0


COUNTED = ("pipeline", "context", "expert", "chunks", "shard_group_replicas", "tensor")
NO_COUNTS = [0, -1, 1.0, 1.5, "2", True, 2**31, 10**30, float("nan"), [2], {"a": 1}]


@pytest.mark.parametrize(("key", "value"), [*itertools.product(COUNTED, NO_COUNTS)], ids=str)
def test_what_is_no_count_is_refused_by_its_path(key: str, value: Any) -> None:
    (line,) = said({f"layout.{key}": value})
    path = f"layout.{key}"
    # A table's keys are named one by one.
    assert line.startswith(f"{path} must be") or (
        isinstance(value, dict) and line.startswith(f"{path}")
    )


WRONG: list[tuple[str, Any]] = [
    *(("layout.last_stage_forward", value) for value in (0, -1.0, float("inf"), "1", True)),
    *(("layout.last_stage_backward", value) for value in (0, float("nan"), [1.0])),
    *(("layout.stage_layers", value) for value in (80, "80", [80.0], [-1, 81], [True], {"a": 1})),
    *(("layout.schedule", value) for value in (1, "", "GPipe", "zb", True)),
    *(("layout.placement", value) for value in (0, "", "Mixed", ["mixed"])),
    *(("layout.order", value) for value in (0, "", "tp", "tp-cp-dp", "tp-tp-cp-dp-pp", ["tp"])),
    *(("layout.order", value) for value in ("tp_cp_dp_pp", "tp-cp-ep-dp-pp-", "TP-CP-EP-DP-PP")),
    *(("pools.h100.domain_gpus_used", value) for value in (0, -1, 1.5, "8", True)),
    *(("layout.sharding", value) for value in (3, "", "zero", "fsdp")),
    *(("collective.algorithm", value) for value in (0, "", "rings", "nccl")),
    *(("collective.latency", value) for value in (0, "", "hop")),
    *(("collective.host", value) for value in (0, "", "arm")),
    *(("collective.n_buckets", value) for value in (0, -1, 1.5, "8", 2**31)),
    *(("fabric.shape", value) for value in (4, "4", [0], [-4], [4.0], [2**31], [[4]])),
    *(("fabric.hop_noise", value) for value in (1, "lognormal", {"name": "x"}, {"sigma": 1.0})),
    *(("pools.h100.forward_s", value) for value in (0, -1, "1", float("inf"), True)),
    *(("pools.h100.backward_s", value) for value in (0, -1.0, float("nan"))),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=str)
def test_a_silly_value_is_refused_by_its_path(path: str, value: Any) -> None:
    lines = said({path: value})
    assert lines[0].startswith(path)


HUGE: dict[str, tuple[str, Changes]] = {
    # What is said of which path.
    "stages": ("pools.h100.n_gpus", {"layout.pipeline": 2**31 - 1}),
    "context": ("pools.h100.n_gpus", {"layout.context": 2**31 - 1}),
    "expert": ("layout.expert", {**MOE, "layout.expert": 2**31 - 1}),
    "chunks": ("layout.pipeline", {**INTERLEAVED, "layout.chunks": 2**31 - 1}),
    "microbatches": ("workload.n_microbatches", {"workload.n_microbatches": 2**31 - 1}),
    "staged microbatches": (
        "workload.n_microbatches",
        {**STAGES, "workload.n_microbatches": 2**31 - 1},
    ),
    "dimensions": ("fabric.shape", {**TORUS, "fabric.shape": [2**31 - 1] * 20}),
    "layers of stages": (
        "layout.stage_layers",
        {**STAGES, "layout.stage_layers": [2**31 - 1] * 4},
    ),
    "sequences": (
        "layout",
        {"workload.seq_len": 2**31 - 1, "workload.microbatch_seqs": 2**31 - 1},
    ),
    "last stage": (
        "workload",
        {**STAGES, "layout.last_stage_forward": 1e308, "layout.sharding": "zero3"},
    ),
    "passes": ("workload", {"pools.h100.forward_s": 1e308, "pools.h100.backward_s": 1e308}),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_value_is_refused_before_it_is_computed_with(name: str) -> None:
    path, changes = HUGE[name]
    with pytest.raises(hm.ScenarioError) as refused:
        hm.simulate(hm.load("h100-1k", changes), runs=1, steps=1, seed=0)
    assert refused.value.problems[0].path == path


# A step has two microbatches.
@pytest.mark.parametrize(
    ("backward_s", "refusal"),
    [
        (4e-10, r"must make pool h100 compute for at least 1e-09 s a step, got 8e-10"),
        (6e-10, None),
        (4.9e8, None),
        (5.1e8, r"must make a step of pool h100 take at most 1e\+09 s, got 1.02e\+09"),
    ],
)
def test_steps_of_nanoseconds_and_decades_are_refused(
    backward_s: float, refusal: str | None
) -> None:
    passes = {"pools.h100.forward_s": 1e-300, "pools.h100.backward_s": backward_s}
    scenario = hm.load("h100-1k", passes)
    if refusal is None:
        assert make_plan(scenario).pools[0].compute.step_s == pytest.approx(2 * backward_s)
        return
    with pytest.raises(hm.ScenarioError, match=refusal):
        make_plan(scenario)


@pytest.mark.parametrize(
    "changes",
    [
        {"pools.h100.forward_s": 1e300, "pools.h100.backward_s": 1.0},
        {"pools.h100.forward_s": 1e308, "pools.h100.backward_s": 1e308},
        {
            "pools.h100.forward_s": 1e300,
            "pools.h100.backward_s": 1.0,
            "layout.last_stage_forward": 1e30,
        },
    ],
)
def test_passes_that_overflow_are_steps_that_take_too_long(changes: Changes) -> None:
    scenario = hm.load("h100-1k", {**STAGES, **changes})
    refusal = r"workload must make a step of pool h100 take at most 1e\+09 s"
    with pytest.raises(hm.ScenarioError, match=refusal):
        make_plan(scenario)


TINY: dict[str, Changes] = {
    "last stage": {**STAGES, "layout.last_stage_forward": 1e-300, "layout.sharding": "zero3"},
    "sequence": {"workload.seq_len": 1, "workload.microbatch_seqs": 1},
}


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_value_runs(name: str) -> None:
    result = hm.simulate(hm.load("h100-1k", TINY[name]), runs=1, steps=2, seed=0)
    assert 0 < result.value("compute_s") < result.value("step_time_s") < math.inf


def in_a_file(changes: Changes, folder: Path) -> str:
    """Write changes of h100-1k to a file, and return its path."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in changes.items()]
    path = folder / "mine.toml"
    path.write_text("\n".join(['extends = ["h100-1k"]', *lines]) + "\n")
    return str(path)


CALLED = (
    "odd microbatches",
    "too many stages",
    "experts",
    "torus without shape",
    "nccl",
    "replica",
)


@pytest.mark.parametrize("name", CALLED)
def test_validate_ends_with_2_and_names_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = REFUSED[name]
    path = in_a_file(changes, tmp_path)
    monkeypatch.setattr(sys, "argv", ["hindmost", "validate", path])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    printed = capsys.readouterr()
    assert caught.value.code == 2
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_validate_is_a_command_of_its_own(tmp_path: Path) -> None:
    changes, message = REFUSED["odd microbatches"]
    command = [sys.executable, "-m", "hindmost", "validate", in_a_file(changes, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert message in done.stderr
