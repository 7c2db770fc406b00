"""Direct all-to-all: every rank sends each other rank its share, as experts exchange tokens."""

from __future__ import annotations

from hindmost.collective.cost import Cost, Link, at_once
from hindmost.spread import Spread


def all_to_all(n_bytes: float, *, spread: Spread, scale_up: Link, port: Link) -> Cost:
    """Return the cost of sending one n-th of each rank's `n_bytes` to each rank.

    Parameters
    ----------
    n_bytes
        Bytes of one rank, its own share included.
    spread
        How the ranks of the communicator are spread over domains. Those of the
        domain that holds the fewest send the most through their ports.
    scale_up, port
        A rank's links to its domain and to the network.

    Notes
    -----
    ``(n - f) / n b / B`` through the port of a rank in a domain of f,
    ``(g - 1) / n b / B'`` within a domain of g. Both run at once, as NCCL's
    grouped sends and receives do, and the slower one sets the pace. All messages
    are posted at once, so the latency is that of one hop, the longest. Messages do
    not depend on each other, and no rank forwards for another.
    """
    n = spread.ranks
    latencies_s = [
        link.latency_s
        for link, is_used in ((scale_up, spread.members > 1), (port, n > spread.members))
        if is_used
    ]
    return at_once(
        latency_s=max(latencies_s, default=0.0),
        scale_up_s=(spread.members - 1) / n * n_bytes / scale_up.bytes_per_s,
        transfer_s=(n - spread.fewest) / n * n_bytes / port.bytes_per_s
        if n > spread.members
        else 0.0,
    )
