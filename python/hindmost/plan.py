"""Plans: scenarios as plain numbers, with times, bytes and FLOPs instead of GPUs and models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hindmost.cause import Cause
from hindmost.collective.hops import total as hop_total
from hindmost.errors import Problem, ScenarioError, Verbatim
from hindmost.law import LawModel
from hindmost.physics.compute import ComputeTime, balanced, compute_time, mixed_step_s
from hindmost.physics.job import Job
from hindmost.physics.links import Links, links
from hindmost.physics.memory import Memory, memory
from hindmost.physics.network import network
from hindmost.physics.stages import stage_flops
from hindmost.physics.terms import Term, terms
from hindmost.scenario import Counts, Scenario, n_microbatches
from hindmost.scenario.areas import tier_sizes
from hindmost.scenario.counts import domain_gpus, is_mixed
from hindmost.scenario.mixed import stage_pools
from hindmost.scenario.places import PoolPlaces, places
from hindmost.units import gigabytes

CORE_ORDER = ("cp", "dp", "pp")
"""Dimensions in which the core numbers tensor groups; those of experts have the same stages."""

NOISE = "fabric-noise"
"""Name of the fabric's noise among the causes; its random streams are hashed from it."""

MIN_STEP_S = 1e-9
"""Seconds of a step, at least; this is a few clock cycles."""
MAX_STEP_S = 1e9
"""Seconds of a step, at most; this is about thirty years."""


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
        Power of one GPU at work and without work, in watts, where they are known.
    compute : ComputeTime
        Seconds that a replica computes without any cause.
    replica_s : float
        Seconds that a replica with ranks here computes in a step without any cause: those of
        `compute`, unless its stages are spread over pools.
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
    replica_s: float
    rank_model_flops: float
    terms: tuple[Term, ...]
    memory: Memory
    shard_groups: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A step of a whole job as plain numbers, which the Rust core compiles.

    Attributes
    ----------
    pools : tuple of PoolPlan
        Pools in document order.
    n_replicas : int
        Replicas of the job.
    n_microbatches : int
        Microbatches of a replica in a step.
    tokens : int
        Tokens of a step.
    model_flops : float
        Model FLOPs of a step.
    noiseless_step_s : float
        Seconds of a step without any cause.
    real_step_s : float or None
        The same without any ideal, where that differs.
    arguments : dict
        Arguments of the Rust core's plan: plain numbers, texts, lists and dictionaries.
    """

    pools: tuple[PoolPlan, ...]
    n_replicas: int
    n_microbatches: int
    tokens: int
    model_flops: float
    noiseless_step_s: float
    arguments: dict[str, Any] = field(repr=False)
    real_step_s: float | None = None

    @property
    def fullest_bytes(self) -> float:
        """Memory that the fullest GPU needs, in bytes."""
        return max(pool.memory.total_bytes for pool in self.pools)

    @property
    def ranks(self) -> list[int]:
        """Ranks of each pool; its other GPUs are spares."""
        return [pool.n_ranks for pool in self.pools]

    @property
    def n_ranks(self) -> int:
        """Ranks of all pools."""
        return sum(self.ranks)

    @property
    def peak_flop_per_s(self) -> float:
        """Dense peak of all ranks together, in FLOP/s."""
        by_pool = zip(self.ranks, self.pools, strict=True)
        return sum(n_ranks * pool.peak_flop_per_s for n_ranks, pool in by_pool)

    @property
    def rate_step_s(self) -> float:
        """Seconds of a step in which causes with a rate occur as often as they do in such a time.

        Those without any cause and without any ideal, so that an ideal changes only what it names.
        """
        return self.noiseless_step_s if self.real_step_s is None else self.real_step_s

    @property
    def peak_step_s(self) -> float:
        """Seconds of a step in which every rank runs at its dense peak; MFU is this over a step."""
        return self.model_flops / self.peak_flop_per_s


def make_plan(scenario: Scenario, *, known: tuple[Scenario, Plan] | None = None) -> Plan:
    """Return the plan of a scenario.

    Parameters
    ----------
    scenario
        The scenario.
    known
        Another scenario and its plan, whose pools are taken over where all that they depend on is
        equal.

    Raises
    ------
    ScenarioError
        If the job does not fit into the memory of some pool's GPUs, or a step would be too
        short or too long.
    """
    counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
    job = job_of(scenario, counts)
    is_known = known is not None and _pools_depend_on(scenario) == _pools_depend_on(known[0])
    has_known_ideals = known is not None and scenario.ideals.of_pools == known[0].ideals.of_pools
    if known is not None and is_known and has_known_ideals:
        pools = known[1].pools
    else:
        pools = pool_plans(scenario, job, counts)
    found = [
        *_memory_problems(scenario, pools, counts),
        *_step_problems(scenario, pools),
        *_torus_problems(scenario, pools),
    ]
    if found:
        raise ScenarioError(found)
    microbatches = counts.n_replicas * job.n_microbatches
    step_s = _noiseless_step_s(scenario, pools)
    real_step_s = None
    if any(scenario.ideals.of_pools):
        real_step_s = known[1].rate_step_s if known and is_known else _real_step_s(scenario)
    return Plan(
        pools=pools,
        n_replicas=counts.n_replicas,
        n_microbatches=job.n_microbatches,
        tokens=microbatches * job.microbatch_tokens,
        model_flops=microbatches * job.microbatch_model_flops,
        noiseless_step_s=step_s,
        arguments=_core_arguments(scenario, job, counts, pools, real_step_s or step_s),
        real_step_s=real_step_s,
    )


def job_of(scenario: Scenario, counts: Counts) -> Job:
    """Return what one replica of a scenario computes."""
    return Job(
        model=scenario.model,
        workload=scenario.workload,
        layout=scenario.layout,
        n_microbatches=n_microbatches(scenario.workload, counts.n_replicas),
        ideal=scenario.ideals,
    )


def pool_plans(scenario: Scenario, job: Job, counts: Counts) -> tuple[PoolPlan, ...]:
    """Return the plan of each pool, whether or not the job fits into its memory."""
    tiers = tier_sizes(scenario.fabric.network)
    where = places(scenario.pools, scenario.layout, counts, tiers)
    # A pool of spares only, which mixed stages leave over, is as any other one.
    anywhere = next(iter(where.values()))
    found = [where.get(name, anywhere) for name in scenario.pools]
    of_ranks = [links(pool, scenario.fabric) for pool in scenario.pools.values()]
    times = [
        compute_time(job, *each)
        for each in zip(scenario.pools.values(), of_ranks, found, strict=True)
    ]
    if job.ideal.mixed_generations:
        n_ranks = [counts.pools[name].n_ranks for name in scenario.pools]
        of_pools = zip(n_ranks, found, strict=True)
        times = balanced(times, [n * _rank_model_flops(job, where) for n, where in of_pools])
    by_pool = zip(scenario.pools, of_ranks, found, times, strict=True)
    pools = [_pool_plan(scenario, job, counts, *each) for each in by_pool]
    if is_mixed(scenario.layout):
        ways = stage_pools(scenario.layout, counts)
        replica_s = mixed_step_s(job, [pool.compute for pool in pools], ways)
        pools = [replace(pool, replica_s=replica_s) for pool in pools]
    return tuple(pools)


def _pools_depend_on(scenario: Scenario) -> tuple[Any, ...]:
    """Return all that the plans of pools depend on, but for ideals."""
    # Of laws only whether hops are random: the rest of them belongs to the core's arguments.
    fabric = scenario.fabric.model_copy(update={"noise": None, "hop_noise": None})
    parts = list(scenario.pools.items()), scenario.model, scenario.workload, scenario.layout
    return scenario.spares, *parts, scenario.collective, fabric, scenario.hop_noise is None


def _real_step_s(scenario: Scenario) -> float:
    """Return the seconds of a step without any cause and without any ideal."""
    real = scenario.model_copy(update={"ideal": None})
    counts = Counts.of(real.pools, real.layout, real.spares)
    return _noiseless_step_s(real, pool_plans(real, job_of(real, counts), counts))


def _pool_plan(
    scenario: Scenario,
    job: Job,
    counts: Counts,
    name: str,
    of_rank: Links,
    places: PoolPlaces,
    compute: ComputeTime,
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
    return PoolPlan(
        name=name,
        n_gpus=pool.n_gpus,
        n_ranks=counts.pools[name].n_ranks,
        peak_flop_per_s=peak_flop_per_s,
        peak_power_w=pool.figure("peak_power_w"),
        idle_power_w=pool.figure("idle_power_w"),
        compute=compute,
        replica_s=compute.step_s,
        rank_model_flops=compute.work * _rank_model_flops(job, places),
        terms=tuple(terms(job, counts, between_replicas, compute)),
        memory=memory(
            job,
            state_ranks=counts.pools[name].state_ranks,
            stages=[stage for stage, n_ranks in enumerate(places.ranks_of_stages) if n_ranks],
        ),
        shard_groups=places.shard.tiers[-1].number if places.shard.tiers else 1,
    )


def _rank_model_flops(job: Job, places: PoolPlaces) -> float:
    """Return the model FLOPs of a step of the average rank of a pool."""
    counted = job.workload.counted_attention
    of_stages = [
        sum(
            stage_flops(job.model, job.workload, chunk, attention=counted).total for chunk in chunks
        )
        for chunks in job.chunks_of_stages
    ]
    if job.ideal.stage_imbalance:
        of_stages = [sum(of_stages) / len(of_stages)] * len(of_stages)
    by_stage = zip(of_stages, places.ranks_of_stages, strict=True)
    total = sum(n_ranks * flops for flops, n_ranks in by_stage)
    tokens = job.n_microbatches * job.microbatch_tokens / job.stage_ranks
    return tokens * total / sum(places.ranks_of_stages)


def _memory_problems(
    scenario: Scenario, pools: tuple[PoolPlan, ...], counts: Counts
) -> Iterator[Problem]:
    """Yield a problem for each pool whose GPUs have less memory than the job needs."""
    layout = scenario.layout
    for pool in pools:
        name, gpu = scenario.pools[pool.name].gpu, scenario.pools[pool.name].accelerator
        needed = pool.memory.total_bytes
        if needed <= gpu.memory_bytes:
            continue
        hint = "shard over more ranks, raise layout.tensor or layout.pipeline, or recompute more"
        last = counts.pools[pool.name].smallest_shard_group
        if layout.sharding == "hybrid" and last < (layout.shard_group_replicas or 1):
            hint = f"the last shard group holds only {last} replicas; choose another size"
        yield Problem(
            path="layout",
            requirement=(
                f"needs {gigabytes(needed)} a GPU{_where(scenario, pool)}, "
                f"{gigabytes(needed - gpu.memory_bytes)} more than the "
                f"{gigabytes(gpu.memory_bytes)} of pool {pool.name} ({name})"
            ),
            hint=hint,
            source=scenario.source,
        )


def _where(scenario: Scenario, pool: PoolPlan) -> str:
    return f" of stage {pool.memory.stage}" if scenario.layout.pipeline > 1 else ""


def _step_problems(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> Iterator[Problem]:
    """Yield a problem for each pool whose noiseless step is too short or too long."""
    for pool in pools:
        compute_s = pool.compute.step_s
        step_s = compute_s + sum(term.cost.total_s for term in pool.terms)
        if not compute_s >= MIN_STEP_S:
            requirement = f"must make pool {pool.name} compute for at least {MIN_STEP_S:g} s a step"
            found_s = compute_s
        elif not step_s <= MAX_STEP_S:
            requirement = f"must make a step of pool {pool.name} take at most {MAX_STEP_S:g} s"
            found_s = step_s
        else:
            continue
        value = Verbatim(f"{found_s:.3g}")
        yield Problem(path="workload", requirement=requirement, value=value, source=scenario.source)


def _torus_problems(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> Iterator[Problem]:
    """Yield a problem where a torus would reach over the second tier."""
    fabric = scenario.fabric
    beyond, shape = fabric.network.beyond, fabric.shape
    n_groups = max(pool.shard_groups for pool in pools)
    if shape is not None and beyond is not None and n_groups > 1:
        requirement = (
            f"must lie within the {beyond.gpus:,} GPUs of fabrics.{fabric.name}.beyond, and with "
            f"its tensor groups and stages it has ranks in {n_groups} such groups"
        )
        hint = 'layout.sharding = "hybrid" shards within a slice'
        yield Problem(path="fabric.shape", requirement=requirement, value=shape, hint=hint)


def _noiseless_step_s(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> float:
    """Return the seconds of a step without any cause: its slowest replica's, and what that exposes.

    A collective is complete when its slowest member is, so each term takes the time of the
    slowest pool, and hides behind the compute of the pool that the step waits for.
    """
    phases = list(zip(*(pool.terms for pool in pools), strict=True))
    times_s = [max(term.cost.total_s for term in phase) for phase in phases]
    windows = [[_window_share(pool, term) for term in pool.terms] for pool in pools]
    if is_mixed(scenario.layout):
        # Replicas that lie in several pools have the narrowest window of them.
        windows = [[min(phase) for phase in zip(*windows, strict=True)]] * len(pools)
    overlap = scenario.collective.overlap_fraction

    def step_s(pool: PoolPlan, shares: list[float]) -> float:
        exposed_s = 0.0
        for term, share, time_s in zip(pool.terms, shares, times_s, strict=True):
            window_s = overlap * share * pool.replica_s
            exposed_s += max(time_s / term.n_buckets, time_s - window_s)
        return pool.replica_s + exposed_s

    by_pool = zip(pools, windows, strict=True)
    return max(step_s(pool, shares) for pool, shares in by_pool if pool.n_ranks)


def _window_share(pool: PoolPlan, term: Term) -> float:
    """Return the share of a replica's compute in whose time a term may hide."""
    return min(1.0, term.window_s / pool.replica_s)


