"""Memory of one GPU."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.catalog import Transformer
from hindmost.physics.compute import schedule
from hindmost.physics.flops import has_experts
from hindmost.physics.stages import RankParameters, Stage, chunks_of_stages, parameters_of_rank
from hindmost.scenario import Scenario, n_data_ranks, smallest_shard_group
from hindmost.units import BF16_BYTES

RECOMPUTATIONS = ("none", "selective", "full")
"""What the backward pass computes again, from nothing to all."""

WEIGHT_BYTES = GRADIENT_BYTES = BF16_BYTES
"""Bytes of a weight and of its gradient in BF16."""

OPTIMIZER_BYTES = 12
"""Bytes of optimizer states a parameter: the weight and the two moments of Adam in
FP32 (Rajbhandari et al., ZeRO, SC 2020, section 3.1)."""

STATE_BYTES = WEIGHT_BYTES + GRADIENT_BYTES + OPTIMIZER_BYTES
"""Bytes of all states a parameter."""


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
        Activations of the one layer that is being computed again.
    """

    stage: int
    states_bytes: float
    activations_bytes: float
    recomputed_bytes: float

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return self.states_bytes + self.activations_bytes + self.recomputed_bytes


def memory(scenario: Scenario, pool: str) -> Memory:
    """Return the memory that the fullest GPU of a pool needs.

    Gathered weights of the layer at work, the logits and what an allocator
    wastes are not counted.

    Notes
    -----
    A stage keeps the activations of as many chunks of microbatches as its
    schedule begins before it takes the first of them back.
    """
    every = (
        _of_stage(scenario, pool, stage, chunks, in_flight)
        for (stage, chunks), in_flight in zip(
            enumerate(chunks_of_stages(scenario)), _in_flight(scenario), strict=True
        )
    )
    return max(every, key=lambda memory: memory.total_bytes)


def _in_flight(scenario: Scenario) -> list[int]:
    """Return the chunks of microbatches that each stage keeps activations of, at most."""
    counts = schedule(scenario).in_flight()
    if scenario.layout.schedule == "zero-bubble":
        # What gradients of weights need is kept until they are computed, and later
        # stages hold theirs back longer: all keep as much as the first one.
        return [max(counts)] * len(counts)
    return counts


def _of_stage(
    scenario: Scenario, pool: str, stage: int, chunks: list[Stage], in_flight: int
) -> Memory:
    model, layout = scenario.model, scenario.layout
    tokens = scenario.workload.microbatch_seqs * scenario.workload.seq_len
    rank_tokens = tokens / (layout.tensor * layout.context)
    recompute = scenario.workload.recompute
    # Of several chunks, those in flight are of all of them alike.
    kept = sum(_kept_bytes(model, chunk, recompute) for chunk in chunks) / len(chunks)
    again = max(_largest_layer_bytes(model, chunk) for chunk in chunks)
    return Memory(
        stage=stage,
        states_bytes=_states_bytes(scenario, pool, parameters_of_rank(scenario, chunks)),
        activations_bytes=in_flight * kept * rank_tokens,
        recomputed_bytes=again * rank_tokens if recompute == "full" else 0.0,
    )


def _states_bytes(scenario: Scenario, pool: str, parameters: RankParameters) -> float:
    """Return the bytes of a rank's states, shared as the layout says.

    Experts' states are shared among the ranks that have the same experts.
    """
    sharing = scenario.layout.sharding
    own = {"none": STATE_BYTES, "zero1": WEIGHT_BYTES + GRADIENT_BYTES, "zero2": WEIGHT_BYTES}
    own_bytes = own.get(sharing, 0)
    data_ranks = n_data_ranks(scenario)
    if sharing == "hybrid":
        data_ranks = smallest_shard_group(scenario, pool) * scenario.layout.context
    same_experts = max(1, data_ranks // scenario.layout.expert)
    dense = own_bytes + (STATE_BYTES - own_bytes) / data_ranks
    routed = own_bytes + (STATE_BYTES - own_bytes) / same_experts
    return dense * parameters.dense + routed * parameters.routed


def _kept_bytes(model: Transformer, stage: Stage, recompute: str) -> float:
    """Return the bytes of activations that a virtual stage keeps of a token."""
    return sum(kept_bytes_per_token(model, recompute, layer) for layer in stage.layers)


def _largest_layer_bytes(model: Transformer, stage: Stage) -> float:
    layers = (kept_bytes_per_token(model, "none", layer) for layer in stage.layers)
    return max(layers, default=0.0)


def kept_bytes_per_token(model: Transformer, recompute: str, layer: int = 0) -> float:
    """Return the bytes of activations that one layer keeps of a token for its backward pass.

    Notes
    -----
    In BF16, of hidden width h, with queries, keys, values and the attention's
    output of their widths and a product of width f: nothing is computed again
    with ``none`` (input and output of both norms, q, k, v, the attention's
    output, what the product begins with, two of them where it is gated, and the
    product), norm outputs and the product with ``selective``, all but the layer's
    input with ``full``. Of experts, those that a token meets count. Latent
    attention keeps its latent vectors besides.

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
    values = model.n_heads * model.value_head_dim
    attention = model.n_heads * model.head_dim + values
    attention += model.n_kv_heads * (model.head_dim + model.value_head_dim)
    if model.latent is not None:
        latent = model.latent
        attention += latent.q_rank + latent.kv_rank + latent.rope_head_dim
    product = _product_width(model, layer)
    before = 2 if model.gated else 1
    widths = {
        "none": 4 * model.hidden + attention + (before + 1) * product,
        "selective": 2 * model.hidden + attention + before * product,
    }
    return float(BF16_BYTES * widths[recompute])


def _product_width(model: Transformer, layer: int) -> int:
    """Return the width of the products that a token passes in a layer."""
    experts = model.experts
    if experts is None or not has_experts(model, layer):
        return model.ffn_hidden
    return (experts.per_token + experts.n_shared) * experts.ffn_hidden
