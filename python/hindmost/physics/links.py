"""The links of a pool's ranks, and which ranks share a domain."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost import catalog
from hindmost.collective import Link
from hindmost.scenario.counts import data_ranks_per_domain, replica_gpus, tensor_groups_per_domain
from hindmost.scenario.models import Fabric, Layout, Pool


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links of one rank of a pool, and the ranks of its domain.

    Attributes
    ----------
    scale_up, port : Link
        To its domain, and to the network.
    tensor_groups_per_domain : int
        Tensor groups of a domain.
    replica_leaves_domain : bool
        Whether a replica is larger than a domain.
    data_ranks_per_domain : int
        Ranks of a domain that have the same part of the model, at least 1.
    """

    scale_up: Link
    port: Link
    tensor_groups_per_domain: int
    replica_leaves_domain: bool
    data_ranks_per_domain: int


def links(pool: Pool, layout: Layout, fabric: Fabric) -> Links:
    """Return the links of a pool's ranks.

    A port has the lower line rate of card and switch. On a torus, ports carry only what leaves
    the torus, at the card's rate.
    """
    gpu = catalog.gpu(pool.gpu)
    # The latency may be unknown only where no rank uses the link.
    scale_up = Link(
        latency_s=pool.figure("scale_up_latency_s") or 0.0,
        bytes_per_s=gpu.scale_up_bytes_per_s,
    )
    return Links(
        scale_up=scale_up,
        port=_port(pool, fabric),
        tensor_groups_per_domain=tensor_groups_per_domain(pool, layout),
        replica_leaves_domain=replica_gpus(layout) > gpu.domain_gpus,
        data_ranks_per_domain=data_ranks_per_domain(pool, layout),
    )


def _port(pool: Pool, fabric: Fabric) -> Link:
    entry = catalog.fabric(fabric.name)
    line_rate = pool.figure("nic_bytes_per_s")
    assert line_rate is not None
    if entry.kind == "switched":
        line_rate = min(line_rate, entry.port_bytes_per_s)
    return Link(
        latency_s=fabric.figure("latency_s"),
        bytes_per_s=fabric.figure("bandwidth_efficiency") * line_rate,
    )
