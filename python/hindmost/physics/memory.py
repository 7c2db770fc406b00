"""Memory of one GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hindmost.catalog import kinds_of_layers
from hindmost.physics.activations import kept_bytes_of_chunks, passing_bytes_of_chunks
from hindmost.physics.formats import gradient_bytes
from hindmost.physics.job import Job
from hindmost.physics.schedule import schedule
from hindmost.physics.stages import RankParameters, Stage
from hindmost.scenario.counts import same_experts_among
from hindmost.scenario.ideal import NOTHING
from hindmost.units import BF16_BYTES

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
        All activations of one layer, while they are computed again or come back from the host.
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
            activations_bytes=in_flight * kept_bytes_of_chunks(job, chunks) * tokens,
            recomputed_bytes=passing_bytes_of_chunks(job, chunks) * tokens,
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


def _logits_bytes_per_token(job: Job, chunks: Sequence[Stage]) -> float:
    """Return the bytes of one token's logits, if a stage makes them.

    Tensor ranks divide the vocabulary and context ranks the tokens, as they do all activations.
    """
    layers = (layer for chunk in chunks for layer, _ in kinds_of_layers(job.model, chunk.layers))
    makes = any(chunk.has_output for chunk in chunks) or any(one.predicts_next for one in layers)
    return makes * job.workload.logit_bytes * job.model.vocabulary


def _states_bytes(job: Job, state_ranks: int, parameters: RankParameters) -> float:
    """Return the bytes of a rank's states, sharded as the layout says.

    States of experts are sharded among the ranks that have the same experts.
    """
    layout = job.layout
    gradient = gradient_bytes(job.workload.gradient_dtype)
    trained = WEIGHT_BYTES + gradient
    if not job.workload.offload_optimizer:
        trained += OPTIMIZER_BYTES[job.workload.moment_dtype]
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


def optimizer_bytes(job: Job, state_ranks: int, parameters: RankParameters) -> float:
    """Return the bytes that a rank's own optimizer moves in its memory in a step.

    Of each parameter whose optimizer it is: the gradient, for its norm and again for the step,
    states that are read and written, and the weight.
    """
    states = OPTIMIZER_BYTES[job.workload.moment_dtype]
    each = 2 * gradient_bytes(job.workload.gradient_dtype) + 2 * states + WEIGHT_BYTES
    return each * _owned(job, state_ranks, parameters)


def moved_bytes(job: Job, state_ranks: int, parameters: RankParameters) -> float:
    """Return the bytes that a rank moves in a step where the host has its optimizer.

    Gradients of what is trained go there and weights come back, of each parameter on the one rank
    whose optimizer it is.
    """
    each = gradient_bytes(job.workload.gradient_dtype) + WEIGHT_BYTES
    return each * _owned(job, state_ranks, parameters)


def _owned(job: Job, state_ranks: int, parameters: RankParameters) -> float:
    """Return the trained parameters whose optimizer a rank is."""
    if job.layout.sharding == "none":
        state_ranks = 1
    if job.adapter_rank is not None:
        return parameters.adapters / state_ranks
    of_experts = parameters.routed / same_experts_among(state_ranks, job.layout)
    return parameters.dense / state_ranks + of_experts
