"""Torus: rings along all dimensions, all links busy at once.

The data are divided among orders of the dimensions, so that while one share goes
along the first dimension others go along the other ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hindmost.collective.cost import Cost, Link, twice

CUBE_EDGE = 4
"""Chips along the edge of a cube; optical switches join cubes into rings.

N. P. Jouppi et al., "TPU v4: an optically reconfigurable supercomputer for
machine learning with hardware support for embeddings", ISCA 2023, section 2.
"""


def is_wrapped(size: int) -> bool:
    """Return whether a dimension is a ring: made of whole cubes. Else it is a line."""
    return size % CUBE_EDGE == 0


def all_gather(n_bytes: float, *, shape: Sequence[int], link: Link) -> Cost:
    """Return the cost of gathering `n_bytes` in all on each rank of a torus.

    Parameters
    ----------
    n_bytes
        Bytes that each rank has in the end.
    shape
        Ranks along each dimension, each >= 1; a dimension of 1 has no links.
    link
        One link of a rank, in one direction. Along a dimension a rank has two.

    Notes
    -----
    ``(1 - 1/n) b / ((2 R + L) B)`` with R rings and L lines among the dimensions.

    Along a ring of k each rank sends one half of the data in either direction:
    ``(1 - 1/k) b / (2 B)``. Along a line the rank at the end sends all of it
    through its only link: ``(1 - 1/k) b / B``, half of a ring's bandwidth. After
    one dimension only ``b / k`` is left for the next, so a rank sends
    ``(1 - 1/n) b`` in all, in each order of the dimensions. The orders' shares can be
    chosen so that all dimensions are busy to the end: their loads fill the base
    of a polymatroid, ``load(S) <= (1 - 1/prod(k in S)) b`` for each set S of
    dimensions, in which loads in proportion to the bandwidths lie.

    Data come from at most ``k // 2`` hops along a ring, ``k - 1`` along a line. The
    dimensions follow each other, so their hops add up.

    Examples
    --------
    >>> link = Link(latency_s=0.0, bytes_per_s=45e9)
    >>> round(1e3 * all_reduce(1e9, shape=(16, 16, 16), link=link).total_s, 4)
    7.4056
    """
    sizes = [size for size in shape if size > 1]
    n = math.prod(sizes)
    links = sum(2 if is_wrapped(size) else 1 for size in sizes)
    hops = sum(size // 2 if is_wrapped(size) else size - 1 for size in sizes)
    if n == 1:
        return Cost()
    return Cost(
        latency_s=hops * link.latency_s,
        transfer_s=(1 - 1 / n) * n_bytes / (links * link.bytes_per_s),
    )


reduce_scatter = all_gather
"""The rounds of an all-gather in reverse: one n-th of the sum is left on each rank."""

all_reduce = twice(all_gather)
"""A reduce-scatter and an all-gather: ``2 b (1 - 1/n) / (2 D B)`` with D rings."""
