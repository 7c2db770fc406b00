"""How the layers of a model divide among the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from hindmost.catalog import Transformer, kinds_of_layers
from hindmost.physics.documents import Packs
from hindmost.physics.encoders import (
    EncoderFlops,
    encoder_flops,
    projector_parameters,
    tower_parameters,
)
from hindmost.physics.flops import (
    adapter_parameters,
    attention_flops_of,
    layer_matmul_parameters,
    layer_parameters,
    norm_parameters,
    output_parameters,
    routed_parameters,
)
from hindmost.scenario.counts import expert_tensor
from hindmost.scenario.models import Layout, Workload


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One virtual stage: chunk c of stage s is the virtual stage ``c * pipeline + s``.

    Attributes
    ----------
    layers : range
        Its layers, counted from 0.
    has_input, has_output : bool
        Whether it holds the input embedding and the encoder, and the output layer.
    """

    layers: range
    has_input: bool
    has_output: bool


@dataclass(frozen=True, kw_only=True)
class StageFlops:
    """FLOPs of one token in one virtual stage, forward and backward together.

    Attributes
    ----------
    layers : float
        Matrix products of the layers.
    attention : float
        Attention scores and values.
    output : float
        The output layer.
    frozen : float
        Of these, gradients of weights that are frozen, and not computed.
    forward_products, forward_attention : float
        Those of a frozen encoder, which has a forward pass only.
    """

    layers: float
    attention: float
    output: float
    frozen: float = 0.0
    forward_products: float = 0.0
    forward_attention: float = 0.0

    @property
    def total(self) -> float:
        """All FLOPs that are computed."""
        both = self.layers + self.attention + self.output - self.frozen
        return both + self.forward_products + self.forward_attention


@dataclass(frozen=True, kw_only=True)
class RankParameters:
    """Parameters that one rank of a stage holds while nothing is sharded.

    Attributes
    ----------
    dense : float
        Parameters that all data-parallel ranks hold.
    routed : float
        Parameters of routed experts, which expert ranks divide among them.
    adapters : float
        Parameters of adapters, if these are trained and all else is frozen.
    frozen : float
        Parameters of a frozen encoder, which the backward pass does not need.
    """

    dense: float
    routed: float
    adapters: float = 0.0
    frozen: float = 0.0

    @property
    def total(self) -> float:
        """All parameters."""
        return self.dense + self.routed + self.frozen

    @property
    def of_forward_pass(self) -> RankParameters:
        """Those that the forward pass needs: a frozen encoder is as any dense part."""
        return self if not self.frozen else replace(self, dense=self.dense + self.frozen, frozen=0)


def stages(model: Transformer, layout: Layout) -> tuple[Stage, ...]:
    """Return the virtual stages of a replica, in the order in which data flow."""
    return _stages_of(tuple(layers_of_stages(model, layout)))


# Changes of a scenario mostly leave the stages as they are.
@lru_cache(maxsize=256)
def _stages_of(counts: tuple[int, ...]) -> tuple[Stage, ...]:
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
    return tuple(found)


def layers_of_stages(model: Transformer, layout: Layout) -> list[int]:
    """Return the layers of each virtual stage: as the layout says, or as even as possible.

    Layers that are left over go to the middle, because the last stage also has the output
    layer, and the first one the input embedding. Other chunks of these two ranks come after
    those of the ranks between them, for the same reason.
    """
    if layout.stage_layers is not None:
        return list(layout.stage_layers)
    return list(_as_even_as_possible(model.depth, layout.pipeline, layout.chunks))


@lru_cache(maxsize=256)
def _as_even_as_possible(depth: int, p: int, chunks: int) -> tuple[int, ...]:
    n = p * chunks
    even, over = divmod(depth, n)

    def comes_late(stage: int) -> tuple[bool, bool, bool, bool]:
        return stage == n - 1, stage == 0, stage % p == p - 1, stage % p == 0

    with_one_more = set(sorted(range(n), key=comes_late)[:over])
    return tuple(even + (index in with_one_more) for index in range(n))


def stage_flops(
    model: Transformer,
    workload: Workload,
    stage: Stage,
    *,
    attention: str | None = None,
    after: float = 0.0,
    documents: Packs | None = None,
) -> StageFlops:
    """Return the FLOPs of one token in a virtual stage, forward and backward together.

    Parameters
    ----------
    model, workload, stage
        What is computed.
    attention
        Scores that count: causal or full; those that are computed by default.
    after
        First tokens of each sequence that do not count.
    documents
        Documents in each sequence, within which attention stays.
    """
    causal = (attention or workload.attention) == "causal"
    kinds = kinds_of_layers(model, stage.layers)
    outputs = stage.has_output + sum(n for layer, n in kinds if layer.predicts_next)
    layers = sum(6.0 * layer_matmul_parameters(model, layer) * n for layer, n in kinds)
    output = 6.0 * output_parameters(model) * outputs
    frozen = 0.0
    if workload.trainable == "lora":
        frozen = (layers + output) / 3
        rank = workload.adapter_rank
        layers += sum(6.0 * adapter_parameters(model, layer, rank) * n for layer, n in kinds)
    scores = attention_flops_of(
        model, kinds, workload.seq_len, causal=causal, after=after, documents=documents
    )
    encoder = EncoderFlops()
    if stage.has_input:
        encoder = encoder_flops(model, workload.seq_len, frozen=workload.trainable == "lora")
    return StageFlops(
        layers=layers + encoder.products,
        attention=scores + encoder.attention,
        output=output,
        frozen=frozen,
        forward_products=encoder.forward_products,
        forward_attention=encoder.forward_attention,
    )


def parameters_of_rank(
    model: Transformer,
    layout: Layout,
    chunks: Sequence[Stage],
    *,
    adapter_rank: int | None = None,
) -> RankParameters:
    """Return the parameters of each rank of a stage that holds some virtual stages.

    Tensor ranks divide adapters as they divide the matrices beside them.
    """
    dense = routed = 0
    predicts_next = False
    for chunk in chunks:
        for layer, n in kinds_of_layers(model, chunk.layers):
            of_experts = routed_parameters(model, layer)
            own = layer_parameters(model, layer) + norm_parameters(model, layer)
            dense += n * (own - of_experts)
            routed += n * of_experts
            predicts_next = predicts_next or layer.predicts_next
        dense += chunk.has_output * model.hidden
    # A stage has a copy of each of the two that it uses, and one of both where they are tied.
    takes = predicts_next or any(chunk.has_input for chunk in chunks)
    gives = predicts_next or any(chunk.has_output for chunk in chunks)
    dense += (max if model.tied else sum)((takes, gives)) * output_parameters(model)
    frozen = 0
    if model.encoder is not None and any(chunk.has_input for chunk in chunks):
        tower = tower_parameters(model.encoder)
        dense += projector_parameters(model)
        if model.encoder.frozen or adapter_rank is not None:
            frozen = tower
        else:
            dense += tower
    adapters = 0
    if adapter_rank is not None:
        adapters = sum(
            n * adapter_parameters(model, layer, adapter_rank)
            for chunk in chunks
            for layer, n in kinds_of_layers(model, chunk.layers)
        )
    return RankParameters(
        dense=dense / layout.tensor,
        routed=routed / expert_tensor(layout) / layout.expert,
        adapters=adapters / layout.tensor,
        frozen=frozen / layout.tensor,
    )
