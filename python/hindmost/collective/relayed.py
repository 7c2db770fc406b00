"""Relayed all-to-all: one copy a domain, which a rank there passes on to others of its domain."""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.collective.cost import Cost, Link, at_once
from hindmost.collective.levels import levels
from hindmost.spread import Spread


def relayed_all_to_all(
    n_bytes: float,
    *,
    to_domains: float,
    to_ranks: float,
    spread: Spread,
    scale_up: Link,
    port: Link,
    tiers: Sequence[Link] = (),
) -> Cost:
    """Return the cost of sending copies of each rank's data to ranks of several domains.

    Parameters
    ----------
    n_bytes
        Bytes of one copy of all data of a rank.
    to_domains, to_ranks
        Domains and ranks, the rank's own included, that each piece of the data goes to, on
        average; any of them with equal probability.
    spread
        How the ranks of the communicator are spread over domains. Those of the domain that
        holds the fewest send the most through their ports.
    scale_up, port, tiers
        A rank's links to its domain, to the network, and over each tier.

    Notes
    -----
    ``(1 - f / n) D b / B`` through the port of a rank in a domain of f, for D domains, and
    ``(1 - 1 / g) R b / B'`` within a domain of g, for R ranks: what arrives in a domain is passed
    on there, so each copy goes over a scale-up link, unless its rank is the one at the port.
    Pieces follow each other, so that ports and scale-up links work at once and the slower ones
    set the pace; a piece has two hops where it leaves its domain (DeepSeek-V3 Technical Report,
    arXiv 2412.19437, section 3.2.2). Over a tier go the copies for domains of other groups,
    ``(1 - h / n) D b`` of a group of h ranks, and the slowest level sets the pace.
    """
    over = levels(spread, port, tiers)
    passes_on = spread.members > 1
    # A copy for a far domain takes one hop to it, the longest that there is.
    hop_s = max((level.link.latency_s for level in over), default=0.0)
    copies = to_domains * n_bytes
    return at_once(
        latency_s=hop_s + scale_up.latency_s * passes_on,
        scale_up_s=(1 - 1 / spread.members) * to_ranks * n_bytes / scale_up.bytes_per_s,
        transfer_s=max(
            (level.leaving_share * copies / level.link.bytes_per_s for level in over),
            default=0.0,
        ),
    )
