"""The links of a pool's ranks."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.collective import Link
from hindmost.scenario.models import Fabric, Pool


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links of one rank of a pool.

    Attributes
    ----------
    scale_up, port : Link
        To its domain, and to the network.
    """

    scale_up: Link
    port: Link


def links(pool: Pool, fabric: Fabric) -> Links:
    """Return the links of a pool's ranks.

    A port has the lower line rate of card and switch. On a torus, ports carry only what leaves
    the torus, at the card's rate.
    """
    gpu = pool.accelerator
    # The latency may be unknown only where no rank uses the link.
    scale_up = Link(
        latency_s=pool.figure("scale_up_latency_s") or 0.0,
        bytes_per_s=gpu.scale_up_bytes_per_s,
    )
    return Links(scale_up=scale_up, port=_port(pool, fabric))


def _port(pool: Pool, fabric: Fabric) -> Link:
    entry = fabric.network
    line_rate = pool.figure("nic_bytes_per_s")
    assert line_rate is not None
    if entry.kind == "switched":
        line_rate = min(line_rate, entry.port_bytes_per_s)
    return Link(
        latency_s=fabric.figure("latency_s"),
        bytes_per_s=fabric.figure("bandwidth_efficiency") * line_rate,
    )