def _core_arguments(
    scenario: Scenario, job: Job, counts: Counts, pools: tuple[PoolPlan, ...], step_s: float
) -> dict[str, Any]:
    """Return the arguments of the Rust core's plan."""
    named = list(scenario.acting_causes.items())
    if scenario.acting_noise is not None:
        named.append((NOISE, scenario.acting_noise))
    places = {name: place for place, name in enumerate(scenario.pools)}
    by_phase = zip(*(pool.terms for pool in pools), strict=True)
    return {
        "pools": [_core_pool(scenario, pool) for pool in pools],
        "causes": [
            _core_cause(name, cause, places, step_s, scenario.watchdog_s) for name, cause in named
        ],
        "terms": [
            _core_term(pools, same_phase, scenario.acting_hop_noise) for same_phase in by_phase
        ],
        "overlap_fraction": scenario.collective.overlap_fraction,
        "context": scenario.layout.context,
        "order": "-".join(name for name in scenario.layout.order.split("-") if name in CORE_ORDER),
        "pipeline": _core_pipeline(scenario, job, counts, pools),
    }


def _core_pool(scenario: Scenario, pool: PoolPlan) -> dict[str, object]:
    gpu = scenario.pools[pool.name].accelerator
    return {
        "name": pool.name,
        "n_gpus": pool.n_gpus,
        "node_gpus": gpu.node_gpus,
        "domain_gpus": gpu.domain_gpus,
        "domain_gpus_used": domain_gpus(scenario.pools[pool.name]),
        "held_back_gpus": scenario.spares[pool.name],
        "rack_gpus": scenario.pools[pool.name].rack_gpus,
        "tensor_gpus": scenario.layout.tensor,
        "compute_s": pool.compute.step_s,
    }


