"""What is counted and what is computed: conventions, recomputed layers, context ranks, logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plans import compute_time, job, pool_plan

import hindmost as hm
from hindmost.catalog import Transformer, layers_of
from hindmost.errors import ScenarioError
from hindmost.physics.activations import kept_bytes_per_token
from hindmost.physics.flops import (
    flops_by_part,
    layer_attention_flops_per_token,
    model_flops_per_token,
)
from hindmost.physics.memory import memory
from hindmost.scenario.warnings import scenario_warnings

NOISELESS: dict[str, Any] = {
    f"causes.{name}.enabled": False
    for name in ("gpu-speed", "residual", "step-common", "stall", "pause")
}
LLAMA: dict[str, Any] = {
    **NOISELESS,
    "pools.h100.n_gpus": 8,
    "workload.model": "llama3-8b",
    "workload.microbatch_seqs": 1,
    "workload.n_microbatches": 1,
    "layout.tensor": 1,
    "layout.shard_group_replicas": 8,
}


def mfu(changes: dict[str, Any]) -> tuple[float, float]:
    """Return MFU and seconds of a step."""
    result = hm.simulate("h100-1k", changes={**LLAMA, **changes}, seed=1, runs=1, steps=2)
    return result.value("mfu"), result.value("step_time_s")


def test_masked_scores_may_count_that_no_kernel_computes() -> None:
    """How most published MFU were counted (Megatron-LM #831): the time of causal attention."""
    long = {"workload.seq_len": 131072, "layout.context": 8, "workload.recompute": "full"}
    long |= {"layout.shard_group_replicas": 1}
    plain, plain_s = mfu(long)
    counted, counted_s = mfu({**long, "workload.mfu_attention": "full"})
    both, both_s = mfu({**long, "workload.attention": "full"})
    assert counted_s == plain_s
    assert both_s > 1.5 * plain_s
    model = hm.load("h100-1k", {**LLAMA, **long}).model
    causal, full = (
        model_flops_per_token(model, seq_len=131072, causal=causal) for causal in (True, False)
    )
    assert counted / plain == pytest.approx(full / causal, rel=1e-12)
    assert both * both_s == pytest.approx(counted * counted_s, rel=1e-12)
    result = hm.simulate(
        "h100-1k", changes={**LLAMA, "workload.mfu_attention": "full"}, seed=1, runs=1, steps=2
    )
    from hindmost.report import render

    assert "full attention" in render(result, "table")


FULL = {"workload.recompute": "full"}


def test_some_layers_are_computed_again() -> None:
    """Full recomputation of 5 of 32 layers (a recipe of Megatron-Bridge)."""
    none, some, full = (
        compute_time(hm.load("h100-1k", {**LLAMA, **changes}), "h100").step_s
        for changes in (
            {"workload.recompute": "none"},
            {**FULL, "workload.recompute_layers": 5},
            FULL,
        )
    )
    model = hm.load("h100-1k", LLAMA).model
    output = 6.0 * model.vocabulary * model.hidden
    of_layers = model_flops_per_token(model, seq_len=8192, causal=True) - output
    share = 5 / 32 / 3 * of_layers / (of_layers + output)
    assert some / none == pytest.approx(1 + share, rel=1e-12)
    assert full / none == pytest.approx(4 / 3, rel=1e-12)
    all_of_them = hm.load("h100-1k", {**LLAMA, **FULL, "workload.recompute_layers": 32})
    assert compute_time(all_of_them, "h100").step_s == full


def test_some_layers_keep_their_activations() -> None:
    scenario = hm.load("h100-1k", {**LLAMA, **FULL, "workload.recompute_layers": 5})
    model = scenario.model
    found = memory(job(scenario), state_ranks=8)
    again, kept = (kept_bytes_per_token(model, kind) for kind in ("full", "none"))
    assert found.activations_bytes == pytest.approx(8192 * (5 * again + 27 * kept))
    assert found.recomputed_bytes == 8192 * kept


def test_layers_of_each_stage_are_computed_again() -> None:
    changes = {**LLAMA, "pools.h100.n_gpus": 32, "layout.pipeline": 4, "workload.n_microbatches": 4}
    changes |= {"layout.shard_group_replicas": 1, **FULL}
    some = job(hm.load("h100-1k", {**changes, "workload.recompute_layers": 2}))
    assert [some.layers_again(stage) for stage in some.stages] == [
        range(2),
        range(8, 10),
        range(16, 18),
        range(24, 26),
    ]
    assert some.share_of_layers_again == 8 / 32


@given(
    kind=st.sampled_from(["full", "window", "chunked", "sparse"]),
    reach=st.integers(1, 40),
    pieces=st.sampled_from([1, 2, 4, 8]),
    length=st.integers(1, 10),
)
def test_scores_of_the_last_piece_are_those_counted(
    kind: str, reach: int, pieces: int, length: int
) -> None:
    seq_len = pieces * length
    table: dict[str, Any] = {
        "n_layers": 1,
        "hidden": 8,
        "n_heads": 2,
        "n_kv_heads": 2,
        "head_dim": 3,
        "ffn_hidden": 4,
        "vocabulary": 5,
        "window": reach,
        "indexer": {"n_heads": 1, "head_dim": 1, "top_k": reach},
        "layers": [{"attention": kind}],
    }
    model = Transformer.model_validate(table)
    after = seq_len - length
    found = layer_attention_flops_per_token(
        model, layers_of(model)[0], seq_len=seq_len, causal=True, after=after
    )
    token = np.arange(after, seq_len)
    half = (token + 0.5).mean()
    if kind == "chunked":
        # Half a token's own score, as for the whole sequence.
        keys = (token % reach + 0.5).mean()
    elif kind == "full" or reach >= seq_len:
        keys = half
    else:
        keys = np.minimum(token + 1, reach).mean()
    expected = 6 * 2 * 6 * keys + (6 * half if kind == "sparse" else 0.0)
    assert found == pytest.approx(expected, rel=1e-9)


def test_context_ranks_with_one_piece_each_wait_for_the_last() -> None:
    """(2 - 1/c) times the mean of causal scores: 7/4 with four ranks."""
    base = {**LLAMA, "pools.h100.n_gpus": 8, "layout.context": 4, "layout.shard_group_replicas": 2}
    zigzag, pieces, full, whole = (
        compute_time(hm.load("h100-1k", {**base, **changes}), "h100").step_s
        for changes in (
            {},
            {"layout.context_split": "contiguous"},
            {"workload.attention": "full"},
            {"workload.attention": "full", "layout.context_split": "contiguous"},
        )
    )
    # All scores are twice the causal ones.
    assert (pieces - zigzag) / (full - zigzag) == pytest.approx(3 / 4, rel=1e-9)
    assert whole == full


def test_uneven_context_ranks_are_an_imbalance_of_sequences() -> None:
    changes = {
        **LLAMA,
        "pools.h100.n_gpus": 8,
        "layout.context": 4,
        "layout.shard_group_replicas": 2,
    }
    changes |= {"layout.context_split": "contiguous"}
    found = hm.attribute("h100-1k", changes=changes, seed=1, runs=1, steps=2)
    (value, _), (ideal, _) = found.ends("mfu")
    assert ideal == pytest.approx(1, abs=1e-12)
    assert found.share("sequence_imbalance").alone > 0
    even = hm.simulate(
        "h100-1k", changes={**changes, "layout.context_split": "zigzag"}, seed=1, runs=1, steps=2
    )
    alone = found.share("sequence_imbalance").alone
    assert value + alone == pytest.approx(even.value("mfu"), rel=1e-12)


@pytest.mark.parametrize(("n_gpus", "published"), [(8, 77.0), (128, 62.0)])
def test_memory_with_logits_is_that_of_torchtitan(n_gpus: int, published: float) -> None:
    """Llama 3.1 8B, FSDP, two sequences of 8,192, in GiB (torchtitan, December 2024)."""
    changes = {**LLAMA, "pools.h100.n_gpus": n_gpus, "workload.microbatch_seqs": 2}
    changes |= {"workload.recompute": "selective", "layout.shard_group_replicas": n_gpus}
    plan = hm.compile("h100-1k", changes).plan
    assert plan.fullest_bytes == pytest.approx(published * 2**30, rel=0.05)


def test_logits_are_of_the_last_stage_and_divided_like_activations() -> None:
    changes = {**LLAMA, "pools.h100.n_gpus": 64, "layout.pipeline": 4, "layout.tensor": 4}
    changes |= {"layout.context": 2, "layout.shard_group_replicas": 1}
    planned = job(hm.load("h100-1k", changes))
    first, last = (memory(planned, state_ranks=2, stages=[stage]) for stage in (0, 3))
    assert first.logits_bytes == 0
    assert last.logits_bytes == 8192 / 8 * 128256 * 8
    parts = job(hm.load("h100-1k", {**changes, "workload.logit_bytes": 0.0}))
    assert memory(parts, state_ranks=2, stages=[3]).logits_bytes == 0


def test_words_that_change_nothing_are_warned_of() -> None:
    changes = {**LLAMA, "workload.adapter_rank": 8, "layout.context_split": "contiguous"}
    said = {one.path for one in scenario_warnings(hm.load("h100-1k", changes))}
    assert {"workload.adapter_rank", "layout.context_split"} <= said
    used = {**changes, "workload.trainable": "lora", "layout.context": 2}
    said = {one.path for one in scenario_warnings(hm.load("h100-1k", used))}
    assert said.isdisjoint({"workload.adapter_rank", "layout.context_split"})


def test_layers_to_compute_again_need_full_recomputation() -> None:
    with pytest.raises(ScenarioError, match="recompute_layers must be absent"):
        hm.load("h100-1k", {**LLAMA, "workload.recompute": "none", "workload.recompute_layers": 3})


LORA: dict[str, Any] = {
    **NOISELESS,
    "pools.h100.n_gpus": 8,
    "workload.model": "llama3-70b",
    "workload.seq_len": 4096,
    "workload.microbatch_seqs": 1,
    "workload.n_microbatches": 16,
    "workload.recompute": "selective",
    "workload.trainable": "lora",
    "layout.tensor": 2,
    "layout.pipeline": 4,
    "layout.sharding": "hybrid",
    "layout.shard_group_replicas": 1,
}


def test_frozen_parameters_have_no_gradients() -> None:
    """735 TFLOP/s at 2,643 tokens/s a GPU are 278.1 GFLOP a token, 4 x 69.50e9 (Megatron-Bridge).

    Its table leaves out attention scores and adapters, which count here.
    """
    planned = job(hm.load("h100-1k", LORA))
    model, tokens = planned.model, planned.microbatch_tokens
    scores = 6 * 80 * 64 * 256 * 4096 / 2
    # Beside the products of queries, keys and values, of the output, and both of the network.
    rows_and_columns = (8192 + 10240) + 2 * 8192 + (8192 + 57344) + (28672 + 8192)
    adapters = 6 * 80 * 32 * rows_and_columns
    per_token = planned.microbatch_model_flops / tokens
    assert per_token - scores - adapters == pytest.approx(278.1e9, rel=1e-3)
    assert model_flops_per_token(model, seq_len=4096, causal=True) > 1.45 * per_token


def test_a_frozen_model_takes_its_weights_and_little_else() -> None:
    """17.6 GB of weights a GPU, where all that is trained takes 192 GB."""
    planned = job(hm.load("h100-1k", LORA))
    found = memory(planned, state_ranks=1)
    weights = [2 * stage.dense for stage in planned.stage_parameters]
    assert sum(weights) / 4 == pytest.approx(17.6e9, rel=0.01)
    adapters = planned.stage_parameters[found.stage].adapters
    assert found.states_bytes == 2 * planned.stage_parameters[found.stage].dense + 16 * adapters
    with pytest.raises(ScenarioError, match="GB more than the"):
        hm.compile("h100-1k", {**LORA, "workload.trainable": "all"})
    assert hm.compile("h100-1k", LORA).plan.fullest_bytes < 85e9


def test_frozen_weights_save_their_pass_and_all_ideal_is_the_peak() -> None:
    none = {**LLAMA, "workload.recompute": "none"}
    trained, frozen = (
        compute_time(hm.load("h100-1k", {**none, "workload.trainable": what}), "h100")
        for what in ("all", "lora")
    )
    assert frozen.forward_s == pytest.approx(trained.forward_s, rel=0.02)
    model = hm.load("h100-1k", LLAMA).model
    products = 6 * 7.504658e9
    causal = model_flops_per_token(model, seq_len=8192, causal=True)
    adapters = 6 * 32 * 32 * ((4096 + 6144) + 2 * 4096 + (4096 + 28672) + (14336 + 4096))
    share = (causal - products / 3 + adapters) / causal
    assert frozen.step_s / trained.step_s == pytest.approx(share, rel=1e-6)
    found = hm.attribute("h100-1k", changes=LORA, seed=1, runs=1, steps=2)
    assert found.ends("mfu")[1][0] == pytest.approx(1, abs=1e-12)


def test_stages_with_passes_for_gradients_of_weights_have_short_ones() -> None:
    changes = {**LORA, "layout.schedule": "zero-bubble"}
    frozen = compute_time(hm.load("h100-1k", changes), "h100").stages[0]
    trained = compute_time(
        hm.load("h100-1k", {**changes, "workload.trainable": "all"}),
        "h100",
    ).stages[0]
    assert 0 < frozen.weight_s < 0.02 * trained.weight_s
    assert frozen.forward_s == pytest.approx(trained.forward_s, rel=0.01)


def costs(changes: dict[str, Any]) -> dict[str, float]:
    """Return the seconds that the collectives of each phase transfer."""
    base = {**LLAMA, "pools.h100.n_gpus": 64, "layout.shard_group_replicas": 8}
    scenario = hm.load("h100-1k", {**base, **changes})
    return {term.phase: term.cost.transfer_s for term in pool_plan(scenario, "h100").terms}


@pytest.mark.parametrize("sharding", ["none", "zero1"])
def test_gradients_in_fp32_are_twice_the_bytes(sharding: str) -> None:
    changes = {"layout": {"tensor": 1, "sharding": sharding}}
    half = costs(changes)
    full = costs({**changes, "workload.gradient_dtype": "fp32"})
    assert full["last backward"] == pytest.approx(2 * half["last backward"])
    if sharding == "zero1":
        assert full["first forward"] == half["first forward"]
    planned = [
        job(hm.load("h100-1k", {**LLAMA, **changes, "workload.gradient_dtype": dtype}))
        for dtype in ("bf16", "fp32")
    ]
    bf16, fp32 = (memory(one, state_ranks=8).states_bytes for one in planned)
    assert fp32 - bf16 == pytest.approx(2 * planned[0].stage_parameters[0].dense)


def test_adapters_alone_are_reduced() -> None:
    changes = {"layout": {"tensor": 1, "sharding": "zero1"}}
    trained, frozen = costs(changes), costs({**changes, "workload.trainable": "lora"})
    stage = job(hm.load("h100-1k", {**LLAMA, **changes, "workload.trainable": "lora"}))
    (held,) = stage.stage_parameters
    for phase, seconds in trained.items():
        assert frozen[phase] / seconds == pytest.approx(held.adapters / held.dense)
    # Where weights are sharded, all of them are gathered for each pass.
    sharded = {"layout": {"tensor": 1, "sharding": "zero3"}}
    whole, some = costs(sharded), costs({**sharded, "workload.trainable": "lora"})
    assert some["forward"] == whole["forward"]
    assert some["last backward"] < 0.6 * whole["last backward"]


ALL_MODULES = ["norms", "activations", "attention", "feed_forward"]


def kept_of(modules: list[str], name: str = "llama3-405b") -> float:
    model = hm.catalog.model(name)
    return kept_bytes_per_token(model, "none", modules=modules) / model.hidden


def test_parts_of_a_layer_that_are_computed_again_are_not_kept() -> None:
    """In units of Llama-3 405B's hidden width: 8 of 128 heads have keys, networks are 3.25."""
    assert kept_of([]) == 31.75
    assert kept_of(["norms", "activations"]) == 21.25
    assert kept_of(["norms"]) == 31.75 - 2 * 2
    assert kept_of(["activations"]) == 31.75 - 2 * 3.25
    # Queries, keys, values and what the heads give.
    assert kept_of(["attention"]) == 31.75 - 2 * (1 + 2 / 16 + 1)
    assert kept_of(["feed_forward"]) == 31.75 - 2 * 3 * 3.25
    assert kept_of(ALL_MODULES) == 2 * 2
    model = hm.catalog.model("llama3-405b")
    assert kept_bytes_per_token(model, "selective", modules=["attention"]) == (
        kept_bytes_per_token(model, "none", modules=["norms", "activations", "attention"])
    )


@pytest.mark.parametrize("name", ["llama3-8b", "gpt-oss-20b", "deepseek-v3", "nemotron-3-nano"])
def test_modules_that_are_computed_again_take_their_forward_flops(name: str) -> None:
    one = {
        "pools.h100.n_gpus": 8,
        "workload.model": name,
        "layout.tensor": 1,
        "layout.shard_group_replicas": 8,
        "workload.microbatch_seqs": 1,
        "workload.n_microbatches": 1,
        "workload.recompute": "none",
    }

    def total_s(modules: list[str]) -> float:
        found = hm.load("h100-1k", {**NOISELESS, **one, "workload.recompute_modules": modules})
        return compute_time(found, "h100").stages[0].total_s

    found = hm.load("h100-1k", {**NOISELESS, **one})
    model, workload = found.model, found.workload
    plain = total_s([])
    assert total_s(["norms", "activations"]) == plain
    pool = found.pools["h100"]
    efficiency, peak = pool.efficiency("bf16"), pool.accelerator.peak_flop_per_s("bf16")
    assert efficiency is not None
    assert peak is not None
    parts = flops_by_part(model, seq_len=workload.seq_len, causal=True)
    attention = parts["attention products"] + parts["attention scores"]
    names = ("dense feed-forward", "routed experts", "shared experts")
    feed_forward = sum(parts.get(part, 0.0) for part in names)
    for modules, flops in (
        (["attention"], attention),
        (["feed_forward"], feed_forward),
        (ALL_MODULES, attention + feed_forward),
    ):
        again_s = total_s(modules) - plain
        expected = flops / 3 * workload.seq_len / (peak * efficiency)
        assert again_s == pytest.approx(expected, rel=1e-9)


def test_measured_passes_lose_what_modules_compute_again_where_that_is_ideal() -> None:
    measured = {
        **LLAMA,
        "workload.recompute": "none",
        "workload.recompute_modules": ["attention", "feed_forward"],
        "pools.h100.forward_s": 1.0,
        "pools.h100.backward_s": 3.0,
    }
    real, ideal = (
        compute_time(hm.load("h100-1k", {**measured, **changes}), "h100").stages[0]
        for changes in ({}, {"ideal.recompute_and_overhead": True})
    )
    assert real.forward_s == ideal.forward_s == 1.0
    found = hm.load("h100-1k", measured)
    parts = flops_by_part(found.model, seq_len=found.workload.seq_len, causal=True)
    # Attention and feed-forward networks are all but the output layer of this model.
    again = 1 - parts["output layer"] / sum(parts.values())
    assert ideal.backward_s / real.backward_s == pytest.approx(2 / (2 + again), rel=1e-9)


OFFLOADED = {**LLAMA, "pools.h100.host_bytes_per_s": 50e9}


def test_activations_on_the_host_take_no_memory_and_move_behind_passes() -> None:
    def found(changes: dict[str, Any]) -> tuple[float, float, float]:
        scenario = hm.load("h100-1k", {**OFFLOADED, **changes})
        plan = pool_plan(scenario, "h100")
        stage = plan.compute.stages[0]
        return plan.memory.activations_bytes, stage.forward_s, stage.backward_s

    model = hm.catalog.model("llama3-8b")
    kept, forward_s, backward_s = found({})
    each = kept_bytes_per_token(model, "selective") * 8192
    tokens = hm.load("h100-1k", OFFLOADED).workload.seq_len
    each = kept / 32
    assert (
        each
        == kept_bytes_per_token(model, hm.load("h100-1k", OFFLOADED).workload.recompute) * tokens
    )
    assert found({"workload.offload_layers": 12})[0] == pytest.approx(kept - 12 * each, rel=1e-12)
    assert found({"workload.offload_layers": 12})[1:] == (forward_s, backward_s)
    slow = {"workload.offload_layers": 40, "pools.h100.host_bytes_per_s": 1e9}
    left, *moved_s = found(slow)
    assert left == pytest.approx(0, abs=1)
    assert moved_s == [32 * each / 1e9] * 2


def test_an_optimizer_on_the_host_takes_no_memory_and_moves_gradients_and_weights() -> None:
    changes = {**OFFLOADED, "workload.offload_optimizer": True, "workload.overhead_s": 0.25}
    scenario = hm.load("h100-1k", changes)
    there, here = (
        pool_plan(each, "h100")
        for each in (scenario, hm.load("h100-1k", {**changes, "workload.offload_optimizer": False}))
    )
    n_parameters = 8_030_261_248
    assert here.memory.states_bytes == pytest.approx(16 * n_parameters / 8, rel=1e-9)
    assert there.memory.states_bytes == pytest.approx(4 * n_parameters / 8, rel=1e-9)
    moved_s = 4 * n_parameters / 8 / 50e9
    assert there.compute.step_s - here.compute.step_s == pytest.approx(moved_s, rel=1e-9)
    ideal = pool_plan(hm.load("h100-1k", {**changes, "ideal.recompute_and_overhead": True}), "h100")
    assert ideal.compute.overhead_s == 0


def test_modules_and_offloading_that_cannot_be_are_refused() -> None:
    def said(changes: dict[str, Any]) -> str:
        with pytest.raises(ScenarioError) as caught:
            hm.load("h100-1k", {**LLAMA, **changes})
        return str(caught.value)

    again = {"workload.recompute": "full", "workload.recompute_modules": ["norms"]}
    assert 'workload.recompute_modules must be absent where workload.recompute is "full"' in (
        said(again)
    )
    assert "workload.recompute_modules" in said({"workload.recompute_modules": ["mlp"]})
    assert 'recompute_modules must be a list, got "norms"' in (
        said({"workload.recompute_modules": "norms"})
    )
    twice = {"workload.recompute": "none", "workload.recompute_modules": ["norms", "norms"]}
    assert 'recompute_modules must name each part once, got ["norms", "norms"]' in said(twice)
    for changes in ({"workload.offload_layers": 3}, {"workload.offload_optimizer": True}):
        assert "pools.h100.host_bytes_per_s is missing, and the workload offloads" in said(changes)


def test_measured_passes_hold_what_moves_behind_them() -> None:
    measured = {**LLAMA, "pools.h100.forward_s": 1.0, "pools.h100.backward_s": 2.0}
    found = hm.load("h100-1k", {**measured, "workload.offload_layers": 3})
    plain = hm.load("h100-1k", measured)
    assert compute_time(found, "h100") == compute_time(plain, "h100")


def test_what_moves_to_the_host_is_an_ideal_of_recomputation() -> None:
    slow = {**LLAMA, "pools.h100.host_bytes_per_s": 1e9, "workload.offload_layers": 32}
    ideal = {"ideal.recompute_and_overhead": True}
    moved, without = (
        compute_time(hm.load("h100-1k", {**changes, **ideal}), "h100") for changes in (slow, LLAMA)
    )
    assert moved == without
    found = hm.attribute(hm.load("h100-1k", slow), seed=1, runs=1, steps=2)
    (share,) = (one for one in found.shares if one.mechanism == "recompute_and_overhead")
    assert share.alone > 0
