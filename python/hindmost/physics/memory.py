"""Memory of one GPU."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.catalog import Transformer
from hindmost.physics.flops import parameters
from hindmost.scenario import Scenario, smallest_shard_group
from hindmost.units import BF16_BYTES

RECOMPUTATIONS = ("none", "selective", "full")
"""What the backward pass computes again, from nothing to all."""

STATE_BYTES = 16
"""Bytes of states a parameter: BF16 weight and gradient, and in FP32 the weight
and the two moments of Adam (Rajbhandari et al., ZeRO, SC 2020, section 3.1)."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory that one GPU needs, in bytes.

    Attributes
    ----------
    states_bytes : float
        Weights, gradients and optimizer states.
    activations_bytes : float
        Activations kept for the backward pass.
    recomputed_bytes : float
        Activations of the one layer that is being computed again.
    """

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
    """
    workload, layout = scenario.workload, scenario.layout
    model = scenario.model
    sharers = smallest_shard_group(scenario, pool) if layout.sharding == "hybrid" else 1
    states = STATE_BYTES * parameters(model) / layout.tensor / sharers
    tokens = workload.microbatch_seqs * workload.seq_len / layout.tensor
    kept = kept_bytes_per_token(model, workload.recompute)
    again = kept_bytes_per_token(model, "none") if workload.recompute == "full" else 0.0
    return Memory(
        states_bytes=states,
        activations_bytes=kept * tokens * model.n_layers,
        recomputed_bytes=again * tokens,
    )


def kept_bytes_per_token(model: Transformer, recompute: str) -> float:
    """Return the bytes of activations that one layer keeps of a token for its backward pass.

    Notes
    -----
    In BF16, of hidden width h, with k and v of width ``h * n_kv_heads / n_heads``
    each and a gated product of width f: nothing is computed again with ``none``
    (input and output of both norms, q, k, v, the attention's output, gate, up
    and product), norm outputs and the product with ``selective``, all but the
    layer's input with ``full``.

    Examples
    --------
    In units of the hidden width:

    >>> from hindmost import catalog
    >>> model = catalog.model("llama3-405b")
    >>> [kept_bytes_per_token(model, kind) / model.hidden for kind in RECOMPUTATIONS]
    [31.75, 21.25, 2.0]
    """
    keys_and_values = 2 * model.n_kv_heads * model.head_dim
    widths = {
        "none": 6 * model.hidden + keys_and_values + 3 * model.ffn_hidden,
        "selective": 4 * model.hidden + keys_and_values + 2 * model.ffn_hidden,
        "full": model.hidden,
    }
    return float(BF16_BYTES * widths[recompute])
