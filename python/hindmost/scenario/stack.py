"""What a scenario's software stack leaves open: laws of the values that it does not set itself."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from hindmost import catalog
from hindmost.law import Law, LawModel
from hindmost.scenario.models import BEST_STACK, Pool, Scenario

_LAW: TypeAdapter[Any] = TypeAdapter(Law)

FORECAST_STACK = "typical"
"""Stack that forecasts take of software of which a scenario says nothing."""

OVERHEAD = "workload.overhead_s"
"""Key path of the seconds beside the passes of a step."""


def stack_unknowns(scenario: Scenario) -> dict[str, LawModel]:
    """Return the laws that a scenario's stack gives to values, by key path.

    Of the software efficiency of each pool whose speed the scenario leaves open: it is 1, and
    neither a kernel efficiency nor measured products nor passes are given. A fit knows what its
    software loses, so where one pool has such a number the overhead is known, too. Other laws are
    those of keys that are not set.
    """
    stack = scenario.workload.software
    found: dict[str, LawModel] = {}
    open_pools = {name: pool for name, pool in scenario.pools.items() if _is_open(pool)}
    if stack.software_efficiency is not None:
        for name, pool in open_pools.items():
            law = stack.software_efficiency.law(classes_of(scenario, pool))
            found[f"pools.{name}.software_efficiency"] = _LAW.validate_python(law)
    for path, law_of_key in stack.unknowns.items():
        section, _, key = path.partition(".")
        own = getattr(getattr(scenario, section), key)
        is_known = own not in (None, 0.0)
        if path == OVERHEAD:
            is_known = is_known or len(open_pools) < len(scenario.pools)
        if not is_known:
            found[path] = law_of_key
    return found


def forecast_stack(scenario: Scenario) -> str:
    """Return the name of the stack that forecasts of a scenario take.

    Its own; without one that of most software, unless a fit of some pool holds what is lost.
    """
    if scenario.workload.stack is not None:
        return scenario.workload.stack
    is_open = all(map(_is_open, scenario.pools.values()))
    return FORECAST_STACK if is_open else BEST_STACK


def classes_not_measured(scenario: Scenario, stack: str) -> list[str]:
    """Return the classes of a scenario's jobs of which no family of a stack was measured.

    Of pools whose speed the scenario leaves open: their law is that of the stack's other classes.
    """
    software = catalog.stack(stack).software_efficiency
    if software is None:
        return []
    open_pools = filter(_is_open, scenario.pools.values())
    found = dict.fromkeys(name for pool in open_pools for name in classes_of(scenario, pool))
    return [name for name in found if name not in software.classes]


def classes_of(scenario: Scenario, pool: Pool) -> tuple[str, ...]:
    """Return the classes of a pool's job, by which software was found to differ."""
    kind = "dense" if scenario.model.experts is None else "experts"
    generation = pool.accelerator.architecture
    return (kind, scenario.workload.dtype, *(() if generation is None else (generation,)))


def _is_open(pool: Pool) -> bool:
    given = (pool.kernel_efficiency, pool.products, pool.forward_s)
    return pool.software_efficiency == 1.0 and all(one is None for one in given)
