"""How many replicas there are, and how shard groups divide them."""

from __future__ import annotations

from hindmost import catalog
from hindmost.scenario.models import Scenario


def stage_gpus(scenario: Scenario) -> int:
    """Return the ranks of one pipeline stage of a replica."""
    return scenario.layout.tensor * scenario.layout.context


def replica_gpus(scenario: Scenario) -> int:
    """Return the ranks of a replica."""
    return scenario.layout.pipeline * stage_gpus(scenario)


def n_tensor_groups(scenario: Scenario, pool: str) -> int:
    """Return how many tensor groups a pool's full domains hold."""
    gpu = catalog.gpu(scenario.pools[pool].gpu)
    per_domain = gpu.domain_gpus // scenario.layout.tensor
    return scenario.pools[pool].n_gpus // gpu.domain_gpus * per_domain


def n_replicas_of_pool(scenario: Scenario, pool: str) -> int:
    """Return how many whole replicas a pool holds."""
    layout = scenario.layout
    return n_tensor_groups(scenario, pool) // (layout.pipeline * layout.context)


def n_replicas(scenario: Scenario) -> int:
    """Return how many replicas all pools hold.

    Mixed placement spreads the stages of a replica over the pools, so that
    replicas may be made of what pools have left over.
    """
    layout = scenario.layout
    if layout.placement == "mixed":
        stages = (n_tensor_groups(scenario, pool) // layout.context for pool in scenario.pools)
        return sum(stages) // layout.pipeline
    return sum(n_replicas_of_pool(scenario, pool) for pool in scenario.pools)


def n_data_ranks(scenario: Scenario) -> int:
    """Return how many ranks have the same part of the model, but other tokens."""
    return n_replicas(scenario) * scenario.layout.context


def n_microbatches(scenario: Scenario) -> int:
    """Return the microbatches of a replica in a step."""
    workload = scenario.workload
    if workload.global_batch_seqs is None:
        assert workload.n_microbatches is not None
        return workload.n_microbatches
    return workload.global_batch_seqs // (n_replicas(scenario) * workload.microbatch_seqs)


def smallest_shard_group(scenario: Scenario, pool: str | None = None) -> int:
    """Return the replicas of the smallest shard group that a pool has a part in.

    Groups are of consecutive replicas, pools in document order; only the last
    group may be smaller. Without a pool, of all of them.
    """
    size = scenario.layout.shard_group_replicas or 1
    replicas = n_replicas(scenario)
    last = replicas % size or min(size, replicas)
    if pool is None or scenario.layout.placement == "mixed":
        return last
    names = list(scenario.pools)
    before = names[: names.index(pool) + 1]
    end = sum(n_replicas_of_pool(scenario, name) for name in before)
    return last if end > replicas - last else min(size, replicas)


def crew_replicas(scenario: Scenario) -> int:
    """Return the replicas that wait for each other in every layer.

    They do where each holds a part of what all need for it: shards of the weights
    or experts. With several stages this waiting is not modelled: 1.
    """
    layout, replicas = scenario.layout, n_replicas(scenario)
    if layout.pipeline > 1:
        return 1
    shards = {"zero3": replicas, "hybrid": layout.shard_group_replicas or 1}
    experts = -(-layout.expert // layout.context)
    return min(replicas, max(shards.get(layout.sharding, 1), experts))


def data_ranks_of_domain(scenario: Scenario, pool: str) -> int:
    """Return how many ranks of a domain have the same part of the model, at least 1.

    The tensor groups of a replica stand side by side, stage after stage, so that
    a domain holds either whole replicas or a part of one.
    """
    layout = scenario.layout
    groups = catalog.gpu(scenario.pools[pool].gpu).domain_gpus // layout.tensor
    replicas = groups // (layout.pipeline * layout.context)
    return max(1, replicas * layout.context, min(groups, layout.context))


def torus_ranks(scenario: Scenario) -> int:
    """Return the ranks that a torus joins: a shard group's, or all data-parallel ranks."""
    if scenario.layout.sharding != "hybrid":
        return n_data_ranks(scenario)
    group = min(scenario.layout.shard_group_replicas or 1, n_replicas(scenario))
    return group * scenario.layout.context
