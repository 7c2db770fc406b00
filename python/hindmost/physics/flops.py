"""Parameters and FLOPs of a transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hindmost.catalog import Experts, Layer, Transformer, kinds_of_layers
from hindmost.physics.documents import Packs
from hindmost.physics.encoders import encoder_flops, encoder_parameters
from hindmost.physics.matrices import (
    attention_matrices,
    convolution_parameters,
    network_matrices,
)

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
    layers = sum(
        n * (layer_parameters(model, layer) + norm_parameters(model, layer))
        for layer, n in all_kinds(model)
    )
    return layers + model.hidden + _embedding_parameters(model) + encoder_parameters(model)


def active_parameters(model: Transformer) -> int:
    """Return the parameters that process one token: of the routed experts only those picked."""
    norms = model.hidden + sum(n * norm_parameters(model, layer) for layer, n in all_kinds(model))
    layers = sum(n * layer_matmul_parameters(model, layer) for layer, n in all_kinds(model))
    return layers + norms + _embedding_parameters(model) + encoder_parameters(model)


def matmul_parameters(model: Transformer) -> int:
    """Return the active parameters that matrix products use.

    The output layer counts, tied or not, and again for each layer of multi-token prediction. The
    input embedding is looked up and does not.
    """
    layers = sum(n * layer_matmul_parameters(model, layer) for layer, n in all_kinds(model))
    return layers + (1 + model.n_mtp_layers) * output_parameters(model)


def expert_parameters(model: Transformer) -> int:
    """Return the parameters of all routed experts, which expert ranks divide among them."""
    return sum(n * routed_parameters(model, layer) for layer, n in all_kinds(model))


def output_parameters(model: Transformer) -> int:
    """Return the parameters of the output layer."""
    return model.vocabulary * model.hidden


def all_kinds(model: Transformer) -> tuple[tuple[Layer, int], ...]:
    """Return the kinds of layers of a model, and how many there are of each."""
    return kinds_of_layers(model, range(model.depth))


def layer_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of the matrices of a layer, all experts included."""
    not_picked = routed_parameters(model, layer) - _picked_parameters(model, layer)
    return layer_matmul_parameters(model, layer) + not_picked


def layer_matmul_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer that matrix products use for one token."""
    return (
        attention_parameters(model, layer)
        + feed_forward_parameters(model, layer)
        + router_parameters(model, layer)
        + shared_parameters(model, layer)
        + _picked_parameters(model, layer)
        + joint_parameters(model, layer)
    )


def norm_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer's norms over the residual stream.

    One before attention and one before the feed-forward network, or one before both side by side.
    A layer of multi-token prediction has two for what it takes and one for what it gives.
    """
    parts = (layer.attention != "none") + (layer.feed_forward != "none")
    norms = 1 if model.parallel else parts
    return (norms + 3 * layer.predicts_next) * model.hidden


def attention_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of one layer's attention: its matrices and convolutions."""
    matrices = attention_matrices(model, layer)
    return sum(one.parameters for one in matrices) + convolution_parameters(model, layer)


def feed_forward_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer's dense feed-forward network."""
    return _gated(model, layer.ffn_hidden) if layer.feed_forward == "dense" else 0


def router_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer's router, which picks experts."""
    experts = _experts(model, layer)
    return 0 if experts is None else model.hidden * experts.n_experts


def shared_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer's experts that process every token."""
    experts = _experts(model, layer)
    return 0 if experts is None else _gated(model, experts.shared_hidden)


def routed_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of all routed experts of a layer."""
    experts = _experts(model, layer)
    return 0 if experts is None else experts.n_experts * _gated(model, experts.ffn_hidden)


def joint_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters with which multi-token prediction joins two vectors into one."""
    return 2 * model.hidden**2 if layer.predicts_next else 0


