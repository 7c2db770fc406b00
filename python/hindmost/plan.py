"""From a scenario to a plan: GPUs, models and fabrics become plain numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from hindmost import _core, catalog
from hindmost.cause import Cause
from hindmost.collective.hops import total as hop_total
from hindmost.errors import Problem, ScenarioError, Verbatim
from hindmost.physics.compute import (
    ComputeTime,
    compute_time,
    microbatch_model_flops,
    microbatch_tokens,
)
from hindmost.physics.exchange import Exchange, exchanges, n_buckets
from hindmost.physics.memory import Memory, memory
from hindmost.physics.stages import layers_of_stages
from hindmost.scenario import (
    Scenario,
    crew_replicas,
    n_microbatches,
    n_replicas,
    replica_gpus,
    smallest_shard_group,
)
from hindmost.units import gigabytes

NOISE = "fabric-noise"
"""Name of the fabric's noise among the causes, a part of its random addresses."""


INSTRUCTIONS_VARIABLE = "HINDMOST_INSTRUCTIONS"
"""Environment variable that forces an instruction set; all give the same bytes."""

MIN_STEP_S = 1e-9
"""Seconds of a step, at least: a few cycles of a clock."""
MAX_STEP_S = 1e9
"""Seconds of a step, at most: some thirty years."""


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """What a pool comes to.

    Attributes
    ----------
    name : str
        Name of the pool.
    n_gpus : int
        GPUs in all.
    peak_flop_per_s : float
        Dense peak of one GPU that MFU is measured against, in FLOP/s.
    peak_power_w, idle_power_w : float or None
        Power of one GPU at work and without work, in watts, where they are known.
    compute : ComputeTime
        Seconds that a replica computes without any cause.
    exchanges : tuple of Exchange
        What a rank exchanges with other replicas.
    memory : Memory
        Memory of the pool's fullest GPU.
    """

    name: str
    n_gpus: int
    peak_flop_per_s: float
    peak_power_w: float | None
    idle_power_w: float | None
    compute: ComputeTime
    exchanges: tuple[Exchange, ...]
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A step of a whole job, ready for an engine.

    Attributes
    ----------
    pools : tuple of PoolPlan
        Pools in document order.
    n_replicas : int
        Replicas of the job.
    tokens : int
        Tokens of a step.
    model_flops : float
        Model FLOPs of a step.
    arguments : dict
        What the Rust core makes its plan of: plain numbers and lists.
    instructions : str or None
        Instruction set that was asked for. All of them give the same bytes, so plans compare
        without it.
    """

    pools: tuple[PoolPlan, ...]
    n_replicas: int
    tokens: int
    model_flops: float
    arguments: dict[str, Any] = field(repr=False)
    instructions: str | None = field(default=None, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # The compiled plan does not pickle, and is made again where it is asked for.
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def core(self) -> _core.Plan:
        """The plan as the Rust core has it, compiled."""
        return _core.Plan(**self.arguments, instructions=self.instructions)

    @property
    def fullest_bytes(self) -> float:
        """Memory that the fullest GPU needs, in bytes."""
        return max(pool.memory.total_bytes for pool in self.pools)

    @property
    def ranks(self) -> list[int]:
        """GPUs that work, by pool; the others fill no domain, tensor group or replica."""
        return self.core.n_ranks

    @property
    def n_ranks(self) -> int:
        """GPUs that work, in all pools."""
        return sum(self.ranks)

    @property
    def peak_flop_per_s(self) -> float:
        """Dense peak of all ranks together, in FLOP/s."""
        by_pool = zip(self.ranks, self.pools, strict=True)
        return sum(n_ranks * pool.peak_flop_per_s for n_ranks, pool in by_pool)

    @property
    def peak_step_s(self) -> float:
        """Seconds of a step in which every rank runs at its dense peak; MFU is this over a step."""
        return self.model_flops / self.peak_flop_per_s

    @property
    def rank_model_flops(self) -> float:
        """Model FLOPs of a step that each rank computes."""
        return self.model_flops / self.n_ranks


def make_plan(scenario: Scenario) -> Plan:
    """Return the plan of a scenario.

    Raises
    ------
    ScenarioError
        If the job does not fit into the memory of some pool's GPUs, or two
        causes would share random numbers.
    """
    pools = tuple(_pool_plan(scenario, name) for name in scenario.pools)
    found = [*memory_problems(scenario, pools), *_odd_steps(scenario, pools)]
    if found:
        raise ScenarioError(found)
    replicas = n_replicas(scenario)
    rounds = replicas * n_microbatches(scenario)
    plan = Plan(
        pools=pools,
        n_replicas=replicas,
        tokens=rounds * microbatch_tokens(scenario),
        model_flops=rounds * microbatch_model_flops(scenario),
        arguments=_core_arguments(scenario, pools),
        instructions=_instructions(),
    )
    _compile(plan, scenario.source)
    assert plan.n_ranks == replicas * replica_gpus(scenario)
    return plan


def memory_problems(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> Iterator[Problem]:
    """Yield a problem for each pool whose GPUs hold less than is needed."""
    layout = scenario.layout
    for pool in pools:
        gpu = catalog.gpu(scenario.pools[pool.name].gpu)
        needed = pool.memory.total_bytes
        if needed <= gpu.memory_bytes:
            continue
        hint = "shard over more ranks, raise layout.tensor or layout.pipeline, or recompute more"
        last = smallest_shard_group(scenario, pool.name)
        if layout.sharding == "hybrid" and last < (layout.shard_group_replicas or 1):
            hint = f"the last shard group holds only {last} replicas; choose another size"
        yield Problem(
            path="layout",
            requirement=(
                f"needs {gigabytes(needed)} a GPU{_where(scenario, pool)}, "
                f"{gigabytes(needed - gpu.memory_bytes)} more than the "
                f"{gigabytes(gpu.memory_bytes)} of pool {pool.name} ({gpu.name})"
            ),
            hint=hint,
            source=scenario.source,
        )


def _where(scenario: Scenario, pool: PoolPlan) -> str:
    return f" of stage {pool.memory.stage}" if scenario.layout.pipeline > 1 else ""


def _odd_steps(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> Iterator[Problem]:
    for pool in pools:
        step_s = pool.compute.step_s + sum(part.cost.total_s for part in pool.exchanges)
        if not (pool.compute.step_s >= MIN_STEP_S and step_s <= MAX_STEP_S):
            requirement = (
                f"must make a step of pool {pool.name} that takes from {MIN_STEP_S:g} "
                f"to {MAX_STEP_S:g} s"
            )
            value = Verbatim(f"{step_s:.3g}")
            yield Problem(
                path="workload", requirement=requirement, value=value, source=scenario.source
            )


def _pool_plan(scenario: Scenario, name: str) -> PoolPlan:
    pool = scenario.pools[name]
    peak_flop_per_s = catalog.gpu(pool.gpu).peak_flop_per_s(scenario.workload.mfu_dtype)
    assert peak_flop_per_s is not None
    time = compute_time(scenario, name)
    return PoolPlan(
        name=name,
        n_gpus=pool.n_gpus,
        peak_flop_per_s=peak_flop_per_s,
        peak_power_w=pool.figure("peak_power_w"),
        idle_power_w=pool.figure("idle_power_w"),
        compute=time,
        exchanges=tuple(exchanges(scenario, name, time)),
        memory=memory(scenario, name),
    )


def _core_arguments(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> dict[str, Any]:
    causes = [_core_cause(scenario, name, cause) for name, cause in scenario.enabled_causes.items()]
    if scenario.noise is not None:
        causes.append(_core_cause(scenario, NOISE, scenario.noise))
    return {
        "groups": [_core_group(scenario, pool) for pool in pools],
        "causes": causes,
        "terms": [_core_term(scenario, same_part) for same_part in _parts(pools)],
        "overlap_fraction": scenario.collective.overlap_fraction,
        "replica_groups": scenario.layout.pipeline * scenario.layout.context,
        "pipeline": _core_pipeline(scenario, pools),
    }


def _compile(plan: Plan, source: str) -> None:
    """Compile a plan, and turn what the core refuses into problems of the scenario."""
    try:
        _ = plan.core
    except _core.StreamsError as error:
        first, second = error.args
        requirement = f"must not hold both {first} and {second}: their random numbers are the same"
        hint = "rename one of the causes or pools"
        problem = Problem(path="causes", requirement=requirement, hint=hint, source=source)
        raise ScenarioError([problem]) from None
    except _core.DomainError as error:
        # What takes several laws to see; the rest was judged before.
        path, value, requirement = error.args
        if path != "causes":
            raise
        requirement = f"must be {requirement}"
        problem = Problem(path=path, requirement=requirement, value=value, source=source)
        raise ScenarioError([problem]) from None


def _instructions() -> str | None:
    """Return the instruction set that the environment asks for, if any."""
    wanted = os.environ.get(INSTRUCTIONS_VARIABLE)
    available = _core.instruction_sets()
    if not wanted or wanted in available:
        return wanted or None
    requirement = f"must be one of {', '.join(available)} on this processor"
    raise ScenarioError(
        [Problem(path=INSTRUCTIONS_VARIABLE, requirement=requirement, value=wanted)]
    )


def _core_group(scenario: Scenario, pool: PoolPlan) -> dict[str, object]:
    gpu = catalog.gpu(scenario.pools[pool.name].gpu)
    return {
        "name": pool.name,
        "n_gpus": pool.n_gpus,
        "node_gpus": gpu.node_gpus,
        "domain_gpus": gpu.domain_gpus,
        "rack_gpus": scenario.pools[pool.name].rack_gpus,
        "tensor_gpus": scenario.layout.tensor,
        "compute_s": pool.compute.step_s,
    }


def _core_pipeline(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> dict[str, object] | None:
    """Return the stages of a replica, or None where a step is one barrier."""
    layout = scenario.layout
    changing = ("microbatch", "layer")
    if layout.pipeline == 1 and not any(
        cause.span in changing for cause in scenario.enabled_causes.values()
    ):
        return None
    has_weight_passes = layout.pipeline > 1 and layout.schedule == "zero-bubble"
    return {
        "kind": layout.schedule if layout.pipeline > 1 else "1f1b",
        "stages": layout.pipeline,
        "chunks": layout.chunks,
        "microbatches": n_microbatches(scenario),
        "context_groups": layout.context,
        "crew_replicas": crew_replicas(scenario),
        "placement": layout.placement if layout.pipeline > 1 else "aligned",
        "layers": layers_of_stages(scenario),
        "times": [
            {
                "forward_s": [stage.forward_s for stage in pool.compute.stages],
                "backward_s": [stage.backward_s for stage in pool.compute.stages],
                "weight_s": [stage.weight_s for stage in pool.compute.stages]
                if has_weight_passes
                else [],
                "overhead_s": pool.compute.overhead_s,
                "transfer_s": pool.compute.transfer_s,
            }
            for pool in pools
        ],
    }


def _core_cause(scenario: Scenario, name: str, cause: Cause) -> dict[str, object]:
    names = list(scenario.pools)
    return {
        "name": name,
        "affects": cause.affects,
        "effect": cause.effect,
        "scope": cause.scope,
        "span": cause.span,
        "probability": cause.probability,
        "law": cause.law.model_dump(exclude_none=True),
        "groups": [names.index(pool) for pool in dict.fromkeys(cause.pools or names)],
    }


def _parts(pools: tuple[PoolPlan, ...]) -> list[list[tuple[PoolPlan, Exchange]]]:
    """Return, for each part of a step, what each pool exchanges in it."""
    return [
        list(zip(pools, same_part, strict=True))
        for same_part in zip(*(pool.exchanges for pool in pools), strict=True)
    ]


def _core_term(scenario: Scenario, same_part: list[tuple[PoolPlan, Exchange]]) -> dict[str, object]:
    return {
        "latency_s": [part.cost.latency_s + part.cost.inside_s for _, part in same_part],
        "transfer_s": [part.cost.transfer_s for _, part in same_part],
        "window_share": [min(1.0, part.behind_s / pool.compute.step_s) for pool, part in same_part],
        "n_buckets": n_buckets(scenario),
        "hops": _hop_law(scenario, [part for _, part in same_part]),
    }


def _hop_law(scenario: Scenario, same_part: list[Exchange]) -> dict[str, object] | None:
    """Return the law of a part's latency over its nominal latency, if hops are random.

    Of the pool whose ranks are spread over the most domains. All collectives of a
    part share a draw.
    """
    law = scenario.hop_noise
    hops = [part.hops for part in same_part if part.hops is not None]
    if law is None or not hops:
        return None
    widest = max(hops, key=lambda hops: hops.n_domains)
    if widest.n_domains < 2:
        return None
    total = hop_total(law, pattern=widest.pattern, n=widest.n_domains)
    return total.law().model_dump(exclude_none=True)
