"""Problems of cubes and slices: with the pool that holds them, its torus, and the job on them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hindmost.errors import Problem
from hindmost.scenario.counts import Counts, replica_gpus
from hindmost.scenario.cubes import availability_of_failures, cube_gpus, slice_gpus
from hindmost.scenario.models import Pool, Scenario
from hindmost.scenario.slices import SlicesTable


def slice_problems(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of cubes and slices."""
    slices = scenario.slices
    if slices is None:
        yield from _cubes_without_slices(scenario)
        return
    network, fabric = scenario.fabric.network, scenario.fabric.name
    if network.kind != "torus":
        hint = "fabrics of tori are listed by hindmost catalog fabrics"
        yield Problem(path="slices", requirement=f"must be absent: {fabric} is no torus", hint=hint)
    if slices.slice_cubes > slices.cubes:
        requirement = f"must be <= {slices.cubes:,}, the cubes that there are"
        yield Problem(path="slices.slice_cubes", requirement=requirement, value=slices.slice_cubes)
    if len(scenario.pools) != 1:
        requirement = "must be absent where there are several pools: cubes are of one"
        if scenario.pools:
            yield Problem(path="slices", requirement=requirement, value=len(scenario.pools))
        return
    ((name, pool),) = scenario.pools.items()
    of_pool = list(_pool(slices, name, pool))
    yield from of_pool
    if not of_pool:
        yield from _job(scenario, slices, name, pool, counts)
        yield from _spares(scenario, slices, name, pool)
    if slices.host_availability is None and availability_of_failures(scenario) is None:
        hint = "give the share of time in which a host is up, or [failures] with repair_hours"
        if any(one.rate_spread > 0 for one in scenario.enabled_failures.values()):
            hint = "give the share of time in which a host is up: rates of units are not alike"
        yield Problem(path="slices.host_availability", requirement="is missing", hint=hint)


def _cubes_without_slices(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each kind of failures of cubes, where nothing says what a cube is."""
    for name, failures in scenario.enabled_failures.items():
        if failures.scope == "cube":
            path = f"failures.{name}.scope"
            hint = "[slices] says how many hosts a cube has"
            requirement = "needs [slices]"
            yield Problem(path=path, requirement=requirement, value="cube", hint=hint)


def _pool(slices: SlicesTable, name: str, pool: Pool) -> Iterator[Problem]:
    """Yield the problems of a pool that does not consist of these cubes."""
    accelerator = pool.accelerator
    node, domain = accelerator.node_gpus, accelerator.domain_gpus
    if pool.domain_gpus_used not in (None, domain):
        requirement = f"must be absent, or {domain}, where [slices] takes whole cubes"
        path = f"pools.{name}.domain_gpus_used"
        yield Problem(path=path, requirement=requirement, value=pool.domain_gpus_used)
    if domain % node or slices.hosts_per_cube * node != domain:
        of = f"the chips of a cube of pool {name} ({pool.gpu}) are those of its domain, {domain}"
        requirement = f"must be {domain // node}: {of}, {node} a host"
        if domain % node:
            requirement = f"must divide a domain, and none does: it has {domain}, {node} a host"
        hint = "[gpus.NAME] with extends, node_gpus and domain_gpus is another chip"
        yield Problem(
            path="slices.hosts_per_cube",
            requirement=requirement,
            value=slices.hosts_per_cube,
            hint=hint,
        )
        return
    cube = cube_gpus(slices, pool)
    if pool.n_gpus % cube:
        requirement = f"must be a multiple of {cube}, the chips of a cube"
        yield Problem(path=f"pools.{name}.n_gpus", requirement=requirement, value=pool.n_gpus)
    elif pool.n_gpus != slices.cubes * cube:
        requirement = (
            f"must be {pool.n_gpus // cube:,}: pool {name} has {pool.n_gpus:,} chips, {cube} a cube"
        )
        yield Problem(path="slices.cubes", requirement=requirement, value=slices.cubes)


def _job(
    scenario: Scenario, slices: SlicesTable, name: str, pool: Pool, counts: Counts
) -> Iterator[Problem]:
    """Yield the problems of a job that does not consist of whole slices."""
    layout, cube, of_slice = scenario.layout, cube_gpus(slices, pool), slice_gpus(slices, pool)
    if cube % layout.tensor:
        requirement = f"must divide {cube}, the chips of a cube, which slices take whole"
        yield Problem(path="layout.tensor", requirement=requirement, value=layout.tensor)
        return
    ranks = counts.pools[name].n_ranks
    if not ranks or slices.slice_cubes > slices.cubes:
        return
    if ranks % of_slice:
        requirement = (
            f"must divide the job into whole slices: its {ranks:,} chips are {ranks / cube:g} "
            f"cubes of {cube}"
        )
        # The most replicas that are whole slices.
        replica = replica_gpus(layout)
        step = math.lcm(of_slice, replica)
        fits = ranks // step * step // replica
        hint = f"layout.n_replicas = {fits:,} makes whole ones" if fits else ""
        yield Problem(
            path="slices.slice_cubes", requirement=requirement, value=slices.slice_cubes, hint=hint
        )


def _spares(scenario: Scenario, slices: SlicesTable, name: str, pool: Pool) -> Iterator[Problem]:
    """Yield a problem where the chips that are held back are no whole cubes."""
    spares, cube = scenario.spares[name], cube_gpus(slices, pool)
    if spares % cube:
        path = "recovery.spares" if pool.spares is None else f"pools.{name}.spares"
        requirement = f"must be a multiple of {cube}, the chips of a cube"
        yield Problem(path=path, requirement=requirement, value=spares)
