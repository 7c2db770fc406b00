"""What replicas exchange in a step, and the computing behind which it can hide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from hindmost import catalog
from hindmost.collective import ALGORITHMS, Cost, Link, nccl, torus
from hindmost.collective.algorithm import Collective as Function
from hindmost.collective.hops import Pattern
from hindmost.collective.nccl import Collective
from hindmost.physics.compute import ComputeTime
from hindmost.physics.links import Links, links
from hindmost.physics.stages import RankParameters, fullest_stage
from hindmost.scenario import (
    Scenario,
    n_data_ranks,
    n_replicas,
    smallest_shard_group,
    torus_ranks,
)
from hindmost.units import BF16_BYTES


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The collectives of one part of a step, as a rank of one pool pays for them.

    Attributes
    ----------
    part : str
        The part of the step.
    cost : Cost
        Seconds of its collectives in a step.
    behind_s : float
        Seconds of computing of the same part in a step.
    hops : Hops or None
        How its hops follow each other, where their time is random.
    """

    part: str
    cost: Cost
    behind_s: float
    hops: Hops | None = None


@dataclass(frozen=True, kw_only=True)
class Hops:
    """How the hops of a collective follow each other.

    Attributes
    ----------
    pattern : str
        The recursion, as `hindmost.collective.hops` knows it.
    n_domains : int
        Domains that the hops join.
    """

    pattern: Pattern
    n_domains: int


def exchanges(scenario: Scenario, pool: str, time: ComputeTime) -> list[Exchange]:
    """Return what a rank of a pool exchanges with other replicas, in order of time.

    Nothing, where no other rank has the same part of the model. A rank of the
    stage with the most parameters pays.

    Notes
    -----
    ========  ========================  ==========================================
    sharding  every microbatch          once a step
    ========  ========================  ==========================================
    none                                all-reduce of the gradients
    zero1                               gather of the weights, scatter of the
                                        gradients
    zero2     scatter of the gradients  gather of the weights
    zero3     gather of the weights in
              both passes, scatter of
              the gradients
    hybrid    the same over the shard   all-reduce of the shards over the shard
              group                     groups
    ========  ========================  ==========================================

    What happens once hides behind the first forward or the last backward pass
    of a stage. Where a stage holds several chunks of the model, the gradients of
    its last chunk are complete while a group of microbatches still goes back
    through the others, and weights of later chunks are not needed before a group
    has gone through earlier ones: the window is ``(1 + (chunks - 1) min(stages,
    microbatches)) / chunks`` passes.
    """
    data_ranks = n_data_ranks(scenario)
    if data_ranks == 1:
        return []
    network = _Network(scenario, pool)
    weights = fullest_stage(scenario)
    parts = {
        "none": _unsharded,
        "zero1": _zero1,
        "zero2": _zero2,
        "zero3": _sharded,
        "hybrid": _sharded,
    }[scenario.layout.sharding]
    window = _Window(scenario, time)
    found = parts(network, weights, window)
    return [part for part in found if part.cost.total_s > 0]


class _Window:
    """Seconds of computing of one stage, the average one, that can hide exchange."""

    def __init__(self, scenario: Scenario, time: ComputeTime) -> None:
        layout = scenario.layout
        self.n_microbatches = time.n_microbatches
        self.forward_s = time.forward_s / layout.pipeline
        self.backward_s = time.backward_s / layout.pipeline
        together = min(layout.pipeline, time.n_microbatches)
        passes = (1 + (layout.chunks - 1) * together) / layout.chunks
        self.first_forward_s = passes * self.forward_s
        self.last_backward_s = passes * self.backward_s


def _unsharded(network: _Network, weights: RankParameters, window: _Window) -> Iterator[Exchange]:
    yield network.once("last backward", "all_reduce", weights, window.last_backward_s)


def _zero1(network: _Network, weights: RankParameters, window: _Window) -> Iterator[Exchange]:
    yield network.once("first forward", "all_gather", weights, window.first_forward_s)
    yield network.once("last backward", "reduce_scatter", weights, window.last_backward_s)


def _zero2(network: _Network, weights: RankParameters, window: _Window) -> Iterator[Exchange]:
    gather, last = _zero1(network, weights, window)
    early = window.n_microbatches - 1
    yield gather
    yield replace(
        last,
        part="early backward",
        cost=last.cost.times(early),
        behind_s=early * window.backward_s,
    )
    yield last


def _sharded(network: _Network, weights: RankParameters, window: _Window) -> Iterator[Exchange]:
    layout = network.scenario.layout
    size = n_replicas(network.scenario)
    between = Cost()
    if layout.sharding == "hybrid":
        size = min(layout.shard_group_replicas or 1, size)
        between = _between_shard_groups(network, weights, size)
    gather = network.of_weights("all_gather", weights, replicas=size)
    backward = gather + network.of_weights("reduce_scatter", weights, replicas=size)
    count = window.n_microbatches
    early = count - 1
    for part, cost, behind_s in (
        ("forward", gather.times(count), count * window.forward_s),
        ("early backward", backward.times(early), early * window.backward_s),
        ("last backward", backward + between, window.backward_s),
    ):
        hops = network.hops("all_gather", replicas=size)
        yield Exchange(part=part, cost=cost, behind_s=behind_s, hops=hops)


