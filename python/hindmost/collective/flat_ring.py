"""Flat ring: rings through all ranks of all domains, one ring for each port of a domain.

A domain of g ranks has g ports. g rings run at once, each with one g-th of the
data, and each enters and leaves a domain at a rank of its own, so that every
port carries one ring. NCCL searches for its channels in this way.
"""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.collective import ring
from hindmost.collective.cost import Cost, Link, at_once, twice
from hindmost.collective.levels import levels
from hindmost.spread import Spread


def all_gather(
    n_bytes: float, *, spread: Spread, scale_up: Link, port: Link, tiers: Sequence[Link] = ()
) -> Cost:
    """Return the cost of gathering `n_bytes` in all on each rank.

    Parameters
    ----------
    n_bytes
        Bytes that each rank has in the end.
    spread
        How the ranks of the communicator are spread over domains. The ports of the
        domain that holds the fewest carry the most, and the others wait.
    scale_up, port, tiers
        A rank's links to its domain, to the network, and over each tier.

    Notes
    -----
    Of n - 1 hops, N - 1 are between the N domains and n - N within them, as
    NCCL counts: ``(N - 1) a + (n - N) a'``.

    All data of a ring go through the ports of a domain of f ranks:
    ``(n - 1) / n b / (f B)``. A rank sends within its domain in all rings but
    the one that it sends through its port: ``(n - 1) / n b (g - 1) / g / B'``.
    Rounds do both at once, and the slower one sets the pace.

    A ring leaves each group of a tier once: all of its data go through the part of the tier
    that the h ranks of a group have, ``(n - 1) / n b / h``. Rounds follow each other, and
    each waits for its longest hop, so all hops between domains have the tier's latency.

    Examples
    --------
    One rank in each of 64 domains, without latency:

    >>> idle = Link(latency_s=0.0, bytes_per_s=450e9)
    >>> port = Link(latency_s=0.0, bytes_per_s=45e9)
    >>> cost = all_gather(101.4633472e9, spread=Spread.of(64, 1), scale_up=idle, port=port)
    >>> round(cost.total_s, 5)
    2.21951
    """
    n, members, domains = spread.ranks, spread.members, spread.domains
    if domains == 1:
        alone = ring.all_gather(n_bytes, n=n, link=scale_up)
        return Cost(latency_s=alone.latency_s, scale_up_s=alone.transfer_s)
    sent_bytes = (n - 1) / n * n_bytes
    over = levels(spread, port, tiers)
    hop_s = max(level.link.latency_s for level in over)
    return at_once(
        latency_s=(domains - 1) * hop_s + (n - domains) * scale_up.latency_s,
        scale_up_s=sent_bytes * (members - 1) / members / scale_up.bytes_per_s,
        transfer_s=max(sent_bytes * level.parts / level.link.bytes_per_s for level in over),
    )


reduce_scatter = all_gather
"""The rounds of an all-gather in reverse: one n-th of the sum is left on each rank."""

all_reduce = twice(all_gather)
"""A reduce-scatter and an all-gather: all of the sum is left on each rank."""
