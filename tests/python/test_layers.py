"""Layers of several kinds against counts token by token, sums by hand and published figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plans import job, pool_plan

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Transformer, kinds_of_layers, layers_of
from hindmost.errors import ScenarioError
from hindmost.physics.activations import kept_bytes_per_token
from hindmost.physics.flops import (
    active_parameters,
    flops_by_part,
    layer_attention_flops_per_token,
    layer_matmul_parameters,
    layer_parameters,
    matmul_parameters,
    model_flops_per_token,
    output_parameters,
    parameters,
)
from hindmost.physics.products import layer_products

SMALL: dict[str, Any] = {
    "n_layers": 4,
    "hidden": 8,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 3,
    "ffn_hidden": 16,
    "vocabulary": 10,
}
LINEAR = {"n_key_heads": 2, "key_head_dim": 3, "n_value_heads": 4, "value_head_dim": 5, "conv": 2}
SPACE = {"n_heads": 6, "head_dim": 2, "state": 5, "n_groups": 3, "conv": 4}
EXPERTS = {"n_experts": 6, "per_token": 2, "ffn_hidden": 5, "n_shared": 1}


def small(**changes: Any) -> Transformer:
    return Transformer.model_validate({**SMALL, **changes})


def keys_by_token(kind: str, reach: int, seq_len: int, causal: bool) -> float:
    """Return the keys of an average token, counted."""
    queries, keys = np.arange(seq_len)[:, None], np.arange(seq_len)[None, :]
    if kind == "chunked":
        seen = queries // reach == keys // reach
    else:
        # A token and those before it; without a mask a window has as many keys for all.
        seen = (queries - keys < reach) & (keys <= queries)
        if not causal:
            return float(min(reach, seq_len))
    counted = seen.sum() / seq_len
    # The causal half of a whole block counts without its diagonal's other half.
    return float(counted / 2 if kind == "chunked" and causal else counted)


@given(
    kind=st.sampled_from(["window", "chunked", "sparse"]),
    reach=st.integers(1, 40),
    seq_len=st.integers(1, 60),
    causal=st.booleans(),
)
def test_keys_of_a_token_are_those_counted(
    kind: str, reach: int, seq_len: int, causal: bool
) -> None:
    indexer = {"n_heads": 2, "head_dim": 7, "top_k": reach}
    model = small(window=reach, indexer=indexer, layers=[{"repeat": 4, "attention": kind}])
    found = layer_attention_flops_per_token(
        model, layers_of(model)[0], seq_len=seq_len, causal=causal
    )
    share = 0.5 if causal else 1.0
    if kind != "chunked" and reach >= seq_len:
        keys = seq_len * share
    else:
        keys = keys_by_token(kind, reach, seq_len, causal)
    expected = 6 * 4 * (3 + 3) * keys
    if kind == "sparse":
        expected += 6 * 2 * 7 * seq_len * share
    assert found == pytest.approx(expected, rel=1e-12)


def test_linear_attention_by_hand() -> None:
    model = small(linear=LINEAR, layers=[{"repeat": 4, "attention": "linear"}])
    layer = layers_of(model)[0]
    keys, values = 2 * 3, 4 * 5
    # Queries, keys, values and the gate; strength and decay of each head; and back.
    products = 8 * (2 * keys + 2 * values + 2 * 4) + values * 8
    convolution = 2 * (2 * keys + values)
    feed_forward = 3 * 8 * 16
    assert layer_parameters(model, layer) == products + convolution + feed_forward
    for seq_len in (1, 1000):
        found = layer_attention_flops_per_token(model, layer, seq_len=seq_len, causal=True)
        assert found == 3 * 2 * 4 * (4 * 3 * 5)


def test_a_state_space_by_hand() -> None:
    blocks = [{"repeat": 4, "attention": "state-space", "feed_forward": "none"}]
    model = small(state_space=SPACE, layers=blocks)
    layer = layers_of(model)[0]
    inner, convolved = 6 * 2, 6 * 2 + 2 * 3 * 5
    products = 8 * (inner + convolved + 6) + inner * 8
    assert layer_parameters(model, layer) == products + 4 * convolved
    found = layer_attention_flops_per_token(model, layer, seq_len=100, causal=True)
    assert found == 3 * 7 * inner * 5
    # One norm instead of two.
    assert parameters(model) == 4 * (products + 4 * convolved + 8) + 8 + 2 * 80


def test_a_gate_and_one_norm_for_both_sides() -> None:
    plain, gated = small(), small(attention_gate=True)
    assert parameters(gated) - parameters(plain) == 4 * 8 * 4 * 3
    assert parameters(plain) - parameters(small(parallel=True)) == 4 * 8


def test_blocks_repeat_and_lists_are_layers_of_a_block() -> None:
    blocks = [
        {"attention": "full", "feed_forward": "dense", "ffn_hidden": 32},
        {"repeat": 2, "attention": ["window", "full"], "feed_forward": "experts", "window": 5},
        {"attention": "none", "feed_forward": ["dense", "experts"]},
    ]
    model = small(n_layers=7, experts=EXPERTS, layers=blocks)
    kinds = [(one.attention, one.feed_forward, one.reach) for one in layers_of(model)]
    assert kinds == [
        ("full", "dense", None),
        ("window", "experts", 5),
        ("full", "experts", None),
        ("window", "experts", 5),
        ("full", "experts", None),
        ("none", "dense", None),
        ("none", "experts", None),
    ]
    assert [one.ffn_hidden for one in layers_of(model)] == [32, *[16] * 6]
    found = kinds_of_layers(model, range(1, 5))
    assert [n for _, n in found] == [2, 2]


def test_equal_blocks_are_the_model_without_any() -> None:
    plain = catalog.model("deepseek-v3")
    experts = {**plain.experts.model_dump(), "n_dense_layers": 0} if plain.experts else {}
    blocks = [
        {"repeat": 3, "feed_forward": "dense"},
        {"repeat": 58, "feed_forward": "experts"},
    ]
    dimensions = plain.model_dump(exclude={"name", "title", "basis"})
    told = Transformer.model_validate({**dimensions, "experts": experts, "layers": blocks})
    assert layers_of(told) == layers_of(plain)
    assert parameters(told) == parameters(plain)


def test_multi_token_prediction_is_a_layer_a_product_and_the_output_again() -> None:
    model = catalog.model("deepseek-v3")
    more = model.model_copy(update={"n_mtp_layers": 1})
    last = layers_of(model)[-1]
    assert parameters(more) - parameters(model) == (
        layer_parameters(model, last) + 2 * 7168 + 2 * 7168**2 + 3 * 7168
    )
    added = model_flops_per_token(more, seq_len=4096, causal=True)
    added -= model_flops_per_token(model, seq_len=4096, causal=True)
    products = layer_matmul_parameters(model, last) + 2 * 7168**2 + output_parameters(model)
    by_hand = 6.0 * products
    by_hand += layer_attention_flops_per_token(model, last, seq_len=4096, causal=True)
    assert added == pytest.approx(by_hand, rel=1e-12)


PUBLISHED = [
    # name, all and active parameters, digits that were published, of all.
    ("gpt-oss-120b", 116.83e9, 0.002),
    ("gpt-oss-20b", 20.91e9, 0.002),
    ("qwen3-32b", 32.8e9, 0.002),
    ("qwen3-30b", 30.5e9, 0.002),
    ("qwen3-235b", 235e9, 0.002),
    ("mistral-7b", 7.24e9, 0.002),
    ("nemotron-3-nano", 31.6e9, 0.002),
    ("gemma-3-27b", 27e9, 0.002),
    ("kimi-k2", 1.03e12, 0.005),
    # 355e9 with one layer of multi-token prediction; this is 352.8e9 without, 356.8e9 with it.
    ("glm-4.5", 355e9, 0.007),
    ("deepseek-v3.2", 671e9, 0.002),
    ("llama4-maverick", 400e9, 0.002),
    ("llama4-scout", 109e9, 0.02),
    ("llama3.3-70b", 70.6e9, 0.002),
]


@pytest.mark.parametrize(("name", "expected", "digits"), PUBLISHED)
def test_parameters_are_those_published(name: str, expected: float, digits: float) -> None:
    """Model cards; of Llama 4 and Gemma 3 the text part, of Scout 109e9 hold a vision part."""
    assert parameters(catalog.model(name)) == pytest.approx(expected, rel=digits)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # With the input embedding: Qwen3, Nemotron 3 and Llama 4 cards.
        ("qwen3-235b", 22.2e9),
        ("qwen3-30b", 3.35e9),
        ("nemotron-3-nano", 3.6e9),
        ("llama4-maverick", 17.2e9),
    ],
)
def test_active_parameters_are_those_published(name: str, expected: float) -> None:
    assert active_parameters(catalog.model(name)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("name", "expected"), [("gpt-oss-120b", 5.13e9), ("gpt-oss-20b", 3.61e9)])
def test_active_parameters_without_the_input_embedding(name: str, expected: float) -> None:
    """The model card of gpt-oss counts the output layer and not the input embedding."""
    model = catalog.model(name)
    assert active_parameters(model) - output_parameters(model) == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize(
    ("name", "seq_len", "expected", "tolerance"),
    [
        # TFLOP/s over tokens/s a GPU of Megatron-Bridge's tables 25.09 to 26.08, without routers.
        ("gpt-oss-120b", 4096, (32.58e9, 32.61e9), 0.003),
        ("deepseek-v3", 4096, (249.7e9, 249.1e9), 0.003),
        ("qwen3-235b", 4096, (147.9e9, 148.1e9), 0.003),
        ("kimi-k2", 4096, (204.6e9,), 0.003),
        # By hand: a mean context of 3,840 tokens.
        ("mistral-7b", 32768, (48.70e9,), 0.0002),
    ],
)
def test_flops_are_those_published(
    name: str, seq_len: int, expected: tuple[float, ...], tolerance: float
) -> None:
    parts = flops_by_part(catalog.model(name), seq_len=seq_len, causal=True)
    found = sum(parts.values()) - parts.get("router", 0.0)
    assert min(abs(found / one - 1) for one in expected) < tolerance


def test_deepseek_v3_with_a_layer_of_multi_token_prediction() -> None:
    """1,276 TFLOP/s at 4,912 tokens/s a GPU and 1,635 at 6,288: 259.8 and 260.0 GFLOP a token."""
    model = catalog.model("deepseek-v3").model_copy(update={"n_mtp_layers": 1})
    parts = flops_by_part(model, seq_len=4096, causal=True)
    assert sum(parts.values()) - parts["router"] == pytest.approx(260.0e9, rel=0.001)


QWEN3_NEXT: dict[str, Any] = {
    "n_layers": 48,
    "hidden": 2048,
    "n_heads": 16,
    "n_kv_heads": 2,
    "head_dim": 256,
    "ffn_hidden": 5120,
    "vocabulary": 151936,
    "attention_gate": True,
    "experts": {"n_experts": 512, "per_token": 10, "ffn_hidden": 512, "n_shared": 1},
    "linear": {
        "n_key_heads": 16,
        "key_head_dim": 128,
        "n_value_heads": 32,
        "value_head_dim": 128,
    },
    "layers": [{"repeat": 12, "attention": ["linear", "linear", "linear", "full"]}],
}


def test_a_model_with_linear_layers_between_full_ones() -> None:
    """80e9 parameters, 3e9 active (model card), about 24 GFLOP a token at 8,192 by hand."""
    model = Transformer.model_validate(QWEN3_NEXT)
    assert parameters(model) == pytest.approx(80e9, rel=0.005)
    assert model_flops_per_token(model, seq_len=8192, causal=True) == pytest.approx(24e9, rel=0.02)


@pytest.mark.parametrize("tensor", [1, 2])
@pytest.mark.parametrize(
    "name", ["qwen3-next", "nemotron-3-nano", "deepseek-v3.2", "gpt-oss-20b", "mtp"]
)
def test_products_of_all_layers_are_the_flops_of_their_parameters(name: str, tensor: int) -> None:
    """Those of convolutions, which are no matrix products, apart."""
    own = {"qwen3-next": QWEN3_NEXT}
    own["mtp"] = {**QWEN3_NEXT, "n_mtp_layers": 2, "layers": None, "linear": None}
    changes: dict[str, Any] = {
        "workload.model": name,
        "layout.tensor": tensor,
        "layout.sharding": "zero3",
        "layout.shard_group_replicas": None,
        "workload.microbatch_seqs": 1,
    }
    if name in own:
        table = {key: value for key, value in own[name].items() if value is not None}
        changes["models"] = {name: table}
    del changes["layout.shard_group_replicas"]
    scenario = hm.load(
        "h100-1k",
        {**changes, "layout.shard_group_replicas": 1024 // tensor, "layout.sharding": "hybrid"},
    )
    model = scenario.model
    shapes = [s for layer in layers_of(model) for s in layer_products(job(scenario), layer)]
    outputs = (1 + model.n_mtp_layers) * output_parameters(model)
    of_layers = matmul_parameters(model) - outputs - convolutions(model)
    routers = (
        sum(
            model.hidden * model.experts.n_experts
            for one in layers_of(model)
            if one.feed_forward == "experts"
        )
        if model.experts
        else 0
    )
    expected = 2 * 8192 * (of_layers - routers) / tensor
    assert sum(shape.flops for shape in shapes) == pytest.approx(expected)


def convolutions(model: Transformer) -> int:
    found = 0
    for layer in layers_of(model):
        if layer.attention == "linear":
            assert model.linear is not None
            found += model.linear.conv * (2 * model.linear.keys + model.linear.values)
        if layer.attention == "state-space":
            assert model.state_space is not None
            found += model.state_space.conv * model.state_space.convolved
    return found


MAVERICK: dict[str, Any] = {
    "name": "maverick",
    "pools": {"g": {"gpu": "h100-sxm", "n_gpus": 512}},
    "fabric": {"name": "infiniband-ndr"},
    "workload": {
        "model": "llama4-maverick",
        "seq_len": 8192,
        "microbatch_seqs": 1,
        "global_batch_seqs": 1024,
        "recompute": "selective",
    },
    "layout": {"pipeline": 8, "expert": 64, "sharding": "zero1"},
}


def test_stages_of_experts_in_every_second_layer_are_alike() -> None:
    from hindmost.scenario import from_table

    scenario = from_table(MAVERICK, "maverick")
    held = job(scenario).stage_parameters
    assert [stage.routed for stage in held] == [pytest.approx(0.755e9, rel=1e-3)] * 8
    *others, last = pool_plan(scenario, "g").compute.stages
    assert len({stage.total_s for stage in others}) == 1
    assert last.total_s > others[0].total_s


def test_layers_of_multi_token_prediction_lie_in_the_last_stage() -> None:
    changes: dict[str, Any] = {
        "models.more": {**SMALL, "n_layers": 4, "n_mtp_layers": 1, "hidden": 64},
        "workload.model": "more",
        "layout.tensor": 1,
        "layout.pipeline": 5,
        "layout.sharding": "zero1",
        "workload.n_microbatches": 5,
    }
    scenario = hm.load(
        "h100-1k",
        {
            **changes,
            "pools.h100.n_gpus": 1000,
            "layout.shard_group_replicas": 1,
            "layout.sharding": "hybrid",
        },
    )
    model = scenario.model
    held = job(scenario).stage_parameters
    layer = layer_parameters(model, layers_of(model)[0])
    first, *middle, last = [stage.total for stage in held]
    assert first == layer + 2 * 64 + 640
    assert set(middle) == {layer + 2 * 64}
    # The product, its norms, the last norm, and a copy of both embeddings.
    assert last == layer + 2 * 64 + 2 * 64**2 + 3 * 64 + 64 + 2 * 640


def test_what_a_layer_keeps_by_kind() -> None:
    blocks = [
        {"attention": "linear"},
        {"attention": "state-space", "feed_forward": "none"},
        {"attention": "none"},
        {"attention": "full"},
    ]
    model = small(linear=LINEAR, state_space=SPACE, layers=blocks)
    linear, space, none, full = (
        kept_bytes_per_token(model, "none", layer) / 2 for layer in layers_of(model)
    )
    norms, network = 2 * 2 * 8, 3 * 16
    assert full == norms + 2 * 12 + 2 * 6 + network
    assert none == 2 * 8 + network
    assert linear == norms + (2 * 6 + 3 * 20 + 2 * 4) + network
    assert space == 2 * 8 + (2 * 12 + (12 + 30) + 6)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"layers": [{"repeat": 3}]}, "n_layers must be such that layers, 3 in all, are as many"),
    ({"layers": [{"repeat": 4, "attention": "window"}]}, "window must be given"),
    ({"layers": [{"repeat": 4, "attention": "sparse"}]}, "indexer must be given"),
    ({"layers": [{"repeat": 4, "attention": "linear"}]}, "linear must be given"),
    ({"layers": [{"repeat": 4, "attention": "state-space"}]}, "state_space must be given"),
    ({"layers": [{"repeat": 4, "feed_forward": "experts"}]}, "experts must be given"),
    (
        {"layers": [{"repeat": 4, "attention": "none", "feed_forward": "none"}]},
        "feed_forward must be something where attention is none",
    ),
    (
        {"layers": [{"attention": ["full", "full"], "feed_forward": ["dense"] * 3}]},
        "feed_forward must be as long as attention (2)",
    ),
    (
        {"layers": [{"repeat": 4}], "experts": {**EXPERTS, "n_dense_layers": 1}},
        "experts.n_dense_layers must be 0 where layers says which are dense",
    ),
    ({"layers": []}, "layers"),
    ({"layers": [{"repeat": 4, "attention": "ful"}]}, "attention"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG, ids=range(len(WRONG)))
def test_layers_that_do_not_fit_are_refused(changes: dict[str, Any], says: str) -> None:
    own = {"models.own": {**SMALL, **changes}, "workload.model": "own"}
    with pytest.raises(ScenarioError) as raised:
        hm.load("h100-1k", own)
    assert says in str(raised.value)
    assert "models.own" in str(raised.value)