def _between_shard_groups(network: _Network, weights: RankParameters, size: int) -> Cost:
    """Return the cost of reducing shards over shard groups of `size` replicas.

    They meet where the shards are largest. Their members in one domain are of as
    many groups as fit into it. Those of experts meet among the same experts.
    """
    scenario, layout = network.scenario, network.scenario.layout
    data_ranks, ranks = n_data_ranks(scenario), size * layout.context
    fewest = smallest_shard_group(scenario) * layout.context
    shard_bytes = BF16_BYTES * weights.dense / fewest
    n_groups = -(-data_ranks // ranks)
    cost = network.cost("all_reduce", shard_bytes, n=n_groups, stride=ranks)
    if weights.routed:
        n_bytes = BF16_BYTES * weights.routed / max(1, fewest // layout.expert)
        stride = max(ranks, layout.expert)
        cost += network.cost("all_reduce", n_bytes, n=-(-data_ranks // stride), stride=stride)
    return cost


class _Network:
    """Collectives over the network as a rank of one pool pays for them, in buckets."""

    def __init__(self, scenario: Scenario, pool: str) -> None:
        self.scenario = scenario
        self.there: Links = links(scenario, pool)
        self.n_buckets = n_buckets(scenario)

    def once(
        self, part: str, collective: Collective, weights: RankParameters, behind_s: float
    ) -> Exchange:
        """Return the exchange of weights or gradients of a rank among all replicas."""
        cost = self.of_weights(collective, weights)
        return Exchange(part=part, cost=cost, behind_s=behind_s, hops=self.hops(collective))

    def of_weights(
        self, collective: Collective, weights: RankParameters, *, replicas: int | None = None
    ) -> Cost:
        """Return the cost of weights or gradients of a rank, among replicas (all of them).

        Those of experts go only to the ranks that have the same experts.
        """
        layout = self.scenario.layout
        replicas = n_replicas(self.scenario) if replicas is None else replicas
        n = replicas * layout.context
        cost = self.cost(collective, BF16_BYTES * weights.dense, n=n)
        if weights.routed:
            same = max(1, n // layout.expert)
            n_bytes = BF16_BYTES * weights.routed
            cost = cost + self.cost(collective, n_bytes, n=same, stride=layout.expert)
        return cost

    def hops(self, collective: Collective, *, replicas: int | None = None) -> Hops | None:
        """Return how the hops of a collective among replicas follow each other.

        None, where they are not random, or on a torus.
        """
        scenario = self.scenario
        if scenario.hop_noise is None or scenario.collective.algorithm == "torus":
            return None
        algorithm = ALGORITHMS[_algorithm(scenario.collective.algorithm, collective)]
        reduces_all = collective == "all_reduce"
        pattern = algorithm.reduce_hops if reduces_all else algorithm.gather_hops
        assert pattern is not None
        replicas = n_replicas(scenario) if replicas is None else replicas
        ranks = replicas * scenario.layout.context
        return Hops(pattern=pattern, n_domains=-(-ranks // self.there.data_ranks_per_domain))

    def cost(self, collective: Collective, n_bytes: float, *, n: int, stride: int = 1) -> Cost:
        """Return the cost of a collective over every `stride`-th of consecutive data ranks."""
        chosen = self.scenario.collective
        if chosen.algorithm == "torus" and stride == 1 and n == torus_ranks(self.scenario):
            return self._on_a_torus(collective, n_bytes).in_pieces(self.n_buckets)
        name = _algorithm(chosen.algorithm, collective)
        per_domain = max(1, self.there.data_ranks_per_domain // stride)
        function: Function = getattr(ALGORITHMS[name], collective)
        inside, port = self.there.inside, self.there.port
        cost = function(n_bytes, n=n, per_domain=per_domain, inside=inside, port=port)
        if chosen.latency == "nccl" and n > 1:
            latency_s = nccl.latency_s(
                collective,
                n_bytes / self.n_buckets,
                algorithm=cast(nccl.Algorithm, name),
                n=n,
                per_domain=min(n, per_domain),
                host=chosen.host,
            )
            cost = replace(cost, latency_s=latency_s)
        return cost.in_pieces(self.n_buckets)

    def _on_a_torus(self, collective: Collective, n_bytes: float) -> Cost:
        shape = self.scenario.fabric.shape
        assert shape is not None
        fabric = catalog.fabric(self.scenario.fabric.name)
        efficiency = self.scenario.fabric.bandwidth_efficiency or fabric.bandwidth_efficiency
        link = Link(
            latency_s=self.there.port.latency_s,
            bytes_per_s=efficiency * fabric.port_bytes_per_s,
        )
        cost: Cost = getattr(torus, collective)(n_bytes, shape=shape, link=link)
        return cost


def _algorithm(name: str, collective: Collective) -> str:
    """Return the algorithm that does a collective: what one cannot do, rings do.

    What does not fill a torus goes over ports, in the hierarchical way.
    """
    if name == "torus":
        return "hierarchical"
    return name if getattr(ALGORITHMS[name], collective) is not None else "ring"


def n_buckets(scenario: Scenario) -> int:
    """Return the pieces of a collective: as set, or one a layer of the stage."""
    layers = -(-scenario.model.n_layers // scenario.layout.pipeline)
    return scenario.collective.n_buckets or layers