def _core_pipeline(
    scenario: Scenario, job: Job, counts: Counts, pools: tuple[PoolPlan, ...]
) -> dict[str, Any] | None:
    """Return the pipeline of a replica, or None where a step is one barrier."""
    layout = job.layout
    within_step = ("microbatch", "layer")
    if layout.pipeline == 1 and not any(
        cause.span in within_step for cause in scenario.acting_causes.values()
    ):
        return None
    return {
        "kind": job.schedule,
        "stages": layout.pipeline,
        "chunks": layout.chunks,
        "microbatches": job.n_microbatches,
        "context": layout.context,
        "gang_replicas": counts.gang_replicas,
        "placement": "mixed" if is_mixed(layout) else "aligned",
        "layers": [len(stage.layers) for stage in job.stages],
        "times": [
            {
                "forward_s": [stage.forward_s for stage in pool.compute.stages],
                "backward_s": [stage.backward_s for stage in pool.compute.stages],
                "weight_s": [stage.weight_s for stage in pool.compute.stages]
                if job.has_weight_passes
                else [],
                "overhead_s": pool.compute.overhead_s,
                "transfer_s": list(pool.compute.transfers_s),
            }
            for pool in pools
        ],
    }


def _core_cause(
    name: str, cause: Cause, places: dict[str, int], step_s: float, watchdog_s: float | None
) -> dict[str, object]:
    law, probability = cause.below(watchdog_s, step_s)
    return {
        "name": name,
        "affects": cause.affects,
        "effect": cause.effect,
        "scope": cause.scope,
        "span": cause.span,
        "probability": probability,
        # A law of which nothing passes never occurs.
        "law": (law or cause.law).model_dump(exclude_none=True),
        "pools": [places[pool] for pool in dict.fromkeys(cause.pools or places)],
        "units": cause.unit_ranges,
        **_period(cause),
    }


