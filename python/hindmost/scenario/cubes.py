"""How the chips of a scenario are divided into cubes and slices, and how often a cube is up."""

from __future__ import annotations

from hindmost.law import LawModel
from hindmost.scenario.models import Pool, Scenario
from hindmost.scenario.reliability import UnitFailures
from hindmost.scenario.slices import SlicesTable


def cube_gpus(slices: SlicesTable, pool: Pool) -> int:
    """Return the chips of a cube of a pool."""
    return slices.hosts_per_cube * pool.accelerator.node_gpus


def slice_gpus(slices: SlicesTable, pool: Pool) -> int:
    """Return the chips of a slice of a pool."""
    return slices.slice_cubes * cube_gpus(slices, pool)


def swap_gpus(slices: SlicesTable, pool: Pool) -> int:
    """Return the chips that are replaced together: a cube, or a whole block of cubes."""
    return (cube_gpus if slices.placement == "any" else slice_gpus)(slices, pool)


def cube_availability(scenario: Scenario) -> float | None:
    """Return the share of time in which a cube is up; None where it is not known.

    It is that of its hosts, where the scenario gives it, or else that of failures with repairs.

    Notes
    -----
    A unit that fails at rate r in service and is repaired in d hours on average is up for
    ``1 / (1 + r d)`` of the time, whatever both laws are. A cube is up while all of its units are,
    which are independent. Units that reach beyond a cube take several at once and are left out.
    """
    slices = scenario.slices
    assert slices is not None
    if slices.host_availability is not None:
        return float(slices.host_availability**slices.hosts_per_cube)
    return availability_of_failures(scenario)


def availability_of_failures(scenario: Scenario) -> float | None:
    """Return the share of time in which a cube is up by failures and repairs; None if not known."""
    slices = scenario.slices
    assert slices is not None
    (pool_name, pool), *_ = scenario.pools.items()
    kinds = [
        one
        for one in scenario.enabled_failures.values()
        if one.are_repaired and (one.pools is None or pool_name in one.pools)
    ]
    if not kinds or any(one.rate_spread > 0 for one in kinds):
        return None
    up = 1.0
    for one in kinds:
        units = cube_units(one, slices, pool)
        hours = one.repair_hours
        mean = hours.core.mean() if isinstance(hours, LawModel) else hours
        up /= (1 + one.per_hour * mean) ** units
    return up


def cube_units(failures: UnitFailures, slices: SlicesTable, pool: Pool) -> int:
    """Return how many units of some failures lie in a cube; none that reach beyond it."""
    cube = cube_gpus(slices, pool)
    sizes = {
        "gpu": 1,
        "node": pool.accelerator.node_gpus,
        "domain": pool.accelerator.domain_gpus,
        "rack": pool.rack_gpus,
        "switch": failures.unit_gpus,
        "cube": cube,
    }
    size = sizes.get(failures.scope)
    return 0 if size is None or cube % size else cube // size
