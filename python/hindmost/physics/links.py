"""The links of a pool's ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hindmost.collective import Link
from hindmost.scenario.models import Fabric, Pool


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links of one rank of a pool.

    Attributes
    ----------
    scale_up, port : Link
        To its domain, and to the network.
    tiers : tuple of Link
        Its part of the links of each tier above the domains, the lowest one first.
    """

    scale_up: Link
    port: Link
    tiers: tuple[Link, ...] = ()

    def over(self, level: int) -> Link:
        """Return the way over a level: 0 within a domain, 1 the port, then the tiers.

        It has the lowest rate of all links on it, and the longest latency.
        """
        if level == 0:
            return self.scale_up
        way = (self.port, *self.tiers)[:level]
        return Link(
            latency_s=max(link.latency_s for link in way),
            bytes_per_s=min(link.bytes_per_s for link in way),
        )


def links(pool: Pool, fabric: Fabric) -> Links:
    """Return the links of a pool's ranks.

    A port has the lower line rate of card and switch. On a torus, ports carry only what leaves
    the torus, at the card's rate; of chips without a card, all of that goes over the second tier.
    """
    gpu = pool.accelerator
    # The latency may be unknown only where no rank uses the link.
    scale_up = Link(
        latency_s=pool.figure("scale_up_latency_s") or 0.0,
        bytes_per_s=gpu.scale_up_bytes_per_s,
    )
    port = _port(pool, fabric)
    return Links(scale_up=scale_up, port=port, tiers=_tiers(fabric, port))


def _port(pool: Pool, fabric: Fabric) -> Link:
    entry = fabric.network
    latency_s, line_rate = fabric.figure("latency_s"), pool.figure("nic_bytes_per_s")
    if line_rate is None:
        assert entry.beyond is not None
        latency_s, line_rate = entry.beyond.latency_s, entry.beyond.bytes_per_s
    if entry.port_bytes_per_s is not None:
        line_rate = min(line_rate, entry.port_bytes_per_s)
    return Link(latency_s=latency_s, bytes_per_s=fabric.figure("bandwidth_efficiency") * line_rate)


def _tiers(fabric: Fabric, port: Link) -> tuple[Link, ...]:
    """Return a rank's part of the links of each tier, in the order of `tier_sizes`."""
    entry = fabric.network
    found = []
    if entry.oversubscription is not None:
        found.append(replace(port, bytes_per_s=port.bytes_per_s / entry.oversubscription))
    if entry.beyond is not None:
        line_rate = fabric.figure("bandwidth_efficiency") * entry.beyond.bytes_per_s
        found.append(Link(latency_s=entry.beyond.latency_s, bytes_per_s=line_rate))
    return tuple(found)
