"""Plans of pools: seconds, bytes and FLOPs of their ranks without any cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from hindmost import catalog
from hindmost.physics.compute import (
    ComputeTime,
    attention_share,
    balanced,
    compute_time,
    memory_bytes_per_s,
    mixed_step_s,
    with_last_microbatch,
)
from hindmost.physics.documents import slowdown_law
from hindmost.physics.flops import attention_flops_of
from hindmost.physics.job import Job
from hindmost.physics.links import Links, links
from hindmost.physics.memory import Memory, memory, moved_bytes, optimizer_bytes
from hindmost.physics.network import network
from hindmost.physics.stages import stage_flops
from hindmost.physics.terms import Term, terms
from hindmost.scenario import Counts, PoolCounts, Scenario
from hindmost.scenario.areas import tier_sizes
from hindmost.scenario.batch import Batch, batches
from hindmost.scenario.counts import is_mixed
from hindmost.scenario.mixed import stage_pools
from hindmost.scenario.models import Pool
from hindmost.scenario.places import PoolPlaces, places


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """One pool as plain numbers.

    Attributes
    ----------
    name : str
        Name of the pool.
    n_gpus : int
        GPUs in all.
    n_ranks : int
        Ranks among them; the others are spares.
    peak_flop_per_s : float
        Dense peak of one GPU that MFU is measured against, in FLOP/s.
    peak_power_w, idle_power_w : float or None
        Power of one GPU at work and without work, in watts, where they are known; a cap counts.
    compute : ComputeTime
        Seconds that a replica computes without any cause.
    n_more, more_slowdown : int, float
        The first so many replicas have more sequences, and compute so many times as long.
    pack_law : dict or None
        Law of the slowdown of a microbatch whose documents make more or less attention than the
        mean; None where all sequences are alike.
    replica_s : float
        Seconds that the replicas with ranks here that have most sequences compute in a step without
        any cause: those of `compute`, unless replicas are unequal or stages spread over pools.
    rank_model_flops : float
        Model FLOPs of a step that each rank computes, on average.
    terms : tuple of Term
        Collectives with other replicas, by the phase of the step that can hide them.
    memory : Memory
        Memory of the pool's fullest GPU.
    shard_groups : int
        Groups of the network's uppermost tier that a shard group has ranks in, at most; 1 if it
        has no tier.
    """

    name: str
    n_gpus: int
    n_ranks: int
    peak_flop_per_s: float
    peak_power_w: float | None
    idle_power_w: float | None
    compute: ComputeTime
    n_more: int
    more_slowdown: float
    pack_law: dict[str, Any] | None
    replica_s: float
    rank_model_flops: float
    terms: tuple[Term, ...]
    memory: Memory
    shard_groups: int

    def window_share(self, term: Term) -> float:
        """Return the share of a replica's compute in whose time a term may hide."""
        # Windows are those of `compute`, which replicas with more sequences exceed in all passes.
        return min(1.0, term.window_s / (self.compute.step_s if self.n_more else self.replica_s))

    def with_overhead_s(self, overhead_s: float) -> PoolPlan:
        """Return the plan with another time of a step beside its passes, of equal replicas."""
        compute = replace(self.compute, overhead_s=overhead_s)
        return replace(self, compute=compute, replica_s=compute.step_s)


def job_of(scenario: Scenario, counts: Counts) -> Job:
    """Return what the replicas of a scenario compute that have most microbatches."""
    return Job(
        model=scenario.model,
        workload=scenario.workload,
        layout=scenario.layout,
        n_microbatches=max(batch.n_microbatches for batch in _batches(scenario, counts).values()),
        ideal=scenario.ideals,
    )


def _batches(scenario: Scenario, counts: Counts) -> dict[str, Batch]:
    return batches(scenario.pools, scenario.workload, scenario.layout, counts)


def n_seqs_of(scenario: Scenario, counts: Counts) -> int:
    """Return the sequences of a step, of all replicas."""
    found = _batches(scenario, counts)
    if is_mixed(scenario.layout):
        # Its replicas are known by number only all together.
        return counts.n_replicas * next(iter(found.values())).seqs
    return sum(batch.all_seqs(counts.pools[name].n_replicas) for name, batch in found.items())


NONE: Mapping[str, PoolPlan] = MappingProxyType({})
"""No plans."""


