"""Memory of one GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hindmost.catalog import Layer, Transformer, kinds_of_layers, layers_of
from hindmost.catalog.transformer import SCORED
from hindmost.physics.encoders import encoder_kept_bytes
from hindmost.physics.flops import norm_parameters
from hindmost.physics.formats import gradient_bytes, value_bytes
from hindmost.physics.job import Job
from hindmost.physics.schedule import schedule
from hindmost.physics.stages import RankParameters, Stage
from hindmost.scenario.counts import same_experts_among
from hindmost.scenario.ideal import NOTHING
from hindmost.units import BF16_BYTES

RECOMPUTATIONS = ("none", "selective", "full")
"""Values of `recompute`, from no recomputation to that of all activations."""

WEIGHT_BYTES = BF16_BYTES
"""Bytes of a weight in BF16."""

OPTIMIZER_BYTES = {"fp32": 12, "bf16": 8}
"""Bytes of optimizer states a parameter, by the number format of Adam's two moments: these, and
the weight in FP32 (Rajbhandari et al., ZeRO, SC 2020, section 3.1)."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory that one GPU needs, in bytes.

    Attributes
    ----------
    stage : int
        The pipeline stage whose GPUs need the most.
    states_bytes : float
        Weights, gradients and optimizer states.
    activations_bytes : float
        Activations kept for the backward pass.
    recomputed_bytes : float
        All activations of one layer, while they are computed again.
    logits_bytes : float
        Logits and their gradients, while the loss is computed.
    """

    stage: int
    states_bytes: float
    activations_bytes: float
    recomputed_bytes: float
    logits_bytes: float

    @property
    def total_bytes(self) -> float:
        """All that is held when most is: logits are gone when a layer is computed again."""
        most_at_once = max(self.recomputed_bytes, self.logits_bytes)
        return self.states_bytes + self.activations_bytes + most_at_once


def memory(job: Job, *, state_ranks: int, stages: Sequence[int] | None = None) -> Memory:
    """Return the memory that the fullest GPU of a pool needs.

    Gathered weights of the current layer and fragmentation by the allocator are not counted.

    Parameters
    ----------
    job
        What a replica computes.
    state_ranks
        Data-parallel ranks among which the layout shards states, >= 1.
    stages
        Stages that lie in the pool; all by default.

    Notes
    -----
    A stage keeps the activations of as many chunks of microbatches as its
    schedule starts before the first backward pass.
    """
    tokens = job.microbatch_tokens / job.stage_ranks
    every = zip(job.chunks_of_stages, job.stage_parameters, _in_flight(job), strict=True)
    needed = [
        Memory(
            stage=stage,
            states_bytes=_states_bytes(job, state_ranks, parameters),
            activations_bytes=in_flight * _kept_bytes_per_token(job, chunks) * tokens,
            recomputed_bytes=_recomputed_bytes_per_token(job, chunks) * tokens,
            logits_bytes=_logits_bytes_per_token(job, chunks) * tokens,
        )
        for stage, (chunks, parameters, in_flight) in enumerate(every)
        if stages is None or stage in stages
    ]
    return max(needed, key=lambda memory: memory.total_bytes)


def _in_flight(job: Job) -> list[int]:
    """Return the greatest number of chunks of microbatches whose activations a stage keeps."""
    # What has to fit is the schedule as it is, not an ideal one.
    counts = schedule(replace(job, ideal=NOTHING)).in_flight()
    if job.layout.schedule == "zero-bubble":
        # Activations are kept until the gradients of weights are computed, which later
        # stages delay longer, so that all stages keep as much as the first one.
        return [max(counts)] * len(counts)
    return counts


def _kept_bytes_per_token(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of activations of one token that an average chunk of a stage keeps."""
    # The microbatches in flight are spread evenly over the chunks.
    model, workload = job.model, job.workload
    kept = 0.0
    for chunk in chunks:
        for layers, recompute in _recomputed_and_kept(job, chunk):
            kept += sum(
                n * kept_bytes_per_token(model, recompute, layer, workload.activation_dtype)
                for layer, n in kinds_of_layers(model, layers)
            )
        if chunk.has_input and model.encoder is not None and workload.trainable == "all":
            of_each = encoder_kept_bytes(model.encoder, workload.recompute)
            kept += of_each * model.encoder.tokens / workload.seq_len
    return kept / len(chunks)


