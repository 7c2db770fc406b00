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


def stack_unknowns(scenario: Scenario) -> dict[str, LawModel]:
    """Return the laws that a scenario's stack gives to values, by key path.

    Of the software efficiency of each pool of which the scenario leaves it open: it is 1, and no
    fit holds it. Other laws are those of keys that are not set.
    """
    stack = scenario.workload.software
    found: dict[str, LawModel] = {}
    if stack.software_efficiency is not None:
        for name, pool in scenario.pools.items():
            if _is_open(pool):
                law = stack.software_efficiency.law(classes_of(scenario, pool))
                found[f"pools.{name}.software_efficiency"] = _LAW.validate_python(law)
    for path, law_of_key in stack.unknowns.items():
        section, _, key = path.partition(".")
        if getattr(getattr(scenario, section), key) is None:
            found[path] = law_of_key
    return found


def forecast_stack(scenario: Scenario) -> str:
    """Return the name of the stack that forecasts of a scenario take.

    Its own; without one that of most software, unless all pools have a fit, which holds what is
    lost.
    """
    if scenario.workload.stack is not None:
        return scenario.workload.stack
    return BEST_STACK if all(map(has_fit, scenario.pools.values())) else FORECAST_STACK


def has_fit(pool: Pool) -> bool:
    """Return whether numbers of a pool hold what its software loses: measured or fitted ones."""
    given = (pool.kernel_efficiency, pool.products, pool.forward_s)
    return any(one is not None for one in given)


def classes_not_measured(scenario: Scenario, stack: str) -> list[str]:
    """Return the classes of a scenario's jobs of which no family of a stack was measured.

    Of pools whose software the scenario leaves open: their law is that of the stack's other
    classes.
    """
    software = catalog.stack(stack).software_efficiency
    if software is None:
        return []
    open_pools = filter(_is_open, scenario.pools.values())
    found = dict.fromkeys(name for pool in open_pools for name in classes_of(scenario, pool))
    return [name for name in found if name not in software.classes]


def classes_of(scenario: Scenario, pool: Pool) -> tuple[str, ...]:
    """Return the classes of a pool's job, by which software was found to differ.

    The generation is that of the GPU, or the GPU itself where it is of none that has a name.
    """
    kind = "dense" if scenario.model.experts is None else "experts"
    return kind, scenario.workload.dtype, pool.accelerator.architecture or pool.gpu


def _is_open(pool: Pool) -> bool:
    return pool.software_efficiency == 1.0 and not has_fit(pool)
