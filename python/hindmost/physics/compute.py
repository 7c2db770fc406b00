"""Seconds that a replica computes in a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hindmost import _core, catalog
from hindmost.collective import Link, all_gather, all_to_all, ring
from hindmost.physics.flops import (
    FORWARD_SHARE_OF_PASSES,
    has_experts,
    model_flops_per_token,
    recomputed_share,
)
from hindmost.physics.links import Links, links
from hindmost.physics.products import layer_efficiency
from hindmost.physics.stages import (
    Stage,
    attention_flops_per_token,
    matmul_flops_per_token,
    output_flops_per_token,
    stages,
)
from hindmost.scenario import Scenario, n_microbatches
from hindmost.scenario.models import Pool
from hindmost.units import BF16_BYTES

COLLECTIVES_PER_PASS = 4
"""Gathers and scatters of a layer's activations in one pass over a tensor group:
a gather before the attention and before the product, a scatter after each
(Korthikanti et al., Reducing Activation Recomputation in Large Transformer
Models, MLSys 2023, section 4.2.2)."""

EXCHANGES_PER_PASS = 2
"""All-to-alls of a layer with experts in one pass: tokens go out and come back
(Lepikhin et al., GShard, ICLR 2021, section 3.2)."""


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """Seconds of one microbatch in one virtual stage of one pool.

    Attributes
    ----------
    forward_s, backward_s : float
        Its passes, with what is exchanged inside of a replica and computed again.
    weight_s : float
        Gradients of weights, where the schedule has passes for them; else 0,
        and they are part of backward_s.
    """

    forward_s: float
    backward_s: float
    weight_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All passes."""
        return self.forward_s + self.backward_s + self.weight_s


@dataclass(frozen=True, kw_only=True)
class ComputeTime:
    """Seconds that a replica of one pool computes in a step without any cause.

    Attributes
    ----------
    stages : tuple of StageTime
        Virtual stages, in the order in which data flow.
    tensor_s : float
        The exchange of tensor groups, a part of the passes, of all stages together.
    transfer_s : float
        Until a result has reached the next stage.
    overhead_s : float
        What a step takes besides its passes.
    n_microbatches : int
        Microbatches of a step.
    step_s : float
        The whole step, bubbles included.
    """

    stages: tuple[StageTime, ...]
    tensor_s: float
    transfer_s: float
    overhead_s: float
    n_microbatches: int
    step_s: float

    @property
    def forward_s(self) -> float:
        """One microbatch's forward pass through all stages, transfers excluded."""
        return sum(stage.forward_s for stage in self.stages)

    @property
    def backward_s(self) -> float:
        """One microbatch's backward pass through all stages, transfers excluded."""
        return sum(stage.backward_s + stage.weight_s for stage in self.stages)


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
    """Return the seconds that a replica computes in a step without any cause.

    Notes
    -----
    A pass takes ``flops_of_rank * (1 + recompute) / (peak * kernel_efficiency *
    software_efficiency)``, and what its ranks exchange, which nothing hides: the
    activations of a tensor group, the keys and values of a sequence that context
    ranks share, the tokens of experts. Products of layers run in the workload's
    number format, attention scores and the output layer in BF16. A pool that has
    measured its passes divides them among the stages like the FLOPs.
    """
    this = scenario.pools[pool]
    there = links(scenario, pool)
    tensor_s = 0.0
    if this.forward_s is not None and this.backward_s is not None:
        times = _measured(scenario, this.forward_s, this.backward_s)
    else:
        times = [_stage_time(scenario, this, stage, there) for stage in stages(scenario)]
        passes = 3 if recomputed_share(scenario.workload.recompute) else 2
        tensor_s = n_microbatches(scenario) * passes * _tensor_exchange_of_a_pass_s(scenario, there)
    times = _with_a_heavy_last_stage(scenario, times)
    transfer_s = _transfer_s(scenario, there)
    return ComputeTime(
        stages=tuple(times),
        tensor_s=tensor_s,
        transfer_s=transfer_s,
        overhead_s=scenario.workload.overhead_s,
        n_microbatches=n_microbatches(scenario),
        step_s=_step_s(scenario, times, transfer_s) + scenario.workload.overhead_s,
    )


