"""What other tools count: published rows, recounts by hand, round trips, peaks and refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Convention, Counts, layers_of
from hindmost.cli.app import cli
from hindmost.errors import ScenarioError
from hindmost.physics.conventions import counted_flops_by_part, unknown_to
from hindmost.physics.flops import (
    active_parameters,
    flops_by_part,
    model_flops_per_token,
    parameters,
)
from hindmost.report import render_convention

TABLE = Path(__file__).parents[3] / "shared" / "data" / "mfu_conventions.md"
"""The same run as other tools count it, each by its own code, beside this project."""

RUNS = {
    "llama3-8b": (8192, 10_000.0),
    "llama3-70b": (8192, 1_100.0),
    "mixtral-8x7b": (4096, 6_000.0),
    "deepseek-v3": (4096, 1_900.0),
}
"""Tokens of a sequence, and tokens/s of a GPU, of each model in the table."""
H100 = 989e12

ROWS = {
    "Megatron-LM": ("megatron-lm", "megatron-bridge", "nemo"),
    "MaxText": ("maxtext",),
    "verl": ("verl",),
    "torchtitan": ("torchtitan",),
    "nanotron": ("nanotron",),
    "SimuMax": ("simumax",),
    "Composer": ("composer",),
    "levanter": ("levanter",),
    "DeepSpeed": ("deepspeed",),
    "Lightning": ("lightning",),
    "picotron": ("picotron",),
    "llm-analysis": ("llm-analysis",),
    "mlsysim": ("mlsysim",),
    'NeMo 2.7 "transformer"': ("nemo-transformer",),
    "HF Trainer": ("hf-trainer",),
}
"""Tools of the catalogue by the first words of their row."""
TOOLS = [tool for tools in ROWS.values() for tool in tools]

WITH_FORMULAS = [
    name for name in catalog.names("conventions") if catalog.convention(name).counts is not None
]


@cache
def job(model: str = "llama3-8b", gpu: str = "h100-sxm", **changes: Any) -> hm.Scenario:
    """Return a job without anything that tools count differently, but its model."""
    return hm.load(
        "h100-1k",
        {
            "pools.h100.gpu": gpu,
            "pools.h100.n_gpus": 4096,
            "pools.h100.kernel_efficiency": 0.7,
            "workload.model": model,
            "workload.seq_len": RUNS[model][0],
            "workload.microbatch_seqs": 1,
            "layout.sharding": "zero3",
            **{key.replace("__", "."): value for key, value in changes.items()},
        },
    )


def counted(tool: str, model: str) -> float:
    """Return the FLOPs of a token as a tool counts them."""
    counts = catalog.convention(tool).counts
    assert counts is not None
    parts = counted_flops_by_part(counts, catalog.model(model), seq_len=RUNS[model][0], name=model)
    return sum(parts.values())


def causal(model: str) -> float:
    return model_flops_per_token(catalog.model(model), seq_len=RUNS[model][0], causal=True)


# The table.


@cache
def published() -> dict[str, list[str]]:
    """Return the cells of the published table by tool."""
    if not TABLE.exists():
        pytest.skip(f"published table not there: {TABLE}")
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if "|" in line]
    return {
        tool: row
        for start, tools in ROWS.items()
        for tool in tools
        for row in rows
        if row[0].startswith(start)
    }


def numbers(cell: str) -> Iterator[tuple[float, float]]:
    """Yield the numbers of a cell, each with half of its last digit."""
    for text in re.findall(r"\d*\.?\d+", cell):
        yield float(text), 0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + 1e-9)


def test_every_row_of_the_table_is_of_one_tool() -> None:
    assert set(published()) == set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_flops_of_a_token_and_their_ratio_are_those_of_the_table(tool: str) -> None:
    row = published()[tool]
    flops = counted(tool, "llama3-8b")
    ((expected, half),) = numbers(row[1])
    assert flops / 1e9 == pytest.approx(expected, abs=half)
    full = model_flops_per_token(catalog.model("llama3-8b"), seq_len=8192, causal=False)
    (of_causal, half_causal), (of_full, half_full) = numbers(row[3])
    assert flops / causal("llama3-8b") == pytest.approx(of_causal, abs=2 * half_causal)
    assert flops / full == pytest.approx(of_full, abs=2 * half_full)


HALVES = {"deepspeed": 2.0}
"""Halves of the last digit that a tool may be off: its profiler also counts activation functions,
which no convention describes."""


@pytest.mark.parametrize("model", RUNS)
@pytest.mark.parametrize("tool", TOOLS)
def test_mfu_is_that_of_the_table(tool: str, model: str) -> None:
    column = {"llama3-8b": 2, "llama3-70b": 4, "mixtral-8x7b": 5, "deepseek-v3": 6}[model]
    row = published()[tool]
    cell = row[column] if column < len(row) else ""
    if not cell or cell.startswith("ratio"):
        pytest.skip(f"the table has no MFU of {tool} for {model}")
    (expected, half) = next(numbers(cell))
    found = hm.convention(job(model), tool=tool, tokens_per_s_per_gpu=RUNS[model][1])
    assert found.printed is not None
    limit = half * HALVES.get(tool, 1.0)
    assert 100 * found.printed == pytest.approx(expected, abs=limit)


@pytest.mark.parametrize(
    ("tool", "model", "ratio"),
    [
        # The ratios of the table, typed: they hold without it.
        ("megatron-lm", "llama3-8b", 1.000),
        ("megatron-lm", "deepseek-v3", 0.9975),
        ("verl", "llama3-8b", 1.061),
        ("torchtitan", "llama3-8b", 1.125),
        ("torchtitan", "deepseek-v3", 1.1226),
        ("simumax", "llama3-8b", 1.125),
        ("picotron", "llama3-8b", 1.186),
        ("llm-analysis", "llama3-8b", 0.969),
        ("mlsysim", "llama3-8b", 0.936),
        ("hf-trainer", "llama3-8b", 0.875),
        ("hf-trainer", "mixtral-8x7b", 3.505),
        ("hf-trainer", "deepseek-v3", 16.05),
    ],
)
def test_ratios_are_those_that_were_published(tool: str, model: str, ratio: float) -> None:
    assert counted(tool, model) / causal(model) == pytest.approx(ratio, rel=1e-3)


# Counted anew.


def brute_force(model: catalog.Model, seq_len: int, *, scores_again: bool) -> float:
    """Return the FLOPs of a token layer by layer, product by product, with all scores.

    Two FLOPs for each multiplication with a weight forward, four backward; of scores and values
    the same for each key, and the scores once more where the backward pass computes them again.
    """
    queries = model.n_heads * model.head_dim
    keys = model.n_kv_heads * model.head_dim
    total = 0
    for layer in layers_of(model):
        weights = [(model.hidden, queries), (model.hidden, keys), (model.hidden, keys)]
        weights += [(queries, model.hidden)]
        weights += 2 * [(model.hidden, layer.ffn_hidden)] + [(layer.ffn_hidden, model.hidden)]
        total += sum(6 * rows * columns for rows, columns in weights)
        for _ in range(model.n_heads):
            scores, values = 2 * model.head_dim * seq_len, 2 * model.head_dim * seq_len
            total += 3 * (scores + values) + scores * scores_again
    return total + 6 * model.hidden * model.vocabulary


@pytest.mark.parametrize("name", ["llama3-8b", "llama3-70b", "llama3-405b"])
def test_two_tools_count_what_a_loop_over_layers_counts(name: str) -> None:
    model = catalog.model(name)
    for tool, again in (("nanotron", False), ("lightning", True)):
        counts = catalog.convention(tool).counts
        assert counts is not None
        found = sum(counted_flops_by_part(counts, model, seq_len=4096).values())
        assert found == brute_force(model, 4096, scores_again=again)


@pytest.mark.parametrize("name", catalog.names("models"))
def test_without_anything_of_its_own_a_tool_counts_as_this_project(name: str) -> None:
    model = catalog.model(name)
    counts = Counts(windows="counted")
    if unknown_to(counts, model, seq_len=4096):
        return
    assert counted_flops_by_part(counts, model, seq_len=4096) == pytest.approx(
        flops_by_part(model, seq_len=4096, causal=True)
    )


def test_all_parameters_are_those_of_the_model() -> None:
    counts = Counts(attention="none", norms="all", embedding="parameters")
    for name in ("llama3-8b", "mixtral-8x7b", "gpt3-175b"):
        model = catalog.model(name)
        found = sum(counted_flops_by_part(counts, model, seq_len=4096).values())
        assert found == pytest.approx(6 * active_parameters(model), rel=1e-12)


def test_a_formula_of_hidden_widths_is_that_of_the_paper() -> None:
    """96 B S L h^2 (1 + S / 6 h + V / 16 L h) with recomputation (arXiv 2104.04473, eq. 3)."""
    counts = catalog.convention("megatron-deepspeed").counts
    assert counts is not None
    model = catalog.model("gpt3-175b")
    h, layers, s, v = model.hidden, model.n_layers, 2048, model.vocabulary
    paper = 96 * layers * h**2 * (1 + s / (6 * h) + v / (16 * layers * h))
    found = counted_flops_by_part(counts, model, seq_len=s, recompute="full")
    assert sum(found.values()) == pytest.approx(paper, rel=1e-12)
    without = counted_flops_by_part(counts, model, seq_len=s, recompute="none")
    assert sum(without.values()) == pytest.approx(paper * 3 / 4, rel=1e-12)


def test_a_formula_by_all_parameters_counts_6_and_with_recomputation_8_each() -> None:
    counts = catalog.convention("colossal-ai").counts
    assert counts is not None
    model = catalog.model("mixtral-8x7b")
    for recompute, each in (("none", 6), ("selective", 6), ("full", 8)):
        found = counted_flops_by_part(counts, model, seq_len=4096, recompute=recompute)
        assert sum(found.values()) == pytest.approx(each * parameters(model), rel=1e-12)


def test_a_model_that_a_formula_does_not_know_is_told_by_what_it_has() -> None:
    counts = catalog.convention("llama-factory").counts
    assert counts is not None
    tied = catalog.model("llama3-8b").model_copy(update={"tied": True})
    assert unknown_to(counts, tied, seq_len=4096) == ["an output layer that shares the embedding"]
    assert unknown_to(counts, catalog.model("deepseek-v3"), seq_len=4096) == [
        "experts",
        "latent attention",
    ]


def test_windows_count_only_where_a_tool_counts_them() -> None:
    model = catalog.model("mistral-7b")
    cases = (
        (Counts(attention="full", windows="ignored"), 16384),
        (Counts(attention="full", windows="counted"), 4096),
    )
    for counts, keys in cases:
        parts = counted_flops_by_part(counts, model, seq_len=16384)
        assert parts["attention scores"] == 12 * model.n_layers * model.hidden * keys
    assert unknown_to(Counts(), model, seq_len=16384) == ["windows of attention"]
    assert unknown_to(Counts(), model, seq_len=4096) == []


def test_a_tied_output_layer_counts_as_each_convention_says() -> None:
    tied = catalog.model("llama3-8b").model_copy(update={"tied": True})
    output = 6 * tied.hidden * tied.vocabulary
    parts = {
        counts.embedding: counted_flops_by_part(counts, tied, seq_len=4096)
        for counts in (
            Counts(embedding="lookup"),
            Counts(embedding="product"),
            Counts(embedding="parameters"),
            Counts(embedding="output-if-own"),
        )
    }
    assert {
        name: (of.get("output layer", 0), of.get("input embedding", 0))
        for name, of in parts.items()
    } == {
        "lookup": (output, 0),
        "product": (output, output),
        "parameters": (output, 0),
        "output-if-own": (0, 0),
    }


# Conversions.


@pytest.mark.parametrize("tool", WITH_FORMULAS)
def test_what_was_printed_comes_back(tool: str) -> None:
    there = hm.convention(job(), tool=tool, tokens_per_s_per_gpu=7_000.0)
    assert there.printed is not None
    by_mfu = hm.convention(job(), tool=tool, mfu=there.printed)
    assert by_mfu.tokens_per_s_per_gpu == pytest.approx(7_000.0, rel=1e-12)
    assert by_mfu.causal == pytest.approx(there.causal, rel=1e-12)
    assert there.flops_per_token is not None
    tflops = 7_000.0 * there.flops_per_token / 1e12
    by_flops = hm.convention(job(), tool=tool, tflops_per_gpu=tflops)
    assert by_flops.printed == pytest.approx(there.printed, rel=1e-12)
    assert there.ratio == pytest.approx(there.printed / there.causal, rel=1e-12)


def test_both_of_ours_are_the_model_flops_over_the_peak() -> None:
    found = hm.convention(job(), tool="torchtitan", mfu=0.38)
    assert found.tokens_per_s_per_gpu == pytest.approx(0.38 * H100 / counted_8b(), rel=1e-12)
    assert found.causal == pytest.approx(
        found.tokens_per_s_per_gpu * causal("llama3-8b") / H100, rel=1e-12
    )
    assert found.ratio == pytest.approx(1.1252, abs=5e-5)
    assert found.ratio_to_full == pytest.approx(1.0000, abs=5e-5)


def counted_8b() -> float:
    """Return 6 x (parameters without the embedding) + 12 x layers x width x tokens."""
    return 6 * (8_030_261_248 - 128_256 * 4096) + 12 * 32 * 4096 * 8192


def test_a_step_takes_the_tokens_of_all_gpus() -> None:
    scenario = job()
    found = hm.convention(scenario, tool="maxtext", mfu=0.4)
    plan = hm.compile(scenario).plan
    assert found.step_time_s * found.tokens_per_s_per_gpu * plan.n_ranks == pytest.approx(
        plan.tokens
    )
    assert found.causal == pytest.approx(plan.peak_step_s / found.step_time_s, rel=1e-12)


def test_a_mixed_job_has_one_peak_in_the_tool_and_the_mean_here() -> None:
    found = hm.convention("colossus-1", tool="torchtitan", mfu=0.3)
    mean = hm.compile("colossus-1").plan.peak_flop_per_s / hm.compile("colossus-1").plan.n_ranks
    assert found.peak_flop_per_s == H100
    assert found.catalogue_peak_flop_per_s == pytest.approx(mean)
    assert mean > 1.05 * H100
    assert found.full == pytest.approx(0.3 * H100 / mean, rel=1e-4)
    assert any("h100-sxm, h200-sxm, gb200-nvl72" in said for said in found.why)


def test_why_says_each_part_and_its_share() -> None:
    why = " ".join(hm.convention(job(), tool="lightning", mfu=0.4).why)
    assert "Attention scores: 12.88 GFLOP a token instead of 6.442: +12.5%." in why
    assert "Scores again: 2.147 GFLOP a token, which are not counted here: +4.2%." in why
    (alike,) = hm.convention(job(), tool="maxtext", tokens_per_s_per_gpu=9e3).why
    assert alike == "It counts FLOPs as they are counted here, with causal scores."


@pytest.mark.parametrize(("mfu", "dtype"), [(0.9, None), (1.2, "FP8"), (2.05, "FP8")])
def test_an_mfu_above_1_names_the_number_format_that_would_explain_it(
    mfu: float, dtype: str | None
) -> None:
    found = hm.convention(job(), tool="torchtitan", mfu=mfu)
    said = [one for one in found.why if "cannot be" in one]
    assert [f"products in {dtype}" in one for one in said] == [True] * (dtype is not None)


def test_fp4_explains_what_fp8_does_not() -> None:
    found = hm.convention(job(gpu="b200-sxm"), tool="maxtext", mfu=2.5)
    assert "products in FP4" in found.why[-1]


# Peaks.


@pytest.mark.parametrize(
    ("tool", "gpu", "tflop_per_s"),
    [
        # The published list of peaks that differ from those of the catalogue.
        ("torchtitan", "mi300x", 1300),
        ("torchtitan", "h800-sxm", 312),
        ("torchtitan", "l40s", 312),
        ("torchtitan", "tpu7x", 312),
        ("torchtitan", "mi250x", 191.5),
        ("lightning", "h100-nvl", 1978.8),
        ("lightning", "l40s", 121),
        ("lightning", "h200-sxm", None),
        ("lightning", "b200-sxm", None),
        ("lightning", "gb200-nvl72", None),
        ("lightning", "mi300x", None),
        ("composer", "h100-sxm", 989.5),
        ("levanter", "h100-sxm", 989.5),
        ("levanter", "h200-sxm", None),
        ("verl", "h100-pcie", 989),
        ("verl", "h100-nvl", 989),
        ("verl", "gb300-nvl72", "infinite"),
        ("picotron", "b200-sxm", 989.5),
        ("mlsysim", "gb200-nvl72", 162_000),
        ("mlsysim", "gaudi3", 1835),
        ("llm-analysis", "mi250x", 383),
    ],
)
def test_peaks_are_those_that_were_published(
    tool: str, gpu: str, tflop_per_s: float | str | None
) -> None:
    peaks = catalog.convention(tool).peaks
    assert peaks is not None
    found = peaks.of(gpu, "bf16")
    value = found.flop_per_s if isinstance(found, catalog.Peak) else found
    expected = {None: "none", "infinite": "infinite"}.get(tflop_per_s)  # type: ignore[arg-type]
    if expected is None:
        assert isinstance(tflop_per_s, int | float)
        assert value == pytest.approx(tflop_per_s * 1e12, rel=1e-12)
    else:
        assert value == expected


@pytest.mark.parametrize("name", catalog.names("conventions"))
def test_peaks_are_of_gpus_of_the_catalogue(name: str) -> None:
    found = catalog.convention(name)
    if found.peaks is not None:
        assert {*found.peaks.bf16, *found.peaks.fp8} <= set(catalog.names("gpus"))
    if found.counts is not None:
        assert set(found.counts.parameters) <= set(catalog.names("models"))


def test_names_of_tools_are_different() -> None:
    conventions = [catalog.convention(name) for name in catalog.names("conventions")]
    names = [name for one in conventions for name in (one.name, *one.also)]
    assert len(names) == len(set(names))


def test_a_peak_that_differs_is_said() -> None:
    found = hm.convention(job(gpu="gb200-nvl72"), tool="mlsysim", mfu=0.005)
    assert any("a rack of 72" in said for said in found.why)
    assert found.causal == pytest.approx(0.005 * 162e15 / 2500e12 / 0.93606, rel=1e-3)


def test_a_gpu_of_ones_own_is_the_one_that_it_extends() -> None:
    scenario = hm.load("h100-1k", {"gpus.mine": {"extends": "h100-sxm"}, "pools.h100.gpu": "mine"})
    assert hm.convention(scenario, tool="lightning", mfu=0.5).peak_flop_per_s == 989.4e12


# Refusals.

TOKENS: dict[str, Any] = {"tokens_per_s_per_gpu": 5_000.0}

REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"tool": "torchtita", "mfu": 0.3}, 'did you mean "torchtitan"?'),
    ({}, {"tool": "xyzzy", "mfu": 0.3}, "a TOML file describes another tool"),
    ({}, {"tool": "no-such.toml", "mfu": 0.3}, "must be a TOML file that can be read"),
    ({}, {"tool": "torchtitan"}, "mfu must be given, or one of tflops_per_gpu"),
    ({}, {"tool": "torchtitan", "mfu": 0.3, **TOKENS}, "and one only"),
    ({}, {"tool": "torchtitan", "mfu": 38.0}, "must be possible: it comes to 33.77"),
    ({}, {"tool": "torchtitan", "mfu": 38.0}, "as a share: 38% is 0.38"),
    ({}, {"tool": "torchtitan", "mfu": float("nan")}, "must be a number from"),
    ({}, {"tool": "torchtitan", "mfu": float("inf")}, "must be a number from"),
    ({}, {"tool": "torchtitan", "mfu": -0.3}, "must be a number from"),
    ({}, {"tool": "torchtitan", "mfu": 0.0}, "must be a number from"),
    ({}, {"tool": "torchtitan", "mfu": "0.3"}, "must be a number from"),
    ({}, {"tool": "torchtitan", "mfu": True}, "must be a number from"),
    ({}, {"tool": "torchtitan", "tflops_per_gpu": 1e12}, "tflops_per_gpu must be a number from"),
    ({}, {"tool": "torchtitan", "tokens_per_s_per_gpu": 0}, "tokens_per_s_per_gpu must be a"),
    ({}, {"tool": "torchtune", "mfu": 0.3}, "torchtune prints neither MFU nor FLOP/s"),
    ({}, {"tool": "mlsysim", "mfu": 1.0}, "mlsysim cuts MFU there"),
    ({"model": "mixtral-8x7b"}, {"tool": "nanotron", "mfu": 0.3}, "a model without experts"),
    ({"model": "deepseek-v3"}, {"tool": "picotron", "mfu": 0.3}, "without latent attention"),
    ({"gpu": "h200-sxm"}, {"tool": "lightning", "mfu": 0.3}, "Lightning has no peak of h200-sxm"),
    ({"gpu": "gb300-nvl72"}, {"tool": "verl", "mfu": 0.0}, "nothing follows from it: verl takes"),
    ({"gpu": "gb300-nvl72"}, {"tool": "verl", "mfu": 0.3}, "an infinite peak of gb300-nvl72"),
    ({"workload__dtype": "fp8"}, {"tool": "torchtitan", "mfu": 0.3}, "no peak of FP8 jobs"),
    (
        {"workload__trainable": "lora"},
        {"tool": "torchtitan", "mfu": 0.3},
        "workload.trainable must be left out",
    ),
]


@pytest.mark.parametrize(("changes", "call", "message"), REFUSED)
def test_what_nothing_follows_from_is_refused(
    changes: dict[str, Any], call: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        hm.convention(job(**changes), **call)
    assert message in str(refused.value)


def test_over_an_infinite_peak_tokens_still_say_what_mfu_is() -> None:
    found = hm.convention(job(gpu="gb300-nvl72"), tool="verl", **TOKENS)
    assert (found.printed, found.ratio) == (0.0, 0.0)
    assert found.causal == pytest.approx(5_000 * causal("llama3-8b") / 2500e12, rel=1e-12)


def test_of_a_tool_that_prints_nothing_tokens_say_what_mfu_is() -> None:
    found = hm.convention(job(), tool="torchtune", **TOKENS)
    assert (found.printed, found.ratio, found.flops_per_token) == (None, None, None)
    assert found.full > found.causal > 0


@pytest.mark.parametrize("name", ["Megatron", "MaxText", "HF", "llm_analysis", "Megatron Bridge"])
def test_a_tool_is_found_by_other_names(name: str) -> None:
    assert hm.convention(job(), tool=name, **TOKENS).tool in TOOLS


OWN = """name = "ours"
title = "our trainer"
version = "7"
prints = "mfu"

