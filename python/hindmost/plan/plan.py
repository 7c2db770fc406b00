"""Plans: scenarios as plain numbers, with times, bytes and FLOPs instead of GPUs and models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hindmost import _core
from hindmost.cause import SECONDS_PER_HOUR
from hindmost.errors import Problem, ScenarioError, Verbatim
from hindmost.plan.core_arguments import core_arguments
from hindmost.plan.pool_plan import PoolPlan, job_of, n_seqs_of, pool_plans
from hindmost.scenario import Counts, Scenario
from hindmost.scenario.counts import is_mixed
from hindmost.scenario.models import Pool
from hindmost.units import gigabytes

MIN_STEP_S = 1e-9
"""Seconds of a step, at least; this is a few clock cycles."""

MAX_STEP_S = 1e9
"""Seconds of a step, at most; this is about thirty years."""

MOST_EPISODES_PER_STEP = 16
"""Episodes that a unit begins in a step, at most, on average."""


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
    def has_episodes(self) -> bool:
        """Whether computing may be slow in episodes."""
        of_compute = (one for one in self.arguments["causes"] if one["affects"] == "compute")
        return any("episode" in one and one["episode"]["per_s"] > 0 for one in of_compute)

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
    same = () if known is None else _same_pools(scenario, known)
    kept = {}
    if known is not None and scenario.ideals.of_pools == known[0].ideals.of_pools:
        kept = {pool.name: pool for pool in known[1].pools if pool.name in same}
        if scenario.workload.overhead_s != known[0].workload.overhead_s:
            kept = {name: pool.with_overhead_s(job.overhead_s) for name, pool in kept.items()}
    if known is not None and all(kept.get(pool.name) is pool for pool in known[1].pools):
        pools = known[1].pools
    else:
        pools = pool_plans(scenario, job, counts, kept=kept)
    found = [
        *_memory_problems(scenario, pools, counts),
        *_step_problems(scenario, pools),
        *_torus_problems(scenario, pools),
    ]
    if found:
        raise ScenarioError(found)
    n_seqs = n_seqs_of(scenario, counts)
    is_same_work = (
        known is not None
        and scenario.workload == known[0].workload
        and scenario.model == known[0].model
        and n_seqs * scenario.workload.seq_len == known[1].tokens
    )
    step_s = _noiseless_step_s(scenario, pools)
    real_step_s: float | None = None
    if any(scenario.ideals.of_pools):
        real_step_s = (
            known[1].rate_step_s
            if known is not None
            and len(same) == len(pools)
            and scenario.collective == known[0].collective
            and scenario.workload == known[0].workload
            else _real_step_s(scenario)
        )
    rate_step_s = step_s if real_step_s is None else real_step_s
    found = [*_drift_problems(scenario, rate_step_s), *_episode_problems(scenario, rate_step_s)]
    if found:
        raise ScenarioError(found)
    return Plan(
        pools=pools,
        n_replicas=counts.n_replicas,
        n_microbatches=job.n_microbatches,
        tokens=n_seqs * scenario.workload.seq_len,
        model_flops=known[1].model_flops
        if known is not None and is_same_work
        else n_seqs / scenario.workload.microbatch_seqs * job.microbatch_model_flops,
        noiseless_step_s=step_s,
        arguments=core_arguments(scenario, job, counts, pools, rate_step_s),
        real_step_s=real_step_s,
    )


def step_tokens(scenario: Scenario) -> int:
    """Return the tokens of a step, found without a plan."""
    counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
    return n_seqs_of(scenario, counts) * scenario.workload.seq_len


SPEEDS = (
    "software_efficiency",
    "kernel_efficiency",
    "attention_efficiency",
    "memory_efficiency",
    "products",
    "peak_power_w",
    "idle_power_w",
    "power_cap_w",
    "clock_exponent",
    "smoothing",
    "power_aware",
    "forward_s",
    "backward_s",
    "host_bytes_per_s",
)
"""Fields of a pool on which no plan of another pool depends."""


def _same_pools(scenario: Scenario, known: tuple[Scenario, Plan]) -> tuple[str, ...]:
    """Return the pools whose plans are those of another scenario, but for ideals and overhead."""
    other, plan = known
    if _pools_depend_on(scenario) != _pools_depend_on(other):
        return ()
    same = tuple(
        name for name, pool in scenario.pools.items() if _is_planned_as(pool, other.pools[name])
    )
    has_same_overhead = scenario.workload.overhead_s == other.workload.overhead_s
    if len(same) == len(scenario.pools) and has_same_overhead:
        return same
    # Work that is balanced, and stages of a replica, depend on the speed of all pools.
    if is_mixed(scenario.layout) or scenario.ideals.mixed_generations:
        return ()
    # The overhead of replicas with more sequences, or beside an optimizer's time, is part of more.
    has_more = scenario.workload.offload_optimizer or any(pool.n_more for pool in plan.pools)
    has_more = has_more or _has_memory_time(scenario)
    if has_more and not has_same_overhead:
        return ()
    others_are_alike = all(
        _without_speed(pool) == _without_speed(other.pools[name])
        for name, pool in scenario.pools.items()
        if name not in same
    )
    return same if others_are_alike else ()


def _has_memory_time(scenario: Scenario) -> bool:
    """Return whether an optimizer's time in memory is part of the overhead of some pool."""
    of_pools = any(pool.memory_efficiency is not None for pool in scenario.pools.values())
    return of_pools or scenario.workload.software.memory_efficiency is not None


