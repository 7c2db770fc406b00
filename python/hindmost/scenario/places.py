"""Where ranks sit: which of a communicator share a domain, and which transfers leave one.

Rank r of a pool is its r-th working GPU. All communicators, transfers and columns of a result that
depend on who sits where ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from hindmost.scenario.areas import TierSize, areas_of
from hindmost.scenario.communicators import EVERY, moved, shards, some
from hindmost.scenario.counts import (
    Counts,
    expert_tensor,
    is_mixed,
    same_experts_among,
    used_domain_gpus,
)
from hindmost.scenario.models import Layout, Pool
from hindmost.scenario.numbering import Ranks
from hindmost.scenario.site import Site, site_of, spread_of, stage_levels
from hindmost.scenario.tiers import PoolGroups, groups_of_pools
from hindmost.spread import Spread


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
    sizes = tuple(
        (counts.pools[name].n_ranks, used_domain_gpus(pools[name], layout.tensor)) for name in names
    )
    if is_mixed(layout):
        found = [_of_mixed(layout, sizes, index) for index in range(len(names))]
    else:
        found = _of_aligned_pools(
            layout, sizes, [counts.pools[n].n_replicas for n in names], counts
        )
    if tiers and names:
        areas = areas_of(pools, layout, counts)
        groups = groups_of_pools(layout, [areas[name] for name in names], tiers)
        found = [_with_groups(*each) for each in zip(found, groups, strict=True)]
    return dict(zip(names, found, strict=True))


def _of_aligned_pools(
    layout: Layout, sizes: tuple[tuple[int, int], ...], replicas: list[int], counts: Counts
) -> list[PoolPlaces]:
    first, alone = 0, []
    group = layout.shard_group or 1
    for (n_ranks, used), n_replicas in zip(sizes, replicas, strict=True):
        alone.append(_of_aligned(layout, n_ranks, used, first % group))
        first += n_replicas
    return _together(alone, counts, layout)


def _with_groups(found: PoolPlaces, groups: PoolGroups) -> PoolPlaces:
    """Return places of a pool with how its communicators lie in the groups of each tier."""
    spreads = {
        name: replace(getattr(found, name), tiers=of_kind)
        for name, of_kind in groups.by_kind.items()
    }
    return replace(found, **spreads, stage_levels=groups.stage_levels)


# Compiled scenarios with thousands of pools have few kinds of them.
@lru_cache(maxsize=4096)
def _of_aligned_by_sizes(
    order: str,
    sizes: tuple[int, ...],
    group: int | None,
    chunks: int,
    n_ranks: int,
    used: int,
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
    return _found(layout, site_of(layout, ((n_ranks, used),)), 0, group=group, first=first)


def _of_aligned(layout: Layout, n_ranks: int, used: int, first: int) -> PoolPlaces:
    """Return where the ranks of a pool sit whose first replica is the `first` of a shard group."""
    sizes = (
        layout.tensor,
        layout.context,
        layout.pipeline,
        layout.expert,
        expert_tensor(layout),
    )
    return _of_aligned_by_sizes(
        layout.order, sizes, layout.shard_group, layout.chunks, n_ranks, used, first
    )


def _of_mixed(layout: Layout, sizes: tuple[tuple[int, int], ...], pool: int) -> PoolPlaces:
    return _found(layout, site_of(layout, sizes), pool, group=layout.shard_group, first=0)


def _together(alone: list[PoolPlaces], counts: Counts, layout: Layout) -> list[PoolPlaces]:
    """Return the places of aligned pools whose communicators reach into all of them."""
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
    found = []
    for pool in alone:
        spreads: dict[str, Any] = {
            name: _reaching(getattr(pool, name), n, domains[name]) for name, n in ranks.items()
        }
        for name, (n, of_all) in within.items():
            own = getattr(pool, name)
            # Of a shard group that lies in several pools, the others are like this one.
            more = domains[of_all] if n == ranks[of_all] else -(-own.domains * n // own.ranks)
            spreads[name] = _reaching(own, n, more)
        found.append(replace(pool, **spreads))
    return found


def _reaching(own: Spread, ranks: int, domains: int) -> Spread:
    """Return the spread of a communicator of which a pool has a part."""
    if ranks == own.ranks:
        return own
    members, fewest = min(own.members, ranks), min(own.fewest, ranks)
    return Spread(ranks=ranks, members=members, domains=min(domains, ranks), fewest=fewest)


def _found(layout: Layout, site: Site, pool: int, *, group: int | None, first: int) -> PoolPlaces:
    """Return where the ranks of a pool sit, by its own part of all communicators."""
    dense, experts = site.numberings.dense, site.numberings.experts
    # How communicators lie in domains repeats after as many as a domain has tensor groups; which
    # pools they reach need not repeat.
    period = int(site.used.max()) // layout.tensor
    if len(site.firsts) > 1:
        period = EVERY
    elif period == 1 and experts is dense:
        return _of_whole_domains(layout, site, pool, group=group, first=first)
    stages = some(layout.pipeline, period) * dense.stride("pp")
    replicas = some(dense.size("dp"), period) * dense.stride("dp")

    def spread(members: Ranks, *bases: Ranks) -> Spread:
        return spread_of(site, [moved(members, *bases)], pool)

    def of_data(data: Ranks, *bases: Ranks) -> tuple[Spread, Spread, Spread]:
        """Return the spreads of some ranks, of those of a shard group, and of one of each."""
        whole = spread(data, *bases)
        if group is None:
            return whole, whole, Spread.of(1, 1)
        within, between = shards(dense.index(data, "dp"), group, first, period)
        of_shard, of_each = (
            spread_of(site, [moved(data[members], *bases) for members in parts], pool)
            for parts in (within, between)
        )
        return whole, of_shard, of_each

    data, shard, between_shards = of_data(dense.group(0, "cp", "dp"), stages)
    same, same_of_shard, same_between_shards = data, shard, between_shards
    of_experts = Spread.of(1, 1)
    if experts is not dense:
        every = min(period * layout.tensor, EVERY)
        offsets = some(experts.size("ep"), every) * experts.stride("ep")
        same, same_of_shard, same_between_shards = of_data(
            experts.group(0, "cp", "dp"), stages, offsets
        )
        others = some(experts.size("dp"), every) * experts.stride("dp")
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
        stage_levels=stage_levels(layout, dense, [site.domains], period),
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


def _ranks_of_stages(layout: Layout, site: Site, pool: int) -> tuple[int, ...]:
    dense = site.numberings.dense
    if len(site.firsts) == 1:
        return (dense.n_ranks // layout.pipeline,) * layout.pipeline
    ends = np.append(site.firsts[1:], dense.n_ranks)
    # A tensor group lies in one pool.
    ranks = np.arange(site.firsts[pool], ends[pool], layout.tensor)
    counts = np.bincount(dense.index(ranks, "pp"), minlength=layout.pipeline)
    return tuple((counts * layout.tensor).tolist())