def adapter_parameters(model: Transformer, layer: Layer, rank: int) -> int:
    """Return the parameters of adapters of some rank beside the matrices of a layer.

    Two for each matrix, rank x (rows + columns) together (Hu et al., LoRA, arXiv 2106.09685,
    section 4.1). Routed experts, routers and what is neither attention nor a feed-forward network
    have none.
    """
    experts = _experts(model, layer)
    width = layer.ffn_hidden if layer.feed_forward == "dense" else 0
    width = width if experts is None else experts.shared_hidden
    matrices = attention_matrices(model, layer) + network_matrices(model, width)
    return rank * sum(one.taken + one.given for one in matrices)


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
    ``6 * n_layers * n_heads * (d_qk + d_v) * keys``, by the keys that a token attends to on
    average: S c without a window, where c is 1/2 if only the causal half of the scores counts, and
    else 1; ``W - W (W - 1) / (2 S)`` with a causal window of W < S, and W with one that is not.
    """
    return 6 * n_layers * n_heads * (d_qk + d_v) * _keys_in_window(window, seq_len, causal)


def attention_flops_of(
    model: Transformer,
    kinds: Sequence[tuple[Layer, int]],
    seq_len: float,
    *,
    causal: bool,
    after: float = 0.0,
    documents: Packs | None = None,
) -> float:
    """Return the FLOPs of one token in the attention of some layers beside their products.

    Parameters
    ----------
    model, kinds
        The model, and kinds of its layers with the number of each.
    seq_len, causal, after
        As of `layer_attention_flops_per_token`.
    documents
        Documents in each sequence, within which attention stays; instead of `after`.
    """

    def of_length(tokens: float, after: float = 0.0) -> float:
        return sum(
            n
            * layer_attention_flops_per_token(
                model, layer, seq_len=tokens, causal=causal, after=after
            )
            for layer, n in kinds
        )

    return of_length(seq_len, after) if documents is None else documents.per_token(of_length)


def layer_attention_flops_per_token(
    model: Transformer, layer: Layer, *, seq_len: float, causal: bool, after: float = 0.0
) -> float:
    """Return the FLOPs of one token in one layer's attention beside its products.

    Forward and backward. Scores and values where it has scores; the recurrence of linear attention
    and state spaces. On average of all tokens of a sequence, or of those after the first few.

    Notes
    -----
    Chunks are sequences of their own, the last one shorter where they do not divide. An indexer
    scores all keys. The state of linear attention takes four products of a head's key and value
    widths a token, and a state space 7 FLOPs a channel and state, as Megatron-LM counts them.
    """
    if layer.attention == "none":
        return 0.0
    if layer.attention == "linear":
        linear = model.linear
        assert linear is not None
        return 24.0 * linear.n_value_heads * linear.key_head_dim * linear.value_head_dim
    if layer.attention == "state-space":
        space = model.state_space
        assert space is not None
        return 21.0 * space.inner * space.state
    widths = model.n_heads * (model.head_dim + model.value_head_dim)
    if layer.attention == "sparse":
        indexer = model.indexer
        assert indexer is not None
        attended = widths * _keys_in_window(indexer.top_k, seq_len, causal, after)
        every = _keys_in_window(None, seq_len, causal, after)
        scored = indexer.n_heads * indexer.head_dim * every
        return 6 * (attended + scored)
    if layer.attention == "chunked":
        return 6 * widths * _keys_in_chunks(layer.reach, seq_len, causal, after)
    return 6 * widths * _keys_in_window(layer.reach, seq_len, causal, after)


def model_flops_per_token(
    model: Transformer,
    *,
    seq_len: int,
    causal: bool,
    adapter_rank: int | None = None,
    documents: Packs | None = None,
) -> float:
    """Return the model FLOPs of one token, forward and backward.

    Parameters
    ----------
    model
        The model.
    seq_len, causal
        Tokens of a sequence, and whether only the causal half of scores counts.
    adapter_rank
        Rank of adapters that are trained while all else is frozen; None where all is trained.
    documents
        Documents in each sequence, within which attention stays.

    Notes
    -----
    ``6 * matmul_parameters`` plus the attention. These are the FLOPs of MFU, in which
    recomputation does not count. Frozen parameters have no gradient: 4 instead of 6 each. An
    encoder counts by its tokens for each of the sequence.
    """
    kinds = all_kinds(model)
    attention = attention_flops_of(model, kinds, seq_len, causal=causal, documents=documents)
    # Adapters are beside the layers of the model only.
    encoder = encoder_flops(model, seq_len, frozen=adapter_rank is not None).total
    if adapter_rank is None:
        return 6 * matmul_parameters(model) + attention + encoder
    adapters = sum(n * adapter_parameters(model, one, adapter_rank) for one, n in kinds)
    return 4 * matmul_parameters(model) + 6 * adapters + attention + encoder


def flops_by_part(model: Transformer, *, seq_len: int, causal: bool) -> dict[str, float]:
    """Return the model FLOPs of one token by what they are spent on, without what has none.

    They add up to `model_flops_per_token`.
    """
    kinds = all_kinds(model)

    def products(parameters: Callable[[Transformer, Layer], int]) -> float:
        return 6.0 * sum(n * parameters(model, layer) for layer, n in kinds)

    parts = {
        "attention products": products(attention_parameters),
        "attention scores": attention_flops_of(model, kinds, seq_len, causal=causal),
        "dense feed-forward": products(feed_forward_parameters),
        "routed experts": products(_picked_parameters),
        "shared experts": products(shared_parameters),
        "router": products(router_parameters),
        "joining next tokens": products(joint_parameters),
        "encoder": encoder_flops(model, seq_len).total,
        "output layer": 6.0 * (1 + model.n_mtp_layers) * output_parameters(model),
    }
    return {part: flops for part, flops in parts.items() if flops}


def recomputed_share(recompute: str) -> float:
    """Return the FLOPs of recomputation, as a share of the model FLOPs.

    Full recomputation repeats the forward pass, a third of them. Selective
    recomputation repeats only operations that are no matrix products.
    """
    return FORWARD_SHARE_OF_PASSES if recompute == "full" else 0.0


def processing_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of a layer's feed-forward networks that process one token."""
    dense = feed_forward_parameters(model, layer)
    return dense + shared_parameters(model, layer) + _picked_parameters(model, layer)


