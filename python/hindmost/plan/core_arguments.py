"""Plans as the Rust core takes them: plain numbers, texts, lists and dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hindmost.cause import SECONDS_PER_HOUR, Cause
from hindmost.collective.hops import total as hop_total
from hindmost.law import LawModel
from hindmost.physics.job import Job
from hindmost.physics.terms import Term
from hindmost.plan.pool_plan import PoolPlan
from hindmost.scenario import Counts, PoolCounts, Scenario
from hindmost.scenario.counts import domain_gpus, is_mixed
from hindmost.scenario.smoothing import SMOOTHING

CORE_ORDER = ("cp", "dp", "pp")
"""Dimensions in which the core numbers tensor groups; those of experts have the same stages."""

NOISE = "fabric-noise"
"""Name of the fabric's noise among the causes; its random streams are hashed from it."""

UNEQUAL, PACKS = "unequal-replicas", "document-packs"
"""Names of what unequal batches and unlike sequences do, among the causes of the core's plan."""


def core_arguments(
    scenario: Scenario, job: Job, counts: Counts, pools: tuple[PoolPlan, ...], step_s: float
) -> dict[str, Any]:
    """Return the arguments of the Rust core's plan."""
    named = list(scenario.acting_causes.items())
    if scenario.acting_noise is not None:
        named.append((NOISE, scenario.acting_noise))
    places = {name: place for place, name in enumerate(scenario.pools)}
    of_sequences = list(_of_sequences(pools, spread=is_mixed(scenario.layout)))
    by_phase = zip(*(pool.terms for pool in pools), strict=True)
    return {
        "pools": [_core_pool(scenario, pool, counts.pools[pool.name]) for pool in pools],
        "causes": [
            *(_core_cause(name, cause, places, step_s, scenario) for name, cause in named),
            *of_sequences,
            *_of_smoothing(scenario, pools),
        ],
        "terms": [
            _core_term(pools, same_phase, scenario.acting_hop_noise) for same_phase in by_phase
        ],
        "overlap_fraction": scenario.collective.overlap_fraction,
        "hidden_cost": scenario.hidden_cost,
        "context": scenario.layout.context,
        "order": "-".join(name for name in scenario.layout.order.split("-") if name in CORE_ORDER),
        "pipeline": _core_pipeline(scenario, job, counts, pools),
    }


def _core_pool(scenario: Scenario, pool: PoolPlan, counts: PoolCounts) -> dict[str, object]:
    gpu = scenario.pools[pool.name].accelerator
    return {
        "name": pool.name,
        "n_gpus": pool.n_gpus,
        "node_gpus": gpu.node_gpus,
        "domain_gpus": gpu.domain_gpus,
        "domain_gpus_used": domain_gpus(scenario.pools[pool.name]),
        "held_back_gpus": counts.held_back_gpus,
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
    changes_within_steps = any(
        cause.span in within_step for cause in scenario.acting_causes.values()
    ) or any(pool.pack_law for pool in pools)
    if layout.pipeline == 1 and not changes_within_steps:
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
    name: str, cause: Cause, places: dict[str, int], step_s: float, scenario: Scenario
) -> dict[str, object]:
    law, probability = cause.below(scenario.watchdog_s, step_s)
    correlation_steps = cause.correlation_steps_in(step_s)
    return {
        "name": name,
        "affects": cause.affects,
        "effect": cause.effect,
        "scope": cause.scope,
        # To the core it is a draw for each step, whose words follow each other.
        "span": "step" if cause.span == "drift" else cause.span,
        # Of episodes it is a share of those that begin.
        "probability": 1.0 if cause.span == "episode" else probability,
        # A law of which nothing passes never occurs.
        "law": (law or cause.law).parameters,
        "pools": [places[pool] for pool in dict.fromkeys(cause.pools or places)],
        "units": cause.unit_ranges,
        **_period(cause),
        **({} if correlation_steps is None else {"correlation_steps": correlation_steps}),
        **({"trend_per_step": cause.trend_in(step_s)} if cause.trend_per_hour else {}),
        **_episode(cause, probability, step_s, scenario.evict_after_s),
    }


def _of_sequences(pools: tuple[PoolPlan, ...], *, spread: bool) -> Iterator[dict[str, object]]:
    """Yield causes that stand for what sequences do: more of them, and of other documents.

    The core takes all ranks of a pool to have equal work. Stages that are spread over pools see the
    same sequences in several of them, and are slowed alike: by the mean law of these.
    """
    common = {"affects": "compute", "effect": "slowdown", "scope": "replica", "probability": 1.0}
    for place, pool in enumerate(pools):
        if pool.n_more:
            yield {
                **common,
                "name": f"{UNEQUAL}-{pool.name}",
                "span": "run",
                "law": {"name": "constant", "value": pool.more_slowdown},
                "pools": [place],
                "units": [(0, pool.n_more - 1)],
            }
    laws = [(place, pool.pack_law) for place, pool in enumerate(pools) if pool.pack_law is not None]
    each = {f"{PACKS}-{pools[place].name}": (law, [place]) for place, law in laws}
    if spread and laws:
        samples = zip(*(law["samples"] for _, law in laws), strict=True)
        mean = {"name": "empirical", "samples": [sum(one) / len(one) for one in samples]}
        each = {PACKS: (mean, [place for place, _ in laws])}
    for name, (law, places) in each.items():
        yield {
            **common,
            "name": name,
            "span": "microbatch",
            "law": law,
            "pools": places,
            "units": None,
        }


def _of_smoothing(scenario: Scenario, pools: tuple[PoolPlan, ...]) -> Iterator[dict[str, object]]:
    """Yield causes that stand for what ranks lose when they go from waiting to work."""
    for place, pool in enumerate(pools):
        smoothing = scenario.acting_smoothing.get(pool.name)
        if smoothing is None or not smoothing.seconds_per_transition or not pool.n_ranks:
            continue
        yield {
            "name": f"{SMOOTHING}-{pool.name}",
            "affects": "compute",
            "effect": "stall",
            "scope": "pool",
            "span": "step",
            "probability": 1.0,
            "law": {"name": "constant", "value": smoothing.seconds_per_transition},
            "pools": [place],
            "units": None,
        }


def _episode(
    cause: Cause, share: float, step_s: float, evict_after_s: float | None
) -> dict[str, Any]:
    if cause.duration is None or cause.per_hour is None:
        return {}
    duration: LawModel = cause.duration
    if evict_after_s is not None:
        duration = duration.at_most(evict_after_s)
    return {
        "episode": {
            "per_s": share * cause.per_hour / SECONDS_PER_HOUR,
            "duration": duration.parameters,
            "step_s": step_s,
        }
    }


def _period(cause: Cause) -> dict[str, Any]:
    # What comes in every step is no period, which the engines need not know.
    if cause.period_steps in (None, 1):
        return {}
    phase = cause.phase_steps
    if isinstance(phase, LawModel):
        return {"period_steps": cause.period_steps, "phase_law": phase.parameters}
    return {"period_steps": cause.period_steps, "phase_step": phase}


def _core_term(
    pools: tuple[PoolPlan, ...], same_phase: tuple[Term, ...], hop_noise: LawModel | None
) -> dict[str, Any]:
    """Return the term of one phase, with a number for each pool."""
    by_pool = zip(pools, same_phase, strict=True)
    return {
        "latency_s": [term.cost.latency_s + term.cost.scale_up_s for term in same_phase],
        "transfer_s": [term.cost.transfer_s for term in same_phase],
        "window_share": [pool.window_share(term) for pool, term in by_pool],
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
    return total.law().parameters