def _period(cause: Cause) -> dict[str, Any]:
    # What comes in every step is no period, which the engines need not know.
    if cause.period_steps in (None, 1):
        return {}
    phase = cause.phase_steps
    if isinstance(phase, LawModel):
        law = phase.model_dump(exclude_none=True)
        return {"period_steps": cause.period_steps, "phase_law": law}
    return {"period_steps": cause.period_steps, "phase_step": phase}


def _core_term(
    pools: tuple[PoolPlan, ...], same_phase: tuple[Term, ...], hop_noise: LawModel | None
) -> dict[str, Any]:
    """Return the term of one phase, with a number for each pool."""
    by_pool = zip(pools, same_phase, strict=True)
    return {
        "latency_s": [term.cost.latency_s + term.cost.scale_up_s for term in same_phase],
        "transfer_s": [term.cost.transfer_s for term in same_phase],
        "window_share": [_window_share(pool, term) for pool, term in by_pool],
        "n_buckets": same_phase[0].n_buckets,
        "hops": None if hop_noise is None else _hop_law(same_phase, hop_noise),
    }


def _hop_law(same_phase: tuple[Term, ...], hop_noise: LawModel) -> dict[str, Any] | None:
    """Return the law of a term's latency over its nominal latency.

    That of the pool whose ranks are spread over the most domains. All collectives of a
    phase share one draw.
    """
    hops = [term.hops for term in same_phase if term.hops is not None]
    most_domains = max(hops, key=lambda hops: hops.n_domains, default=None)
    if most_domains is None or most_domains.n_domains < 2:
        return None
    total = hop_total(hop_noise, pattern=most_domains.pattern, n=most_domains.n_domains)
    return total.law().model_dump(exclude_none=True)
