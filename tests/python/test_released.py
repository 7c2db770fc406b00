"""Models from released ``config.json`` files, and what is said of those that are not understood.

Dimensions are those of the files on Hugging Face of the models named; they are facts.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError
from tests.docs.markdown import ROOT

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Transformer, layers_of
from hindmost.catalog.families import FAMILIES
from hindmost.catalog.released import released
from hindmost.cli import cli
from hindmost.errors import ScenarioError
from hindmost.physics.flops import flops_by_part, parameters

ODD: list[Any] = ["x", 0, -1, [], {}, True, 1.5, [[1]], ["x"], 10**12, [0] * 3]
"""Values that few keys take."""

REPORTS = Path(__file__).parents[3] / "shared" / "data" / "reports"

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "rope_theta": 500000.0,
    "rope_scaling": None,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.0.dev0",
    "use_cache": True,
    "bos_token_id": 128000,
    "attention_bias": False,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "tie_word_embeddings": False,
}
"""Llama 3 8B."""

LATENT: dict[str, Any] = {
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "n_group": 8,
    "topk_group": 4,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "num_nextn_predict_layers": 1,
    "moe_layer_freq": 1,
    "ep_size": 1,
}

CATALOGUE: dict[str, dict[str, Any]] = {
    "llama3-8b": LLAMA,
    "deepseek-v3": {"model_type": "deepseek_v3", **LATENT},
    "deepseek-v3.2": {
        "model_type": "deepseek_v32",
        **LATENT,
        "index_head_dim": 128,
        "index_n_heads": 64,
        "index_topk": 2048,
    },
    "kimi-k2": {
        "model_type": "kimi_k2",
        **LATENT,
        "num_attention_heads": 64,
        "num_key_value_heads": 64,
        "n_routed_experts": 384,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "vocab_size": 163840,
        "num_nextn_predict_layers": 0,
    },
    "glm-4.5": {
        "model_type": "glm4_moe",
        "num_hidden_layers": 92,
        "hidden_size": 5120,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "moe_intermediate_size": 1536,
        "n_routed_experts": 160,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 3,
        "n_group": 1,
        "topk_group": 1,
        "vocab_size": 151552,
        "num_nextn_predict_layers": 1,
        "use_qk_norm": True,
    },
    "gpt-oss-120b": {
        "model_type": "gpt_oss",
        "num_hidden_layers": 36,
        "hidden_size": 2880,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "intermediate_size": 2880,
        "vocab_size": 201088,
        "num_local_experts": 128,
        "num_experts_per_tok": 4,
        "experts_per_token": 4,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 18,
        "swiglu_limit": 7.0,
        "initial_context_length": 4096,
    },
    "qwen3-235b": {
        "model_type": "qwen3_moe",
        "num_hidden_layers": 94,
        "hidden_size": 4096,
        "num_attention_heads": 64,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "intermediate_size": 12288,
        "moe_intermediate_size": 1536,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "vocab_size": 151936,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "sliding_window": None,
        "use_sliding_window": False,
        "max_window_layers": 94,
    },
    "gemma-3-27b": {
        "model_type": "gemma3",
        "boi_token_index": 255999,
        "mm_tokens_per_image": 256,
        "text_config": {
            "model_type": "gemma3_text",
            "head_dim": 128,
            "hidden_size": 5376,
            "intermediate_size": 21504,
            "num_attention_heads": 32,
            "num_hidden_layers": 62,
            "num_key_value_heads": 16,
            "query_pre_attn_scalar": 168,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152},
    },
    "llama4-maverick": {
        "model_type": "llama4",
        "text_config": {
            "model_type": "llama4_text",
            "num_hidden_layers": 48,
            "hidden_size": 5120,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 8192,
            "intermediate_size_mlp": 16384,
            "num_local_experts": 128,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
            "vocab_size": 202048,
            "attention_chunk_size": 8192,
            "no_rope_layers": [1, 1, 1, 0] * 12,
        },
        "vision_config": {"hidden_size": 1408},
    },
    "nemotron-3-nano": {
        "model_type": "nemotron_h",
        "num_hidden_layers": 52,
        "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        "hidden_size": 2688,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "intermediate_size": 1856,
        "moe_intermediate_size": 1856,
        "moe_shared_expert_intermediate_size": 3712,
        "n_routed_experts": 128,
        "n_shared_experts": 1,
        "num_experts_per_tok": 6,
        "mamba_num_heads": 64,
        "mamba_head_dim": 64,
        "ssm_state_size": 128,
        "n_groups": 8,
        "conv_kernel": 4,
        "expand": 2,
        "chunk_size": 128,
        "vocab_size": 131072,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "sliding_window": 4096,
    },
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_released_file_is_the_model_of_the_catalogue(name: str) -> None:
    found = Transformer.model_validate(released(CATALOGUE[name], name).table)
    model = catalog.model(name)
    assert layers_of(found) == layers_of(model)
    assert parameters(found) == parameters(model)
    parts = flops_by_part(found, seq_len=16384, causal=True)
    assert parts == flops_by_part(model, seq_len=16384, causal=True)


GLM_AIR: dict[str, Any] = {
    "num_hidden_layers": 46,
    "hidden_size": 4096,
    "num_attention_heads": 96,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "vocab_size": 151552,
}
"""Dimensions of GLM-4.5-Air, which is also the text model of GLM-4.5V."""

OTHERS: list[tuple[str, dict[str, Any], float, float]] = [
    # Parameters of all, as the model cards and the files' shapes have them, and the rounding.
    (
        "Qwen/Qwen3-Next-80B-A3B",
        {
            "model_type": "qwen3_next",
            "num_hidden_layers": 48,
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "head_dim": 256,
            "intermediate_size": 5120,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "num_experts": 512,
            "num_experts_per_tok": 10,
            "vocab_size": 151936,
            "full_attention_interval": 4,
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "partial_rotary_factor": 0.25,
        },
        79.67e9,
        0.002,
    ),
    (
        "deepseek-ai/DeepSeek-V2-Lite",
        {
            "model_type": "deepseek_v2",
            "num_hidden_layers": 27,
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "intermediate_size": 10944,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
            "q_lora_rank": None,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "vocab_size": 102400,
        },
        15.71e9,
        0.002,
    ),
    (
        "google/gemma-2-27b",
        {
            "model_type": "gemma2",
            "num_hidden_layers": 46,
            "hidden_size": 4608,
            "num_attention_heads": 32,
            "num_key_value_heads": 16,
            "head_dim": 128,
            "intermediate_size": 36864,
            "vocab_size": 256000,
            "sliding_window": 4096,
        },
        27.23e9,
        0.002,
    ),
    (
        "Qwen/Qwen2.5-0.5B",
        {
            "model_type": "qwen2",
            "num_hidden_layers": 24,
            "hidden_size": 896,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "sliding_window": 32768,
            "max_window_layers": 24,
        },
        0.494e9,
        0.002,
    ),
    (
        "CohereForAI/c4ai-command-r-v01",
        {
            "model_type": "cohere",
            "num_hidden_layers": 40,
            "hidden_size": 8192,
            "num_attention_heads": 64,
            "num_key_value_heads": 64,
            "intermediate_size": 22528,
            "vocab_size": 256000,
            "logit_scale": 0.0625,
        },
        34.98e9,
        0.002,
    ),
    (
        "ByteDance-Seed/Seed-OSS-36B-Base",
        {
            "model_type": "seed_oss",
            "num_hidden_layers": 64,
            "hidden_size": 5120,
            "num_attention_heads": 80,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 27648,
            "vocab_size": 155136,
            "attention_bias": True,
            "attention_out_bias": False,
        },
        36.15e9,
        0.002,
    ),
    (
        "allenai/Olmo-3-1025-7B",
        {
            "model_type": "olmo3",
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "intermediate_size": 11008,
            "vocab_size": 100278,
            "sliding_window": 4096,
            "layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 8,
        },
        7.30e9,
        0.002,
    ),
    (
        "swiss-ai/Apertus-8B-2509",
        {
            "model_type": "apertus",
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 21504,
            "vocab_size": 131072,
        },
        8.05e9,
        0.002,
    ),
    (
        "zai-org/GLM-4.5-Air",
        {"model_type": "glm4_moe", **GLM_AIR},
        106.85e9,
        0.002,
    ),
    (
        "EleutherAI/gpt-neox-20b",
        {
            "model_type": "gpt_neox",
            "num_hidden_layers": 44,
            "hidden_size": 6144,
            "num_attention_heads": 64,
            "intermediate_size": 24576,
            "vocab_size": 50432,
            "rotary_pct": 0.25,
            "use_parallel_residual": True,
        },
        20.55e9,
        0.002,
    ),
    (
        "bigcode/starcoder2-15b",
        {
            "model_type": "starcoder2",
            "num_hidden_layers": 40,
            "hidden_size": 6144,
            "num_attention_heads": 48,
            "num_key_value_heads": 4,
            "intermediate_size": 24576,
            "vocab_size": 49152,
            "sliding_window": 4096,
            "use_bias": True,
        },
        15.96e9,
        0.002,
    ),
    (
        "OLMoE 1B-7B",
        {
            "model_type": "olmoe",
            "num_hidden_layers": 16,
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "intermediate_size": 1024,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "vocab_size": 50304,
            "clip_qkv": None,
            "norm_topk_prob": False,
        },
        6.92e9,
        0.002,
    ),
    (
        "Phi 3.5 MoE",
        {
            "model_type": "phimoe",
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 6400,
            "num_local_experts": 16,
            "num_experts_per_tok": 2,
            "vocab_size": 32064,
            "sliding_window": 131072,
            "input_jitter_noise": 0.01,
            "lm_head_bias": True,
        },
        41.9e9,
        0.002,
    ),
    (
        "MiniMax M2",
        {
            "model_type": "minimax_m2",
            "num_hidden_layers": 62,
            "hidden_size": 3072,
            "num_attention_heads": 48,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 1536,
            "num_local_experts": 256,
            "num_experts_per_tok": 8,
            "shared_intermediate_size": 0,
            "attn_type_list": [1] * 62,
            "vocab_size": 200064,
            "use_mtp": True,
            "num_mtp_modules": 3,
            "mtp_transformer_layers": 1,
            "qk_norm_type": "per_layer",
            "rotary_dim": 64,
            "use_routing_bias": True,
        },
        230e9,
        0.006,
    ),
    (
        "ERNIE 4.5 0.3B",
        {
            "model_type": "ernie4_5",
            "num_hidden_layers": 18,
            "hidden_size": 1024,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "intermediate_size": 3072,
            "vocab_size": 103424,
        },
        0.361e9,
        0.002,
    ),
    (
        "ERNIE 4.5 21B-A3B",
        {
            "model_type": "ernie4_5_moe",
            "num_hidden_layers": 28,
            "hidden_size": 2560,
            "num_attention_heads": 20,
            "num_key_value_heads": 4,
            "intermediate_size": 12288,
            "moe_intermediate_size": 1536,
            "moe_num_experts": 64,
            "moe_num_shared_experts": 2,
            "moe_k": 6,
            "moe_layer_start_index": 1,
            "moe_layer_end_index": 27,
            "moe_layer_interval": 1,
            "vocab_size": 103424,
        },
        # Attention, a dense layer, experts with norms, and one embedding; its card says 21B.
        28 * (2 * 2560**2 + 2 * 2560 * 512)
        + 3 * 2560 * 12288
        + 27 * (66 * 3 * 2560 * 1536 + 64 * 2560)
        + 103424 * 2560,
        1e-4,
    ),
    (
        "dots.llm1",
        {
            "model_type": "dots1",
            "num_hidden_layers": 62,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "intermediate_size": 10944,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 128,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 1,
            "sliding_window": 4096,
            "max_window_layers": 62,
            "vocab_size": 152064,
        },
        142e9,
        0.006,
    ),
    (
        "Qwen 2.5 VL 7B, its text",
        {
            "model_type": "qwen2_5_vl",
            "num_hidden_layers": 28,
            "hidden_size": 3584,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18944,
            "vocab_size": 152064,
            "use_sliding_window": False,
            "sliding_window": 32768,
            "max_window_layers": 28,
            "vision_config": {"depth": 32, "hidden_size": 1280},
            "vision_start_token_id": 151652,
        },
        7.62e9,
        0.002,
    ),
    (
        "EXAONE 4.0 32B",
        {
            "model_type": "exaone4",
            "num_hidden_layers": 64,
            "hidden_size": 5120,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 27392,
            "vocab_size": 102400,
            "sliding_window": 4096,
            "sliding_window_pattern": "LLLG",
        },
        32.0e9,
        0.002,
    ),
    (
        "GLM 4.5V, its text",
        {
            "model_type": "glm4v_moe",
            "text_config": {"model_type": "glm4v_moe_text", **GLM_AIR},
            "vision_config": {"depth": 24},
        },
        106e9,
        0.009,
    ),
]


@pytest.mark.parametrize(
    ("config", "expected", "digits"), [one[1:] for one in OTHERS], ids=[one[0] for one in OTHERS]
)
def test_parameters_of_released_models(
    config: dict[str, Any], expected: float, digits: float
) -> None:
    table = released(config, "config.json").table
    found = parameters(Transformer.model_validate(table))
    # A tied output layer that the released weights hold twice counts once.
    assert found == pytest.approx(expected, rel=digits)


def layers_of_file(name: str, changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Return attention and feed-forward network of each layer of one of the files above."""
    (config,) = (one[1] for one in OTHERS if one[0] == name)
    model = Transformer.model_validate(released({**config, **changes}, "x").table)
    return [(layer.attention, layer.feed_forward) for layer in layers_of(model)]


