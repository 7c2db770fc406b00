"""FLOPs of a token as other tools count them, by what they are spent on."""

from __future__ import annotations

from dataclasses import replace

from hindmost.catalog import Counts, Layer, Transformer
from hindmost.physics.flops import (
    FORWARD_SHARE_OF_PASSES,
    all_kinds,
    attention_parameters,
    feed_forward_parameters,
    joint_parameters,
    layer_attention_flops_per_token,
    norm_parameters,
    output_parameters,
    routed_parameters,
    router_parameters,
    shared_parameters,
)

UNCOUNTED = ("sparse", "linear", "state-space")
"""Kinds of attention that no convention here describes."""

OWN_PARAMETERS = "parameters by its own figure"
"""The part of all parameters of a model of which the tool has a figure of its own."""


def counted_flops_by_part(
    counts: Counts,
    model: Transformer,
    *,
    seq_len: int,
    recompute: str = "none",
    name: str | None = None,
) -> dict[str, float]:
    """Return the FLOPs of one token as a tool counts them, by what they are spent on.

    Parameters
    ----------
    counts
        What the tool counts.
    model
        A model whose layers `counts` describes: see `unknown_to`.
    seq_len
        Tokens of a sequence.
    recompute
        What the backward pass computes again, as in ``[workload]``.
    name
        Name of the model in the catalogue, by which the tool may have its own parameters of it.

    Notes
    -----
    Parts have the names of `flops_by_part`, and those that are none there names of their own. A
    part that the tool leaves out is absent.
    """
    if name in counts.parameters:
        numbers = {OWN_PARAMETERS: counts.parameters[name]}
    else:
        numbers = _parameters(counts, model)
    parts = {part: 6.0 * number for part, number in numbers.items()}
    parts |= _scores(counts, model, seq_len)
    if counts.recomputation and recompute == "full":
        parts["forward pass again"] = FORWARD_SHARE_OF_PASSES * sum(parts.values())
    return {part: flops for part, flops in parts.items() if flops}


def unknown_to(counts: Counts, model: Transformer, *, seq_len: int) -> list[str]:
    """Return what a model has that a tool's formula does not know, or that is not described."""
    layers = [layer for layer, _ in all_kinds(model)]
    kinds = {layer.attention for layer in layers}
    heads = {model.n_heads * model.head_dim, model.n_heads * model.value_head_dim}
    narrower = any(layer.reach is not None and layer.reach < seq_len for layer in layers)
    has = {
        "experts": model.experts is not None,
        "latent": model.latent is not None,
        "wide-heads": model.latent is None and heads != {model.hidden},
        "tied": model.tied,
    }
    words = {
        "experts": "experts",
        "latent": "latent attention",
        "wide-heads": "heads that are together not as wide as the residual stream",
        "tied": "an output layer that shares the embedding",
    }
    found = [words[key] for key in counts.without if has[key]]
    found += [f"{kind} attention" for kind in UNCOUNTED if kind in kinds]
    if counts.windows is None and narrower:
        found.append("windows of attention")
    if model.encoder is not None:
        found.append("an encoder")
    return found


def _kinds(counts: Counts, model: Transformer) -> list[tuple[Layer, int]]:
    return [
        (layer, n)
        for layer, n in all_kinds(model)
        if counts.predicts_next or not layer.predicts_next
    ]


def _parameters(counts: Counts, model: Transformer) -> dict[str, float]:
    """Return the parameters that a tool counts, by what they belong to."""
    kinds = _kinds(counts, model)
    hidden = model.hidden
    parts = dict.fromkeys(_PRODUCTS, 0.0)
    for layer, n in kinds:
        for name, parameters in _PRODUCTS.items():
            parts[name] += n * parameters(model, layer)
        if counts.router == "all-layers" and model.experts and layer.feed_forward != "experts":
            parts["router"] += n * hidden * model.experts.n_experts
        parts["norms"] = parts.get("norms", 0.0) + n * _norms(counts, model, layer)
    n_layers = sum(n for _, n in kinds)
    if counts.heads != "model":
        shared = model.n_kv_heads / model.n_heads if counts.heads == "hidden" else 1
        parts["attention products"] = n_layers * 2 * hidden**2 * (1 + shared)
    if counts.experts == "picked" and model.experts is not None:
        parts["routed experts"] *= model.experts.per_token / model.experts.n_experts
    if counts.router == "none":
        parts["router"] = 0.0
    if counts.feed_forward != "model":
        parts |= {"routed experts": 0.0, "shared experts": 0.0, "router": 0.0}
        parts["dense feed-forward"] = _of_one_width(counts, model, n_layers)
    if counts.norms == "all":
        parts["norms"] += hidden
    output = output_parameters(model)
    is_own = counts.embedding != "output-if-own" or not model.tied
    n_outputs = 1 + counts.predicts_next * model.n_mtp_layers
    parts["output layer"] = counts.output_layer * output * is_own * n_outputs
    counts_embedding = counts.embedding == "product" or (
        counts.embedding == "parameters" and not model.tied
    )
    parts["input embedding"] = float(output * counts_embedding)
    return parts


_PRODUCTS = {
    "attention products": attention_parameters,
    "dense feed-forward": feed_forward_parameters,
    "routed experts": routed_parameters,
    "shared experts": shared_parameters,
    "router": router_parameters,
    "joining next tokens": joint_parameters,
}
"""Parameters of a layer by the parts of `flops_by_part`, all experts included."""


def _of_one_width(counts: Counts, model: Transformer, n_layers: int) -> float:
    """Return the parameters of feed-forward networks that do not follow from the model's."""
    if counts.feed_forward == "four-wide":
        return n_layers * 8.0 * model.hidden**2
    n_with_experts = n_layers // 2 if model.experts is not None else 0
    picked = 0 if model.experts is None else model.experts.per_token
    networks = n_layers - n_with_experts + n_with_experts * picked
    return networks * 2.0 * model.hidden * model.ffn_hidden


def _norms(counts: Counts, model: Transformer, layer: Layer) -> int:
    """Return the weights of a layer's norms that count."""
    latent = model.latent
    of_latent = 0 if latent is None else (latent.q_rank or 0) + latent.kv_rank
    if counts.norms == "none":
        return 0
    return of_latent + (norm_parameters(model, layer) if counts.norms == "all" else 0)


def _scores(counts: Counts, model: Transformer, seq_len: int) -> dict[str, float]:
    """Return the FLOPs of attention beside its products with weights."""
    if counts.attention == "none":
        return {}
    scores = 0.0
    for layer, n in _kinds(counts, model):
        is_whole = counts.windows != "counted" and layer.attention != "none"
        counted = replace(layer, attention="full", reach=None) if is_whole else layer
        causal = counts.attention == "causal"
        scores += n * layer_attention_flops_per_token(
            model, counted, seq_len=seq_len, causal=causal
        )
    widths = model.head_dim + model.value_head_dim
    keys = scores / (6 * widths * model.n_heads)
    if counts.heads != "model":
        scores = 6 * 2 * model.hidden * keys
    return {
        "attention scores": scores,
        "scores again": 2 * model.n_heads * model.head_dim * keys * counts.scores_again,
        "mask and softmax": counts.flops_per_score * model.n_heads * keys,
    }