def _recomputed_and_kept(job: Job, chunk: Stage) -> list[tuple[range, str]]:
    """Return the layers of a chunk by what is computed again of them."""
    again = job.layers_again(chunk)
    rest = range(again.stop, chunk.layers.stop)
    recompute = job.workload.recompute
    return [(again, recompute), (rest, "none" if recompute == "full" else recompute)]


def _logits_bytes_per_token(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of one token's logits, if a stage makes them.

    Tensor ranks divide the vocabulary and context ranks the tokens, as they do all activations.
    """
    layers = (layer for chunk in chunks for layer, _ in kinds_of_layers(job.model, chunk.layers))
    makes = any(chunk.has_output for chunk in chunks) or any(one.predicts_next for one in layers)
    return makes * job.workload.logit_bytes * job.model.vocabulary


def _recomputed_bytes_per_token(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of one token's activations in the largest layer, if it is recomputed."""
    if job.workload.recompute != "full":
        return 0.0
    return max(
        (
            kept_bytes_per_token(job.model, "none", layer, job.workload.activation_dtype)
            for chunk in chunks
            for layer, _ in kinds_of_layers(job.model, job.layers_again(chunk))
        ),
        default=0.0,
    )


def _states_bytes(job: Job, state_ranks: int, parameters: RankParameters) -> float:
    """Return the bytes of a rank's states, sharded as the layout says.

    States of experts are sharded among the ranks that have the same experts.
    """
    layout = job.layout
    gradient = gradient_bytes(job.workload.gradient_dtype)
    trained = WEIGHT_BYTES + gradient + OPTIMIZER_BYTES[job.workload.moment_dtype]
    same_experts = same_experts_among(state_ranks, layout)

    def sharded(all_bytes: float, n_ranks: float) -> float:
        own = {"none": all_bytes, "zero1": WEIGHT_BYTES + gradient, "zero2": float(WEIGHT_BYTES)}
        own_bytes = min(all_bytes, own.get(layout.sharding, 0.0))
        return own_bytes + (all_bytes - own_bytes) / n_ranks

    if job.adapter_rank is not None:
        weights = sharded(WEIGHT_BYTES, state_ranks) * (parameters.dense + parameters.frozen)
        weights += sharded(WEIGHT_BYTES, same_experts) * parameters.routed
        return weights + sharded(trained, state_ranks) * parameters.adapters
    dense = sharded(trained, state_ranks) * parameters.dense
    dense += sharded(WEIGHT_BYTES, state_ranks) * parameters.frozen
    return dense + sharded(trained, same_experts) * parameters.routed


def kept_bytes_per_token(
    model: Transformer, recompute: str, layer: Layer | None = None, dtype: str = "bf16"
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

    Notes
    -----
    Inputs of matrix products and of the activation function are in the format `dtype`, all
    others in BF16: the inputs of norms, and what the attention keeps. ``none`` keeps input
    and output of all norms, queries, keys, values, the output of the attention, and the
    inputs (two where it is gated) and output of the feed-forward network's activation
    function. ``selective`` computes the outputs of norms and of the activation function
    again, ``full`` all but the layer's input. Of experts, those that process the token
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
    of_norms = norm_parameters(model, layer)
    of_feed_forward = _feed_forward_width(model, layer)
    inputs = (2 if model.gated else 1) * of_feed_forward
    if model.latent is not None and layer.attention in SCORED:
        latent = model.latent
        inputs += (latent.q_rank or 0) + latent.kv_rank + latent.rope_head_dim
    if recompute == "none":
        inputs += of_norms + of_feed_forward
    in_bf16 = of_norms + _attention_width(model, layer)
    return BF16_BYTES * in_bf16 + value_bytes(dtype) * inputs


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
