"""Plans: scenarios as plain numbers, which the Rust core compiles."""

from hindmost.plan.plan import Plan, make_plan, own_steps_s
from hindmost.plan.pool_plan import PoolPlan, job_of, pool_plans

__all__ = ["Plan", "PoolPlan", "job_of", "make_plan", "own_steps_s", "pool_plans"]
