"""Activations that layers keep from their forward pass to their backward pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hindmost.catalog import Encoder, Layer, Transformer, kinds_of_layers, layers_of
from hindmost.catalog.transformer import SCORED
from hindmost.physics.encoders import encoder_layer_bytes
from hindmost.physics.flops import norm_parameters
from hindmost.physics.formats import value_bytes
from hindmost.physics.job import Job
from hindmost.physics.stages import Stage
from hindmost.units import BF16_BYTES

RECOMPUTATIONS = ("none", "selective", "full")
"""Values of `recompute`, from no recomputation to that of all activations."""

SELECTIVE = ("norms", "activations")
"""Parts of a layer that selective recomputation computes again."""


def kept_bytes_of_chunks(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of activations of one token that an average chunk of a stage keeps.

    Those that lie in the host's memory do not count.
    """
    # The microbatches in flight are spread evenly over the chunks.
    model = job.model
    kept = 0.0
    for chunk in chunks:
        kept += _kept_bytes(job, chunk) - offloaded_bytes_per_token(job, chunk)
        if chunk.has_input and model.encoder is not None:
            kept += model.encoder.n_layers * _encoder_bytes(job, model.encoder, _again(job))
    return kept / len(chunks)


def _again(job: Job) -> tuple[str, ...]:
    """Return the parts of an encoder's layers that are computed again."""
    workload = job.workload
    if workload.recompute == "full":
        # Of some layers only, the encoder is none.
        return ("all",) if workload.recompute_layers is None else ()
    selective = SELECTIVE if workload.recompute == "selective" else ()
    return (*workload.recompute_modules, *selective)


def _encoder_bytes(job: Job, encoder: Encoder, again: Collection[str]) -> float:
    """Return what a layer of an encoder keeps for one token of the sequence behind it."""
    if job.workload.trainable != "all":
        return 0.0
    return encoder_layer_bytes(encoder, again) * encoder.tokens / job.workload.seq_len


def offloaded_bytes_per_token(job: Job, chunk: Stage) -> float:
    """Return the bytes of activations of one token that lie in the host's memory between passes."""
    n_layers = min(job.workload.offload_layers or 0, len(chunk.layers))
    return _kept_bytes(job, chunk, range(chunk.layers.start, chunk.layers.start + n_layers))


