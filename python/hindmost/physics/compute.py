"""Seconds that a rank computes in a step."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost import catalog
from hindmost.collective import Link, ring
from hindmost.physics.flops import (
    FORWARD_SHARE_OF_PASSES,
    model_flops_per_token,
    recomputed_share,
)
from hindmost.scenario import Scenario, n_replicas
from hindmost.scenario.models import Pool
from hindmost.units import BF16_BYTES

COLLECTIVES_PER_PASS = 4
"""Gathers and scatters of a layer's activations in one pass over a tensor group:
a gather before the attention and before the product, a scatter after each
(Korthikanti et al., Reducing Activation Recomputation in Large Transformer
Models, MLSys 2023, section 4.2.2)."""


@dataclass(frozen=True, kw_only=True)
class ComputeTime:
    """Seconds that a rank of one pool computes.

    Attributes
    ----------
    forward_s : float
        One microbatch's forward pass, its tensor group's exchange included.
    backward_s : float
        One microbatch's backward pass, with what it computes again.
    tensor_s : float
        The exchange of the tensor group, a part of both passes.
    overhead_s : float
        What a step takes besides its passes.
    n_microbatches : int
        Microbatches of a step.
    """

    forward_s: float
    backward_s: float
    tensor_s: float
    overhead_s: float
    n_microbatches: int

    @property
    def step_s(self) -> float:
        """The whole step."""
        return self.n_microbatches * (self.forward_s + self.backward_s) + self.overhead_s


def n_microbatches(scenario: Scenario) -> int:
    """Return the microbatches of a replica in a step."""
    workload = scenario.workload
    if workload.global_batch_seqs is None:
        assert workload.n_microbatches is not None
        return workload.n_microbatches
    return workload.global_batch_seqs // (n_replicas(scenario) * workload.microbatch_seqs)


def microbatch_tokens(scenario: Scenario) -> int:
    """Return the tokens of one microbatch of one replica."""
    return scenario.workload.microbatch_seqs * scenario.workload.seq_len


def microbatch_model_flops(scenario: Scenario) -> float:
    """Return the model FLOPs of one microbatch of one replica."""
    workload = scenario.workload
    per_token = model_flops_per_token(
        scenario.model,
        seq_len=workload.seq_len,
        causal=workload.attention == "causal",
    )
    return microbatch_tokens(scenario) * per_token


def compute_time(scenario: Scenario, pool: str) -> ComputeTime:
    """Return the seconds that a rank of a pool computes in a step without any cause.

    Notes
    -----
    ``flops_of_rank * (1 + recompute) / (peak * kernel_efficiency *
    software_efficiency) + overhead_s``, and the tensor group's exchange, which
    nothing hides; or the passes that the pool has measured, of whose exchange
    nothing is known apart.
    """
    this = scenario.pools[pool]
    if this.forward_s is not None and this.backward_s is not None:
        return ComputeTime(
            forward_s=this.forward_s,
            backward_s=this.backward_s,
            tensor_s=0.0,
            overhead_s=scenario.workload.overhead_s,
            n_microbatches=n_microbatches(scenario),
        )
    dtype = scenario.workload.dtype
    peak_flop_per_s = catalog.gpu(this.gpu).peak_flop_per_s(dtype)
    efficiency = this.efficiency(dtype)
    assert peak_flop_per_s is not None
    assert efficiency is not None
    flop_per_s = peak_flop_per_s * efficiency * this.software_efficiency
    flops_s = microbatch_model_flops(scenario) / scenario.layout.tensor / flop_per_s
    again = recomputed_share(scenario.workload.recompute)
    exchange_s = _tensor_exchange_of_a_pass_s(scenario, this)
    forward_s = FORWARD_SHARE_OF_PASSES * flops_s + exchange_s
    backward_passes = 2 if again else 1
    backward_s = (1 - FORWARD_SHARE_OF_PASSES + again) * flops_s + backward_passes * exchange_s
    count = n_microbatches(scenario)
    return ComputeTime(
        forward_s=forward_s,
        backward_s=backward_s,
        tensor_s=count * (1 + backward_passes) * exchange_s,
        overhead_s=scenario.workload.overhead_s,
        n_microbatches=count,
    )


def _tensor_exchange_of_a_pass_s(scenario: Scenario, pool: Pool) -> float:
    """Return the seconds in which a tensor group exchanges activations in one pass."""
    model = scenario.model
    # Where nothing is exchanged there may be no figure.
    latency_s = pool.figure("scale_up_latency_s") or 0.0
    bytes_per_s = catalog.gpu(pool.gpu).scale_up_bytes_per_s
    link = Link(latency_s=latency_s, bytes_per_s=bytes_per_s)
    n_bytes = microbatch_tokens(scenario) * model.hidden * BF16_BYTES
    one = ring.all_gather(n_bytes, n=scenario.layout.tensor, link=link)
    return COLLECTIVES_PER_PASS * model.n_layers * one.total_s
