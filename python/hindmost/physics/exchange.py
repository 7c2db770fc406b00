"""Exchange: what the ranks of one replica send each other."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.catalog import Layer, kinds_of_layers
from hindmost.catalog.transformer import SCORED
from hindmost.collective import Link, all_gather, ring
from hindmost.physics import experts
from hindmost.physics.flops import all_kinds
from hindmost.physics.job import Job
from hindmost.physics.links import Links
from hindmost.physics.stages import Stage
from hindmost.scenario.counts import expert_tensor
from hindmost.scenario.models import Layout
from hindmost.scenario.places import PoolPlaces
from hindmost.units import BF16_BYTES

TENSOR_COLLECTIVES_PER_PASS = 2
"""All-gathers and reduce-scatters of activations over a tensor group, in one pass through the
attention or the feed-forward network of a layer: a gather before it and a scatter after it
(Korthikanti et al., Reducing Activation Recomputation in Large Transformer
Models, MLSys 2023, section 4.2.2)."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Seconds in which the ranks of one replica exchange data, for one microbatch.

    Attributes
    ----------
    tensor_s : float
        Activations of a tensor group, in one pass through the attention or the dense feed-forward
        network of one layer.
    expert_tensor_s : float
        The same through experts, each of which its own ranks divide.
    context_s : float
        Keys and values of context ranks, in one pass through one layer that attends to them.
    expert_s : float
        Tokens of experts, in one pass through one layer with experts.
    transfers_s : tuple of float
        Until a rank's share of the activations has reached another stage, by link: link s joins
        stage s and the next one, and the last link the last one and the first.
    """

    tensor_s: float
    expert_tensor_s: float
    context_s: float
    expert_s: float
    transfers_s: tuple[float, ...]

    def pass_s(self, job: Job, stage: Stage) -> float:
        """Return the seconds of one pass through a virtual stage that nothing hides."""
        kinds = kinds_of_layers(job.model, stage.layers)
        tensor_s = sum(n * self._of_layer_s(job, layer) for layer, n in kinds)
        return self.context_pass_s(job, stage) + tensor_s

    def context_pass_s(self, job: Job, stage: Stage) -> float:
        """Return the seconds of one pass through a virtual stage for keys and values."""
        kinds = kinds_of_layers(job.model, stage.layers)
        return sum(n for layer, n in kinds if layer.attention in SCORED) * self.context_s

    def tensor_pass_s(self, job: Job) -> float:
        """Return the seconds of one pass through all layers for tensor groups."""
        return sum(n * self._of_layer_s(job, layer) for layer, n in all_kinds(job.model))

    def _of_layer_s(self, job: Job, layer: Layer) -> float:
        second_s = self.expert_tensor_s if layer.feed_forward == "experts" else self.tensor_s
        parts_s = [self.tensor_s] * (layer.attention != "none")
        parts_s += [second_s] * (layer.feed_forward != "none")
        # Side by side they share what goes in and what comes out.
        all_s = max(parts_s) if job.model.parallel else sum(parts_s)
        return (1 - job.tensor_overlap_fraction) * all_s

    def expert_pass_s(self, job: Job, stage: Stage) -> float:
        """Return the seconds of one pass through a virtual stage for tokens of experts.

        The compute of the stage may hide some of them.
        """
        return _layers_with_experts(job, stage) * self.expert_s


def exchange(job: Job, links: Links, places: PoolPlaces) -> Exchange:
    """Return what the ranks of a replica exchange over some links."""
    if job.ideal.exchange_inside:
        return no_exchange(job.layout)
    return Exchange(
        tensor_s=_tensor_s(job, links, job.layout.tensor),
        expert_tensor_s=_tensor_s(job, links, expert_tensor(job.layout)),
        context_s=_context_s(job, links, places),
        expert_s=experts.pass_s(job, links, places.experts),
        transfers_s=_transfers_s(job, links, places),
    )


def no_exchange(layout: Layout) -> Exchange:
    """Return an exchange that takes no time."""
    return Exchange(
        tensor_s=0.0,
        expert_tensor_s=0.0,
        context_s=0.0,
        expert_s=0.0,
        transfers_s=(0.0,) * layout.pipeline,
    )


def _layers_with_experts(job: Job, stage: Stage) -> int:
    kinds = kinds_of_layers(job.model, stage.layers)
    return sum(n for layer, n in kinds if layer.feed_forward == "experts")


def _tensor_s(job: Job, links: Links, n: int) -> float:
    """Return the seconds in which `n` ranks exchange the activations of one half of a layer."""
    one = ring.all_gather(job.rank_activation_bytes * n, n=n, link=links.scale_up)
    return TENSOR_COLLECTIVES_PER_PASS * one.total_s


def _context_s(job: Job, links: Links, places: PoolPlaces) -> float:
    """Return the seconds in which context ranks gather a layer's keys and values.

    As an all-gather in each pass (Llama 3 Herd of Models, section 3.3.2). The backward pass
    scatters their gradients as well, in as much time.
    """
    model, layout = job.model, job.layout
    if layout.context == 1:
        return 0.0
    # Tensor ranks divide heads of keys, but not a head, and not what is latent.
    width = model.n_kv_heads * (model.head_dim + model.value_head_dim)
    width_of_rank = width / min(layout.tensor, model.n_kv_heads)
    if model.latent is not None:
        width_of_rank = model.latent.kv_rank + model.latent.rope_head_dim
    return all_gather(
        BF16_BYTES * job.microbatch_tokens * width_of_rank,
        spread=places.context,
        scale_up=links.scale_up,
        port=links.port,
        tiers=links.tiers,
    ).total_s


def _transfers_s(job: Job, links: Links, places: PoolPlaces) -> tuple[float, ...]:
    if job.layout.pipeline == 1:
        return (0.0,)

    def seconds(link: Link) -> float:
        return link.latency_s + job.rank_activation_bytes / link.bytes_per_s

    return tuple(seconds(links.over(level)) for level in places.stage_levels)
