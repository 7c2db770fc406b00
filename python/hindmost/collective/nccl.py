"""NCCL's own latencies: the rules and constants by which its tuner chooses an algorithm.

The rules of NCCL 2.30.7, commit 5067397c, ``ncclTopoTuneModel`` and
``ncclTopoGetAlgoTime`` in ``src/graph/tuning.cc``, with its default constants, in
microseconds as in the source. They are what NCCL expects, not a measurement.
Logarithms are rounded down, as by NCCL's ``log2i``. The latency that a network
plugin may report is taken as zero.
"""

from __future__ import annotations

from typing import Literal

from hindmost.collective import pat
from hindmost.collective.algorithm import Operation
from hindmost.spread import Spread

VERSION = "5067397c"
"""Commit of NCCL whose rules and constants these are."""

Protocol = Literal["LL", "LL128", "Simple"]
Host = Literal["intel", "amd"]
Intra = Literal["nvlink", "pci"]
Algorithm = Literal["ring", "tree", "pat"]

_US = 1e-6

# Microseconds: baseLatencies[algorithm][protocol].
_BASE: dict[str, dict[Protocol, float]] = {
    "tree": {"LL": 6.8, "LL128": 14.0, "Simple": 8.4},
    "ring": {"LL": 6.6, "LL128": 14.0, "Simple": 8.4},
    "pat": {"LL": 8.0, "LL128": 8.0, "Simple": 8.0},
}

# Microseconds: hwLatencies[link][algorithm][protocol].
_HOP: dict[str, dict[str, dict[Protocol, float]]] = {
    "nvlink": {
        "tree": {"LL": 0.6, "LL128": 1.25, "Simple": 4.0},
        "ring": {"LL": 0.6, "LL128": 1.9, "Simple": 3.4},
    },
    "pci": {
        "tree": {"LL": 1.0, "LL128": 1.9, "Simple": 4.0},
        "ring": {"LL": 1.0, "LL128": 2.5, "Simple": 5.7},
    },
    "net": {
        "tree": {"LL": 5.0, "LL128": 8.5, "Simple": 14.0},
        "ring": {"LL": 2.7, "LL128": 4.0, "Simple": 14.0},
        "pat": {"Simple": 14.0},
    },
}

# Microseconds to post a send, getNetOverhead(); three times that for Simple.
_NET_OVERHEAD: dict[Host, float] = {"intel": 1.0, "amd": 2.0}
_SIMPLE_OVERHEADS = 3


def ring_s(
    operation: Operation,
    *,
    protocol: Protocol,
    n: int,
    n_nodes: int,
    host: Host = "intel",
    intra: Intra = "nvlink",
) -> float:
    """Return NCCL's latency of a ring, in seconds; without the plateau.

    Parameters
    ----------
    operation
        What the ring does; an all-reduce takes twice as many hops.
    protocol
        NCCL's protocol.
    n
        Ranks of the communicator, >= 1.
    n_nodes
        Nodes of the communicator, as NCCL counts them: 1 to `n`.
    host
        Processor of the hosts; all but AMD's count as Intel's.
    intra
        Links within a node.

    Notes
    -----
    ``base + (hops - between) intra + between net`` with n - 1 hops, N - 1 of
    them between nodes. Where there are several nodes, each hop within a node
    takes at least the overhead of posting to the network. With one rank a node, a
    hop between nodes takes the tree's network constant.

    Examples
    --------
    >>> round(1e6 * ring_s("all_reduce", protocol="LL", n=16, n_nodes=2), 1)
    40.0
    >>> round(1e6 * ring_s("all_reduce", protocol="LL", n=16, n_nodes=2, host="amd"), 1)
    68.0
    """
    if n == 1:
        return 0.0
    halves = 2 if operation == "all_reduce" else 1
    intra_us = _HOP[intra]["ring"][protocol]
    if n_nodes > 1:
        overheads = _SIMPLE_OVERHEADS if protocol == "Simple" else 1
        intra_us = max(intra_us, overheads * _NET_OVERHEAD[host])
    net_us = _HOP["net"]["tree" if n == n_nodes else "ring"][protocol]
    hops_us = (n - n_nodes) * intra_us + (n_nodes - 1) * net_us
    return _US * (_BASE["ring"][protocol] + halves * hops_us)