def schedule(scenario: Scenario) -> _core.Schedule:
    """Return the schedule of a scenario's pipeline."""
    layout = scenario.layout
    return _core.Schedule(
        kind=layout.schedule if layout.pipeline > 1 else "1f1b",
        stages=layout.pipeline,
        chunks=layout.chunks,
        microbatches=n_microbatches(scenario),
    )


def _step_s(scenario: Scenario, times: list[StageTime], transfer_s: float) -> float:
    """Return the seconds of a step's passes and bubbles."""
    count = n_microbatches(scenario)
    if len(times) == 1:
        return count * times[0].total_s

    def each(seconds: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.repeat(np.array(seconds), count).reshape(len(seconds), count)

    weight = scenario.layout.schedule == "zero-bubble"
    return schedule(scenario).seconds(
        each([time.forward_s for time in times]),
        each([time.backward_s for time in times]),
        each([time.weight_s for time in times]) if weight else None,
        transfer_s=transfer_s,
    )


def _stage_time(scenario: Scenario, pool: Pool, stage: Stage, there: Links) -> StageTime:
    """Return the seconds of a stage's passes, computed."""
    exchange_s = _exchange_of_a_pass_s(scenario, there, stage)
    scatter_s = len(stage.layers) * _context_exchange_s(scenario, there)
    layers_s, attention_s, output_s = _flops_s(scenario, pool, stage)
    flops_s = layers_s + attention_s + output_s
    again = recomputed_share(scenario.workload.recompute)
    forward_s = FORWARD_SHARE_OF_PASSES * flops_s + exchange_s
    backward_passes = 2 if again else 1
    backward_s = (1 - FORWARD_SHARE_OF_PASSES + again) * flops_s
    backward_s += backward_passes * exchange_s + scatter_s
    # Attention scores have no weights.
    weight_s = FORWARD_SHARE_OF_PASSES * (layers_s + output_s)
    if not _has_weight_passes(scenario):
        weight_s = 0.0
    return StageTime(forward_s=forward_s, backward_s=backward_s - weight_s, weight_s=weight_s)


def _has_weight_passes(scenario: Scenario) -> bool:
    return scenario.layout.pipeline > 1 and scenario.layout.schedule == "zero-bubble"


def _flops_s(scenario: Scenario, pool: Pool, stage: Stage) -> tuple[float, float, float]:
    """Return a rank's seconds in layers' products, attention scores and output layer."""

    def seconds(per_token: float, dtype: catalog.Dtype, efficiency: float | None) -> float:
        if per_token == 0:
            return 0.0
        peak_flop_per_s = catalog.gpu(pool.gpu).peak_flop_per_s(dtype)
        assert peak_flop_per_s is not None
        assert efficiency is not None
        flop_per_s = peak_flop_per_s * efficiency * pool.software_efficiency
        ranks = scenario.layout.tensor * scenario.layout.context
        return microbatch_tokens(scenario) * per_token / ranks / flop_per_s

    of_layers, plain = layer_efficiency(scenario, pool, stage), pool.efficiency("bf16")
    return (
        seconds(matmul_flops_per_token(scenario, stage), scenario.workload.dtype, of_layers),
        seconds(attention_flops_per_token(scenario, stage), "bf16", plain),
        seconds(output_flops_per_token(scenario, stage), "bf16", plain),
    )


def _measured(scenario: Scenario, forward_s: float, backward_s: float) -> list[StageTime]:
    """Return measured passes, divided among the stages like the FLOPs."""
    flops = [
        matmul_flops_per_token(scenario, stage)
        + attention_flops_per_token(scenario, stage)
        + output_flops_per_token(scenario, stage)
        for stage in stages(scenario)
    ]
    weight = 0.5 if _has_weight_passes(scenario) else 0.0
    return [
        StageTime(
            forward_s=forward_s * part / sum(flops),
            backward_s=(1 - weight) * backward_s * part / sum(flops),
            weight_s=weight * backward_s * part / sum(flops),
        )
        for part in flops
    ]


def _with_a_heavy_last_stage(scenario: Scenario, times: list[StageTime]) -> list[StageTime]:
    """Return times whose last stage takes what the layout says, against the others' mean."""
    layout = scenario.layout
    p = layout.pipeline
    if p == 1 or (layout.last_stage_forward is None and layout.last_stage_backward is None):
        return times
    last = [index for index in range(len(times)) if index % p == p - 1]
    others = [time for index, time in enumerate(times) if index not in last]
    forward_s = sum(time.forward_s for time in others) / len(others)
    backward_s = sum(time.backward_s for time in others) / len(others)
    weight_s = sum(time.weight_s for time in others) / len(others)
    for index in last:
        old = times[index]
        forward, backward = layout.last_stage_forward, layout.last_stage_backward
        times[index] = StageTime(
            forward_s=old.forward_s if forward is None else forward * forward_s,
            backward_s=old.backward_s if backward is None else backward * backward_s,
            weight_s=old.weight_s if backward is None else backward * weight_s,
        )
    return times


def _exchange_of_a_pass_s(scenario: Scenario, there: Links, stage: Stage) -> float:
    """Return the seconds in which a stage's ranks exchange data in one pass."""
    one = _tensor_exchange_of_a_layer_s(scenario, there) + _context_exchange_s(scenario, there)
    with_experts = sum(has_experts(scenario.model, layer) for layer in stage.layers)
    return len(stage.layers) * one + with_experts * _expert_exchange_s(scenario, there)


def _tensor_exchange_of_a_pass_s(scenario: Scenario, there: Links) -> float:
    """Return the seconds in which a tensor group exchanges activations in one pass."""
    return scenario.model.n_layers * _tensor_exchange_of_a_layer_s(scenario, there)


def _tensor_exchange_of_a_layer_s(scenario: Scenario, there: Links) -> float:
    n_bytes = _rank_activation_bytes(scenario) * scenario.layout.tensor
    one = ring.all_gather(n_bytes, n=scenario.layout.tensor, link=there.inside)
    return COLLECTIVES_PER_PASS * one.total_s


def _context_exchange_s(scenario: Scenario, there: Links) -> float:
    """Return the seconds in which context ranks gather a layer's keys and values.

    As all-gather in each pass (Llama 3 Herd of Models, section 3.3.2); the
    backward pass scatters their gradients as well, in the same time.
    """
    model, layout = scenario.model, scenario.layout
    if layout.context == 1:
        return 0.0
    # Tensor ranks divide heads of keys, but not a head, and not what is latent.
    width = model.n_kv_heads * (model.head_dim + model.value_head_dim)
    width_of_rank = width / min(layout.tensor, model.n_kv_heads)
    if model.latent is not None:
        width_of_rank = model.latent.kv_rank + model.latent.rope_head_dim
    n_bytes = BF16_BYTES * microbatch_tokens(scenario) * width_of_rank
    per_domain = min(layout.context, there.groups_per_domain)
    return all_gather(
        n_bytes, n=layout.context, per_domain=per_domain, inside=there.inside, port=there.port
    ).total_s


def _expert_exchange_s(scenario: Scenario, there: Links) -> float:
    """Return the seconds in which tokens go to the experts of a layer and come back."""
    experts, layout = scenario.model.experts, scenario.layout
    if experts is None or layout.expert == 1:
        return 0.0
    n_bytes = _rank_activation_bytes(scenario) * experts.per_token
    per_domain = min(layout.expert, there.data_ranks_per_domain)
    one = all_to_all(
        n_bytes, n=layout.expert, per_domain=per_domain, inside=there.inside, port=there.port
    )
    return EXCHANGES_PER_PASS * one.total_s


def _transfer_s(scenario: Scenario, there: Links) -> float:
    """Return the seconds until a rank's share of the activations is in the next stage."""
    if scenario.layout.pipeline == 1:
        return 0.0
    link: Link = there.port if there.replica_leaves_domain else there.inside
    return link.latency_s + _rank_activation_bytes(scenario) / link.bytes_per_s


def _rank_activation_bytes(scenario: Scenario) -> float:
    """Return the bytes of the residual stream of a microbatch that one rank holds."""
    layout = scenario.layout
    tokens = microbatch_tokens(scenario) / (layout.tensor * layout.context)
    return tokens * scenario.model.hidden * BF16_BYTES
