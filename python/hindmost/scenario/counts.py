"""How many ranks, replicas and shard groups a job has, and how they lie in domains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

from hindmost.scenario.models import Layout, Pool, Workload

NO_SPARES: Mapping[str, int] = MappingProxyType({})
"""What is held back where nothing is."""


@dataclass(frozen=True, kw_only=True)
class PoolCounts:
    """Counts of one pool.

    Attributes
    ----------
    n_replicas : int
        Whole replicas that its full domains hold, beside the GPUs that are held back.
    n_ranks : int
        Ranks: the GPUs of the replicas or, where stages are spread over pools, of the stages that
        lie in the pool. Its other GPUs are spares.
    smallest_shard_group : int
        Replicas of the smallest shard group that a replica of the pool belongs to.
    state_ranks : int
        Ranks that share the states of a parameter, in the smallest of their groups.
    held_back_gpus : int
        GPUs behind the ranks that are held back, those of replicas that the job leaves out too.
    """

    n_replicas: int
    n_ranks: int
    smallest_shard_group: int
    state_ranks: int
    held_back_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of a whole job.

    Attributes
    ----------
    n_replicas : int
        Replicas of the job.
    n_data_ranks : int
        Ranks that have the same part of the model, but other tokens.
    smallest_shard_group : int
        Replicas of the smallest shard group: of the last one, where it is not full.
    gang_replicas : int
        Replicas that wait for each other in every layer, because each holds shards of the weights
        or experts that all of them need. 1 with several stages, where this waiting is not modelled.
    shard_ranks : int
        Data-parallel ranks of a full shard group; all of them where there are no such groups.
    pools : mapping of str to PoolCounts
        Counts of each pool, in document order.
    """

    n_replicas: int
    n_data_ranks: int
    smallest_shard_group: int
    gang_replicas: int
    shard_ranks: int
    pools: Mapping[str, PoolCounts]

    @classmethod
    def of(
        cls, pools: Mapping[str, Pool], layout: Layout, spares: Mapping[str, int] = NO_SPARES
    ) -> Counts:
        """Return the counts of a job.

        Parameters
        ----------
        pools, layout
            Of the job.
        spares
            GPUs that are held back to take the place of failed ones, by pool; whole tensor groups.

        Notes
        -----
        Mixed placement spreads the stages of a replica over the pools, so that replicas may be
        made of what pools have left over. Shard groups are of consecutive replicas, pools in
        document order; only the last group may be smaller. Ranks fill a pool from its first GPU,
        so that the GPUs held back are behind them.
        """
        tensor_groups = [
            max(0, _n_tensor_groups(pool, layout) - spares.get(name, 0) // layout.tensor)
            for name, pool in pools.items()
        ]
        replicas = [n // (layout.pipeline * layout.context) for n in tensor_groups]
        held_back = [spares.get(name, 0) for name in pools]
        if layout.n_replicas is not None and layout.n_replicas < sum(replicas):
            kept = _without_last(replicas, sum(replicas) - layout.n_replicas)
            left_out = zip(held_back, replicas, kept, strict=True)
            held_back = [n + (all_ - k) * replica_gpus(layout) for n, all_, k in left_out]
            replicas = kept
        n_replicas = sum(replicas)
        stages = [n * layout.pipeline for n in replicas]
        if is_mixed(layout):
            stages = [n // layout.context for n in tensor_groups]
            n_replicas = sum(stages) // layout.pipeline
            stages = _without_last(stages, sum(stages) - n_replicas * layout.pipeline)
        full_group = min(layout.shard_group_replicas or 1, n_replicas)
        last_group = n_replicas % (layout.shard_group_replicas or 1) or full_group
        smallest_groups = [
            last_group if is_mixed(layout) or end > n_replicas - last_group else full_group
            for end in accumulate(replicas)
        ]
        sharded = layout.sharding == "hybrid"
        n_data_ranks = n_replicas * layout.context
        return cls(
            n_replicas=n_replicas,
            n_data_ranks=n_data_ranks,
            smallest_shard_group=last_group,
            gang_replicas=_gang_replicas(layout, n_replicas),
            shard_ranks=full_group * layout.context if sharded else n_data_ranks,
            pools={
                name: PoolCounts(
                    n_replicas=n,
                    n_ranks=n_stages * layout.context * layout.tensor,
                    smallest_shard_group=smallest,
                    state_ranks=smallest * layout.context if sharded else n_data_ranks,
                    held_back_gpus=held,
                )
                for name, n, n_stages, smallest, held in zip(
                    pools, replicas, stages, smallest_groups, held_back, strict=True
                )
            },
        )


def replica_gpus(layout: Layout) -> int:
    """Return the ranks of a replica."""
    return layout.pipeline * layout.tensor * layout.context


def domain_gpus(pool: Pool) -> int:
    """Return how many GPUs of each domain a pool has: all of a pool that is smaller than that."""
    return min(pool.domain_gpus_used or pool.accelerator.domain_gpus, pool.n_gpus)


def numbered_gpus(pool: Pool) -> int:
    """Return how many GPUs of a pool have numbers, unused ones between used ones included."""
    used, whole = domain_gpus(pool), pool.accelerator.domain_gpus
    full, rest = divmod(pool.n_gpus, used)
    return full * whole + rest if rest else (full - 1) * whole + used


def used_domain_gpus(pool: Pool, tensor: int) -> int:
    """Return how many GPUs of a full domain of a pool are in tensor groups."""
    return domain_gpus(pool) // tensor * tensor


def block_gpus(pool: Pool, layout: Layout) -> int:
    """Return the GPUs of the smallest part of a domain that is whole nodes and tensor groups.

    Those are all working GPUs of a domain, where these are not divided into such parts.
    """
    used = used_domain_gpus(pool, layout.tensor)
    block = math.lcm(pool.accelerator.node_gpus, layout.tensor)
    return used if used % block else block


def _n_tensor_groups(pool: Pool, layout: Layout) -> int:
    """Return how many tensor groups the full domains of a pool hold."""
    n_domains = pool.n_gpus // domain_gpus(pool)
    return n_domains * (domain_gpus(pool) // layout.tensor)


def _without_last(counts: list[int], n: int) -> list[int]:
    """Return counts less `n` in all, taken from the last ones first."""
    left = []
    for count in reversed(counts):
        taken = min(n, count)
        left.append(count - taken)
        n -= taken
    return left[::-1]


def n_microbatches(workload: Workload, n_replicas: int) -> int:
    """Return the microbatches of a replica in a step, of `n_replicas` >= 1 replicas."""
    if workload.global_batch_seqs is None:
        assert workload.n_microbatches is not None
        return workload.n_microbatches
    return workload.global_batch_seqs // (n_replicas * workload.microbatch_seqs)


def _gang_replicas(layout: Layout, n_replicas: int) -> int:
    """Return the consecutive replicas among which there are shards and experts for every layer."""
    if layout.pipeline > 1:
        return 1
    shards = {"zero3": n_replicas, "hybrid": layout.shard_group_replicas or 1}
    experts = expert_replicas(layout, n_replicas)
    return min(n_replicas, max(shards.get(layout.sharding, 1), experts))


def expert_replicas(layout: Layout, n_replicas: int) -> int:
    """Return the consecutive replicas among which experts are divided, at least 1."""
    names = layout.order.split("-")
    if layout.expert > 1 and "ep" in names and names.index("dp") < names.index("ep"):
        # Experts are divided among replicas that are far apart.
        return n_replicas
    return -(-layout.expert * expert_tensor(layout) // (layout.tensor * layout.context))


def is_mixed(layout: Layout) -> bool:
    """Return whether stages of a replica may lie in several pools; one stage alone cannot."""
    return layout.placement == "mixed" and layout.pipeline > 1


def same_experts_among(n_ranks: int, layout: Layout) -> int:
    """Return how many of some ranks with the same dense part have the same experts, at least 1.

    Each rank of a tensor group has ranks with the same dense part, and experts are divided among
    all of them.
    """
    return max(1, n_ranks * layout.tensor // (layout.expert * expert_tensor(layout)))


def expert_tensor(layout: Layout) -> int:
    """Return the ranks that divide each expert."""
    return layout.tensor if layout.expert_tensor is None else layout.expert_tensor
