"""What replicas exchange in a step, and the computing behind which it can hide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hindmost import catalog
from hindmost.collective import Cost, Link, all_gather, all_reduce, reduce_scatter
from hindmost.physics.compute import ComputeTime
from hindmost.physics.flops import parameters
from hindmost.scenario import Scenario, n_replicas, smallest_shard_group
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
    """

    part: str
    cost: Cost
    behind_s: float


def exchanges(scenario: Scenario, pool: str, time: ComputeTime) -> list[Exchange]:
    """Return what a rank of a pool exchanges with other replicas, in order of time.

    Nothing, where there is one replica only.

    Notes
    -----
    Without sharding the gradients are reduced once a step, behind the last
    backward pass. With hybrid sharding every microbatch gathers the weights in
    the forward and again in the backward pass and scatters the gradients over
    the shard group; after the last microbatch the shards are reduced over the
    shard groups.
    """
    ports = _Ports(scenario, pool)
    weights_bytes = BF16_BYTES * parameters(scenario.model)
    rank_bytes = weights_bytes / scenario.layout.tensor
    replicas = n_replicas(scenario)
    if replicas == 1:
        return []
    if scenario.layout.sharding == "none":
        cost = ports.cost(all_reduce, rank_bytes, n=replicas)
        return [Exchange(part="last backward", cost=cost, behind_s=time.backward_s)]
    size = min(scenario.layout.shard_group_replicas or 1, replicas)
    gather = ports.cost(all_gather, rank_bytes, n=size)
    scatter = ports.cost(reduce_scatter, rank_bytes, n=size)
    # Shard groups meet where the shards are largest. Their members in one domain
    # are of as many groups as fit into it.
    shard_bytes = rank_bytes / smallest_shard_group(scenario)
    n_groups = -(-replicas // size)
    between = ports.cost(all_reduce, shard_bytes, n=n_groups, stride=size)
    early = time.n_microbatches - 1
    parts = [
        Exchange(
            part="forward",
            cost=gather.times(time.n_microbatches),
            behind_s=time.n_microbatches * time.forward_s,
        ),
        Exchange(
            part="early backward",
            cost=(gather + scatter).times(early),
            behind_s=early * time.backward_s,
        ),
        Exchange(
            part="last backward",
            cost=gather + scatter + between,
            behind_s=time.backward_s,
        ),
    ]
    return [part for part in parts if part.cost.total_s > 0]


class _Ports:
    """Collectives over the network as a rank of one pool pays for them, in buckets."""

    def __init__(self, scenario: Scenario, pool: str) -> None:
        this = scenario.pools[pool]
        gpu = catalog.gpu(this.gpu)
        fabric = catalog.fabric(scenario.fabric.name)
        override = scenario.fabric
        efficiency = override.bandwidth_efficiency or fabric.bandwidth_efficiency
        latency_s = fabric.latency_s if override.latency_s is None else override.latency_s
        nic_bytes_per_s = this.figure("nic_bytes_per_s")
        assert nic_bytes_per_s is not None
        line_rate = min(nic_bytes_per_s, fabric.port_bytes_per_s)
        self.port = Link(latency_s=latency_s, bytes_per_s=efficiency * line_rate)
        # Where replicas do not share a domain there may be no figure.
        inside_s = this.figure("scale_up_latency_s") or 0.0
        self.inside = Link(latency_s=inside_s, bytes_per_s=gpu.scale_up_bytes_per_s)
        self.replicas_per_domain = gpu.domain_gpus // scenario.layout.tensor
        self.n_buckets = n_buckets(scenario)

    def cost(
        self, collective: Callable[..., Cost], n_bytes: float, *, n: int, stride: int = 1
    ) -> Cost:
        """Return the cost of a collective over every `stride`-th of consecutive replicas."""
        per_domain = max(1, self.replicas_per_domain // stride)
        cost = collective(n_bytes, n=n, per_domain=per_domain, inside=self.inside, port=self.port)
        return cost.in_pieces(self.n_buckets)


def n_buckets(scenario: Scenario) -> int:
    """Return the pieces of a collective: as set, or one a layer."""
    return scenario.collective.n_buckets or scenario.model.n_layers
