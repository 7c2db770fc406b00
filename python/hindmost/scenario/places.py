"""Where ranks sit: which of a communicator share a domain, and which transfers leave one.

Rank r of a pool is its r-th working GPU. All communicators, transfers and columns of a result that
depend on who sits where ask here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hindmost.scenario.areas import Area, TierSize, areas_of, shared_groups
from hindmost.scenario.counts import (
    Counts,
    expert_tensor,
    is_mixed,
    same_experts_among,
)
from hindmost.scenario.models import Layout, Pool
from hindmost.scenario.numbering import Numberings, Ranks, numberings
from hindmost.spread import Groups, Spread

EVERY = 2**31
"""A period after which nothing repeats: of communicators, all are looked at."""

MAX_PLACES = 500_000
"""Ranks that are looked at together, of communicators of a kind. Of more without tiers only the
first communicator and the last one are looked at."""


@dataclass(frozen=True, kw_only=True)
class PoolPlaces:
    """Where the ranks of one pool sit. Spreads are those of the communicator that takes longest.

    Attributes
    ----------
    data : Spread
        Ranks that have the same part of the model, and other tokens.
    shard : Spread
        Those of them in a shard group; all of them where there are no such groups.
    between_shards : Spread
        Ranks that hold the same shard, one of each shard group.
    context : Spread
        Ranks that divide a sequence.
    experts : Spread
        Ranks that divide the experts of a layer.
    same_experts, same_experts_of_shard, same_experts_between_shards : Spread
        As the first three, of ranks that have the same experts.
    stage_levels : tuple of int
        By link between stages, how far transfers over it go, in the replica in which they go
        farthest: 0 within a domain, 1 to another one, 2 and more over that many tiers less 1. Link
        s joins stage s and the next one, the last link the last one and the first.
    ranks_of_stages : tuple of int
        Ranks of each stage.
    """

    data: Spread
    shard: Spread
    between_shards: Spread
    context: Spread
    experts: Spread
    same_experts: Spread
    same_experts_of_shard: Spread
    same_experts_between_shards: Spread
    stage_levels: tuple[int, ...]
    ranks_of_stages: tuple[int, ...]


def places(
    pools: Mapping[str, Pool],
    layout: Layout,
    counts: Counts,
    tiers: tuple[TierSize, ...] = (),
) -> dict[str, PoolPlaces]:
    """Return where the ranks of each pool sit that has any, by its name.

    Parameters
    ----------
    pools, layout, counts
        Of the job.
    tiers
        Tiers of the network, the lowest one first.

    Notes
    -----
    Where replicas are aligned, each pool is numbered by itself, and its communicators reach the
    ranks of other pools through their own. Where stages are mixed, the ranks of one pool follow
    those of another in one numbering.
    """
    names = [name for name in pools if counts.pools[name].n_ranks > 0]
    areas = areas_of(pools, layout, counts, tiers)
    sizes = tuple(areas[name] for name in names)
    if is_mixed(layout):
        found = [_of_mixed(layout, sizes, index, tiers) for index in range(len(names))]
        return dict(zip(names, found, strict=True))
    first, alone = 0, []
    group = _shard_group(layout)
    for area, name in zip(sizes, names, strict=True):
        alone.append(_of_aligned(layout, area, tiers, first % (group or 1)))
        first += counts.pools[name].n_replicas
    shared = [shared_groups(sizes, tier) for tier in tiers]
    return dict(zip(names, _together(alone, counts, layout, shared), strict=True))


@dataclass(frozen=True, kw_only=True)
class _Site:
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


def _site(layout: Layout, areas: tuple[Area, ...], tiers: tuple[TierSize, ...]) -> _Site:
    n_ranks = [area.n_ranks for area in areas]
    replica = layout.tensor * layout.context * layout.pipeline
    return _Site(
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


# Compiled scenarios with thousands of pools have few kinds of them.
@lru_cache(maxsize=4096)
def _of_aligned_by_sizes(
    order: str,
    sizes: tuple[int, ...],
    group: int | None,
    chunks: int,
    area: Area,
    tiers: tuple[TierSize, ...],
    first: int,
) -> PoolPlaces:
    tensor, context, pipeline, expert, expert_tensor = sizes
    layout = Layout.model_construct(
        order=order,
        tensor=tensor,
        context=context,
        pipeline=pipeline,
        expert=expert,
        expert_tensor=expert_tensor,
        chunks=chunks,
    )
    return _found(layout, _site(layout, (area,), tiers), 0, group=group, first=first)


def _of_aligned(layout: Layout, area: Area, tiers: tuple[TierSize, ...], first: int) -> PoolPlaces:
    """Return where the ranks of a pool sit whose first replica is the `first` of a shard group."""
    sizes = (
        layout.tensor,
        layout.context,
        layout.pipeline,
        layout.expert,
        expert_tensor(layout),
    )
    return _of_aligned_by_sizes(
        layout.order, sizes, _shard_group(layout), layout.chunks, area, tiers, first
    )


def _of_mixed(
    layout: Layout, areas: tuple[Area, ...], pool: int, tiers: tuple[TierSize, ...]
) -> PoolPlaces:
    site = _site(layout, areas, tiers)
    return _found(layout, site, pool, group=_shard_group(layout), first=0)


def _shard_group(layout: Layout) -> int | None:
    """Return the replicas of a shard group, or None where there are no such groups."""
    return layout.shard_group_replicas if layout.sharding == "hybrid" else None


def _together(
    alone: list[PoolPlaces], counts: Counts, layout: Layout, shared: list[int]
) -> list[PoolPlaces]:
    """Return the places of aligned pools whose communicators reach into all of them.

    Parameters
    ----------
    alone
        Places of the pools, each by itself.
    counts, layout
        Of the job.
    shared
        By tier: groups that hold ranks of two pools.
    """
    n_data = counts.n_data_ranks
    n_shard = counts.shard_ranks
    n_same = same_experts_among(n_data, layout)
    n_same_of_shard = same_experts_among(n_shard, layout)
    ranks = {
        "data": n_data,
        "between_shards": -(-n_data // n_shard),
        "same_experts": n_same,
        "same_experts_between_shards": -(-n_same // n_same_of_shard),
    }
    within = {
        "shard": (n_shard, "data"),
        "same_experts_of_shard": (n_same_of_shard, "same_experts"),
    }
    domains = {name: sum(getattr(pool, name).domains for pool in alone) for name in ranks}
    groups = {
        name: [
            sum(own[tier].number for own in (getattr(pool, name).tiers for pool in alone) if own)
            - both
            for tier, both in enumerate(shared)
        ]
        for name in ranks
    }
    found = []
    for pool in alone:
        spreads = {
            name: _reaching(getattr(pool, name), n, domains[name], groups[name])
            for name, n in ranks.items()
        }
        for name, (n, of_all) in within.items():
            if n == ranks[of_all]:
                spreads[name] = spreads[of_all]
                continue
            own = getattr(pool, name)
            # Of a shard group that lies in several pools, the others are like this one.
            share = Fraction(n, own.ranks)
            more = [
                min(math.ceil(tier.number * share), most)
                for tier, most in zip(own.tiers, groups[of_all], strict=True)
            ]
            spreads[name] = _reaching(own, n, math.ceil(own.domains * share), more)
        found.append(
            PoolPlaces(
                **spreads,
                context=pool.context,
                experts=pool.experts,
                stage_levels=pool.stage_levels,
                ranks_of_stages=pool.ranks_of_stages,
            )
        )
    return found


def _reaching(own: Spread, ranks: int, domains: int, groups: list[int]) -> Spread:
    """Return the spread of a communicator of which a pool has a part.

    Parameters
    ----------
    own
        Spread of the pool's part.
    ranks, domains
        Of the whole communicator.
    groups
        Its groups, by tier.
    """
    if ranks == own.ranks:
        return own
    members, fewest = min(own.members, ranks), min(own.fewest, ranks)
    domains = min(domains, ranks)
    tiers = []
    for tier, number in zip(own.tiers, groups, strict=False):
        number = max(1, min(number, domains))
        # All of them reach into other pools.
        crosses = float(number > 1)
        crossing = crosses * tier.parts
        tiers.append(replace(tier, number=number, crossing=crossing, leaving=crosses))
    return Spread(ranks=ranks, members=members, domains=domains, fewest=fewest, tiers=tuple(tiers))


def _found(layout: Layout, site: _Site, pool: int, *, group: int | None, first: int) -> PoolPlaces:
    """Return where the ranks of a pool sit, by its own part of all communicators."""
    dense, experts = site.numberings.dense, site.numberings.experts
    # How communicators lie in domains repeats after as many as a domain has tensor groups. How
    # they lie in tiers, and which pools they reach, need not repeat.
    period = int(site.used.max()) // layout.tensor
    if site.tiers or len(site.areas) > 1:
        period = EVERY
    elif period == 1 and experts is dense:
        return _of_whole_domains(layout, site, pool, group=group, first=first)
    stages = _some(layout.pipeline, period) * dense.stride("pp")
    replicas = _some(dense.size("dp"), period) * dense.stride("dp")

    def spread(members: Ranks, *bases: Ranks) -> Spread:
        return _spread(site, [_moved(members, *bases)], pool)

    def of_data(data: Ranks, *bases: Ranks) -> tuple[Spread, Spread, Spread]:
        """Return the spreads of some ranks, of those of a shard group, and of one of each."""
        whole = spread(data, *bases)
        if group is None:
            return whole, whole, Spread.of(1, 1)
        within, between = _shards(dense.index(data, "dp"), group, first, period)
        of_shard, of_each = (
            _spread(site, [_moved(data[members], *bases) for members in parts], pool)
            for parts in (within, between)
        )
        return whole, of_shard, of_each

    data, shard, between_shards = of_data(dense.group(0, "cp", "dp"), stages)
    same, same_of_shard, same_between_shards = data, shard, between_shards
    of_experts = Spread.of(1, 1)
    if experts is not dense:
        every = min(period * layout.tensor, EVERY)
        offsets = _some(experts.size("ep"), every) * experts.stride("ep")
        same, same_of_shard, same_between_shards = of_data(
            experts.group(0, "cp", "dp"), stages, offsets
        )
        others = _some(experts.size("dp"), every) * experts.stride("dp")
        of_experts = spread(experts.group(0, "ep"), stages, others)
    return PoolPlaces(
        data=data,
        shard=shard,
        between_shards=between_shards,
        context=spread(dense.group(0, "cp"), stages, replicas),
        experts=of_experts,
        same_experts=same,
        same_experts_of_shard=same_of_shard,
        same_experts_between_shards=same_between_shards,
        stage_levels=_stage_levels(layout, site, period),
        ranks_of_stages=_ranks_of_stages(layout, site, pool),
    )


def _of_whole_domains(
    layout: Layout, site: _Site, pool: int, *, group: int | None, first: int
) -> PoolPlaces:
    """Return where ranks sit whose tensor group fills a domain: no others share it."""
    n_replicas = site.numberings.dense.size("dp")
    data = Spread.of(n_replicas * layout.context, 1)
    shard, between = data, Spread.of(1, 1)
    if group is not None:
        number, place = np.divmod(np.arange(n_replicas) + first, group)
        shard = Spread.of(int(np.bincount(number).max()) * layout.context, 1)
        between = Spread.of(int(np.bincount(place).max()), 1)
    return PoolPlaces(
        data=data,
        shard=shard,
        between_shards=between,
        context=Spread.of(layout.context, 1),
        experts=Spread.of(1, 1),
        same_experts=data,
        same_experts_of_shard=shard,
        same_experts_between_shards=between,
        stage_levels=(int(layout.pipeline > 1),) * layout.pipeline,
        ranks_of_stages=_ranks_of_stages(layout, site, pool),
    )


def _some(n: int, period: int) -> Ranks:
    """Return some of n indices, those of one period and the last one."""
    return np.append(np.arange(min(n - 1, period)), n - 1)


def _moved(members: Ranks, *bases: Ranks) -> Ranks:
    """Return ranks of communicators, one a row: of one of them, moved by each sum of bases."""
    moved = np.zeros(1, dtype=np.int64)
    for base in bases:
        moved = np.add.outer(moved, base).ravel()
    rows: Ranks = np.add.outer(moved, members)
    return rows


def _shards(
    replicas: Ranks, group: int, first: int, period: int
) -> tuple[list[Ranks], list[Ranks]]:
    """Return places of ranks of shard groups, and of those with the same shard, one of each group.

    Parameters
    ----------
    replicas
        The replica of each rank with the same part of the model, counted in the pool, in ascending
        order or in that of several context ranks.
    group
        Replicas of a shard group.
    first
        Place of the first replica in its shard group.
    period
        Communicators after which their pattern in domains repeats.
    """
    number, place = np.divmod(replicas + first, group)
    groups = sorted(_by(number), key=len, reverse=True)
    # A pool may lie in a smaller one only.
    n_whole = len(groups) if period == EVERY else sum(len(g) == len(groups[0]) for g in groups)
    within = [groups[k] for k in _some(n_whole, period).tolist()]
    holders = _by(place)
    between = [holders[k] for k in _some(len(holders), period).tolist()]
    # Context ranks hold other shards.
    return within, [each[np.unique(number[each], return_index=True)[1]] for each in between]


def _by(keys: Ranks) -> list[Ranks]:
    """Return the places of equal keys, by key and in order."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _spread(site: _Site, rows: list[Ranks], pool: int) -> Spread:
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
    if not site.tiers and sum(array.size for array in arrays) > MAX_PLACES:
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


