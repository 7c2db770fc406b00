"""What one collective costs over the links of a pool's ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, cast

from hindmost.collective import ALGORITHMS, Cost, Link, nccl, torus
from hindmost.collective.algorithm import Operation
from hindmost.physics.links import Links
from hindmost.scenario.models import Fabric
from hindmost.spread import Spread


@dataclass(frozen=True, kw_only=True)
class Torus:
    """A torus of ranks.

    Attributes
    ----------
    shape : tuple of int
        Ranks along each dimension.
    link : Link
        One link of a rank.
    """

    shape: tuple[int, ...]
    link: Link

    @property
    def n_ranks(self) -> int:
        """Ranks of the torus."""
        return math.prod(self.shape)


def torus_of(fabric: Fabric) -> Torus:
    """Return the torus of a fabric that is one and has a shape."""
    assert fabric.shape is not None
    line_rate = fabric.network.link_bytes_per_s
    assert line_rate is not None
    link = Link(
        latency_s=fabric.figure("latency_s"),
        bytes_per_s=fabric.figure("bandwidth_efficiency") * line_rate,
    )
    return Torus(shape=tuple(fabric.shape), link=link)


def on_torus(operation: Operation, n_bytes: float, on: Torus) -> Cost:
    """Return the cost of a collective of all ranks of a torus; it has no all-to-all."""
    cost: Cost = getattr(torus, operation)(n_bytes, shape=on.shape, link=on.link)
    return cost


def over_ports(
    operation: Operation,
    n_bytes: float,
    spread: Spread,
    *,
    algorithm: str,
    links: Links,
    latency: Literal["hops", "nccl"] = "hops",
    host: nccl.Host = "intel",
    n_pieces: int = 1,
) -> Cost:
    """Return the cost of a collective over scale-up links, ports and tiers.

    Parameters
    ----------
    operation
        What the collective does.
    n_bytes
        Bytes of a rank before or after it, as in `hindmost.collective`.
    spread
        How the ranks of the communicator are spread over domains.
    algorithm
        One of `ALGORITHMS` that does the operation.
    links
        Links of a rank.
    latency, host
        What the latency is taken from, as `hindmost.scenario.models.Collective` says.
    n_pieces
        Pieces that the data go in, one after another, each of which pays the latency.
    """
    collective = ALGORITHMS[algorithm].collective(operation)
    assert collective is not None
    cost = collective(
        n_bytes, spread=spread, scale_up=links.scale_up, port=links.port, tiers=links.tiers
    )
    if latency == "nccl" and spread.ranks > 1:
        latency_s = nccl.latency_s(
            operation,
            n_bytes / n_pieces,
            algorithm=cast(nccl.Algorithm, algorithm),
            spread=spread,
            host=host,
        )
        if spread.tiers:
            # NCCL's tuner knows of no tiers: what they add to the hops.
            near = replace(spread, tiers=())
            flat = collective(n_bytes, spread=near, scale_up=links.scale_up, port=links.port)
            latency_s += cost.latency_s - flat.latency_s
        cost = replace(cost, latency_s=latency_s)
    return cost.in_pieces(n_pieces)