def test_layers_are_those_of_the_file() -> None:
    exaone = layers_of_file("EXAONE 4.0 32B", {})
    assert [kind for kind, _ in exaone] == ["window", "window", "window", "full"] * 16
    assert {kind for kind, _ in layers_of_file("EXAONE 4.0 32B", {"sliding_window": None})} == {
        "full"
    }
    ernie = layers_of_file("ERNIE 4.5 21B-A3B", {})
    assert [kind for _, kind in ernie] == ["dense"] + ["experts"] * 27
    some = layers_of_file("ERNIE 4.5 21B-A3B", {"moe_layer_interval": 2, "moe_layer_end_index": 9})
    assert [place for place, (_, kind) in enumerate(some) if kind == "experts"] == [1, 3, 5, 7, 9]
    assert set(layers_of_file("dots.llm1", {})) == {("full", "dense"), ("full", "experts")}
    assert released({**LLAMA, "vision_config": {}}, "x").left_out == (
        "vision_config: only text is counted",
    )


def test_a_file_without_a_type_goes_by_its_architecture() -> None:
    config = {key: value for key, value in LLAMA.items() if key != "model_type"}
    assert released(config, "config.json") == released(LLAMA, "config.json")
    path = REPORTS / "59-config.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert hm.model_summary(path).parameters == pytest.approx(235.1e9, rel=0.002)


