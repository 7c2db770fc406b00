"""Parameters and FLOPs of a transformer."""

from __future__ import annotations

from hindmost.catalog import Transformer

FORWARD_SHARE_OF_PASSES = 1 / 3
"""A backward pass multiplies twice as much as a forward pass."""


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
    """Return the parameters that a token meets: of the routed experts only its own."""
    input_only = 0 if model.tied else model.vocabulary * model.hidden
    return matmul_parameters(model) + _norm_parameters(model) + input_only


def matmul_parameters(model: Transformer) -> int:
    """Return the active parameters that multiply.

    The output layer does, tied or not; the input embedding is looked up.
    """
    n_dense, n_expert = _n_layers(model)
    dense = n_dense * dense_layer_parameters(model)
    return dense + n_expert * expert_layer_matmul_parameters(model) + output_parameters(model)


def expert_parameters(model: Transformer) -> int:
    """Return the parameters of all routed experts, which expert ranks divide."""
    return _n_layers(model)[1] * routed_parameters_of_layer(model)


def output_parameters(model: Transformer) -> int:
    """Return the parameters of the output layer."""
    return model.vocabulary * model.hidden


def attention_parameters(model: Transformer) -> int:
    """Return the parameters of one layer's attention.

    Notes
    -----
    Latent attention makes queries of all heads from ``q_rank``, and the part of
    keys without position and the values from ``kv_rank``; the part of keys with
    position comes from the residual stream, once for all heads (DeepSeek-V2,
    arXiv 2405.04434, section 2.1).
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
    """Return the parameters of the matrices of one layer without experts; all multiply."""
    return attention_parameters(model) + _product_parameters(model, model.ffn_hidden)


def expert_layer_parameters(model: Transformer) -> int:
    """Return the parameters of the matrices of one layer with experts: all of them."""
    return _shared_parameters_of_layer(model) + routed_parameters_of_layer(model)


def expert_layer_matmul_parameters(model: Transformer) -> int:
    """Return the parameters of one layer with experts that multiply for a token."""
    if model.experts is None:
        return 0
    own = model.experts.per_token * _product_parameters(model, model.experts.ffn_hidden)
    return _shared_parameters_of_layer(model) + own


def routed_parameters_of_layer(model: Transformer) -> int:
    """Return the parameters of the experts of one layer that a router picks from."""
    if model.experts is None:
        return 0
    return model.experts.n_experts * _product_parameters(model, model.experts.ffn_hidden)


def has_experts(model: Transformer, layer: int) -> bool:
    """Return whether a layer, counted from 0, has experts."""
    return model.experts is not None and layer >= model.experts.n_dense_layers


def layer_parameters(model: Transformer, layer: int) -> int:
    """Return the parameters of the matrices of a layer, counted from 0."""
    if has_experts(model, layer):
        return expert_layer_parameters(model)
    return dense_layer_parameters(model)


def layer_matmul_parameters(model: Transformer, layer: int) -> int:
    """Return the parameters of a layer, counted from 0, that multiply for a token."""
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
    """Return the FLOPs of a token's attention scores and values, forward and backward.

    Notes
    -----
    ``6 * n_layers * n_heads * (d_qk + d_v) * min(window, seq_len) * c`` with
    c = 1/2 where only the causal half of the scores counts, else 1.
    """
    share = 0.5 if causal else 1.0
    reach = seq_len if window is None else min(window, seq_len)
    return 6 * n_layers * n_heads * (d_qk + d_v) * reach * share


def layer_attention_flops_per_token(model: Transformer, *, seq_len: int, causal: bool) -> float:
    """Return the FLOPs of a token's attention in one layer, forward and backward."""
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
    """Return the model FLOPs of a token, forward and backward.

    Notes
    -----
    ``6 * matmul_parameters`` and the attention. What is computed again does
    not count: these are the FLOPs of MFU.
    """
    attention = layer_attention_flops_per_token(model, seq_len=seq_len, causal=causal)
    return 6 * matmul_parameters(model) + model.n_layers * attention


def recomputed_share(recompute: str) -> float:
    """Return the FLOPs that are computed again, as a share of the model FLOPs.

    Full recomputation repeats the forward pass, a third of them; selective
    recomputation repeats only what needs no matrix product.
    """
    return FORWARD_SHARE_OF_PASSES if recompute == "full" else 0.0


def _n_layers(model: Transformer) -> tuple[int, int]:
    """Return the layers without and with experts."""
    n_dense = model.n_layers if model.experts is None else model.experts.n_dense_layers
    return n_dense, model.n_layers - n_dense


def _product_parameters(model: Transformer, ffn_hidden: int) -> int:
    """Return the parameters of a product of some width, gated or not."""
    return (3 if model.gated else 2) * model.hidden * ffn_hidden


def _shared_parameters_of_layer(model: Transformer) -> int:
    """Return the parameters of attention, router and shared experts of a layer with experts."""
    experts = model.experts
    if experts is None:
        return 0
    shared = experts.n_shared * _product_parameters(model, experts.ffn_hidden)
    return attention_parameters(model) + model.hidden * experts.n_experts + shared


def _norm_parameters(model: Transformer) -> int:
    """Return the parameters of two norms a layer and the last one."""
    return (2 * model.n_layers + 1) * model.hidden


def _embedding_parameters(model: Transformer) -> int:
    """Return the parameters of input embedding and output layer, once where they are tied."""
    return (1 if model.tied else 2) * model.vocabulary * model.hidden
