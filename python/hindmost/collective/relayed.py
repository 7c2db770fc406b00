"""Relayed all-to-all: one copy a domain, which a rank there passes on to others of its domain."""

from __future__ import annotations

from hindmost.collective.cost import Cost, Link, at_once
from hindmost.spread import Spread


def relayed_all_to_all(
    n_bytes: float,
    *,
    to_domains: float,
    to_ranks: float,
    spread: Spread,
    scale_up: Link,
    port: Link,
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
    scale_up, port
        A rank's links to its domain and to the network.

    Notes
    -----
    ``(1 - f / n) D b / B`` through the port of a rank in a domain of f, for D domains, and
    ``(1 - 1 / g) R b / B'`` within a domain of g, for R ranks: what arrives in a domain is passed
    on there, so each copy goes over a scale-up link, unless its rank is the one at the port.
    Pieces follow each other, so that ports and scale-up links work at once and the slower ones
    set the pace; a piece has two hops where it leaves its domain (DeepSeek-V3 Technical Report,
    arXiv 2412.19437, section 3.2.2).
    """
    leaves = spread.domains > 1
    passes_on = spread.members > 1
    return at_once(
        latency_s=port.latency_s * leaves + scale_up.latency_s * passes_on,
        scale_up_s=(1 - 1 / spread.members) * to_ranks * n_bytes / scale_up.bytes_per_s,
        transfer_s=(1 - spread.fewest / spread.ranks) * to_domains * n_bytes / port.bytes_per_s
        if leaves
        else 0.0,
    )
