"""Parameters and FLOPs of a transformer."""

from __future__ import annotations

from hindmost.catalog import Transformer

FORWARD_SHARE_OF_PASSES = 1 / 3
"""Share of the forward pass in the FLOPs of both; a backward pass has twice as many."""


def parameters(model: Transformer) -> int:
    """Return all parameters of a model: matrices, norms and embeddings, tied ones once.

    Examples
    --------
    >>> from hindmost import catalog
    >>> parameters(catalog.model("llama3-405b"))
    405853388800
    """
    n_dense, n_expert = _n_layers(model)
    layers = n_dense * dense_layer_parameters(model) + n_expert * expert_layer_parameters(model)
    return layers + _norm_parameters(model) + _embedding_parameters(model)


def active_parameters(model: Transformer) -> int:
    """Return the parameters that process one token: of the routed experts only those picked."""
    input_only = 0 if model.tied else model.vocabulary * model.hidden
    return matmul_parameters(model) + _norm_parameters(model) + input_only


def matmul_parameters(model: Transformer) -> int:
    """Return the active parameters that matrix products use.

    The output layer counts, tied or not. The input embedding is looked up and does not.
    """
    n_dense, n_expert = _n_layers(model)
    dense = n_dense * dense_layer_parameters(model)
    return dense + n_expert * expert_layer_matmul_parameters(model) + output_parameters(model)


def expert_parameters(model: Transformer) -> int:
    """Return the parameters of all routed experts, which expert ranks divide among them."""
    return _n_layers(model)[1] * routed_parameters_of_layer(model)


def output_parameters(model: Transformer) -> int:
    """Return the parameters of the output layer."""
    return model.vocabulary * model.hidden


def attention_parameters(model: Transformer) -> int:
    """Return the parameters of one layer's attention.

    Notes
    -----
    Latent attention makes the queries of all heads from a vector of width ``q_rank``,
    and the values and the non-positional part of keys from one of ``kv_rank``. The
    positional part of keys comes from the residual stream, once for all heads
    (DeepSeek-V2, arXiv 2405.04434, section 2.1).
    """
    queries = model.n_heads * model.head_dim
    values = model.n_heads * model.value_head_dim
    if model.latent is None:
        keys_and_values = model.n_kv_heads * (model.head_dim + model.value_head_dim)
        return model.hidden * (queries + keys_and_values + values)
    latent = model.latent
    keys = model.n_heads * (model.head_dim - latent.rope_head_dim)
    down = model.hidden * (latent.q_rank + latent.kv_rank + latent.rope_head_dim)
    up = latent.q_rank * queries + latent.kv_rank * (keys + values)
    return down + up + model.hidden * values


def dense_layer_parameters(model: Transformer) -> int:
    """Return the parameters of the matrices of one layer without experts."""
    return attention_parameters(model) + _feed_forward_parameters(model, model.ffn_hidden)


def expert_layer_parameters(model: Transformer) -> int:
    """Return the parameters of the matrices of one layer with experts, all experts included."""
    return _shared_parameters_of_layer(model) + routed_parameters_of_layer(model)


def expert_layer_matmul_parameters(model: Transformer) -> int:
    """Return the parameters of one layer with experts that matrix products use for one token."""
    if model.experts is None:
        return 0
    own = model.experts.per_token * _feed_forward_parameters(model, model.experts.ffn_hidden)
    return _shared_parameters_of_layer(model) + own


def routed_parameters_of_layer(model: Transformer) -> int:
    """Return the parameters of all routed experts of one layer."""
    if model.experts is None:
        return 0
    return model.experts.n_experts * _feed_forward_parameters(model, model.experts.ffn_hidden)


def has_experts(model: Transformer, layer: int) -> bool:
    """Return whether a layer, counted from 0, has experts."""
    return model.experts is not None and layer >= model.experts.n_dense_layers


