"""The links that a rank of a pool has, and who is near it."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost import catalog
from hindmost.collective import Link
from hindmost.scenario import Scenario, data_ranks_of_domain, replica_gpus


@dataclass(frozen=True, kw_only=True)
class Links:
    """Ways out of one rank of a pool.

    Attributes
    ----------
    inside, port : Link
        To its domain, and to the network.
    groups_per_domain : int
        Tensor groups of a domain.
    replica_leaves_domain : bool
        Whether a replica is larger than a domain.
    data_ranks_per_domain : int
        Ranks of a domain that have the same part of the model, at least 1.
    """

    inside: Link
    port: Link
    groups_per_domain: int
    replica_leaves_domain: bool
    data_ranks_per_domain: int


def links(scenario: Scenario, pool: str) -> Links:
    """Return the links of a pool's ranks.

    A torus joins the ranks of one exchange; what goes beyond it has a port of the
    card's own rate.
    """
    this, layout = scenario.pools[pool], scenario.layout
    gpu = catalog.gpu(this.gpu)
    # Where nothing is exchanged inside of domains there may be no figure.
    inside = Link(
        latency_s=this.figure("scale_up_latency_s") or 0.0,
        bytes_per_s=gpu.scale_up_bytes_per_s,
    )
    return Links(
        inside=inside,
        port=_port(scenario, pool),
        groups_per_domain=gpu.domain_gpus // layout.tensor,
        replica_leaves_domain=replica_gpus(scenario) > gpu.domain_gpus,
        data_ranks_per_domain=data_ranks_of_domain(scenario, pool),
    )


def _port(scenario: Scenario, pool: str) -> Link:
    fabric = catalog.fabric(scenario.fabric.name)
    override = scenario.fabric
    efficiency = override.bandwidth_efficiency or fabric.bandwidth_efficiency
    latency_s = fabric.latency_s if override.latency_s is None else override.latency_s
    nic_bytes_per_s = scenario.pools[pool].figure("nic_bytes_per_s")
    assert nic_bytes_per_s is not None
    line_rate = nic_bytes_per_s
    if fabric.kind == "switched":
        line_rate = min(line_rate, fabric.port_bytes_per_s)
    return Link(latency_s=latency_s, bytes_per_s=efficiency * line_rate)
