"""Ranks of pools that are numbered together, and how communicators spread over their domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.scenario.areas import Area, TierSize
from hindmost.scenario.models import Layout
from hindmost.scenario.numbering import Numberings, Ranks, numberings
from hindmost.spread import Groups, Spread

MAX_PLACES = 500_000
"""Ranks that are looked at together, of communicators of a kind. Where these are regular, the first
and the last one stand for more."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The ranks of some pools that are numbered together, and the domains that they lie in.

    Attributes
    ----------
    numberings : Numberings
        Their numbers.
    areas : tuple of Area
        The pools.
    tiers : tuple of TierSize
        Tiers of the network.
    firsts : array of int
        The number of the first rank of each pool.
    used : array of int
        Working GPUs of a full domain of each pool.
    """

    numberings: Numberings
    areas: tuple[Area, ...]
    tiers: tuple[TierSize, ...]
    firsts: Ranks
    used: Ranks

    def pool_of(self, ranks: Ranks) -> Ranks:
        """Return the pool of each rank, by its place among the areas."""
        found: Ranks = np.searchsorted(self.firsts, ranks, side="right") - 1
        return found

    def domains(self, ranks: Ranks) -> Ranks:
        """Return the domain of each rank; numbers of domains grow with those of ranks."""
        pool = self.pool_of(ranks)
        ends = np.append(self.firsts[1:], self.numberings.dense.n_ranks)
        n_domains = -(-(ends - self.firsts) // self.used)
        before = np.concatenate(([0], n_domains.cumsum()[:-1]))
        domains: Ranks = before[pool] + (ranks - self.firsts[pool]) // self.used[pool]
        return domains

    def groups(self, ranks: Ranks, tier: TierSize) -> Ranks:
        """Return the group of a tier that each rank is in; they grow with the ranks, too."""
        pool = self.pool_of(ranks)
        found = np.empty_like(ranks)
        for index, area in enumerate(self.areas):
            here = pool == index
            domains = (ranks[here] - self.firsts[index]) // area.used
            found[here] = area.groups(tier, domains)
        return found


def site_of(layout: Layout, areas: tuple[Area, ...], tiers: tuple[TierSize, ...]) -> Site:
    """Return the site of some pools."""
    n_ranks = [area.n_ranks for area in areas]
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
        areas=areas,
        tiers=tiers,
        firsts=np.concatenate(([0], np.cumsum(n_ranks)[:-1])).astype(np.int64),
        used=np.array([area.used for area in areas], dtype=np.int64),
    )


def spread_of(site: Site, rows: list[Ranks], pool: int) -> Spread:
    """Return the spread of the communicator that takes longest, among those with ranks in a pool.

    Its members are counted in the domains of the pool, and its domains in all pools. Of a tier
    that group of the pool counts that most communicators leave.

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
    is_regular = not site.tiers and len(site.areas) == 1
    if is_regular and sum(array.size for array in arrays) > MAX_PLACES:
        arrays = [arrays[0][:1], arrays[-1][-1:]]
    parts = [part for array in arrays for part in _parts(array)]
    here = [part for part in (_in_pool(site, part, pool) for part in parts) if part.size]
    counted = [_counts(site.domains(part), site.pool_of(part) == pool) for part in here]
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
        tiers=tuple(_groups(site, here, tier, pool) for tier in site.tiers),
    )


def _in_pool(site: Site, rows: Ranks, pool: int) -> Ranks:
    """Return the rows with a rank in a pool."""
    found: Ranks = rows[(site.pool_of(rows) == pool).any(axis=1)]
    return found


def _groups(site: Site, parts: list[Ranks], tier: TierSize, pool: int) -> Groups:
    """Return how the rows of some arrays lie in the groups of a tier."""
    groups = [site.groups(rows, tier) for rows in parts]
    n_groups = 1 + max(int(of_rows.max()) for of_rows in groups)
    # By group: parts of rows, their ranks, and both of rows that are in several groups.
    sums = np.zeros((4, n_groups))
    is_here = np.zeros(n_groups, dtype=bool)
    number = 1
    for rows, of_rows in zip(parts, groups, strict=True):
        row, group, size = _pieces(of_rows)
        n_pieces = np.bincount(row)
        number = max(number, int(n_pieces.max()))
        crosses = (n_pieces > 1)[row]
        for index, weights in enumerate((np.ones_like(size), size, crosses, crosses * size)):
            sums[index] += np.bincount(group, weights=weights, minlength=n_groups)
        is_here[of_rows[site.pool_of(rows) == pool]] = True
    n_parts, n_ranks, n_crossing, n_leaving = sums[:, is_here]
    worst = int(np.argmax(n_crossing / n_ranks + 1e-9 * n_parts / n_ranks))
    return Groups(
        number=number,
        parts=float(n_parts[worst] / n_ranks[worst]),
        crossing=float(n_crossing[worst] / n_ranks[worst]),
        leaving=float(n_leaving[worst] / n_ranks[worst]),
    )


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
    row, _, size = _pieces(groups)
    n_rows = len(groups)
    firsts = np.concatenate(([0], size.cumsum()[:-1]))
    here = np.logical_or.reduceat(in_pool.ravel(), firsts)
    number: Ranks = np.bincount(row, minlength=n_rows)
    fewest = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(fewest, row[here], size[here])
    most = np.zeros(n_rows, dtype=np.int64)
    np.maximum.at(most, row[here], size[here])
    return number, most, fewest


def _pieces(groups: Ranks) -> tuple[Ranks, Ranks, Ranks]:
    """Return row, group and ranks of each run of ranks of a row that are in the same group."""
    is_first = np.ones(groups.shape, dtype=bool)
    is_first[:, 1:] = np.diff(groups, axis=1) != 0
    firsts = np.flatnonzero(is_first)
    size: Ranks = np.diff(np.append(firsts, groups.size))
    return firsts // groups.shape[1], groups.ravel()[firsts], size
