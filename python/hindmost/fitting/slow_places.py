"""Where a cluster is slow: single ranks within their nodes, and whole nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.estimate import normal
from hindmost.fitting.slow_units import SlowUnit, slow_units

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlowPlaces:
    """Ranks and nodes that are slow.

    Attributes
    ----------
    ranks, nodes : tuple of SlowUnit
        Those that the spread of the others does not explain, by their numbers.
    is_used : array of shape (ranks,)
        Whether a rank is neither slow nor in a slow node.
    """

    ranks: tuple[SlowUnit, ...]
    nodes: tuple[SlowUnit, ...]
    is_used: NDArray[np.bool_]


def slow_places(effects: Vector, ranks: NDArray[np.int64], nodes: NDArray[np.intp]) -> SlowPlaces:
    """Return the ranks and nodes that are slow.

    Parameters
    ----------
    effects : array of shape (ranks,)
        Logarithm of each rank's time over the mean.
    ranks, nodes : array of shape (ranks,)
        Numbers of the ranks, and of their nodes.

    Notes
    -----
    Ranks are held against the median of their node, so that slow nodes have no slow ranks. Once
    they are named, the excess of each is that over the mean of its node's other ranks, with the
    variance that ranks have within nodes. Nodes of a single rank are none: all ranks are of one.
    """
    names, place = np.unique(nodes, return_inverse=True)
    has_nodes = len(names) < len(effects)
    if not has_nodes:
        names, place = names[:1], np.zeros_like(place)
    medians = np.array([np.median(effects[place == one]) for one in range(len(names))])
    named = [one.unit for one in slow_units(effects - medians[place], "rank")]
    is_used = np.ones(len(effects), dtype=bool)
    is_used[named] = False
    counts = np.bincount(place[is_used], minlength=len(names))
    sums = np.bincount(place[is_used], weights=effects[is_used], minlength=len(names))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    within = (effects - means[place])[is_used]
    freedom = max(int(len(within) - np.count_nonzero(counts)), 1)
    variance = float((within**2).sum()) / freedom

    def slow_rank(unit: int) -> SlowUnit:
        others = counts[place[unit]]
        mean, error = (
            (means[place[unit]], math.sqrt(variance * (1 + 1 / others)))
            if others
            else (np.nanmean(means), float(np.nanstd(means)))
        )
        number = int(ranks[unit])
        excess = normal(f"slow-rank-{number}", "share", float(effects[unit] - mean), error)
        return SlowUnit(unit=number, excess=excess)

    of_nodes = []
    if has_nodes:
        expected = variance * float(np.mean(1 / counts[counts > 0]) + 1)
        of_nodes = slow_units(means, "node", expected_variance=expected)
    for one in of_nodes:
        is_used &= place != one.unit
    return SlowPlaces(
        ranks=tuple(map(slow_rank, named)),
        nodes=tuple(_numbered(one, int(names[one.unit])) for one in of_nodes),
        is_used=is_used,
    )


def _numbered(slow: SlowUnit, node: int) -> SlowUnit:
    """Return a slow node with its number instead of its place."""
    return SlowUnit(unit=node, excess=replace(slow.excess, name=f"slow-node-{node}"))