def pool_plans(
    scenario: Scenario, job: Job, counts: Counts, *, kept: Mapping[str, PoolPlan] = NONE
) -> tuple[PoolPlan, ...]:
    """Return the plan of each pool, whether or not the job fits into its memory.

    Parameters
    ----------
    scenario, job, counts
        What is planned.
    kept
        Plans of pools that are known, by name.
    """
    tiers = tier_sizes(scenario.fabric.network)
    where = places(scenario.pools, scenario.layout, counts, tiers)
    # A pool of spares only, which mixed stages leave over, is as any other one.
    anywhere = next(iter(where.values()))
    found = [where.get(name, anywhere) for name in scenario.pools]
    of_ranks = [links(pool, scenario.fabric) for pool in scenario.pools.values()]
    shared = _batches(scenario, counts)
    jobs = [_job_of_pool(job, batch) for batch in shared.values()]
    if kept:

        def planned(name: str, own: Job, of_rank: Links, place: PoolPlaces) -> PoolPlan:
            of_pool = counts.pools[name]
            work = _work(own, scenario.pools[name], of_rank, place, shared[name], of_pool)
            return _pool_plan(scenario, counts, own, name, of_rank, place, work)

        each = zip(scenario.pools, jobs, of_ranks, found, strict=True)
        return tuple(kept.get(one[0]) or planned(*one) for one in each)
    by_pool = zip(jobs, scenario.pools.values(), of_ranks, found, strict=True)
    of_pools = counts.pools.values()
    work = [
        _work(*each, batch, of_pool)
        for each, batch, of_pool in zip(by_pool, shared.values(), of_pools, strict=True)
    ]
    if job.ideal.mixed_generations:
        n_ranks = [counts.pools[name].n_ranks for name in scenario.pools]
        times = balanced(
            [each.compute for each in work],
            [n * each.rank_model_flops for n, each in zip(n_ranks, work, strict=True)],
        )
        work = [each.balanced(time) for each, time in zip(work, times, strict=True)]
    plans = zip(jobs, scenario.pools, of_ranks, found, work, strict=True)
    pools = [_pool_plan(scenario, counts, *each) for each in plans]
    if is_mixed(scenario.layout):
        ways = stage_pools(scenario.layout, counts)
        replica_s = mixed_step_s(job, [pool.compute for pool in pools], ways)
        pools = [replace(pool, replica_s=replica_s) for pool in pools]
    return tuple(pools)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What the replicas of a pool compute in a step without any cause."""

    compute: ComputeTime
    n_microbatches: int
    n_more: int
    more_slowdown: float
    pack_law: dict[str, Any] | None
    rank_model_flops: float

    def balanced(self, compute: ComputeTime) -> _Work:
        """Return the work of replicas that take so long, all of which have as much."""
        flops = compute.work * self.rank_model_flops
        return replace(self, compute=compute, n_more=0, more_slowdown=1.0, rank_model_flops=flops)


def _job_of_pool(job: Job, batch: Batch) -> Job:
    """Return what the replicas of a pool compute, with microbatches of their own size."""
    if batch.microbatch_seqs == job.workload.microbatch_seqs:
        return job
    update = {"microbatch_seqs": batch.microbatch_seqs}
    return replace(job, workload=job.workload.model_copy(update=update))


def _work(
    job: Job, pool: Pool, links: Links, places: PoolPlaces, batch: Batch, counts: PoolCounts
) -> _Work:
    """Return the work of a pool's replicas.

    The core knows one number of microbatches: passes of replicas with fewer sequences are in
    proportion shorter, so that all of them take as long as those that there are.
    """
    time = compute_time(job, pool, links, places)
    optimizer_s = _optimizer_s(job, pool, counts.state_ranks)
    if optimizer_s:
        time = replace(time, overhead_s=time.overhead_s + optimizer_s)
    compute, n_more, slowdown, mean_seqs = time, 0, 1.0, float(batch.seqs)
    if batch.n_more or batch.seqs != job.n_microbatches * batch.microbatch_seqs:

        def passes_s(n_seqs: int) -> float:
            return _passes_s(job, pool, links, places, n_seqs)

        each_s = passes_s(batch.seqs)
        if batch.n_more:
            n_more, share = batch.n_more, batch.n_more / counts.n_replicas
            mean_seqs += share * batch.more
            more_s = passes_s(batch.seqs + batch.more)
            if job.ideal.sequence_imbalance or job.ideal.mixed_generations:
                n_more, each_s = 0, each_s + share * (more_s - each_s)
            else:
                slowdown = (more_s + time.overhead_s) / (each_s + time.overhead_s)
        compute = time.with_passes_s(each_s)
    return _Work(
        compute=compute,
        n_microbatches=batch.n_microbatches,
        n_more=n_more,
        more_slowdown=slowdown,
        pack_law=_pack_law(job, pool, time),
        rank_model_flops=_rank_model_flops(job, places, mean_seqs),
    )


def _passes_s(job: Job, pool: Pool, links: Links, places: PoolPlaces, n_seqs: int) -> float:
    """Return the seconds of a step's passes in a replica with so many sequences.

    They make full microbatches and, if some are left, a smaller last one.
    """
    size = job.workload.microbatch_seqs
    n_full, left = divmod(n_seqs, size)
    of_replica = replace(job, n_microbatches=n_full + (left > 0))
    time = compute_time(of_replica, pool, links, places)
    if not left:
        return time.passes_s
    if pool.forward_s is not None:
        # Measured passes are those of a full microbatch.
        last = time.with_work(left / size)
    else:
        smaller = job.workload.model_copy(update={"microbatch_seqs": left})
        last = compute_time(replace(of_replica, workload=smaller), pool, links, places)
    return with_last_microbatch(of_replica, time, last)


def _optimizer_s(job: Job, pool: Pool, state_ranks: int) -> float:
    """Return the seconds of the optimizer, of the fullest stage.

    Those in which it goes through the GPU's memory, where work that is bound by that takes time.
    On the host, those in which gradients move there and weights back: nothing hides them, and that
    the host takes longer for the optimizer than the GPU is not in them.
    """
    if job.ideal.recompute_and_overhead:
        return 0.0
    if job.workload.offload_optimizer:
        assert pool.host_bytes_per_s is not None
        n_bytes = max(moved_bytes(job, state_ranks, stage) for stage in job.stage_parameters)
        return n_bytes / pool.host_bytes_per_s
    bytes_per_s = memory_bytes_per_s(job, pool)
    if bytes_per_s is None:
        return 0.0
    n_bytes = max(optimizer_bytes(job, state_ranks, stage) for stage in job.stage_parameters)
    return n_bytes / bytes_per_s


def _pack_law(job: Job, pool: Pool, time: ComputeTime) -> dict[str, Any] | None:
    """Return the law of a microbatch's slowdown by the attention within its documents."""
    documents = job.documents
    if documents is None or job.ideal.sequence_imbalance:
        return None
    causal = job.workload.attention == "causal"
    kinds = catalog.kinds_of_layers(job.model, range(job.model.depth))

    def of_length(tokens: float) -> float:
        return attention_flops_of(job.model, kinds, tokens, causal=causal) if tokens else 0.0

    loads = documents.loads(of_length, job.workload.microbatch_seqs)
    return slowdown_law(loads, attention_share(job, pool, time))


