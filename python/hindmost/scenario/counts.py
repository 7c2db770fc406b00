"""How many replicas there are, and how shard groups divide them."""

from __future__ import annotations

from hindmost import catalog
from hindmost.scenario.models import Scenario


def n_replicas_of_pool(scenario: Scenario, pool: str) -> int:
    """Return how many replicas a pool's full domains hold."""
    gpu = catalog.gpu(scenario.pools[pool].gpu)
    per_domain = gpu.domain_gpus // scenario.layout.tensor
    return scenario.pools[pool].n_gpus // gpu.domain_gpus * per_domain


def n_replicas(scenario: Scenario) -> int:
    """Return how many replicas all pools hold."""
    return sum(n_replicas_of_pool(scenario, pool) for pool in scenario.pools)


def smallest_shard_group(scenario: Scenario, pool: str | None = None) -> int:
    """Return the replicas of the smallest shard group that a pool has a part in.

    Groups are of consecutive replicas, pools in document order; only the last
    group may be smaller. Without a pool, of all of them.
    """
    size = scenario.layout.shard_group_replicas or 1
    replicas = n_replicas(scenario)
    last = replicas % size or min(size, replicas)
    if pool is None:
        return last
    names = list(scenario.pools)
    before = names[: names.index(pool) + 1]
    end = sum(n_replicas_of_pool(scenario, name) for name in before)
    return last if end > replicas - last else min(size, replicas)
