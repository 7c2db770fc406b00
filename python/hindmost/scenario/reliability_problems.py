"""Problems of failures, of recovery from them and of checkpoints, with each other and the job."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.errors import UNSET, Problem, did_you_mean
from hindmost.scenario.counts import Counts, block_gpus, domain_gpus
from hindmost.scenario.models import Scenario
from hindmost.scenario.reliability import UnitFailures

WATCHDOG = "watchdog"
"""Name of the failures that are stalls and episodes which take too long."""
EVICTION = "eviction"
"""Name of the restarts that replace a slow unit."""


def reliability_problems(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of what stops a job and of what it does then."""
    if WATCHDOG in scenario.failures and scenario.watchdog_s is not None:
        hint = "it is the name of stalls that recovery.watchdog_s makes failures; choose another"
        requirement = "must not be the name of failures"
        yield Problem(path=f"failures.{WATCHDOG}", requirement=requirement, hint=hint)
    if EVICTION in scenario.failures and scenario.evict_after_s is not None:
        hint = "it is the name of restarts that recovery.evict_after_s makes; choose another"
        requirement = "must not be the name of failures"
        yield Problem(path=f"failures.{EVICTION}", requirement=requirement, hint=hint)
    for name, failures in scenario.enabled_failures.items():
        yield from _failures(scenario, f"failures.{name}", failures)
    recovery = scenario.recovery
    if scenario.enabled_failures and (recovery is None or recovery.restart_s is None):
        hint = "give the seconds of a restart; enabled = false removes failures"
        yield Problem(path="recovery.restart_s", requirement="is missing", hint=hint)
    yield from _spares(scenario)
    yield from _replica_level(scenario, counts)
    yield from _checkpoint(scenario)


def _failures(scenario: Scenario, path: str, failures: UnitFailures) -> Iterator[Problem]:
    yield from _law(f"{path}.law", failures)
    if failures.scope == "switch" and failures.unit_gpus is None:
        requirement = f"is missing, and {path} has scope switch"
        hint = "give the GPUs below one switch"
        yield Problem(path=f"{path}.unit_gpus", requirement=requirement, hint=hint)
    elif failures.scope != "switch" and failures.unit_gpus is not None:
        requirement = f"must be left out where scope is {failures.scope}"
        yield Problem(path=f"{path}.unit_gpus", requirement=requirement, value=failures.unit_gpus)
    if failures.scope == "job":
        yield from _of_the_job(path, failures)
        return
    if failures.pools == []:
        yield Problem(path=f"{path}.pools", requirement="must name at least one pool")
    for name in scenario.pools if failures.pools is None else failures.pools:
        if name not in scenario.pools:
            hint = did_you_mean(name, scenario.pools)
            requirement = "must name pools of this scenario"
            yield Problem(path=f"{path}.pools", requirement=requirement, value=name, hint=hint)
        else:
            yield from _whole_nodes(scenario, path, failures, name)


def _law(path: str, failures: UnitFailures) -> Iterator[Problem]:
    """Yield a problem where a law does not have the parameters of its name."""
    law = failures.law
    if law.name == "weibull" and law.shape is None:
        yield Problem(path=f"{path}.shape", requirement="is missing")
    elif law.name != "weibull" and law.shape is not None:
        requirement = f"must be left out where name is {law.name}"
        hint = 'name = "weibull" has one'
        yield Problem(path=f"{path}.shape", requirement=requirement, value=law.shape, hint=hint)


def _of_the_job(path: str, failures: UnitFailures) -> Iterator[Problem]:
    """Yield a problem for each thing that units have, and the job as a whole does not."""
    if failures.pools is not None:
        requirement = "must be left out where scope is job, which is one unit over all pools"
        yield Problem(path=f"{path}.pools", requirement=requirement, value=failures.pools)
    if failures.rate_spread > 0:
        requirement = "must be 0 where scope is job: one unit has one rate"
        value = failures.rate_spread
        yield Problem(path=f"{path}.rate_spread", requirement=requirement, value=value)
    if failures.are_repaired:
        requirement = "must be 0 where scope is job: it is restarted, and nothing is in repair"
        hours = failures.repair_hours
        value = hours if isinstance(hours, float) else UNSET
        yield Problem(path=f"{path}.repair_hours", requirement=requirement, value=value)