def test_a_file_that_was_saved_again_is_the_same_model() -> None:
    """transformers renames keys and adds others (findings/transformers-saves-other-keys...)."""
    experts = dict(CATALOGUE["qwen3-235b"])
    experts["num_local_experts"] = experts.pop("num_experts")
    latent = {**CATALOGUE["deepseek-v3"], "head_dim": 64, "qk_head_dim": 192}
    for name, saved in (("qwen3-235b", experts), ("deepseek-v3", latent)):
        assert released(saved, "x") == released(CATALOGUE[name], "x")


def test_what_is_left_out_is_told() -> None:
    (nextn,) = released(CATALOGUE["deepseek-v3"], "x").left_out
    assert nextn.startswith("num_nextn_predict_layers: 1 layer of multi-token prediction")
    (vision,) = released(CATALOGUE["gemma-3-27b"], "x").left_out
    assert vision == "vision_config: only text is counted"
    assert released(LLAMA, "x").left_out == ()


NEWER = {name: config for name, config, *_ in OTHERS}
"""Files of the list above, by name."""

WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "other attention": (
        {**NEWER["MiniMax M2"], "attn_type_list": [0] * 62},
        ["attn_type_list must be 1 in all layers"],
    ),
    "pattern of letters": (
        {**NEWER["EXAONE 4.0 32B"], "sliding_window_pattern": "GLL"},
        ["sliding_window_pattern must be letters L and a G at the end"],
    ),
    "no layer with experts": (
        {**NEWER["ERNIE 4.5 21B-A3B"], "moe_layer_start_index": 40},
        ["moe_layer_start_index must leave a layer with experts"],
    ),
    "windows beside experts": (
        {**NEWER["dots.llm1"], "layer_types": ["sliding_attention"] * 62},
        ["layer_types must be full_attention in all layers"],
    ),
    "type": ({"model_type": "lama"}, ["must be one of apertus", 'got "lama"', "did you mean"]),
    "no type": (
        {"model_type": None, "architectures": None},
        ["model_type is missing: this is no config.json of a model"],
    ),
    "unknown class": (
        {"model_type": None, "architectures": ["FooForCausalLM"]},
        ["FooForCausalLM"],
    ),
    "all at once": (
        {"hidden_size": None, "num_hidden_layers": "32", "n_streams": 4, "vocab_size": 0},
        [
            "hidden_size is missing",
            'num_hidden_layers must be a whole number >= 1, got "32"',
            "vocab_size must be a whole number >= 1, got 0",
            "n_streams is not understood, and may change what is computed",
        ],
    ),
    "flag": ({"tie_word_embeddings": "yes"}, ["tie_word_embeddings must be true or false"]),
    "layer types": (
        {"sliding_window": 128, "layer_types": ["full_attention"]},
        ["layer_types must be a list of 32 types"],
    ),
    "dense after experts": (
        {
            **CATALOGUE["deepseek-v3"],
            "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 57 + ["dense"],
        },
        ["mlp_layer_types must be 61 types, dense ones first"],
    ),
    "shared indexers": (
        {**CATALOGUE["deepseek-v3.2"], "indexer_types": ["full", "shared"]},
        ["indexer_types must be full in all layers"],
    ),
    "kind of layer": (
        {"sliding_window": 128, "layer_types": ["full_attention", "ring_attention"] * 16},
        ["layer_types must be of full_attention", '"ring_attention"'],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_understood_is_refused(case: str) -> None:
    changes, says = WRONG[case]
    with pytest.raises(ScenarioError) as raised:
        released({**LLAMA, **changes}, "config.json")
    for text in says:
        assert text in str(raised.value)
    assert all(line.startswith("config.json: ") for line in str(raised.value).splitlines())


def test_the_documents_list_every_type() -> None:
    text = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    (listed,) = (part for part in text.split("\n\n") if part.startswith("**A released"))
    named = listed.partition(":")[2].partition(". Another")[0]
    assert re.findall(r"`(\w+)`", named) == sorted(FAMILIES)


def test_a_missing_key_is_told_once_and_without_a_value() -> None:
    # Its layers and its experts both ask for intermediate_size.
    config = {"model_type": "minimax_m2", "num_hidden_layers": "x"}
    with pytest.raises(ScenarioError) as raised:
        released(config, "config.json")
    lines = str(raised.value).splitlines()
    assert lines.count("config.json: intermediate_size is missing") == 1
    assert not any("got nothing" in line for line in lines)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_no_type_ends_with_an_internal_error_on_an_empty_file(kind: str) -> None:
    with pytest.raises(ScenarioError, match="is missing"):
        released({"model_type": kind}, "config.json")


@pytest.mark.parametrize("name", CATALOGUE)
def test_odd_values_are_told_and_end_with_no_internal_error(name: str) -> None:
    config = CATALOGUE[name]
    text = config.get("text_config", config)
    for key in set(text) - {"model_type"}:
        for odd in ODD:
            changed = {**text, key: odd}
            whole = {**config, "text_config": changed} if text is not config else changed
            said, table = ["nothing"], {}
            try:
                table = released(whole, "config.json").table
            except ScenarioError as error:
                said = [problem.path for problem in error.problems]
            assert all(said)
            assert bool(table) == (said == ["nothing"])


def test_types_of_layers_are_not_ignored_where_windows_are_off() -> None:
    hybrid = {**LLAMA, "layer_types": ["linear_attention", "full_attention"] * 16}
    table = released(hybrid, "config.json").table
    with pytest.raises(ValidationError, match="linear must be given"):
        Transformer.model_validate(table)
    off = {**LLAMA, "sliding_window": None, "layer_types": ["sliding_attention"] * 32}
    assert released(off, "config.json") == released(LLAMA, "config.json")


def scenario_at(folder: Path, model: str) -> Path:
    path = folder / "job.toml"
    path.write_text(
        'extends = ["h100-1k"]\n'
        f'[workload]\nmodel = "{model}"\nmicrobatch_seqs = 1\n'
        "[layout]\ntensor = 2\nshard_group_replicas = 4\n"
    )
    return path


def test_a_scenario_takes_a_released_model_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(LLAMA))
    loaded = hm.load(scenario_at(tmp_path, "./mine/config.json"))
    assert loaded.workload.model == "mine"
    named = hm.load(
        "h100-1k",
        {
            "workload.model": "llama3-8b",
            "workload.microbatch_seqs": 1,
            "layout.tensor": 2,
            "layout.shard_group_replicas": 4,
        },
    )
    size: dict[str, Any] = {"seed": 1, "runs": 1, "steps": 5}
    first, second = hm.simulate(loaded, **size), hm.simulate(named, **size)
    assert first.columns["step_time_s"].tolist() == second.columns["step_time_s"].tolist()


