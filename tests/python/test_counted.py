"""What is counted and what is computed: conventions, recomputed layers, context ranks, logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plans import compute_time, job

import hindmost as hm
from hindmost.catalog import Transformer, layers_of
from hindmost.errors import ScenarioError
from hindmost.physics.flops import layer_attention_flops_per_token, model_flops_per_token
from hindmost.physics.memory import kept_bytes_per_token, memory

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


def test_layers_to_compute_again_need_full_recomputation() -> None:
    with pytest.raises(ScenarioError, match="recompute_layers must be absent"):
        hm.load("h100-1k", {**LLAMA, "workload.recompute": "none", "workload.recompute_layers": 3})
