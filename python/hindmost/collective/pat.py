"""PAT: all-gather and reduce-scatter in a logarithmic number of rounds.

Parallel aggregated trees, which NCCL has since 2.23: the distances of Bruck's algorithm
in another order, so that a buffer of fixed size is enough. One rank a domain only.
"""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.collective import hierarchical
from hindmost.collective.cost import Cost, Link
from hindmost.spread import Spread


def applies(spread: Spread) -> bool:
    """Return whether no domain holds more than one of the ranks.

    NCCL refuses PAT otherwise ("only supports 1 GPU per node").
    """
    return spread.members == 1


def all_gather(
    n_bytes: float, *, spread: Spread, scale_up: Link, port: Link, tiers: Sequence[Link] = ()
) -> Cost:
    """Return the cost of gathering `n_bytes` in all on each rank.

    Parameters
    ----------
    n_bytes
        Bytes that each rank has in the end.
    spread
        How the ranks of the communicator are spread over domains, one in each.
    scale_up, port, tiers
        A rank's links to its domain, which are not used, to the network, and over each tier.

    Raises
    ------
    ValueError
        If a domain holds more than one rank, see `applies`.

    Notes
    -----
    ``ceil(log2 n) a + (n - 1) / n b / B``: each round doubles the data of a rank,
    and each byte arrives once, as in the hierarchical way with one rank a domain.
    J. Bruck et al., "Efficient algorithms for all-to-all communications in
    multiport message-passing systems", IEEE TPDS 8 (1997); S. Jeaugey, "PAT: a new
    algorithm for all-gather and reduce-scatter operations at scale" (2025).
    """
    if not applies(spread):
        raise ValueError(f"PAT takes one rank a domain, got {spread.members}")
    return hierarchical.all_gather(
        n_bytes, spread=spread, scale_up=scale_up, port=port, tiers=tiers
    )


reduce_scatter = all_gather
"""The rounds of an all-gather in reverse: one n-th of the sum is left on each rank."""
