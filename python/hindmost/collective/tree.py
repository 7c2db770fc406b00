"""Double binary tree: all-reduce only, latency grows with the logarithm.

Two trees carry half of the data each. An inner node of one of them is a leaf of
the other, so that all ranks send and receive equally much.
"""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.collective.cost import Cost, Link, at_once
from hindmost.collective.levels import levels
from hindmost.spread import Spread


def all_reduce(
    n_bytes: float, *, spread: Spread, scale_up: Link, port: Link, tiers: Sequence[Link] = ()
) -> Cost:
    """Return the cost of reducing `n_bytes` over all ranks, all of it left on each.

    Parameters
    ----------
    n_bytes
        Bytes that each rank has before and after.
    spread
        How the ranks of the communicator are spread over domains. The ports of the
        domain that holds the fewest carry the most, and the others wait.
    scale_up, port, tiers
        A rank's links to its domain, to the network, and over each tier.

    Notes
    -----
    Domains are the nodes of both trees, which are ``ceil(log2 N)`` deep; within
    a domain the g ranks form a chain. Up and down again:
    ``2 (ceil(log2 N) a + (g - 1) a')``.

    A domain with two children in one tree sends half of the data to each child
    and, once, to its parent; as a leaf of the other tree it sends a half to its
    parent: 2 b in all, and it receives as much. Pieces go up and down at the same
    time, over links that send and receive at the same time: ``2 b / (f B)`` through
    the ports of a domain of f ranks. With three domains it is ``3/2 b`` and with two
    ``b``, because no domain has that many neighbours. Each of the g chains of a
    domain carries a g-th of the data and starts at another rank, so a rank sends up
    in all but one and down in all but one: ``2 (g - 1) / g b / B'``. Ports and
    scale-up links work at the same time, and the slower ones set the pace.

    Groups of a tier are nodes of the upper part of both trees, and send as much as a domain
    does, through the part of the tier that their ranks have.

    References
    ----------
    P. Sanders, J. Speck and J. L. Traeff, "Two-tree algorithms for full bandwidth
    broadcast, reduction and scan", Parallel Computing 35 (2009); used for
    all-reduce since NCCL 2.4.
    """
    members = spread.members
    one_way_s, depth, transfer_s = (members - 1) * scale_up.latency_s, 0, 0.0
    for level in reversed(levels(spread, port, tiers)):
        one_way_s += (level.doublings - depth) * level.link.latency_s
        depth = level.doublings
        sent = n_bytes * min(2.0, level.number / 2)
        transfer_s = max(transfer_s, sent * level.parts / level.link.bytes_per_s)
    return at_once(
        latency_s=2 * one_way_s,
        scale_up_s=2 * (members - 1) / members * n_bytes / scale_up.bytes_per_s,
        transfer_s=transfer_s,
    )