[counts]
attention = "none"
norms = "all"
embedding = "parameters"

[peaks]
otherwise = 1000e12

[basis.counts]
kind = "quoted"
where = "train.py"

[basis.peaks]
kind = "quoted"
where = "train.py"
"""


def test_a_file_describes_a_tool_that_is_not_in_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OWN, encoding="utf-8")
    found = hm.convention(job(), tool=path, mfu=0.4)
    assert found.flops_per_token == 6 * 8_030_261_248
    assert found.ratio == pytest.approx(
        (6 * 8_030_261_248 / 1000e12) / (causal("llama3-8b") / H100), rel=1e-12
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('attention = "none"', 'attention = "half"', "counts.attention must be causal, full or"),
        ('attention = "none"', "scores = 1", "counts.scores is not a known key"),
        ("1000e12", "-1e12", "peaks.otherwise"),
        ("1000e12", "nan", "peaks.otherwise"),
        ('prints = "mfu"', "", "prints is missing"),
        ('prints = "mfu"', 'prints = "nothing"', "counts must be given where something"),
        ("[peaks]\notherwise = 1000e12\n", "", "peaks must be given where MFU is printed"),
        ("[basis.counts]", "[basis.prints]", "basis must be of counts, peaks"),
        ("[counts]", "[counts", "must be a TOML file that can be read"),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in OWN
    path = tmp_path / "ours.toml"
    path.write_text(OWN.replace(old, new), encoding="utf-8")
    with pytest.raises(ScenarioError) as refused:
        hm.convention(job(), tool=path, mfu=0.4)
    assert message in str(refused.value)


def test_an_entry_without_a_basis_is_refused() -> None:
    table = catalog.convention("torchtitan").model_dump(exclude_unset=True)
    del table["basis"]["peaks"]
    with pytest.raises(ValidationError, match="basis must be of counts, peaks"):
        Convention.model_validate(table)


# The command, and explain.


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["convention", *arguments])


def test_the_command_prints_both_and_the_ratio_as_json() -> None:
    result = run("h100-1k", "--tool", "torchtitan", "--mfu", "0.38", "--format", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["causal"] == pytest.approx(0.3546, abs=5e-5)
    assert found["full"] == pytest.approx(0.38, abs=5e-5)
    assert found["ratio"] == pytest.approx(found["printed"] / found["causal"])
    assert {"tool", "version", "why", "tokens_per_s_per_gpu", "step_time_s"} <= set(found)


@pytest.mark.parametrize("tool", [*WITH_FORMULAS, "torchtune"])
def test_a_table_fits_into_80_columns(tool: str) -> None:
    found = hm.convention(job(), tool=tool, **TOKENS)
    text = render_convention(found, "table")
    assert max(map(len, text.splitlines())) <= 80
    assert found.version in text


@pytest.mark.parametrize("style", ["csv", "markdown"])
def test_the_other_formats_hold_the_parts_or_the_tables(style: str) -> None:
    text = render_convention(hm.convention(job(), tool="verl", mfu=0.4), style)
    assert ("part,tool_flops_per_token" if style == "csv" else "| here, causal scores |") in text


def test_explain_takes_an_mfu_of_another_tool() -> None:
    size: dict[str, Any] = {"seed": 1, "runs": 1, "steps": 20, "tolerance": 0.01}
    changes = {"pools.h100.n_gpus": 64, "workload.model": "llama3-8b"}
    scenario = hm.load("h100-1k", changes)
    by_tool = hm.convention(scenario, tool="lightning", mfu=0.9)
    found = hm.explain(scenario, mfu=0.9, mfu_of="lightning", **size)
    assert found.by_tool == by_tool
    assert found.observed.value == pytest.approx(by_tool.causal)
    assert found.observed.tolerance == pytest.approx(0.01 * by_tool.causal / 0.9)
    document = found.document()
    assert document["by_tool"]["ratio"] == by_tool.ratio
    with pytest.raises(ScenarioError, match="mfu_of must be left out"):
        hm.explain(scenario, fleet_mfu=0.3, mfu_of="lightning", **size)
