"""Hierarchical: rings within domains, doubling distances between them.

The ranks of a domain divide the data between domains among their ports: each
port carries the share that its own rank gathers. Between domains the distance
doubles each round (recursive doubling, and NCCL's PAT), so latency grows with
the logarithm of the number of domains and each byte still crosses a port once.
The data go in chunks, one after another through both levels, so that scale-up links
and ports work at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

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
    With N domains of at least g ranks: ``(N - 1) / N b / (g B)`` through the ports, while rings
    within the domains pass on the chunks that have come, ``(g - 1) / g b / B'``. The slower
    level sets the pace. Chunks are taken to be so small that filling both levels takes only
    the hops: ``ceil(log2 N) a + (g - 1) a'``.

    Over tiers the far rounds come first, while a rank has its own data only: with T groups
    of at least h of the n ranks ``(n - h) / n b / h`` of a rank's bytes cross the tier, at
    its rate, and ``ceil(log2 T)`` of the rounds have its latency.

    Examples
    --------
    One rank in each of 64 domains, without latency:

    >>> idle = Link(latency_s=0.0, bytes_per_s=450e9)
    >>> port = Link(latency_s=0.0, bytes_per_s=45e9)
    >>> cost = all_gather(101.4633472e9, spread=Spread.of(64, 1), scale_up=idle, port=port)
    >>> round(cost.total_s, 5)
    2.21951
    """
    within = ring.all_gather(n_bytes, n=spread.members, link=scale_up)
    latency_s, transfer_s = within.latency_s, 0.0
    over = levels(spread, port, tiers)
    # What crosses a level crosses those below it on the way, and counts once, at the lowest rate.
    shares = list(accumulate((level.crossing_share for level in over), min))
    rounds, share = 0, 0.0
    for level, crossing in zip(reversed(over), reversed(shares), strict=True):
        latency_s += (level.doublings - rounds) * level.link.latency_s
        transfer_s += (crossing - share) * n_bytes / level.link.bytes_per_s
        rounds, share = level.doublings, crossing
    return at_once(latency_s=latency_s, scale_up_s=within.transfer_s, transfer_s=transfer_s)


reduce_scatter = all_gather
"""The rounds of an all-gather in reverse: one n-th of the sum is left on each rank."""

all_reduce = twice(all_gather)
"""A reduce-scatter and an all-gather: all of the sum is left on each rank."""
