"""A cluster and its job in one line."""

from __future__ import annotations

from hindmost.errors import plain
from hindmost.plan import Plan
from hindmost.report.numbers import count, large_count
from hindmost.scenario.models import Layout, Scenario


def headline(scenario: Scenario, plan: Plan) -> str:
    """Return the cluster and its job in one line.

    Examples
    --------
    >>> import hindmost as hm
    >>> from hindmost.plan import make_plan
    >>> scenario = hm.load("h100-1k")
    >>> headline(scenario, make_plan(scenario)).partition(";")[0]
    'h100-1k: 1,024 GPUs (1,024 h100-sxm) on infiniband-ndr'
    """
    pools = " + ".join(
        f"{count(pool.n_gpus)} {scenario.pools[pool.name].gpu}" for pool in plan.pools
    )
    total = sum(pool.n_gpus for pool in plan.pools)
    replicas = f"{count(plan.n_replicas)} replica{'s' * (plan.n_replicas > 1)}"
    return plain(
        f"{scenario.name}: {count(total)} GPUs ({pools}) on {scenario.fabric.name}; "
        f"{scenario.workload.model}, {large_count(plan.tokens)} tokens a step; "
        f"{replicas} of {_division(scenario.layout)}"
    )


def _division(layout: Layout) -> str:
    """Return how ranks divide the work, in words."""
    factors = [f"{layout.tensor} (tensor)"]
    if layout.context > 1:
        factors.append(f"{layout.context} (context)")
    if layout.pipeline > 1:
        chunks = f", {layout.chunks} chunks a stage" if layout.chunks > 1 else ""
        factors.append(f"{layout.pipeline} (pipeline, {layout.schedule}{chunks})")
    sharding = {
        "none": "no sharding",
        "hybrid": f"shard groups of {layout.shard_group_replicas}",
    }.get(layout.sharding, layout.sharding)
    experts = f", experts over {layout.expert}" if layout.expert > 1 else ""
    return f"{' x '.join(factors)}{experts}, {sharding}"