def _whole_nodes(
    scenario: Scenario, path: str, failures: UnitFailures, name: str
) -> Iterator[Problem]:
    """Yield a problem where racks, or GPUs below switches, of a pool are not so many nodes."""
    pool = scenario.pools[name]
    node = pool.accelerator.node_gpus
    of_rack = f"pools.{name}.rack_gpus"
    if failures.scope == "rack" and pool.rack_gpus is None:
        yield Problem(path=of_rack, requirement=f"is missing, and {path} has scope rack")
    elif failures.scope == "rack" and pool.rack_gpus is not None and pool.rack_gpus % node:
        requirement = f"must be a multiple of {node}, a node, and {path} has scope rack"
        yield Problem(path=of_rack, requirement=requirement, value=pool.rack_gpus)
    elif failures.scope == "switch" and failures.unit_gpus and failures.unit_gpus % node:
        requirement = f"must be a multiple of {node}, a node of pool {name} ({pool.gpu})"
        yield Problem(path=f"{path}.unit_gpus", requirement=requirement, value=failures.unit_gpus)


def _spares(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each pool whose spares are not whole parts of domains."""
    layout = scenario.layout
    for name, spares in scenario.spares.items():
        pool = scenario.pools[name]
        # That no tensor group fits into a domain is told elsewhere, and so are whole cubes.
        if (
            scenario.slices is not None
            or domain_gpus(pool) < layout.tensor
            or spares % block_gpus(pool, layout) == 0
        ):
            continue
        path = "recovery.spares" if pool.spares is None else f"pools.{name}.spares"
        requirement = (
            f"must be a multiple of {block_gpus(pool, layout)}, the fewest GPUs of pool {name} "
            f"({pool.gpu}) that are whole nodes and whole tensor groups of a domain"
        )
        hint = f"or give pools.{name}.spares" if pool.spares is None else ""
        hint = hint if len(scenario.pools) > 1 else ""
        yield Problem(path=path, requirement=requirement, value=spares, hint=hint)


def _replica_level(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield a problem where there is no other copy of what a failed replica held."""
    layout = scenario.layout
    if scenario.recovery is None or not scenario.recovery.replica_level:
        return
    path = "recovery.replica_level"
    if layout.sharding not in ("none", "hybrid"):
        requirement = "needs another copy of what a failure takes: layout.sharding none or hybrid"
        yield Problem(path=path, requirement=requirement, value=layout.sharding)
        return
    group = layout.shard_group or 1
    if 0 < counts.n_replicas <= group:
        what = "replica" if layout.shard_group is None else "shard group"
        requirement = f"needs another copy of what a failure takes, and there is one {what} alone"
        yield Problem(path=path, requirement=requirement)


def _checkpoint(scenario: Scenario) -> Iterator[Problem]:
    """Yield the problems of when checkpoints are taken, and of what they are for."""
    checkpoint = scenario.enabled_checkpoint
    if checkpoint is None:
        return
    level = checkpoint.global_level
    costs = checkpoint.blocking_s > 0 or (level is not None and level.blocking_s > 0)
    if checkpoint.interval_s == "best" and not costs:
        requirement = (
            "must be a number of seconds where checkpoint.blocking_s is 0: the less lies between "
            "checkpoints that cost nothing, the better"
        )
        yield Problem(path="checkpoint.interval_s", requirement=requirement, value="best")
    if level is not None and not level.scopes:
        requirement = "must name at least one scope"
        hint = "without any, leave [checkpoint.global] out"
        yield Problem(path="checkpoint.global.scopes", requirement=requirement, hint=hint)
