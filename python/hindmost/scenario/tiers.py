"""How communicators lie in the groups of domains that share links of a tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hindmost.scenario.areas import Area, TierSize
from hindmost.scenario.communicators import EVERY, moved, shards
from hindmost.scenario.counts import is_mixed
from hindmost.scenario.models import Layout
from hindmost.scenario.numbering import Ranks
from hindmost.scenario.site import Site, pieces, pool_of, site_of, stage_levels
from hindmost.spread import Groups


@dataclass(frozen=True, kw_only=True)
class PoolGroups:
    """How the communicators of a pool lie in the groups of each tier.

    Attributes
    ----------
    by_kind : dict of str to tuple of Groups
        Groups by tier, by the kind of communicator as `PoolPlaces` names it.
    stage_levels : tuple of int
        As in `PoolPlaces`.
    """

    by_kind: dict[str, tuple[Groups, ...]]
    stage_levels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Ranks that are numbered together.

    Attributes
    ----------
    site : Site
        Their numbers and domains.
    first_rank, first_replica : int
        Ranks and replicas of the blocks before it.
    """

    site: Site
    first_rank: int
    first_replica: int

    def rows(self, members: Ranks, *bases: Ranks) -> Ranks:
        return self.first_rank + moved(members, *bases)


def groups_of_pools(
    layout: Layout, areas: Sequence[Area], tiers: Sequence[TierSize]
) -> list[PoolGroups]:
    """Return how the communicators of pools that have ranks lie in the groups of each tier.

    All communicators are looked at, those of all pools together, because all ranks of a group
    share its links.
    """
    cluster = _Cluster(areas)
    blocks = _blocks(layout, areas)
    # One rank by itself crosses nothing, and some kinds are others under another name.
    kinds = {
        kind: rows
        for kind, rows in _kinds(layout, blocks).items()
        if any(array.shape[1] > 1 for array in rows)
    }
    known = {
        id(rows): [_groups(rows, cluster, tier) for tier in tiers]
        for rows in {id(rows): rows for rows in kinds.values()}.values()
    }
    by_kind = {kind: known[id(rows)] for kind, rows in kinds.items()}
    levels = [_levels(layout, block, cluster, tiers) for block in blocks]
    return [
        PoolGroups(
            by_kind={
                kind: tuple(of_pools[pool] for of_pools in by_tier)
                for kind, by_tier in by_kind.items()
                if all(pool in of_pools for of_pools in by_tier)
            },
            stage_levels=levels[pool if len(levels) > 1 else 0],
        )
        for pool in range(len(areas))
    ]


class _Cluster:
    """The ranks of all pools, one after another."""

    def __init__(self, areas: Sequence[Area]) -> None:
        self.n_pools = len(areas)
        ends = np.cumsum([area.n_ranks for area in areas])
        self.firsts = np.concatenate(([0], ends[:-1])).astype(np.int64)
        self.used = np.array([area.used for area in areas])
        self.domain_gpus = np.array([area.domain_gpus for area in areas])
        self.first_domains = np.array([area.first_domain for area in areas])
        self.first_gpus = np.array([area.first_gpu for area in areas])

    def groups(self, ranks: Ranks, tier: TierSize) -> Ranks:
        """Return the group of a tier that each rank is in; they grow with the ranks."""
        pool = pool_of(self.firsts, ranks) if self.n_pools > 1 else 0
        domains = (ranks - self.firsts[pool]) // self.used[pool]
        found: Ranks
        if tier.domains is not None:
            found = (self.first_domains[pool] + domains) // tier.domains
        else:
            assert tier.gpus is not None
            found = (self.first_gpus[pool] + domains * self.domain_gpus[pool]) // tier.gpus
        return found


def _blocks(layout: Layout, areas: Sequence[Area]) -> list[_Block]:
    sizes = [(area.n_ranks, area.used) for area in areas]
    if is_mixed(layout):
        return [_Block(site=site_of(layout, sizes), first_rank=0, first_replica=0)]
    blocks, first_rank, first_replica = [], 0, 0
    for area, size in zip(areas, sizes, strict=True):
        site = site_of(layout, [size])
        blocks.append(_Block(site=site, first_rank=first_rank, first_replica=first_replica))
        first_rank += area.n_ranks
        first_replica += area.n_replicas
    return blocks


