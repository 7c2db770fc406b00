"""Ranks of pools that are numbered together, and how communicators spread over their domains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.scenario.communicators import some
from hindmost.scenario.models import Layout
from hindmost.scenario.numbering import Numbering, Numberings, Ranks, numberings
from hindmost.spread import Spread

MAX_PLACES = 500_000
"""Ranks that are looked at together, of communicators of a kind. Where these are regular, the first
and the last one stand for more."""


def pool_of(firsts: Ranks, ranks: Ranks) -> Ranks:
    """Return the pool of each rank, counted from 0, by the first rank of each pool."""
    found: Ranks = np.searchsorted(firsts, ranks, side="right") - 1
    return found


@dataclass(frozen=True, kw_only=True)
class Site:
    """The ranks of some pools that are numbered together, and the domains that they lie in.

    Attributes
    ----------
    numberings : Numberings
        Their numbers.
    firsts : array of int
        The number of the first rank of each pool.
    used : array of int
        Working GPUs of a full domain of each pool.
    """

    numberings: Numberings
    firsts: Ranks
    used: Ranks

    def domains(self, ranks: Ranks) -> Ranks:
        """Return the domain of each rank; numbers of domains grow with those of ranks."""
        pool = pool_of(self.firsts, ranks)
        ends = np.append(self.firsts[1:], self.numberings.dense.n_ranks)
        n_domains = -(-(ends - self.firsts) // self.used)
        before = np.concatenate(([0], n_domains.cumsum()[:-1]))
        domains: Ranks = before[pool] + (ranks - self.firsts[pool]) // self.used[pool]
        return domains


def site_of(layout: Layout, sizes: Sequence[tuple[int, int]]) -> Site:
    """Return the site of pools with so many ranks, and working GPUs of a full domain."""
    n_ranks = [n for n, _ in sizes]
    replica = layout.tensor * layout.context * layout.pipeline
    return Site(
        numberings=numberings(
            layout.order,
            tensor=layout.tensor,
            context=layout.context,
            pipeline=layout.pipeline,
            data=sum(n_ranks) // replica,
            expert=layout.expert,
            expert_tensor=layout.expert_tensor,
        ),
        firsts=np.concatenate(([0], np.cumsum(n_ranks)[:-1])).astype(np.int64),
        used=np.array([used for _, used in sizes], dtype=np.int64),
    )


def spread_of(site: Site, rows: list[Ranks], pool: int) -> Spread:
    """Return the spread of the communicator that takes longest, among those with ranks in a pool.

    Its members are counted in the domains of the pool, and its domains in all pools.

    Parameters
    ----------
    site
        Where ranks sit.
    rows
        Ranks of communicators, one a row of an array; arrays have rows of other lengths.
    pool
        The pool.
    """
    arrays = [np.atleast_2d(array) for array in rows]
    if len(site.firsts) == 1 and sum(array.size for array in arrays) > MAX_PLACES:
        arrays = [arrays[0][:1], arrays[-1][-1:]]
    parts = [part for array in arrays for part in _parts(array)]
    here = [part for part in (_in_pool(site, part, pool) for part in parts) if part.size]
    counted = [_counts(site.domains(part), pool_of(site.firsts, part) == pool) for part in here]
    n_domains, members, fewest = (np.concatenate(column) for column in zip(*counted, strict=True))
    lengths = np.concatenate([np.full(len(part), part.shape[1]) for part in here])
    # The fewer members a domain has, the more goes through a port; with domains latency grows.
    # Of shard groups the largest one has.
    slowest = int(np.lexsort((-n_domains, fewest, -lengths))[0])
    return Spread(
        ranks=int(lengths[slowest]),
        members=int(members[slowest]),
        domains=int(n_domains[slowest]),
        fewest=int(fewest[slowest]),
    )


def _in_pool(site: Site, rows: Ranks, pool: int) -> Ranks:
    """Return the rows with a rank in a pool."""
    found: Ranks = rows[(pool_of(site.firsts, rows) == pool).any(axis=1)]
    return found


def _parts(rows: Ranks) -> Iterator[Ranks]:
    """Yield some rows at a time, so that memory stays small."""
    step = max(1, MAX_PLACES // rows.shape[1])
    for begin in range(0, len(rows), step):
        yield rows[begin : begin + step]


def _counts(groups: Ranks, in_pool: NDArray[np.bool_]) -> tuple[Ranks, Ranks, Ranks]:
    """Return groups by row, and the most and the fewest ranks of those that a pool is in.

    Parameters
    ----------
    groups
        Group of each rank, by row; those of a row ascend.
    in_pool
        Whether each rank is in the pool.
    """
    n_rows = len(groups)
    row, _, size = pieces(groups.ravel(), np.repeat(np.arange(n_rows), groups.shape[1]))
    firsts = np.concatenate(([0], size.cumsum()[:-1]))
    here = np.logical_or.reduceat(in_pool.ravel(), firsts)
    number: Ranks = np.bincount(row, minlength=n_rows)
    fewest = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(fewest, row[here], size[here])
    most = np.zeros(n_rows, dtype=np.int64)
    np.maximum.at(most, row[here], size[here])
    return number, most, fewest


def pieces(groups: Ranks, row_of: Ranks) -> tuple[Ranks, Ranks, Ranks]:
    """Return row, group and number of each run of ranks of a row that are in the same group."""
    is_first = np.append(True, (np.diff(groups) != 0) | (np.diff(row_of) != 0))
    firsts = np.flatnonzero(is_first)
    size: Ranks = np.diff(np.append(firsts, groups.size))
    return row_of[firsts], groups[firsts], size


def stage_levels(
    layout: Layout, dense: Numbering, groupings: Sequence[Callable[[Ranks], Ranks]], period: int
) -> tuple[int, ...]:
    """Return the level that transfers go over, by link between stages, where they go farthest.

    Parameters
    ----------
    layout, dense
        The layout, and the numbers of its ranks.
    groupings
        Functions of ranks that return their groups, by level from 1 on.
    period
        Replicas after which what they return repeats.
    """
    if layout.pipeline == 1:
        return (0,)
    replicas = some(dense.size("dp"), period) * dense.stride("dp")
    stages = np.arange(layout.pipeline) * dense.stride("pp")
    context = np.arange(layout.context) * dense.stride("cp")
    ranks = replicas[:, np.newaxis, np.newaxis] + stages[:, np.newaxis] + context
    levels = np.zeros((len(replicas), layout.pipeline), dtype=np.int64)
    for level, group_of in enumerate(groupings, start=1):
        groups = group_of(ranks)
        levels[(groups != np.roll(groups, -1, axis=1)).any(axis=2)] = level
    used = levels if layout.chunks > 1 else levels[:, :-1]
    return tuple(levels[used.sum(axis=1).argmax()].tolist())