MODULE_PARAMETERS = {"attention": attention_parameters, "feed_forward": processing_parameters}
"""Parameters that multiply for a token in each part of a layer that can be computed again."""
WITH_FLOPS = tuple(MODULE_PARAMETERS)
"""Parts of a layer that take FLOPs to compute again."""


def _experts(model: Transformer, layer: Layer) -> Experts | None:
    return model.experts if layer.feed_forward == "experts" else None


def _picked_parameters(model: Transformer, layer: Layer) -> int:
    """Return the parameters of the experts that a token is sent to."""
    experts = _experts(model, layer)
    return 0 if experts is None else experts.per_token * _gated(model, experts.ffn_hidden)


def _gated(model: Transformer, width: int) -> int:
    """Return the parameters of a feed-forward network of some width, gated or not."""
    return (3 if model.gated else 2) * model.hidden * width


def _embedding_parameters(model: Transformer) -> int:
    """Return the parameters of input embedding and output layer; tied ones count once."""
    return (1 if model.tied else 2) * model.vocabulary * model.hidden


def _keys_in_window(window: int | None, seq_len: float, causal: bool, after: float = 0.0) -> float:
    """Return the keys that a token attends to on average, at most those of a window."""
    if window is None or window >= seq_len:
        return (after + seq_len) / 2 if causal else float(seq_len)
    if not causal or after >= window:
        return float(window)
    # The first tokens of a sequence have fewer before them.
    missing = (window * (window - 1) - after * (2 * window - after - 1)) / 2
    return window - missing / (seq_len - after)


def _keys_in_chunks(chunk: int | None, seq_len: float, causal: bool, after: float = 0.0) -> float:
    """Return the keys that a token attends to on average, in chunks of the sequence."""
    assert chunk is not None

    def scores(tokens: float) -> float:
        whole, rest = divmod(tokens, chunk)
        return whole * chunk**2 + rest**2

    if not causal:
        return scores(seq_len) / seq_len
    return (scores(seq_len) - scores(after)) / (seq_len - after) / 2