def _kinds(layout: Layout, blocks: list[_Block]) -> dict[str, list[Ranks]]:
    """Return the ranks of all communicators by kind: arrays of them, one communicator a row."""
    dense = [block.site.numberings.dense for block in blocks]
    experts = [block.site.numberings.experts for block in blocks]
    stages = [np.arange(layout.pipeline) * one.stride("pp") for one in dense]
    found: dict[str, list[Ranks]] = {}

    def add(prefix: str, rows: list[Ranks], replicas: list[Ranks]) -> None:
        """Add communicators that reach into all blocks, and those of their shard groups."""
        all_rows = np.concatenate(rows, axis=1)
        whole, shard, between = _NAMES[prefix]
        found[whole] = [all_rows]
        found[shard] = found[whole]
        if layout.shard_group is not None:
            parts = shards(np.concatenate(replicas), layout.shard_group, 0, EVERY)
            found[shard], found[between] = ([all_rows[:, part] for part in each] for each in parts)

    def replicas_of(members: list[Ranks]) -> list[Ranks]:
        every = zip(blocks, dense, members, strict=True)
        return [block.first_replica + one.index(ranks, "dp") for block, one, ranks in every]

    data = [one.group(0, "cp", "dp") for one in dense]
    every = zip(blocks, data, stages, strict=True)
    add("", [block.rows(members, stage) for block, members, stage in every], replicas_of(data))
    found["context"] = [
        block.rows(one.group(0, "cp"), stage, np.arange(one.size("dp")) * one.stride("dp"))
        for block, one, stage in zip(blocks, dense, stages, strict=True)
    ]
    if experts[0] is dense[0]:
        for name, alike in zip(_NAMES[""], _NAMES["same_experts"], strict=True):
            if name in found:
                found[alike] = found[name]
        return found
    same = [one.group(0, "cp", "dp") for one in experts]
    offsets = [np.arange(one.size("ep")) * one.stride("ep") for one in experts]
    rows = [
        block.rows(members, stage, offset)
        for block, members, stage, offset in zip(blocks, same, stages, offsets, strict=True)
    ]
    add("same_experts", rows, replicas_of(same))
    found["experts"] = [
        block.rows(one.group(0, "ep"), stage, np.arange(one.size("dp")) * one.stride("dp"))
        for block, one, stage in zip(blocks, experts, stages, strict=True)
    ]
    return found


_NAMES = {
    "": ("data", "shard", "between_shards"),
    "same_experts": ("same_experts", "same_experts_of_shard", "same_experts_between_shards"),
}
"""Kinds of communicators that reach into all pools: all, of a shard group, one of each group."""


def _groups(rows: list[Ranks], cluster: _Cluster, tier: TierSize) -> dict[int, Groups]:
    """Return how communicators lie in the groups of a tier, for each pool with ranks of them."""
    lengths = np.concatenate([np.full(len(array), array.shape[1]) for array in rows])
    ranks = np.concatenate([array.ravel() for array in rows])
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    groups = cluster.groups(ranks, tier)
    row, group, size = pieces(groups, row_of)
    n_pieces = np.bincount(row)
    crosses = (n_pieces > 1)[row]
    n_parts, n_ranks, n_crossing, n_leaving = (
        np.bincount(group, weights=weights)
        for weights in (np.ones_like(size), size, crosses, crosses * size)
    )
    found = {}
    # Of each pool the group counts that most communicators leave, for each of its ranks.
    per_rank = np.divide(n_crossing, n_ranks, out=np.zeros_like(n_ranks), where=n_ranks > 0)
    for pool, (own_groups, own_rows) in _of_pools(cluster, ranks, groups, row_of):
        worst = own_groups[np.argmax(per_rank[own_groups])]
        found[pool] = Groups(
            number=int(n_pieces[own_rows].max()),
            parts=float(n_parts[worst] / n_ranks[worst]),
            crossing=float(per_rank[worst]),
            leaving=float(n_leaving[worst] / n_ranks[worst]),
        )
    return found


def _of_pools(
    cluster: _Cluster, ranks: Ranks, groups: Ranks, row_of: Ranks
) -> list[tuple[int, tuple[Ranks, Ranks]]]:
    """Return the groups and the rows that have ranks of each pool."""
    n_pools = cluster.n_pools
    row, both, _ = pieces(groups * n_pools + pool_of(cluster.firsts, ranks), row_of)
    group, pool = np.divmod(both, n_pools)
    names: list[int] = []
    parts = []
    for values in (group, row):
        n_values = int(values.max()) + 1
        name, value = np.divmod(np.unique(pool * n_values + values), n_values)
        firsts = np.flatnonzero(np.append(True, np.diff(name) != 0))
        names = name[firsts].tolist()
        parts.append(np.split(value, firsts[1:]))
    return list(zip(names, zip(*parts, strict=True), strict=True))


def _levels(
    layout: Layout, block: _Block, cluster: _Cluster, tiers: Sequence[TierSize]
) -> tuple[int, ...]:
    def in_tier(tier: TierSize, ranks: Ranks) -> Ranks:
        return cluster.groups(block.first_rank + ranks, tier)

    over = [lambda ranks, tier=tier: in_tier(tier, ranks) for tier in tiers]
    return stage_levels(layout, block.site.numberings.dense, [block.site.domains, *over], EVERY)
