"""Models that the catalogue does not hold."""

from __future__ import annotations

from typing import Any

QWEN3_235B: dict[str, Any] = {
    "n_layers": 94,
    "hidden": 4096,
    "n_heads": 64,
    "n_kv_heads": 4,
    "head_dim": 128,
    "ffn_hidden": 12288,
    "vocabulary": 151936,
    "experts": {"n_experts": 128, "per_token": 8, "ffn_hidden": 1536},
}
"""Qwen3-235B-A22B (its config.json at huggingface.co/Qwen)."""

LLAMA_1B: dict[str, Any] = {
    "n_layers": 16,
    "hidden": 2048,
    "n_heads": 32,
    "n_kv_heads": 8,
    "head_dim": 64,
    "ffn_hidden": 8192,
    "vocabulary": 128256,
}
"""The dimensions of Llama 3.2 1B, with an output layer of its own."""

SIGLIP: dict[str, Any] = {
    "tokens": 4096,
    "n_layers": 27,
    "hidden": 1152,
    "n_heads": 16,
    "ffn_hidden": 4304,
    "input_width": 588,
    "positions": 4096,
    "merge": 16,
}
"""The vision tower of Gemma 3: SigLIP 400M at 896 x 896 pixels."""