def passing_bytes_of_chunks(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of one token's activations that are there for a moment, of one layer.

    Of the largest layer, or part of one, that is computed again, and of the largest that comes back
    from the host.
    """
    return max((_passing_bytes(job, chunk) for chunk in chunks), default=0.0)


def _passing_bytes(job: Job, chunk: Stage) -> float:
    workload = job.workload

    def kept(layer: Layer, modules: Collection[str] = (), recompute: str = "none") -> float:
        dtype = workload.activation_dtype
        return kept_bytes_per_token(job.model, recompute, layer, dtype, modules=modules)

    passing = [0.0]
    encoder = job.model.encoder if chunk.has_input else None
    if encoder is not None:
        kept_of_encoder = _encoder_bytes(job, encoder, _again(job))
        passing.append(_encoder_bytes(job, encoder, ()) - kept_of_encoder)
    if workload.recompute == "full":
        again = kinds_of_layers(job.model, job.layers_again(chunk))
        passing += [kept(layer) for layer, _ in again]
    parts = [module for module in workload.recompute_modules if module not in SELECTIVE]
    if parts:
        every = kinds_of_layers(job.model, chunk.layers)
        passing += [kept(layer) - kept(layer, (part,)) for layer, _ in every for part in parts]
    n_layers = min(workload.offload_layers or 0, len(chunk.layers))
    if n_layers:
        moved = range(chunk.layers.start, chunk.layers.start + n_layers)
        recompute = "none" if workload.recompute == "full" else workload.recompute
        kinds = kinds_of_layers(job.model, moved)
        passing += [kept(layer, workload.recompute_modules, recompute) for layer, _ in kinds]
    return max(passing)


def _kept_bytes(job: Job, chunk: Stage, of: range | None = None) -> float:
    """Return the bytes of one token that layers of a chunk keep, all of them by default."""
    workload = job.workload
    again = job.layers_again(chunk)
    of = chunk.layers if of is None else of
    computed_again = range(of.start, max(of.start, min(of.stop, again.stop)))
    rest = range(computed_again.stop, of.stop)
    recompute = workload.recompute
    parts = [(computed_again, recompute), (rest, "none" if recompute == "full" else recompute)]
    return sum(
        n
        * kept_bytes_per_token(
            job.model,
            recomputed,
            layer,
            workload.activation_dtype,
            modules=workload.recompute_modules,
        )
        for layers, recomputed in parts
        for layer, n in kinds_of_layers(job.model, layers)
    )


def kept_bytes_per_token(
    model: Transformer,
    recompute: str,
    layer: Layer | None = None,
    dtype: str = "bf16",
    *,
    modules: Collection[str] = (),
) -> float:
    """Return the bytes of one token's activations that a layer keeps for its backward pass.

    Parameters
    ----------
    model
        The model.
    recompute
        What is computed again, one of `RECOMPUTATIONS`.
    layer
        The kind of layer; that of the first layer by default.
    dtype
        Number format of what is kept in one.
    modules
        Parts of the layer that are computed again, beside those that `recompute` names.

    Notes
    -----
    Inputs of matrix products and of the activation function are in the format `dtype`, all
    others in BF16: the inputs of norms, and what the attention keeps. ``none`` keeps input
    and output of all norms, queries, keys, values, the output of the attention, and the
    inputs (two where it is gated) and output of the feed-forward network's activation
    function. ``selective`` computes the outputs of norms and of the activation function
    again, ``full`` all but the layer's input. Attention and feed-forward network that are computed
    again keep their input, which is the output of a norm. Of experts, those that process the token
    count. Latent attention keeps its latent vectors as well. Linear attention and state spaces
    keep what their first product gives and what their second one takes.

    Examples
    --------
    In units of the hidden width:

    >>> from hindmost import catalog
    >>> model = catalog.model("llama3-405b")
    >>> [kept_bytes_per_token(model, kind) / model.hidden for kind in RECOMPUTATIONS]
    [31.75, 21.25, 2.0]
    """
    if recompute == "full":
        return float(BF16_BYTES * model.hidden)
    layer = layer or layers_of(model)[0]
    again = {*modules, *(SELECTIVE if recompute == "selective" else ())}
    of_norms = norm_parameters(model, layer)
    inputs = in_bf16 = 0
    if "feed_forward" not in again:
        of_feed_forward = _feed_forward_width(model, layer)
        inputs += (2 if model.gated else 1) * of_feed_forward
        inputs += 0 if "activations" in again else of_feed_forward
    if "attention" not in again:
        in_bf16 += _attention_width(model, layer)
        if model.latent is not None and layer.attention in SCORED:
            latent = model.latent
            inputs += (latent.q_rank or 0) + latent.kv_rank + latent.rope_head_dim
    inputs += 0 if "norms" in again else of_norms
    return BF16_BYTES * (of_norms + in_bf16) + value_bytes(dtype) * inputs


def _attention_width(model: Transformer, layer: Layer) -> int:
    """Return the values of one token that the attention of a layer keeps."""
    if layer.attention == "none":
        return 0
    if layer.attention == "linear":
        linear = model.linear
        assert linear is not None
        return 2 * linear.keys + 3 * linear.values + 2 * linear.n_value_heads
    if layer.attention == "state-space":
        space = model.state_space
        assert space is not None
        return 2 * space.inner + space.convolved + space.n_heads
    values = model.n_heads * model.value_head_dim
    width = model.n_heads * model.head_dim + values
    width += model.n_kv_heads * (model.head_dim + model.value_head_dim)
    width += values if model.attention_gate else 0
    if layer.attention == "sparse":
        indexer = model.indexer
        assert indexer is not None
        width += (indexer.n_heads + 1) * indexer.head_dim + indexer.n_heads
    return width


def _feed_forward_width(model: Transformer, layer: Layer) -> int:
    """Return the width of the feed-forward networks that process one token in a layer."""
    if layer.feed_forward == "dense":
        return layer.ffn_hidden
    experts = model.experts
    if layer.feed_forward == "none" or experts is None:
        return 0
    return experts.per_token * experts.ffn_hidden + experts.shared_hidden
