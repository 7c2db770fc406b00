"""Matrices of a layer: what its products, its parameters and its adapters follow from."""

from __future__ import annotations

from typing import Literal, NamedTuple

from hindmost.catalog import Layer, Transformer


class Matrix(NamedTuple):
    """One matrix, which every token is multiplied with.

    Tensor ranks divide the columns of the first matrix of a pair, and what the second one takes
    (Shoeybi et al., Megatron-LM, arXiv 1909.08053, section 3).
    """

    taken: int
    """Width of what goes in."""
    given: int
    """Width of what comes out."""
    divided: Literal["taken", "given"]
    """Which of both tensor ranks divide among them."""

    @property
    def parameters(self) -> int:
        """Its elements."""
        return self.taken * self.given


def attention_matrices(model: Transformer, layer: Layer) -> list[Matrix]:
    """Return the matrices of one layer's attention; convolutions are none.

    Notes
    -----
    Latent attention makes the queries of all heads from a vector of width ``q_rank``,
    and the values and the non-positional part of keys from one of ``kv_rank``. The
    positional part of keys comes from the residual stream, once for all heads
    (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    The indexer of sparse attention has queries from the same vector, one key a token and a
    weight for each head (DeepSeek-V3.2, arXiv 2512.02556, section 2).

    Linear attention and state spaces have one product from the residual stream, for queries, keys,
    values, gates and decays, a convolution over each channel of the first three, and one product
    back (Gated Delta Networks, arXiv 2412.06464; Mamba-2, arXiv 2405.21060).
    """
    if layer.attention == "none":
        return []
    if layer.attention == "linear":
        linear = model.linear
        assert linear is not None
        taken = 2 * linear.keys + 2 * linear.values + 2 * linear.n_value_heads
        return _around(model, taken, linear.values)
    if layer.attention == "state-space":
        space = model.state_space
        assert space is not None
        return _around(model, space.inner + space.convolved + space.n_heads, space.inner)
    queries, values = model.n_heads * model.head_dim, model.n_heads * model.value_head_dim
    gate = values if model.attention_gate else 0
    indexer = _indexer(model) if layer.attention == "sparse" else []
    if model.latent is None:
        keys_and_values = model.n_kv_heads * (model.head_dim + model.value_head_dim)
        return [*_around(model, queries + keys_and_values + gate, values), *indexer]
    latent = model.latent
    down = (latent.q_rank or 0) + latent.kv_rank + latent.rope_head_dim
    keys = model.n_heads * (model.head_dim - latent.rope_head_dim)
    first, back = _around(model, down + gate, values)
    return [
        first,
        Matrix(latent.q_rank or model.hidden, queries, "given"),
        Matrix(latent.kv_rank, keys + values, "given"),
        back,
        *indexer,
    ]


def convolution_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of the convolutions of linear attention and of state spaces."""
    if layer.attention == "linear":
        linear = model.linear
        assert linear is not None
        return linear.conv * (2 * linear.keys + linear.values)
    if layer.attention == "state-space":
        space = model.state_space
        assert space is not None
        return space.conv * space.convolved
    return 0


def network_matrices(model: Transformer, width: int) -> list[Matrix]:
    """Return the matrices of a feed-forward network of some width, none where it is 0."""
    return _around(model, (2 if model.gated else 1) * width, width) if width else []


def _around(model: Transformer, given: int, taken: int) -> list[Matrix]:
    """Return a matrix from the residual stream to some width, and one back to it."""
    return [Matrix(model.hidden, given, "given"), Matrix(taken, model.hidden, "taken")]


def _indexer(model: Transformer) -> list[Matrix]:
    indexer = model.indexer
    assert indexer is not None
    taken = (model.latent and model.latent.q_rank) or model.hidden
    return [
        Matrix(taken, indexer.n_heads * indexer.head_dim, "given"),
        Matrix(model.hidden, indexer.head_dim + indexer.n_heads, "given"),
    ]