def test_a_stored_result_does_not_need_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**LLAMA, "num_nextn_predict_layers": 2}))
    result = hm.simulate(scenario_at(tmp_path, "config.json"), seed=1, runs=1, steps=5)
    assert any("config.json: num_nextn" in one for one in result.scenario.not_modelled)
    result.write(tmp_path / "run.parquet")
    config.unlink()
    assert hm.read(tmp_path / "run.parquet") == result


def test_a_change_may_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    changes = {
        "workload.model": str(tmp_path / "config.json"),
        "layout.tensor": 2,
        "layout.shard_group_replicas": 4,
        "workload.microbatch_seqs": 1,
    }
    compiled = hm.compile("h100-1k")
    changed = compiled.with_changes(changes)
    assert parameters(changed.scenario.model) == parameters(catalog.model("llama3-8b"))


FILES = {
    "not there": (None, "cannot be read: no such file or directory"),
    "no json": ("{", "is no JSON"),
    "a list": ("[]", "must be a JSON object"),
    "too large": (" " * 2**20 + "{}", "is too large"),
    "wrong": ('{"model_type": "lama"}', "model_type must be one of"),
    "nested": ("[" * 100_000, "is no JSON"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_model_is_refused_by_its_name(tmp_path: Path, case: str) -> None:
    text, says = FILES[case]
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=says) as raised:
        hm.load(scenario_at(tmp_path, "config.json"))
    assert str(path) in str(raised.value)
    said = CliRunner().invoke(cli, ["model", str(path)])
    assert isinstance(said.exception, ScenarioError)


def said_by(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["model", *arguments])


def test_the_command_prints_what_a_model_is() -> None:
    found = json.loads(said_by("gpt-oss-120b", "--format", "json").stdout)
    assert found["parameters"] == parameters(catalog.model("gpt-oss-120b"))
    assert found["seq_len"] == 4096
    assert found["attention"] == "causal"
    assert sum(found["parts"].values()) == pytest.approx(found["flops_per_token"])
    assert found["flops_per_token"] == pytest.approx(32.71e9, rel=2e-4)
    table = said_by("gpt-oss-120b").stdout
    assert "116.789e9" in table
    assert "routed experts" in table
    assert said_by("gpt-oss-120b", "--format", "csv").stdout.startswith("part,flops_per_token\n")
    assert "| routed experts" in said_by("gpt-oss-120b", "--format", "markdown").stdout


def test_its_memory_is_that_of_a_scenario() -> None:
    said = said_by(
        "llama3-70b",
        "--gpus",
        "64",
        "--tensor",
        "8",
        "--seq-len",
        "8192",
        "--recompute",
        "selective",
        "--format",
        "json",
    )
    changes = {
        "pools.h100.n_gpus": 64,
        "layout.sharding": "hybrid",
        "layout.shard_group_replicas": 8,
        "workload.recompute": "selective",
        "workload.microbatch_seqs": 1,
    }
    plan = hm.compile("h100-1k", changes).plan
    assert json.loads(said.stdout)["memory"]["total_bytes"] == pytest.approx(plan.fullest_bytes)


WRONG_CALLS = {
    "unknown": (
        ("llama3-71b",),
        ["model must be a model of the catalogue", 'did you mean "llama3-7'],
    ),
    "layout": (
        ("gpt-oss-20b", "--tensor", "3", "--expert", "5"),
        ["gpus must be a multiple of 3", "expert must divide the 32 experts"],
    ),
    "heads": (("llama3-8b", "--tensor", "3", "--gpus", "9"), ["must divide the 32 heads"]),
    "far too long": (("llama3-8b", "--seq-len", "9" * 30), ["seq_len must be an integer from 1"]),
    "no experts": (("llama3-8b", "--expert", "2"), ["must be 1: the model has no experts"]),
    "stages": (("mixtral-8x7b", "--gpus", "64", "--pipeline", "64"), ["must be <= 34"]),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls_are_told(case: str) -> None:
    arguments, says = WRONG_CALLS[case]
    error = said_by(*arguments).exception
    assert isinstance(error, ScenarioError)
    for text in says:
        assert text in str(error)


@pytest.mark.parametrize("wrong", ["x", 1.5, None, True])
def test_numbers_that_are_none_are_told(wrong: Any) -> None:
    with pytest.raises(ScenarioError, match="seq_len must be an integer"):
        hm.model_summary("llama3-8b", seq_len=wrong)
