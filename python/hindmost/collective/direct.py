"""Direct all-to-all: every rank sends each other rank its share, as experts exchange tokens."""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.collective.cost import Cost, Link, at_once
from hindmost.collective.levels import levels
from hindmost.spread import Spread


def all_to_all(
    n_bytes: float, *, spread: Spread, scale_up: Link, port: Link, tiers: Sequence[Link] = ()
) -> Cost:
    """Return the cost of sending one n-th of each rank's `n_bytes` to each rank.

    Parameters
    ----------
    n_bytes
        Bytes of one rank, its own share included.
    spread
        How the ranks of the communicator are spread over domains. Those of the
        domain that holds the fewest send the most through their ports.
    scale_up, port, tiers
        A rank's links to its domain, to the network, and over each tier.

    Notes
    -----
    ``(n - f) / n b / B`` through the port of a rank in a domain of f,
    ``(g - 1) / n b / B'`` within a domain of g. Both run at once, as NCCL's
    grouped sends and receives do, and the slower one sets the pace. All messages
    are posted at once, so the latency is that of one hop, the longest. Messages do
    not depend on each other, and no rank forwards for another. Over a tier goes
    what leaves a group of h ranks, ``(n - h) / n b``, and the slowest level sets the pace.
    """
    n = spread.ranks
    over = levels(spread, port, tiers)
    latencies_s = [level.link.latency_s for level in over]
    if spread.members > 1:
        latencies_s.append(scale_up.latency_s)
    return at_once(
        latency_s=max(latencies_s, default=0.0),
        scale_up_s=(spread.members - 1) / n * n_bytes / scale_up.bytes_per_s,
        transfer_s=max(
            (level.leaving_share * n_bytes / level.link.bytes_per_s for level in over),
            default=0.0,
        ),
    )