def tree_s(*, protocol: Protocol, n: int, n_nodes: int, intra: Intra = "nvlink") -> float:
    """Return NCCL's latency of an all-reduce over its trees, in seconds.

    Parameters
    ----------
    protocol, n, n_nodes, intra
        As for `ring_s`.

    Notes
    -----
    ``base + 2 ((n // N - 1) intra + floor(log2 N) net)``.

    Examples
    --------
    >>> round(1e6 * tree_s(protocol="Simple", n=16_384, n_nodes=2_048), 1)
    372.4
    """
    if n == 1:
        return 0.0
    chain_us = (n // n_nodes - 1) * _HOP[intra]["tree"][protocol]
    between_us = _floor_log2(n_nodes) * _HOP["net"]["tree"][protocol]
    return _US * (_BASE["tree"][protocol] + 2 * (chain_us + between_us))


def pat_s(*, n: int) -> float:
    """Return NCCL's latency of PAT, in seconds: Simple, one rank a node.

    Parameters
    ----------
    n
        Ranks and nodes of the communicator, >= 1.

    Notes
    -----
    ``base + floor(log2 n) net / 3.5 + 2.8 n``: NCCL has a term that is linear in n.

    Examples
    --------
    >>> round(1e6 * pat_s(n=64), 1)
    211.2
    """
    if n == 1:
        return 0.0
    rounds_us = _floor_log2(n) * _HOP["net"]["pat"]["Simple"] / 3.5
    return _US * (_BASE["pat"]["Simple"] + rounds_us + 2.8 * n)


def plateau(
    n_bytes: float, *, n: int, n_nodes: int, n_channels: int = 16, compute_capability: int = 90
) -> float:
    """Return NCCL's factor on the latency of a ring all-reduce, under the protocol Simple.

    Parameters
    ----------
    n_bytes
        Bytes of the all-reduce.
    n, n_nodes
        Ranks and nodes of the communicator.
    n_channels
        Rings at once, >= 1; NCCL chooses the number by itself.
    compute_capability
        The least of the GPUs, times ten: 90 for Hopper.

    Notes
    -----
    1.4 from compute capability 80 on, 1.9 before, where there are several nodes
    and at least 64 whole bytes for each rank and channel; otherwise 1.
    """
    if n_nodes == 1 or n_bytes // (n_channels * n) < 64:
        return 1.0
    return 1.9 if compute_capability < 80 else 1.4


def latency_s(
    operation: Operation,
    n_bytes: float,
    *,
    algorithm: Algorithm,
    spread: Spread,
    host: Host = "intel",
    intra: Intra = "nvlink",
) -> float:
    """Return NCCL's latency of a large message, in seconds: Simple, plateau included.

    It replaces `Cost.latency_s` of the algorithm, and is paid by each piece that is sent on its
    own. A domain counts as what NCCL calls a node.

    Parameters
    ----------
    operation, host, intra
        As for `ring_s`.
    n_bytes
        Bytes of one piece.
    algorithm
        ``tree`` for an all-reduce only, ``pat`` for the others only.
    spread
        How the ranks of the communicator are spread over domains; one in each for ``pat``.

    Raises
    ------
    ValueError
        If NCCL has no such algorithm for the operation.

    Examples
    --------
    >>> s = latency_s("all_reduce", 1e9, algorithm="tree", spread=Spread.of(16_384, 8))
    >>> round(1e6 * s, 1)
    372.4
    """
    n, n_nodes = spread.ranks, spread.domains
    reduces_all = operation == "all_reduce"
    if algorithm == "tree" and reduces_all:
        return tree_s(protocol="Simple", n=n, n_nodes=n_nodes, intra=intra)
    if algorithm == "pat" and not reduces_all and pat.applies(spread):
        return pat_s(n=n)
    if algorithm == "ring":
        factor = plateau(n_bytes, n=n, n_nodes=n_nodes) if reduces_all else 1.0
        return factor * ring_s(
            operation, protocol="Simple", n=n, n_nodes=n_nodes, host=host, intra=intra
        )
    raise ValueError(f"NCCL has no {algorithm} for {operation} at {spread.members} ranks a node")


def _floor_log2(number: int) -> int:
    return number.bit_length() - 1
