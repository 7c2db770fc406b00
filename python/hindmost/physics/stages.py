"""How the layers of a model divide among the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hindmost.physics.flops import (
    has_experts,
    layer_attention_flops_per_token,
    layer_matmul_parameters,
    layer_parameters,
    output_parameters,
    routed_parameters_of_layer,
)
from hindmost.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one virtual stage holds: chunk c of stage s is the virtual stage c * p + s.

    Attributes
    ----------
    layers : range
        Its layers, counted from 0.
    has_input, has_output : bool
        Whether it holds the input embedding, and the output layer.
    """

    layers: range
    has_input: bool
    has_output: bool


def stages(scenario: Scenario) -> list[Stage]:
    """Return the virtual stages of a replica, in the order in which data flow."""
    counts = layers_of_stages(scenario)
    found, first = [], 0
    for index, count in enumerate(counts):
        found.append(
            Stage(
                layers=range(first, first + count),
                has_input=index == 0,
                has_output=index == len(counts) - 1,
            )
        )
        first += count
    return found


def layers_of_stages(scenario: Scenario) -> list[int]:
    """Return the layers of each virtual stage: as given, or as even as can be.

    Those that are left over go to the middle: the last stage has the output
    layer besides, and the first one the input embedding.
    """
    layout = scenario.layout
    if layout.stage_layers is not None:
        return list(layout.stage_layers)
    n = layout.pipeline * layout.chunks
    even, over = divmod(scenario.model.n_layers, n)
    order = [*range(1, n - 1), 0, n - 1] if n > 1 else [0]
    more = set(order[:over])
    return [even + (index in more) for index in range(n)]


def matmul_flops_per_token(scenario: Scenario, stage: Stage) -> float:
    """Return the FLOPs of a token's matrix products in the layers of a stage.

    Forward and backward together, without attention scores and output layer.
    """
    model = scenario.model
    return sum(6.0 * layer_matmul_parameters(model, layer) for layer in stage.layers)


def attention_flops_per_token(scenario: Scenario, stage: Stage) -> float:
    """Return the FLOPs of a token's attention scores and values in a stage, both passes."""
    causal = scenario.workload.attention == "causal"
    one = layer_attention_flops_per_token(
        scenario.model, seq_len=scenario.workload.seq_len, causal=causal
    )
    return len(stage.layers) * one


def output_flops_per_token(scenario: Scenario, stage: Stage) -> float:
    """Return the FLOPs of a token in the output layer of a stage, both passes."""
    return 6.0 * output_parameters(scenario.model) if stage.has_output else 0.0


@dataclass(frozen=True, kw_only=True)
class RankParameters:
    """Parameters that one rank of a stage holds while nothing is sharded.

    Attributes
    ----------
    dense : float
        Those that all data-parallel ranks have.
    routed : float
        Those of experts, which expert ranks divide.
    """

    dense: float
    routed: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.dense + self.routed


def parameters_of_rank(scenario: Scenario, chunks: Sequence[Stage]) -> RankParameters:
    """Return the parameters of each rank of a stage that holds some virtual stages."""
    model, layout = scenario.model, scenario.layout
    dense = routed = 0
    for chunk in chunks:
        for layer in chunk.layers:
            of_experts = routed_parameters_of_layer(model) if has_experts(model, layer) else 0
            dense += layer_parameters(model, layer) - of_experts + 2 * model.hidden
            routed += of_experts
        dense += chunk.has_output * (output_parameters(model) + model.hidden)
        # A tied embedding has a copy of its weights on the first and the last stage.
        copies = chunk.has_input and not (model.tied and chunk.has_output)
        dense += copies * model.vocabulary * model.hidden
    return RankParameters(
        dense=dense / layout.tensor, routed=routed / layout.tensor / layout.expert
    )


def chunks_of_stages(scenario: Scenario) -> list[list[Stage]]:
    """Return the virtual stages of each stage."""
    every = stages(scenario)
    p = scenario.layout.pipeline
    return [every[stage::p] for stage in range(p)]


def fullest_stage(scenario: Scenario) -> RankParameters:
    """Return the parameters of each rank of the stage that has the most."""
    every = (parameters_of_rank(scenario, chunks) for chunks in chunks_of_stages(scenario))
    return max(every, key=lambda parameters: parameters.total)
