"""The GPUs of each pool in the cluster, and the tiers of the network above their domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hindmost.catalog import Network
from hindmost.scenario.counts import Counts, domain_gpus, used_domain_gpus
from hindmost.scenario.models import Layout, Pool


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
    n_ranks, n_replicas : int
        Its ranks, and the replicas that are in it alone.
    used : int
        Working GPUs of a full domain.
    domain_gpus : int
        GPUs of a full domain.
    first_domain, first_gpu : int
        Domains and GPUs of the pools before it.
    """

    n_ranks: int
    n_replicas: int
    used: int
    domain_gpus: int
    first_domain: int
    first_gpu: int


def areas_of(pools: Mapping[str, Pool], layout: Layout, counts: Counts) -> dict[str, Area]:
    """Return the area of each pool, by its name."""
    first_domain = first_gpu = 0
    found = {}
    for name, pool in pools.items():
        found[name] = Area(
            n_ranks=counts.pools[name].n_ranks,
            n_replicas=counts.pools[name].n_replicas,
            used=used_domain_gpus(pool, layout.tensor),
            domain_gpus=domain_gpus(pool),
            first_domain=first_domain,
            first_gpu=first_gpu,
        )
        first_domain += -(-pool.n_gpus // domain_gpus(pool))
        first_gpu += pool.n_gpus
    return found
