"""Ring: each rank sends to the next one, over equal links."""

from __future__ import annotations

from hindmost.collective.cost import Cost, Link, twice


def all_gather(n_bytes: float, *, n: int, link: Link) -> Cost:
    """Return the cost of gathering `n_bytes` in all on each of `n` ranks.

    Notes
    -----
    ``(n - 1) (a + b / (n B))``: in each of n - 1 rounds every rank sends one
    n-th of the data.

    Examples
    --------
    >>> link = Link(latency_s=1e-6, bytes_per_s=1e9)
    >>> round(all_gather(8e9, n=4, link=link).total_s, 6)
    6.000003
    """
    rounds = n - 1
    return Cost(
        latency_s=rounds * link.latency_s,
        transfer_s=rounds / n * n_bytes / link.bytes_per_s,
    )


reduce_scatter = all_gather
"""The rounds of an all-gather in reverse: one n-th of the sum is left on each rank."""

all_reduce = twice(all_gather)
"""A reduce-scatter and an all-gather, ``2 (n - 1) (a + b / (n B))``."""