def _in_pool(site: _Site, rows: Ranks, pool: int) -> Ranks:
    """Return the rows with a rank in a pool."""
    found: Ranks = rows[(site.pool_of(rows) == pool).any(axis=1)]
    return found


def _groups(site: _Site, parts: list[Ranks], tier: TierSize, pool: int) -> Groups:
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
    row, group, size = _pieces(groups)
    del group
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


def _stage_levels(layout: Layout, site: _Site, period: int) -> tuple[int, ...]:
    dense, stages = site.numberings.dense, np.arange(layout.pipeline)
    if layout.pipeline == 1:
        return (0,)
    replicas = _some(dense.size("dp"), period) * dense.stride("dp")
    stage = stages * dense.stride("pp")
    context = np.arange(layout.context) * dense.stride("cp")
    ranks = replicas[:, np.newaxis, np.newaxis] + stage[:, np.newaxis] + context
    levels = np.zeros((len(replicas), layout.pipeline), dtype=np.int64)
    every = (site.domains(ranks), *(site.groups(ranks, tier) for tier in site.tiers))
    for level, groups in enumerate(every, start=1):
        levels[(groups != np.roll(groups, -1, axis=1)).any(axis=2)] = level
    used = levels if layout.chunks > 1 else levels[:, :-1]
    return tuple(levels[used.sum(axis=1).argmax()].tolist())


def _ranks_of_stages(layout: Layout, site: _Site, pool: int) -> tuple[int, ...]:
    dense = site.numberings.dense
    if len(site.firsts) == 1:
        return (dense.n_ranks // layout.pipeline,) * layout.pipeline
    ends = np.append(site.firsts[1:], dense.n_ranks)
    # A tensor group lies in one pool.
    ranks = np.arange(site.firsts[pool], ends[pool], layout.tensor)
    counts = np.bincount(dense.index(ranks, "pp"), minlength=layout.pipeline)
    return tuple((counts * layout.tensor).tolist())
