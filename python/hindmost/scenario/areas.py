"""The GPUs of each pool in the cluster, and the tiers of the network above their domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hindmost.catalog import Network
from hindmost.scenario.counts import Counts, domain_gpus, used_domain_gpus
from hindmost.scenario.models import Layout, Pool
from hindmost.scenario.numbering import Ranks


@dataclass(frozen=True, kw_only=True)
class TierSize:
    """Which consecutive domains are below the same links of a tier: so many, or so many GPUs.

    Domains are counted over all pools in order. One lies where its first GPU does.
    """

    domains: int | None = None
    gpus: int | None = None


def tier_sizes(network: Network) -> tuple[TierSize, ...]:
    """Return the tiers of a network above its domains, the lowest one first."""
    found = []
    if network.tier_domains is not None:
        found.append(TierSize(domains=network.tier_domains))
    if network.beyond is not None:
        found.append(TierSize(gpus=network.beyond.gpus))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Area:
    """The GPUs of a pool in the cluster.

    Attributes
    ----------
    n_ranks : int
        Its ranks.
    used : int
        Working GPUs of a full domain.
    domain_gpus : int
        GPUs of a full domain.
    first_domain, first_gpu : int
        Domains and GPUs of the pools before it; 0 where there are no tiers, for which alone they
        count.
    """

    n_ranks: int
    used: int
    domain_gpus: int
    first_domain: int
    first_gpu: int

    def groups(self, tier: TierSize, domains: Ranks) -> Ranks:
        """Return the group of a tier that each domain of the pool is in."""
        if tier.domains is not None:
            return (self.first_domain + domains) // tier.domains
        assert tier.gpus is not None
        return (self.first_gpu + domains * self.domain_gpus) // tier.gpus


def areas_of(
    pools: Mapping[str, Pool], layout: Layout, counts: Counts, tiers: tuple[TierSize, ...]
) -> dict[str, Area]:
    """Return the area of each pool, by its name."""
    first_domain = first_gpu = 0
    found = {}
    for name, pool in pools.items():
        found[name] = Area(
            n_ranks=counts.pools[name].n_ranks,
            used=used_domain_gpus(pool, layout.tensor),
            domain_gpus=domain_gpus(pool),
            first_domain=first_domain,
            first_gpu=first_gpu,
        )
        if tiers:
            first_domain += -(-pool.n_gpus // domain_gpus(pool))
            first_gpu += pool.n_gpus
    return found


def shared_groups(areas: tuple[Area, ...], tier: TierSize) -> int:
    """Return how many groups of a tier hold ranks of a pool and of the pool before it."""

    def group(area: Area, rank: int) -> int:
        return int(area.groups(tier, np.array(rank // area.used)))

    ends = [(group(area, 0), group(area, area.n_ranks - 1)) for area in areas]
    return sum(before[1] == after[0] for before, after in pairwise(ends))