def _pool_plan(
    scenario: Scenario,
    counts: Counts,
    job: Job,
    name: str,
    of_rank: Links,
    places: PoolPlaces,
    work: _Work,
) -> PoolPlan:
    pool, fabric = scenario.pools[name], scenario.fabric
    peak_flop_per_s = pool.accelerator.peak_flop_per_s(scenario.workload.mfu_dtype)
    assert peak_flop_per_s is not None
    between_replicas = network(
        of_rank,
        places,
        collective=scenario.collective,
        fabric=fabric,
        layers_per_stage=job.layers_per_stage,
    )
    # A job that is the same has found out what its stages hold.
    of_pool = job
    if work.n_microbatches != job.n_microbatches:
        of_pool = replace(job, n_microbatches=work.n_microbatches)
    return PoolPlan(
        name=name,
        n_gpus=pool.n_gpus,
        n_ranks=counts.pools[name].n_ranks,
        peak_flop_per_s=peak_flop_per_s,
        peak_power_w=pool.power_cap_w or pool.figure("peak_power_w"),
        idle_power_w=pool.figure("idle_power_w"),
        compute=work.compute,
        n_more=work.n_more,
        more_slowdown=work.more_slowdown,
        pack_law=work.pack_law,
        replica_s=work.more_slowdown * work.compute.step_s,
        rank_model_flops=work.rank_model_flops,
        terms=tuple(terms(job, counts, between_replicas, work.compute)),
        memory=memory(
            of_pool,
            state_ranks=counts.pools[name].state_ranks,
            stages=[stage for stage, n_ranks in enumerate(places.ranks_of_stages) if n_ranks],
        ),
        shard_groups=places.shard.tiers[-1].number if places.shard.tiers else 1,
    )


def _rank_model_flops(job: Job, places: PoolPlaces, n_seqs: float) -> float:
    """Return the model FLOPs of a pool's average rank, in replicas of so many sequences a step."""
    counted = job.workload.counted_attention
    of_stages = [
        sum(
            stage_flops(
                job.model,
                job.workload,
                chunk,
                attention=counted,
                documents=job.counted_documents,
            ).total
            for chunk in chunks
        )
        for chunks in job.chunks_of_stages
    ]
    if job.ideal.stage_imbalance:
        of_stages = [sum(of_stages) / len(of_stages)] * len(of_stages)
    by_stage = zip(of_stages, places.ranks_of_stages, strict=True)
    total = sum(n_ranks * flops for flops, n_ranks in by_stage)
    tokens = n_seqs * job.workload.seq_len / job.stage_ranks
    return tokens * total / sum(places.ranks_of_stages)