def _is_planned_as(pool: Pool, other: Pool) -> bool:
    """Return whether two pools have one plan: of these smoothing of power is no part."""
    if pool is other:
        return True
    plain = {"smoothing": None, "power_aware": False}
    return pool.model_copy(update=plain) == other.model_copy(update=plain)


def _without_speed(pool: Pool) -> Pool:
    return pool.model_copy(update=dict.fromkeys(SPEEDS))


def _pools_depend_on(scenario: Scenario) -> tuple[Any, ...]:
    """Return all that the plans of pools depend on, but for the pools, ideals and overhead."""
    # Of laws only whether hops are random: the rest of them belongs to the core's arguments, as
    # does what collectives can hide behind.
    fabric = scenario.fabric.model_copy(update={"noise": None, "hop_noise": None})
    hiding = {"overlap_fraction": 0.0, "hidden_cost": None}
    collective = scenario.collective.model_copy(update=hiding)
    workload = scenario.workload.model_copy(update={"overhead_s": 0.0})
    parts = list(scenario.pools), scenario.model, workload, scenario.layout
    return scenario.spares, *parts, collective, fabric, scenario.hop_noise is None


def _real_step_s(scenario: Scenario) -> float:
    """Return the seconds of a step without any cause and without any ideal."""
    real = scenario.model_copy(update={"ideal": None})
    counts = Counts.of(real.pools, real.layout, real.spares)
    return _noiseless_step_s(real, pool_plans(real, job_of(real, counts), counts))


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


def _drift_problems(scenario: Scenario, step_s: float) -> Iterator[Problem]:
    """Yield a problem for each cause that drifts more slowly than any run shows."""
    causes = {f"causes.{name}": cause for name, cause in scenario.acting_causes.items()}
    if scenario.acting_noise is not None:
        causes["fabric.noise"] = scenario.acting_noise
    for path, cause in causes.items():
        steps = cause.correlation_steps_in(step_s)
        if steps is not None and steps > _core.MAX_CORRELATION_STEPS:
            longest_s = _core.MAX_CORRELATION_STEPS * step_s
            yield Problem(
                path=f"{path}.correlation_s",
                requirement=(
                    f"must be at most {longest_s:.3g} s, {_core.MAX_CORRELATION_STEPS:,.0f} steps "
                    f"of {step_s:.3g} s"
                ),
                value=cause.correlation_s,
                hint='span = "run" lasts for a whole run',
                source=scenario.source,
            )


def _episode_problems(scenario: Scenario, step_s: float) -> Iterator[Problem]:
    """Yield a problem for each cause of which a unit begins too many episodes in a step."""
    causes = {f"causes.{name}": cause for name, cause in scenario.acting_causes.items()}
    if scenario.acting_noise is not None:
        causes["fabric.noise"] = scenario.acting_noise
    for path, cause in causes.items():
        if cause.span != "episode" or cause.per_hour is None:
            continue
        most = MOST_EPISODES_PER_STEP * SECONDS_PER_HOUR / step_s
        if cause.per_hour > most:
            requirement = (
                f"must be at most {most:.3g}: more than {MOST_EPISODES_PER_STEP} episodes would "
                f"begin in a step of {step_s:.3g} s"
            )
            yield Problem(
                path=f"{path}.per_hour",
                requirement=requirement,
                value=cause.per_hour,
                hint='span = "step" has a draw for each step',
                source=scenario.source,
            )


def _noiseless_step_s(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> float:
    """Return the seconds of a step without any cause: those of its slowest pool."""
    return max(own_steps_s(scenario, pools).values())


def own_steps_s(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> dict[str, float]:
    """Return the seconds of a step if it waited for each pool with ranks, by its name.

    Without any cause: the compute of its slowest replica, and what that exposes. A collective is
    complete when its slowest member is, so each term takes the time of the slowest pool, and hides
    behind the compute of the pool that the step waits for.

    Parameters
    ----------
    scenario, pools
        The scenario, and the plans of its pools.
    """
    phases = list(zip(*(pool.terms for pool in pools), strict=True))
    times_s = [max(term.cost.total_s for term in phase) for phase in phases]
    windows = [[pool.window_share(term) for term in pool.terms] for pool in pools]
    if is_mixed(scenario.layout):
        # Replicas that lie in several pools have the narrowest window of them.
        windows = [[min(phase) for phase in zip(*windows, strict=True)]] * len(pools)
    overlap = scenario.collective.overlap_fraction
    hidden_cost = scenario.hidden_cost

    def step_s(pool: PoolPlan, shares: list[float]) -> float:
        exposed_s = 0.0
        for term, share, time_s in zip(pool.terms, shares, times_s, strict=True):
            window_s = overlap * share * pool.replica_s
            waiting_s = max(time_s / term.n_buckets, time_s - window_s)
            exposed_s += waiting_s + hidden_cost * (time_s - waiting_s)
        return pool.replica_s + exposed_s

    by_pool = zip(pools, windows, strict=True)
    return {pool.name: step_s(pool, shares) for pool, shares in by_pool if pool.n_ranks}
