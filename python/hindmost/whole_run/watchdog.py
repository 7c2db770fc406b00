"""Stalls that take so long that a watchdog stops the job."""

from __future__ import annotations

from collections.abc import Mapping

from hindmost.cause import Cause
from hindmost.plan import Plan
from hindmost.scenario import Counts, Scenario
from hindmost.whole_run.cluster import PoolCluster


def stalls_per_hour(
    scenario: Scenario, plan: Plan, counts: Counts, clusters: Mapping[str, PoolCluster]
) -> float:
    """Return the stalls in an hour that are longer than the watchdog waits; 0 without one.

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
    watchdog_s = scenario.watchdog_s
    if watchdog_s is None:
        return 0.0
    causes = list(scenario.enabled_causes.values())
    if scenario.noise is not None:
        causes.append(scenario.noise)
    total = 0.0
    for cause in causes:
        if cause.effect != "stall":
            continue
        above = cause.law.sf(watchdog_s)
        if above == 0:
            continue
        per_hour = cause.per_hour
        if per_hour is None:
            per_hour = cause.probability_in(plan.rate_step_s) * 3600 / plan.rate_step_s
            per_hour /= cause.period_steps or 1
        total += above * per_hour * _n_units(cause, counts, clusters)
    return total


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
