"""Where ranks sit: which of a communicator share a domain, and which transfers leave one.

Rank r of a pool is its r-th working GPU. All communicators, transfers and columns of a result that
depend on who sits where ask here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from hindmost.scenario.areas import Area, TierSize, areas_of, shared_groups
from hindmost.scenario.counts import (
    Counts,
    expert_tensor,
    is_mixed,
    same_experts_among,
)
from hindmost.scenario.models import Layout, Pool
from hindmost.scenario.numbering import Ranks
from hindmost.scenario.site import Site, site_of, spread_of
from hindmost.spread import Spread

EVERY = 2**31
"""A period after which nothing repeats: of communicators, all are looked at."""


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
    return _found(layout, site_of(layout, (area,), tiers), 0, group=group, first=first)


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
    site = site_of(layout, areas, tiers)
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


def _found(layout: Layout, site: Site, pool: int, *, group: int | None, first: int) -> PoolPlaces:
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
        return spread_of(site, [_moved(members, *bases)], pool)

    def of_data(data: Ranks, *bases: Ranks) -> tuple[Spread, Spread, Spread]:
        """Return the spreads of some ranks, of those of a shard group, and of one of each."""
        whole = spread(data, *bases)
        if group is None:
            return whole, whole, Spread.of(1, 1)
        within, between = _shards(dense.index(data, "dp"), group, first, period)
        of_shard, of_each = (
            spread_of(site, [_moved(data[members], *bases) for members in parts], pool)
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
    layout: Layout, site: Site, pool: int, *, group: int | None, first: int
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


def _stage_levels(layout: Layout, site: Site, period: int) -> tuple[int, ...]:
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


def _ranks_of_stages(layout: Layout, site: Site, pool: int) -> tuple[int, ...]:
    dense = site.numberings.dense
    if len(site.firsts) == 1:
        return (dense.n_ranks // layout.pipeline,) * layout.pipeline
    ends = np.append(site.firsts[1:], dense.n_ranks)
    # A tensor group lies in one pool.
    ranks = np.arange(site.firsts[pool], ends[pool], layout.tensor)
    counts = np.bincount(dense.index(ranks, "pp"), minlength=layout.pipeline)
    return tuple((counts * layout.tensor).tolist())
