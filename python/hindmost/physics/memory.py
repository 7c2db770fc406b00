"""Memory of one GPU."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost import catalog
from hindmost.physics.flops import parameters
from hindmost.scenario import Scenario, smallest_shard_group

STATE_BYTES = 16
"""Bytes of states a parameter: BF16 weight and gradient, and in FP32 the weight
and the two moments of Adam (Rajbhandari et al., ZeRO, SC 2020, section 3.1)."""

KEPT_BYTES = {"none": 31.75, "selective": 21.25, "full": 2.0}
"""Bytes of activations kept a token, layer and unit of hidden width."""


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
    model = catalog.model(workload.model)
    sharers = smallest_shard_group(scenario, pool) if layout.sharding == "hybrid" else 1
    states = STATE_BYTES * parameters(model) / layout.tensor / sharers
    unit = workload.microbatch_seqs * workload.seq_len * model.hidden / layout.tensor
    recomputed = KEPT_BYTES["none"] * unit if workload.recompute == "full" else 0.0
    return Memory(
        states_bytes=states,
        activations_bytes=KEPT_BYTES[workload.recompute] * unit * model.n_layers,
        recomputed_bytes=recomputed,
    )