def kinds_of_layers(model: Transformer, layers: range) -> list[tuple[int, int]]:
    """Return one layer of each kind among consecutive layers, and how many are of its kind.

    Layers of a kind have the same parameters, FLOPs and bytes.

    Examples
    --------
    >>> from hindmost import catalog
    >>> kinds_of_layers(catalog.model("llama3-405b"), range(3, 126))
    [(3, 123)]
    >>> kinds_of_layers(catalog.model("deepseek-v3"), range(0, 61))
    [(0, 3), (3, 58)]
    """
    first_with_experts = layers.stop if model.experts is None else model.experts.n_dense_layers
    parts = (
        range(layers.start, min(layers.stop, first_with_experts)),
        range(max(layers.start, first_with_experts), layers.stop),
    )
    return [(part[0], len(part)) for part in parts if part]


def layer_parameters(model: Transformer, layer: int) -> int:
    """Return the parameters of the matrices of a layer, counted from 0."""
    if has_experts(model, layer):
        return expert_layer_parameters(model)
    return dense_layer_parameters(model)


def layer_matmul_parameters(model: Transformer, layer: int) -> int:
    """Return the parameters of a layer, counted from 0, that matrix products use for one token."""
    if has_experts(model, layer):
        return expert_layer_matmul_parameters(model)
    return dense_layer_parameters(model)


def attention_flops_per_token(
    *,
    n_layers: int,
    n_heads: int,
    d_qk: int,
    d_v: int,
    seq_len: int,
    causal: bool,
    window: int | None = None,
) -> float:
    """Return the FLOPs of one token's attention scores and values, forward and backward.

    Notes
    -----
    ``6 * n_layers * n_heads * (d_qk + d_v) * min(window, seq_len) * c``, where c is
    1/2 if only the causal half of the scores counts, and else 1.
    """
    share = 0.5 if causal else 1.0
    reach = seq_len if window is None else min(window, seq_len)
    return 6 * n_layers * n_heads * (d_qk + d_v) * reach * share


def layer_attention_flops_per_token(model: Transformer, *, seq_len: int, causal: bool) -> float:
    """Return the FLOPs of one token's attention in one layer, forward and backward."""
    return attention_flops_per_token(
        n_layers=1,
        n_heads=model.n_heads,
        d_qk=model.head_dim,
        d_v=model.value_head_dim,
        seq_len=seq_len,
        causal=causal,
        window=model.window,
    )


def model_flops_per_token(model: Transformer, *, seq_len: int, causal: bool) -> float:
    """Return the model FLOPs of one token, forward and backward.

    Notes
    -----
    ``6 * matmul_parameters`` plus the attention. These are the FLOPs of MFU, in which
    recomputation does not count.
    """
    attention = layer_attention_flops_per_token(model, seq_len=seq_len, causal=causal)
    return 6 * matmul_parameters(model) + model.n_layers * attention


def recomputed_share(recompute: str) -> float:
    """Return the FLOPs of recomputation, as a share of the model FLOPs.

    Full recomputation repeats the forward pass, a third of them. Selective
    recomputation repeats only operations that are no matrix products.
    """
    return FORWARD_SHARE_OF_PASSES if recompute == "full" else 0.0


def _n_layers(model: Transformer) -> tuple[int, int]:
    """Return the number of layers without experts, and with experts."""
    n_dense = model.n_layers if model.experts is None else model.experts.n_dense_layers
    return n_dense, model.n_layers - n_dense


def _feed_forward_parameters(model: Transformer, ffn_hidden: int) -> int:
    """Return the parameters of a feed-forward network of some width, gated or not."""
    return (3 if model.gated else 2) * model.hidden * ffn_hidden


def _shared_parameters_of_layer(model: Transformer) -> int:
    """Return the parameters of attention, router and shared experts of a layer with experts."""
    experts = model.experts
    if experts is None:
        return 0
    shared = experts.n_shared * _feed_forward_parameters(model, experts.ffn_hidden)
    return attention_parameters(model) + model.hidden * experts.n_experts + shared


def _norm_parameters(model: Transformer) -> int:
    """Return the parameters of all norms: two in each layer, and the last one."""
    return (2 * model.n_layers + 1) * model.hidden


def _embedding_parameters(model: Transformer) -> int:
    """Return the parameters of input embedding and output layer; tied ones count once."""
    return (1 if model.tied else 2) * model.vocabulary * model.hidden
