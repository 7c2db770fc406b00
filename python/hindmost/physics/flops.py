"""Parameters and FLOPs of a transformer."""

from __future__ import annotations

from hindmost.catalog import Model

FORWARD_SHARE_OF_PASSES = 1 / 3
"""A backward pass multiplies twice as much as a forward pass."""


def parameters(model: Model) -> int:
    """Return all parameters of a model: matrices, norms and both embeddings.

    Examples
    --------
    >>> from hindmost import catalog
    >>> parameters(catalog.model("llama3-405b"))
    405853388800
    """
    norms = (2 * model.n_layers + 1) * model.hidden
    return matmul_parameters(model) + norms + model.vocabulary * model.hidden


def matmul_parameters(model: Model) -> int:
    """Return the parameters that multiply: the output layer, but not the input embedding."""
    return model.n_layers * layer_matmul_parameters(model) + model.vocabulary * model.hidden


def layer_matmul_parameters(model: Model) -> int:
    """Return the parameters of one layer's matrices."""
    queries = model.n_heads * model.head_dim
    keys_and_values = 2 * model.n_kv_heads * model.head_dim
    attention = model.hidden * (2 * queries + keys_and_values)
    return attention + 3 * model.hidden * model.ffn_hidden


def attention_flops_per_token(
    *, n_layers: int, n_heads: int, d_qk: int, d_v: int, seq_len: int, causal: bool
) -> float:
    """Return the FLOPs of a token's attention scores and values, forward and backward.

    Notes
    -----
    ``6 * n_layers * n_heads * (d_qk + d_v) * seq_len * c`` with c = 1/2 where
    only the causal half of the scores counts, else 1.
    """
    share = 0.5 if causal else 1.0
    return 6 * n_layers * n_heads * (d_qk + d_v) * seq_len * share


def model_flops_per_token(model: Model, *, seq_len: int, causal: bool) -> float:
    """Return the model FLOPs of a token, forward and backward.

    Notes
    -----
    ``6 * matmul_parameters`` and the attention. What is computed again does
    not count: these are the FLOPs of MFU.
    """
    attention = attention_flops_per_token(
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        d_qk=model.head_dim,
        d_v=model.head_dim,
        seq_len=seq_len,
        causal=causal,
    )
    return 6 * matmul_parameters(model) + attention


def recomputed_share(recompute: str) -> float:
    """Return the FLOPs that are computed again, as a share of the model FLOPs.

    Full recomputation repeats the forward pass, a third of them; selective
    recomputation repeats only what needs no matrix product.
    """
    return FORWARD_SHARE_OF_PASSES if recompute == "full" else 0.0
