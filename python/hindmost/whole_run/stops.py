"""How often steps stop the job: by a watchdog, by evictions of slow units, by jumps of power."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hindmost.cause import SECONDS_PER_HOUR, Cause
from hindmost.plan import Plan
from hindmost.scenario import Counts, Scenario
from hindmost.whole_run.cluster import PoolCluster


def watchdog_per_hour(
    scenario: Scenario, plan: Plan, counts: Counts, clusters: Mapping[str, PoolCluster]
) -> float:
    """Return how often a watchdog stops the job in an hour; 0 without one.

    It does for each stall that is longer than it waits, and for each episode that makes a step
    longer than that.

    Parameters
    ----------
    scenario, plan, counts
        The scenario, its plan and its counts.
    clusters
        The GPUs of each pool.

    Notes
    -----
    Those of a cause with a probability come with steps as long as they are without any cause.
    """
    total = 0.0
    for cause in _causes(scenario):
        limit = cause.limit(scenario.watchdog_s, plan.rate_step_s)
        above = 0.0 if limit is None else cause.law.sf(limit)
        if above == 0:
            continue
        per_hour = cause.per_hour
        if per_hour is None:
            per_hour = cause.probability_in(plan.rate_step_s) * SECONDS_PER_HOUR / plan.rate_step_s
            per_hour /= cause.period_steps or 1
        total += above * per_hour * _n_units(cause, counts, clusters)
    return total


def evictions_per_hour(
    scenario: Scenario, plan: Plan, counts: Counts, clusters: Mapping[str, PoolCluster]
) -> float:
    """Return the episodes in an hour that last until their unit is evicted; 0 without evictions.

    Parameters
    ----------
    scenario, plan, counts, clusters
        As in `watchdog_per_hour`, which has stopped the job where a step takes too long.
    """
    after_s = scenario.evict_after_s
    if after_s is None:
        return 0.0
    total = 0.0
    for cause in _causes(scenario):
        if cause.duration is None or cause.per_hour is None:
            continue
        limit = cause.limit(scenario.watchdog_s, plan.rate_step_s)
        share = cause.duration.sf(after_s) * (1.0 if limit is None else cause.law.cdf(limit))
        total += share * cause.per_hour * _n_units(cause, counts, clusters)
    return total


def smoothing_failures_per_hour(scenario: Scenario, plan: Plan) -> float:
    """Return the failures in an hour of steps that come with transitions of power; 0 of none.

    Parameters
    ----------
    scenario, plan
        As in `watchdog_per_hour`. Each pool with ranks has one transition a step, and steps are
        as long as they are without any cause.
    """
    smoothing = scenario.acting_smoothing
    each_step = sum(
        smoothing[pool.name].failures_per_transition
        for pool in plan.pools
        if pool.name in smoothing and pool.n_ranks
    )
    return each_step * SECONDS_PER_HOUR / plan.rate_step_s


def _causes(scenario: Scenario) -> Iterator[Cause]:
    """Yield the causes of a scenario, and its fabric's noise."""
    yield from scenario.enabled_causes.values()
    if scenario.noise is not None:
        yield scenario.noise


def _n_units(cause: Cause, counts: Counts, clusters: Mapping[str, PoolCluster]) -> int:
    """Return how many units draw a cause in each step."""
    if cause.unit_ranges is not None:
        return sum(last - first + 1 for first, last in cause.unit_ranges)
    if cause.scope == "cluster":
        return 1
    pools = [name for name in clusters if cause.pools is None or name in cause.pools]
    total = 0
    for name in pools:
        pool = clusters[name]
        if not pool.n_ranks:
            continue
        match cause.scope:
            case "pool":
                total += 1
            case "replica":
                total += counts.pools[name].n_replicas
            case "gpu" | "node" | "domain" | "rack":
                total += pool.units_with_ranks(pool.unit_gpus(cause.scope, None))
    return total
