"""What a scenario comes to, for tests, without judging whether it fits into memory."""

from __future__ import annotations

from hindmost.physics.compute import ComputeTime
from hindmost.physics.job import Job
from hindmost.plan import PoolPlan, job_of, pool_plans
from hindmost.scenario import Counts, Scenario


def counts(scenario: Scenario) -> Counts:
    return Counts.of(scenario.pools, scenario.layout, scenario.spares)


def job(scenario: Scenario) -> Job:
    """Return what one replica of a scenario computes."""
    return job_of(scenario, counts(scenario))


def pool_plan(scenario: Scenario, pool: str) -> PoolPlan:
    """Return what a pool of a scenario comes to."""
    found = pool_plans(scenario, job(scenario), counts(scenario))
    return next(plan for plan in found if plan.name == pool)


def compute_time(scenario: Scenario, pool: str) -> ComputeTime:
    """Return the seconds that a replica of a pool computes in a step without any cause."""
    return pool_plan(scenario, pool).compute
