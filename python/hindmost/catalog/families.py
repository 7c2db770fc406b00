"""How a released configuration of each type of model is read.

Keys and their defaults are those of transformers 5.24, and those of the released files of models
whose code lies beside their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hindmost.catalog.config_keys import MOST_SHOWN, ConfigKeys

Table = dict[str, Any]


def _table(keys: ConfigKeys, *, tied: bool = False, **more: Any) -> Table:
    """Return what nearly all models have."""
    hidden = keys.count("hidden_size")
    n_heads = keys.count("num_attention_heads")
    return {
        "n_layers": keys.layers(),
        "hidden": hidden,
        "n_heads": n_heads,
        "n_kv_heads": keys.count("num_key_value_heads", default=n_heads),
        "head_dim": keys.count("head_dim", default=max(1, hidden // n_heads)),
        "ffn_hidden": keys.count("intermediate_size"),
        "vocabulary": keys.count("vocab_size"),
        "tied": keys.flag("tie_word_embeddings", default=tied),
        **more,
    }


def _dense(keys: ConfigKeys) -> Table:
    """Return a model of one kind of layer, gated, with windows where it has them."""
    table = _table(keys)
    return {**table, **_windows(keys, table["n_layers"])}


def _windows(keys: ConfigKeys, n_layers: int, pattern: int | None = None) -> Table:
    """Return windows: those of some layers where the file says which, else those of all.

    Parameters
    ----------
    keys
        The file.
    n_layers
        Layers of the model.
    pattern
        Layers of which the last one attends to the whole sequence, if the file does not say.
    """
    window = keys.number_or_none("sliding_window")
    types = keys.words("layer_types")
    for key in ("_sliding_window_pattern", "sliding_window_pattern"):
        pattern = keys.number_or_none(key) or pattern
    uses = keys.flag("use_sliding_window", default=True)
    return _of_types(keys, types, n_layers, window if uses else None, pattern)


def _of_types(
    keys: ConfigKeys,
    types: list[str] | None,
    n_layers: int,
    window: int | None,
    pattern: int | None = None,
) -> Table:
    """Return the attention of layers: of the types that a file lists, or in a pattern.

    Layers whose windows are off attend to the whole sequence.
    """
    if types is None:
        if window is None:
            return {}
        if pattern is None:
            return {"window": window}
        kinds = ["window" if (k + 1) % pattern else "full" for k in range(n_layers)]
    else:
        kinds = _attention(keys, types, n_layers)
    if window is None:
        kinds = ["full" if kind == "window" else kind for kind in kinds]
        return {} if set(kinds) == {"full"} else {"layers": _blocks(kinds)}
    return {"window": window, "layers": _blocks(kinds)}


KINDS = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "window",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
}
"""Attention by its name in ``layer_types``."""


def _attention(keys: ConfigKeys, types: list[str], n_layers: int) -> list[str]:
    if len(types) != n_layers:
        requirement = f"must be a list of {n_layers} types, as num_hidden_layers"
        keys.problems.append(("layer_types", requirement, len(types)))
        return ["full"] * n_layers
    for kind in dict.fromkeys(types):
        if kind not in KINDS:
            keys.problems.append(("layer_types", f"must be of {', '.join(KINDS)}", kind))
    return [KINDS.get(kind, "full") for kind in types]


def _blocks(attention: Sequence[str], feed_forward: Sequence[str] | None = None) -> list[Table]:
    """Return layers as a pattern and its repetitions, and what is left over."""
    n = len(attention)
    each = list(zip(attention, feed_forward or [""] * n, strict=True))
    periods = (p for p in range(1, n // 2 + 1) if all(each[k] == each[k % p] for k in range(n)))
    period = next(periods, n)
    parts = [(n // period, each[:period])]
    if n % period:
        parts.append((1, each[: n % period]))
    # Layers that are all alike are one, several times.
    parts = [
        (n * len(block), block[:1]) if len(set(block)) == 1 else (n, block) for n, block in parts
    ]

    def shortest(kinds: list[str]) -> str | list[str]:
        return kinds[0] if len(set(kinds)) == 1 else kinds

    return [
        {
            "repeat": repeat,
            "attention": shortest([kind for kind, _ in block]),
            **({} if feed_forward is None else {"feed_forward": shortest([k for _, k in block])}),
        }
        for repeat, block in parts
    ]


def _experts(
    keys: ConfigKeys,
    *,
    n_experts: Sequence[str],
    per_token: Sequence[str] = ("num_experts_per_tok",),
    width: Sequence[str] = ("moe_intermediate_size",),
    shared: int = 0,
    shared_width: int | None = None,
) -> Table:
    table = {
        "n_experts": keys.count(*n_experts),
        "per_token": keys.count(*per_token),
        "ffn_hidden": keys.count(*width),
        "n_shared": shared,
    }
    if shared_width is not None:
        table["shared_ffn_hidden"] = shared_width
    return table


def _mixtral(keys: ConfigKeys) -> Table:
    table = _dense(keys)
    experts = _experts(keys, n_experts=("num_local_experts",), width=("intermediate_size",))
    return {**table, "experts": experts}


def _granite_shared(keys: ConfigKeys) -> Table:
    """Return experts in all layers, beside one that processes every token."""
    found = _mixtral(keys)
    shared = keys.whole("shared_intermediate_size")
    if shared:
        found["experts"] |= {"n_shared": 1, "shared_ffn_hidden": shared}
    return found


def _minimax_m2(keys: ConfigKeys) -> Table:
    """Return MiniMax-M2: experts and full attention in all layers."""
    found = _granite_shared(keys)
    types = keys.take("attn_type_list", [])
    if types != [1] * found["n_layers"] and types != []:
        requirement = "must be 1 in all layers: other attention is not understood"
        keys.problems.append(("attn_type_list", requirement, str(types)[:MOST_SHOWN]))
    keys.read.update(("shared_moe_mode", "qk_norm_type", "rotary_dim", "use_routing_bias"))
    # There is no dense feed-forward network whose width it could be.
    keys.read.update(("use_mtp", "mlp_intermediate_size"))
    return found


def _olmoe(keys: ConfigKeys) -> Table:
    keys.read.add("clip_qkv")
    experts = _experts(keys, n_experts=("num_experts",), width=("intermediate_size",))
    return {**_table(keys), "experts": experts}


def _ernie_moe(keys: ConfigKeys) -> Table:
    """Return ERNIE 4.5 with experts in every few layers, from one layer to another."""
    table = _table(keys, tied=True)
    n = table["n_layers"]
    first, last = keys.whole("moe_layer_start_index", 1), keys.take("moe_layer_end_index", -1)
    step = keys.count("moe_layer_interval", default=1)
    if not isinstance(last, int) or last >= n or last < -1:
        keys.problems.append(("moe_layer_end_index", f"must be -1, or < {n}", last))
        last = -1
    last = n - 1 if last == -1 else last
    with_experts = [first <= k <= last and (k + 1) % step == 0 for k in range(n)]
    experts = _experts(
        keys,
        n_experts=("moe_num_experts",),
        per_token=("moe_k",),
        shared=keys.whole("moe_num_shared_experts"),
    )
    keys.read.update(("moe_norm_min", "moe_capacity", "moe_gate", "moe_use_aux_free"))
    if not any(with_experts):
        keys.problems.append(("moe_layer_start_index", "must leave a layer with experts", first))
        return table
    found = {**table, "experts": experts}
    if not all(with_experts):
        kinds = ["experts" if has else "dense" for has in with_experts]
        found["layers"] = _blocks(["full"] * n, kinds)
    return found


def _dots(keys: ConfigKeys) -> Table:
    table = _table(keys)
    n = table["n_layers"]
    types, window = keys.words("layer_types"), keys.number_or_none("sliding_window")
    if types is None or set(types) == {"full_attention"}:
        # The window is that of layers after the last one.
        window = None
    windows = _of_types(keys, types, n, window)
    if "layers" in windows:
        requirement = "must be full_attention in all layers: windows are not understood here"
        keys.problems.append(("layer_types", requirement, str(types)[:MOST_SHOWN]))
    return {**table, **_after_dense_layers(keys, n)}


def _exaone(keys: ConfigKeys) -> Table:
    """Return EXAONE 4: windows in three of four layers, if there is a window."""
    pattern = keys.config.get("sliding_window_pattern")
    if isinstance(pattern, str):
        # The letters of a period: local layers, and a global one at its end.
        if not pattern or set(pattern[:-1]) - {"L"} or pattern[-1] != "G":
            requirement = "must be letters L and a G at the end"
            keys.problems.append(("sliding_window_pattern", requirement, pattern))
        keys.config = {**keys.config, "sliding_window_pattern": max(1, len(pattern))}
    table = _table(keys)
    return {**table, **_windows(keys, table["n_layers"], pattern=4)}


def _ernie(keys: ConfigKeys) -> Table:
    return _table(keys, tied=True)


def _qwen_moe(keys: ConfigKeys) -> Table:
    """Return Qwen models with experts in all layers, or in every few of them."""
    table = _table(keys)
    shared = keys.number_or_none("shared_expert_intermediate_size")
    experts = _experts(
        keys,
        n_experts=("num_experts", "num_local_experts"),
        shared=0 if shared is None else 1,
        shared_width=shared,
    )
    step = keys.count("decoder_sparse_step", default=1)
    dense = keys.wholes("mlp_only_layers")
    n = table["n_layers"]
    types = keys.words("layer_types")
    found = {**table, "experts": experts}
    linear = _linear(keys)
    windows = _windows_of_qwen(keys)
    if linear:
        kinds = _kinds_between(keys, types, n)
    elif types is None:
        kinds = ["window" if windows else "full"] * n
    else:
        kinds = _attention(keys, types, n)
    feed_forward = [
        "experts" if k not in dense and (k + 1) % step == 0 else "dense" for k in range(n)
    ]
    if len(set(kinds)) > 1 or "dense" in feed_forward:
        found["layers"] = _blocks(kinds, feed_forward)
    return {**found, **linear, **windows}


def _linear(keys: ConfigKeys) -> Table:
    """Return linear attention and the gate of full attention, where a model has them."""
    if keys.take("linear_num_value_heads", None) is None:
        return {}
    linear = {
        "n_key_heads": keys.count("linear_num_key_heads"),
        "key_head_dim": keys.count("linear_key_head_dim"),
        "n_value_heads": keys.count("linear_num_value_heads"),
        "value_head_dim": keys.count("linear_value_head_dim"),
        "conv": keys.count("linear_conv_kernel_dim", default=4),
    }
    return {"attention_gate": keys.flag("attn_output_gate", default=True), "linear": linear}


def _kinds_between(keys: ConfigKeys, types: list[str] | None, n_layers: int) -> list[str]:
    """Return linear attention in all layers but every few, as the file says."""
    every = keys.count("full_attention_interval", default=4)
    if types is not None:
        return _attention(keys, types, n_layers)
    return ["linear" if (k + 1) % every else "full" for k in range(n_layers)]


def _windows_of_qwen(keys: ConfigKeys) -> Table:
    window = keys.number_or_none("sliding_window")
    uses = keys.flag("use_sliding_window", default=False)
    return {"window": window} if uses and window is not None else {}


def _qwen(keys: ConfigKeys) -> Table:
    """Return dense Qwen models, whose window is off unless a key says so."""
    table = _table(keys)
    n = table["n_layers"]
    types = keys.words("layer_types")
    linear = _linear(keys)
    if linear:
        return {**table, **linear, "layers": _blocks(_kinds_between(keys, types, n))}
    windows = _windows_of_qwen(keys)
    if windows and types is None:
        # The first layers attend to the whole sequence.
        n_full = min(keys.whole("max_window_layers", n), n)
        types = ["full_attention"] * n_full + ["sliding_attention"] * (n - n_full)
    return {**table, **_of_types(keys, types, n, windows.get("window"))}


def _gpt_oss(keys: ConfigKeys) -> Table:
    table = _table(keys)
    experts = _experts(
        keys,
        n_experts=("num_local_experts", "num_experts"),
        per_token=("num_experts_per_tok", "experts_per_token"),
        width=("intermediate_size",),
    )
    keys.take("experts_per_token", None)
    windows = _windows(keys, table["n_layers"], pattern=2)
    return {**table, **windows, "experts": experts}


def _latent(keys: ConfigKeys) -> Table:
    """Return models with latent attention and experts after the first layers."""
    keys.read.update(("head_dim", "qk_head_dim"))
    rope = keys.count("qk_rope_head_dim")
    head_dim = keys.count("qk_nope_head_dim") + rope
    table = _table(keys)
    latent = {"kv_rank": keys.count("kv_lora_rank"), "rope_head_dim": rope}
    q_rank = keys.number_or_none("q_lora_rank")
    if q_rank is not None:
        latent["q_rank"] = q_rank
    found = {
        **table,
        "head_dim": head_dim,
        "n_kv_heads": table["n_heads"],
        "v_head_dim": keys.count("v_head_dim"),
        "latent": latent,
        **_after_dense_layers(keys, table["n_layers"]),
    }
    if keys.take("index_topk", None) is not None:
        found["indexer"] = {
            "n_heads": keys.count("index_n_heads"),
            "head_dim": keys.count("index_head_dim"),
            "top_k": keys.count("index_topk"),
        }
        n_dense = found["experts"].pop("n_dense_layers", 0)
        blocks = ((n_dense, "dense"), (table["n_layers"] - n_dense, "experts"))
        found["layers"] = [
            {"repeat": n, "attention": "sparse", "feed_forward": kind} for n, kind in blocks if n
        ]
    keys.must_be("moe_layer_freq", 1)
    indexers = keys.words("indexer_types")
    if indexers is not None and set(indexers) != {"full"}:
        requirement = "must be full in all layers: an indexer that layers share is not understood"
        keys.problems.append(("indexer_types", requirement, str(indexers)[:MOST_SHOWN]))
    keys.read.add("layer_types")
    return found


def _after_dense_layers(keys: ConfigKeys, n_layers: int) -> Table:
    """Return experts, in groups where the router has them, after the first dense layers."""
    shared = keys.whole("n_shared_experts")
    experts = _experts(keys, n_experts=("n_routed_experts",), shared=shared)
    n_dense = keys.whole("first_k_dense_replace")
    kinds = keys.words("mlp_layer_types")
    if kinds is not None:
        n_dense = kinds.index("sparse") if "sparse" in kinds else 0
        if kinds != ["dense"] * n_dense + ["sparse"] * (n_layers - n_dense):
            requirement = f"must be {n_layers} types, dense ones first and then sparse ones"
            keys.problems.append(("mlp_layer_types", requirement, str(kinds)[:MOST_SHOWN]))
    if n_dense >= n_layers:
        requirement = f"must be < {n_layers}, num_hidden_layers"
        keys.problems.append(("first_k_dense_replace", requirement, n_dense))
    elif n_dense:
        experts["n_dense_layers"] = n_dense
    n_groups, limit = keys.count("n_group", default=1), keys.count("topk_group", default=1)
    if n_groups > limit:
        experts |= {"n_groups": n_groups, "node_limit": limit}
    return {"experts": experts}


def _glm_moe(keys: ConfigKeys) -> Table:
    table = _table(keys)
    return {**table, **_after_dense_layers(keys, table["n_layers"])}


def _gemma(keys: ConfigKeys) -> Table:
    """Return Gemma 2 and 3, whose files leave out what is the default."""
    is_second = keys.config.get("model_type") == "gemma2"
    defaults = {"vocab_size": 256_000 if is_second else 262_208}
    if not is_second:
        defaults |= {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}
    _with_defaults(keys, defaults)
    keys.must_be("use_bidirectional_attention", False, None)
    table = _table(keys, tied=True)
    return {**table, **_windows(keys, table["n_layers"], pattern=2 if is_second else 6)}


def _with_defaults(keys: ConfigKeys, defaults: Mapping[str, Any]) -> None:
    keys.config = {**defaults, **{k: v for k, v in keys.config.items() if v is not None}}


def _llama4(keys: ConfigKeys) -> Table:
    """Return Llama 4: chunks in three of four layers, experts in every few."""
    table = _table(keys)
    n = table["n_layers"]
    width = keys.count("intermediate_size_mlp", default=2 * table["ffn_hidden"])
    experts = _experts(
        keys, n_experts=("num_local_experts",), width=("intermediate_size",), shared=1
    )
    step = keys.count("interleave_moe_layer_step", default=1)
    of_experts = keys.wholes("moe_layers") or list(range(step - 1, n, step))
    chunk = keys.number_or_none("attention_chunk_size")
    types = keys.words("layer_types")
    if chunk is None:
        kinds = ["full"] * n
    elif types is None:
        # Layers without positions attend to the whole sequence.
        every = keys.count("no_rope_layer_interval", default=4)
        positions = keys.wholes("no_rope_layers") or [(k + 1) % every for k in range(n)]
        kinds = ["chunked" if has else "full" for has in positions]
    else:
        kinds = _attention(keys, types, n)
    feed_forward = ["experts" if k in of_experts else "dense" for k in range(n)]
    found = {**table, "ffn_hidden": width, "experts": experts}
    if chunk is not None:
        found["window"] = chunk
    if len(kinds) != n:
        keys.problems.append(("no_rope_layers", f"must have {n} values", len(kinds)))
        kinds = ["full"] * n
    return {**found, "layers": _blocks(kinds, feed_forward)}


LETTERS = {
    "M": ("state-space", "none"),
    "*": ("full", "none"),
    "-": ("none", "dense"),
    "E": ("none", "experts"),
}
"""Layers of a hybrid model by their letter."""

WORDS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
"""Letters of layers by their name in ``layers_block_type``."""


def _nemotron_h(keys: ConfigKeys) -> Table:
    """Return hybrids of state space layers, attention, and feed-forward networks."""
    pattern = keys.take("hybrid_override_pattern", None)
    words = keys.words("layers_block_type")
    if pattern is None and words is not None:
        pattern = "".join(WORDS.get(word, "?") for word in words)
    if not isinstance(pattern, str) or not pattern or set(pattern) - set(LETTERS):
        requirement = f"must be a pattern of {', '.join(LETTERS)}, a letter a layer"
        keys.problems.append(("hybrid_override_pattern", requirement, pattern))
        pattern = "M"
    _with_defaults(keys, {"num_hidden_layers": len(pattern)})
    keys.must_be("moe_latent_size")
    keys.must_be("sliding_window")
    keys.read.add("expand")
    table = _table(keys, gated=False)
    if table["n_layers"] != len(pattern):
        requirement = f"must be {len(pattern)}, the layers of the pattern"
        keys.problems.append(("num_hidden_layers", requirement, table["n_layers"]))
    kinds = [LETTERS[letter] for letter in pattern]
    found = {
        **table,
        "n_layers": len(pattern),
        "layers": _blocks([kind for kind, _ in kinds], [kind for _, kind in kinds]),
    }
    if "M" in pattern:
        found["state_space"] = {
            "n_heads": keys.count("mamba_num_heads"),
            "head_dim": keys.count("mamba_head_dim"),
            "state": keys.count("ssm_state_size"),
            "n_groups": keys.count("n_groups", default=1),
            "conv": keys.count("conv_kernel", default=4),
        }
    if "E" in pattern:
        shared = keys.whole("n_shared_experts")
        width = keys.number_or_none("moe_shared_expert_intermediate_size")
        # The width is that of all of them together.
        together = shared > 0 and width is not None
        found["experts"] = _experts(
            keys,
            n_experts=("n_routed_experts",),
            shared=1 if together else shared,
            shared_width=width if together else None,
        )
    keys.read.update(
        (
            "n_routed_experts",
            "num_experts_per_tok",
            "moe_intermediate_size",
            "n_shared_experts",
            "moe_shared_expert_intermediate_size",
            "n_group",
            "topk_group",
        )
    )
    return found


def _cohere(keys: ConfigKeys) -> Table:
    """Return models with attention and feed-forward network side by side, and one embedding."""
    table = _table(keys, tied=True, parallel=True)
    pattern = 4 if keys.config["model_type"] == "cohere2" else None
    return {**table, **_windows(keys, table["n_layers"], pattern)}


def _gpt_neox(keys: ConfigKeys) -> Table:
    parallel = keys.flag("use_parallel_residual", default=True)
    return _table(keys, gated=False, parallel=parallel)


def _plain(keys: ConfigKeys) -> Table:
    """Return models whose feed-forward networks are not gated."""
    return {**_dense(keys), "gated": False}


FAMILIES: dict[str, Callable[[ConfigKeys], Table]] = {
    "apertus": _plain,
    "arcee": _plain,
    "cohere": _cohere,
    "cohere2": _cohere,
    "deepseek_v2": _latent,
    "deepseek_v3": _latent,
    "deepseek_v32": _latent,
    "dots1": _dots,
    "ernie4_5": _ernie,
    "ernie4_5_moe": _ernie_moe,
    "exaone4": _exaone,
    "gemma2": _gemma,
    "gemma3": _gemma,
    "gemma3_text": _gemma,
    "glm4": _dense,
    "glm4_moe": _glm_moe,
    "glm4_moe_lite": _latent,
    "glm4v_moe_text": _glm_moe,
    "glm4v_text": _dense,
    "glm_moe_dsa": _latent,
    "gpt_neox": _gpt_neox,
    "gpt_oss": _gpt_oss,
    "granite": _dense,
    "granitemoe": _mixtral,
    "granitemoeshared": _granite_shared,
    "hunyuan_v1_dense": _dense,
    "kimi_k2": _latent,
    "llama": _dense,
    "llama4": _llama4,
    "llama4_text": _llama4,
    "minimax_m2": _minimax_m2,
    "ministral3": _dense,
    "mistral": _dense,
    "mistral4": _latent,
    "mixtral": _mixtral,
    "nemotron": _plain,
    "nemotron_h": _nemotron_h,
    "olmo2": _dense,
    "olmo3": _dense,
    "olmoe": _olmoe,
    "phi3": _dense,
    "phimoe": _mixtral,
    "qwen2": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen2_5_vl_text": _qwen,
    "qwen2_moe": _qwen_moe,
    "qwen2_vl": _qwen,
    "qwen2_vl_text": _qwen,
    "qwen3": _qwen,
    "qwen3_5_moe_text": _qwen_moe,
    "qwen3_5_text": _qwen,
    "qwen3_moe": _qwen_moe,
    "qwen3_next": _qwen_moe,
    "qwen3_vl_moe_text": _qwen_moe,
    "qwen3_vl_text": _qwen,
    "seed_oss": _dense,
    "smollm3": _qwen,
    "starcoder2": _plain,
}
"""What reads a configuration, by its ``model_type``."""
