"""What one replica computes in a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hindmost.catalog import Transformer, kinds_of_layers
from hindmost.physics.documents import Packs, packs
from hindmost.physics.encoders import encoder_module_flops
from hindmost.physics.flops import (
    FORWARD_SHARE_OF_PASSES,
    MODULE_PARAMETERS,
    WITH_FLOPS,
    model_flops_per_token,
    recomputed_share,
)
from hindmost.physics.stages import (
    RankParameters,
    Stage,
    StageFlops,
    parameters_of_rank,
    stage_flops,
    stages,
)
from hindmost.scenario.ideal import NOTHING, Ideal
from hindmost.scenario.models import Layout, Workload
from hindmost.units import BF16_BYTES


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one replica computes in a step, whatever GPUs it runs on.

    Attributes
    ----------
    model : Transformer
        The model.
    workload : Workload
        Sequences, number formats and what is computed again.
    layout : Layout
        How the ranks of the replica divide the work.
    n_microbatches : int
        Microbatches of the replica in a step.
    ideal : Ideal
        Mechanisms that cost it nothing.
    """

    model: Transformer
    workload: Workload
    layout: Layout
    n_microbatches: int
    ideal: Ideal = NOTHING

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Virtual stages, in the order in which data flow."""
        return stages(self.model, self.layout)

    @cached_property
    def chunks_of_stages(self) -> list[tuple[Stage, ...]]:
        """Virtual stages of each stage."""
        return [self.stages[stage :: self.layout.pipeline] for stage in range(self.layout.pipeline)]

    @cached_property
    def stage_parameters(self) -> list[RankParameters]:
        """Parameters of each rank of each stage, while nothing is sharded."""
        return [
            parameters_of_rank(self.model, self.layout, chunks, adapter_rank=self.adapter_rank)
            for chunks in self.chunks_of_stages
        ]

    @property
    def adapter_rank(self) -> int | None:
        """Rank of adapters that are trained; None where all parameters are."""
        return self.workload.adapter_rank if self.workload.trainable == "lora" else None

    @property
    def layers_per_stage(self) -> int:
        """Layers of a stage, rounded up where they do not divide evenly."""
        return -(-self.model.depth // self.layout.pipeline)

    @property
    def stage_ranks(self) -> int:
        """Ranks of one pipeline stage, which divide each microbatch."""
        return self.layout.tensor * self.layout.context

    @property
    def microbatch_tokens(self) -> int:
        """Tokens of one microbatch."""
        return self.workload.microbatch_seqs * self.workload.seq_len

    @cached_property
    def documents(self) -> Packs | None:
        """Documents in its sequences; None where each sequence is one."""
        law = self.workload.document_tokens
        return None if law is None else packs(law, self.workload.seq_len)

    @property
    def counted_documents(self) -> Packs | None:
        """Documents within which MFU counts attention; None where it counts whole sequences."""
        return None if self.workload.mfu_attention else self.documents

    @property
    def rank_tokens(self) -> float:
        """Tokens of one microbatch whose residual stream one rank holds."""
        return self.microbatch_tokens / self.stage_ranks

    @property
    def microbatch_model_flops(self) -> float:
        """Model FLOPs of one microbatch, all ranks together."""
        per_token = model_flops_per_token(
            self.model,
            seq_len=self.workload.seq_len,
            causal=self.workload.counted_attention == "causal",
            adapter_rank=self.adapter_rank,
            documents=self.counted_documents,
        )
        return self.microbatch_tokens * per_token

    @property
    def rank_activation_bytes(self) -> float:
        """Bytes of the residual stream of one microbatch that one rank holds."""
        return self.rank_tokens * self.model.hidden * BF16_BYTES

    @property
    def has_weight_passes(self) -> bool:
        """Whether the schedule has passes of their own for gradients of weights."""
        return self.layout.pipeline > 1 and self.schedule == "zero-bubble"

    @property
    def schedule(self) -> str:
        """Order of the passes of its stages; with one stage they follow each other anyhow."""
        if self.layout.pipeline == 1:
            return "1f1b"
        return "bubble-free" if self.ideal.pipeline_bubble else self.layout.schedule

    def layers_again(self, stage: Stage) -> range:
        """Return the layers of a virtual stage whose activations are computed again."""
        most = len(stage.layers)
        if self.workload.recompute == "full" and self.workload.recompute_layers is not None:
            most = min(most, self.workload.recompute_layers)
        return range(stage.layers.start, stage.layers.start + most)

    @property
    def share_of_layers_again(self) -> float:
        """Layers that the backward pass computes again as a whole, over all layers."""
        if self.ideal.recompute_and_overhead or self.workload.recompute != "full":
            return 0.0
        return sum(len(self.layers_again(stage)) for stage in self.stages) / self.model.depth

    @property
    def recomputed_modules(self) -> tuple[str, ...]:
        """Parts of all layers that are computed again and take FLOPs."""
        modules = self.workload.recompute_modules
        if self.ideal.recompute_and_overhead or not modules:
            return ()
        return tuple(module for module in modules if module in WITH_FLOPS)

    @property
    def recomputed_share(self) -> float:
        """FLOPs that are computed again over those of both passes, about, if not of all layers."""
        if self.recomputed_modules:
            whole = Stage(layers=range(self.model.depth), has_input=True, has_output=True)
            flops = stage_flops(self.model, self.workload, whole, documents=self.documents)
            products, scores = self.shares_again(whole, flops)
            again = products * flops.layers + scores * flops.attention
            return FORWARD_SHARE_OF_PASSES * again / flops.total
        return self.share_of_layers_again * recomputed_share(self.workload.recompute)

    def shares_again(self, stage: Stage, flops: StageFlops) -> tuple[float, float]:
        """Return the shares of a stage's products and of its scores that modules compute again."""
        products = sum(
            6.0 * n * MODULE_PARAMETERS[module](self.model, layer)
            for layer, n in kinds_of_layers(self.model, stage.layers)
            for module in self.recomputed_modules
        )
        if stage.has_input and self.workload.trainable == "all":
            products += sum(
                encoder_module_flops(self.model, self.workload.seq_len, module)
                for module in self.recomputed_modules
            )
        share = products / flops.layers if flops.layers else 0.0
        return share, float("attention" in self.recomputed_modules)

    @property
    def tokens_before_last_rank(self) -> float:
        """Tokens of a sequence before those of the context rank with most scores."""
        # Pieces of a sequence hold about as many documents each.
        is_even = self.layout.context_split == "zigzag" or self.documents is not None
        is_even = is_even or self.ideal.sequence_imbalance
        return 0.0 if is_even else self.workload.seq_len * (1 - 1 / self.layout.context)

    @property
    def tensor_overlap_fraction(self) -> float:
        """Share of the exchange of tensor groups that hides."""
        own = self.workload.tensor_overlap_fraction
        return self.workload.software.tensor_overlap_fraction if own is None else own

    @property
    def overhead_s(self) -> float:
        """Seconds of a step beside its passes."""
        return 0.0 if self.ideal.recompute_and_overhead else self.workload.overhead_s
