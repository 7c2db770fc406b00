"""Problems of a scenario that concern several fields together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hindmost import _core, catalog
from hindmost.cause import Cause
from hindmost.errors import Problem, did_you_mean
from hindmost.scenario.basis import of_no_cause
from hindmost.scenario.counts import (
    Counts,
    domain_gpus,
    is_mixed,
    n_microbatches,
    numbered_gpus,
    replica_gpus,
)
from hindmost.scenario.layout_problems import collective_problems, layout_problems
from hindmost.scenario.merge import Table, leaves
from hindmost.scenario.models import Layout, Pool, Scenario, Workload

MAX_RANKS = 2**31
"""Number that the GPUs of all pools together stay below."""


def problems(scenario: Scenario) -> list[Problem]:
    """Return all problems of a scenario whose single fields are right."""
    counts = Counts.of(scenario.pools, scenario.layout)
    return [
        *_pools(scenario, counts),
        *_own_names(scenario),
        *_ports(scenario),
        *_workload(scenario, counts),
        *layout_problems(scenario, counts),
        *collective_problems(scenario, counts),
        *_causes(scenario, counts),
        *_unknowns(scenario),
        *_basis(scenario),
    ]


def _pools(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    if not scenario.pools:
        yield Problem(path="pools", requirement="must hold at least one pool")
    total = sum(pool.n_gpus for pool in scenario.pools.values())
    if total >= MAX_RANKS:
        requirement = f"must hold fewer than {MAX_RANKS:,} GPUs together"
        yield Problem(path="pools", requirement=requirement, value=total)
    for name, pool in scenario.pools.items():
        yield from _domains(f"pools.{name}", pool)
        yield from _passes(f"pools.{name}", pool)
        yield from _power(f"pools.{name}", pool)
        yield from _efficiency(scenario.workload, f"pools.{name}", pool)
        if pool.figure("nic_bytes_per_s") is None:
            yield _missing(f"pools.{name}.nic_bytes_per_s", pool.gpu)
        crosses = _crosses_scale_up(pool, scenario.layout, counts)
        if crosses and pool.figure("scale_up_latency_s") is None:
            yield _missing(f"pools.{name}.scale_up_latency_s", pool.gpu)


def _domains(path: str, pool: Pool) -> Iterator[Problem]:
    """Yield the problems of how many GPUs of a domain a pool has."""
    whole = pool.accelerator.domain_gpus
    used = pool.domain_gpus_used
    if used is None:
        return
    if used > whole:
        requirement = f"must be <= {whole}, the domain of {pool.gpu}"
        yield Problem(path=f"{path}.domain_gpus_used", requirement=requirement, value=used)
    elif pool.n_gpus // used * whole >= MAX_RANKS:
        requirement = f"must make domains of fewer than {MAX_RANKS:,} GPUs together"
        yield Problem(path=f"{path}.domain_gpus_used", requirement=requirement, value=used)


def _passes(path: str, pool: Pool) -> Iterator[Problem]:
    """Yield a problem where only one of the two passes was measured."""
    if (pool.forward_s is None) != (pool.backward_s is None):
        missing, given = "forward_s", "backward_s"
        if pool.backward_s is None:
            missing, given = given, missing
        requirement = f"is missing where {path}.{given} is given"
        yield Problem(path=f"{path}.{missing}", requirement=requirement)


def _power(path: str, pool: Pool) -> Iterator[Problem]:
    peak_w, idle_w = pool.figure("peak_power_w"), pool.figure("idle_power_w")
    if peak_w is not None and idle_w is not None and idle_w > peak_w:
        requirement = f"must be <= {peak_w:g}, the peak power"
        yield Problem(path=f"{path}.idle_power_w", requirement=requirement, value=idle_w)


def _efficiency(workload: Workload, path: str, pool: Pool) -> Iterator[Problem]:
    """Yield a problem where neither the pool nor the catalogue has a kernel efficiency."""
    # Attention scores and the output layer stay in BF16.
    for dtype in dict.fromkeys((workload.dtype, "bf16")):
        has_peak = pool.accelerator.peak_flop_per_s(dtype) is not None
        if has_peak and pool.forward_s is None and pool.efficiency(dtype) is None:
            of = "" if dtype == "bf16" else f" with {dtype}"
            yield _missing(f"{path}.kernel_efficiency", f"{pool.gpu}{of}")
            break


def _missing(path: str, of: str) -> Problem:
    requirement = f"is missing: the catalogue has none for {of}"
    return Problem(path=path, requirement=requirement, hint="give what yours has")


def _crosses_scale_up(pool: Pool, layout: Layout, counts: Counts) -> bool:
    """Return whether ranks of a tensor group or of several replicas meet within a domain."""
    several = domain_gpus(pool) // layout.tensor > 1 and counts.n_replicas > 1
    return several or (layout.tensor > 1 and pool.forward_s is None)


def _own_names(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each entry of the scenario's own with a name of the catalogue."""
    own: dict[catalog.Kind, Iterable[str]] = {
        "gpus": scenario.gpus,
        "fabrics": scenario.fabrics,
        "models": scenario.models,
    }
    for kind, names in own.items():
        for name in names:
            if name in catalog.names(kind):
                requirement = "must not be a name of the catalogue"
                yield Problem(path=f"{kind}.{name}", requirement=requirement)


def _ports(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each rate of a port that the fabric does not carry.

    Those of the catalogue's GPUs are warned of.
    """
    fabric = scenario.fabric
    most = fabric.network.port_bytes_per_s
    if fabric.network.kind != "switched":
        return
    paths = {f"pools.{name}": pool.nic_bytes_per_s for name, pool in scenario.pools.items()}
    for pool in scenario.pools.values():
        own = scenario.gpus.get(pool.gpu)
        if own is not None and pool.nic_bytes_per_s is None:
            base = None if own.extends is None else catalog.gpu(own.extends).nic_bytes_per_s
            paths[f"gpus.{pool.gpu}"] = None if own.nic_bytes_per_s == base else own.nic_bytes_per_s
    for path, rate in paths.items():
        if rate is not None and rate > most:
            requirement = f"must be <= {most:g}, the line rate of {fabric.name}"
            hint = "[fabrics.NAME] with extends and port_bytes_per_s is a faster fabric"
            yield Problem(
                path=f"{path}.nic_bytes_per_s", requirement=requirement, value=rate, hint=hint
            )


def _workload(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    workload = scenario.workload
    for key, dtype in (("dtype", workload.dtype), ("mfu_dtype", workload.mfu_dtype)):
        for name, pool in scenario.pools.items():
            if pool.accelerator.peak_flop_per_s(dtype) is None:
                requirement = f"must be one that pool {name} ({pool.gpu}) has a peak for"
                yield Problem(path=f"workload.{key}", requirement=requirement, value=dtype)
    given = workload.n_microbatches, workload.global_batch_seqs
    if given == (None, None):
        hint = "or give workload.global_batch_seqs"
        yield Problem(path="workload.n_microbatches", requirement="is missing", hint=hint)
    elif None not in given:
        requirement = "must be absent where workload.n_microbatches is given"
        yield Problem(
            path="workload.global_batch_seqs",
            requirement=requirement,
            value=workload.global_batch_seqs,
        )
    elif workload.global_batch_seqs is not None:
        per_round = counts.n_replicas * workload.microbatch_seqs
        if per_round and workload.global_batch_seqs % per_round:
            requirement = (
                f"must be a multiple of {per_round}, the replicas times workload.microbatch_seqs"
            )
            yield Problem(
                path="workload.global_batch_seqs",
                requirement=requirement,
                value=workload.global_batch_seqs,
            )


def _causes(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    for name, cause in scenario.enabled_causes.items():
        yield from _cause(scenario, f"causes.{name}", cause, counts)
    noise = scenario.noise
    if noise is not None:
        yield from _cause(scenario, "fabric.noise", noise, counts)
        if noise.affects != "network":
            yield Problem(
                path="fabric.noise.affects", requirement="must be network", value=noise.affects
            )
    for name, key in (("fabric-noise", "fabric.noise"), ("fabric-hops", "fabric.hop_noise")):
        if name in scenario.causes:
            hint = f"it is the address of {key}; choose another name"
            yield Problem(path=f"causes.{name}", requirement="must not be a cause", hint=hint)


def _cause(scenario: Scenario, path: str, cause: Cause, counts: Counts) -> Iterator[Problem]:
    pools = list(scenario.pools) if cause.pools is None else cause.pools
    if cause.pools == []:
        yield Problem(path=f"{path}.pools", requirement="must name at least one pool")
    for pool in pools:
        if pool not in scenario.pools:
            hint = did_you_mean(pool, scenario.pools)
            requirement = "must name pools of this scenario"
            yield Problem(path=f"{path}.pools", requirement=requirement, value=pool, hint=hint)
        elif cause.scope == "rack" and scenario.pools[pool].rack_gpus is None:
            requirement = f"is missing, and {path} has scope rack"
            yield Problem(path=f"pools.{pool}.rack_gpus", requirement=requirement)
    yield from _rate(path, cause)
    yield from _period(path, cause)
    if cause.unit_ranges is not None:
        yield from _named_units(scenario, path, cause, cause.unit_ranges, counts)
    if cause.span in ("microbatch", "layer"):
        yield from _within_step(scenario, path, cause)
        yield from _within_step_counts(scenario, path, cause, counts)
    if scenario.layout.placement == "mixed" and cause.scope == "replica":
        everywhere = cause.pools is None or set(cause.pools) >= set(scenario.pools)
        if cause.span != "microbatch" or not everywhere:
            requirement = (
                "must not be replica where layout.placement is mixed, but for causes of span "
                "microbatch that act in all pools"
            )
            yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)


def _rate(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where it is not clear how often a cause occurs in a step."""
    if cause.per_hour is None:
        return
    value = cause.per_hour
    if cause.probability is not None:
        requirement = "must be left out where probability is given"
        hint = "probability is that of one draw, and per_hour becomes one of a step"
        yield Problem(path=f"{path}.per_hour", requirement=requirement, value=value, hint=hint)
    if cause.span != "step":
        requirement = f"must be left out where span is {cause.span}"
        hint = "give probability, that of one draw"
        yield Problem(path=f"{path}.per_hour", requirement=requirement, value=value, hint=hint)


def _period(path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where it is not clear in which steps a cause comes."""
    if cause.period_steps is None:
        if cause.phase_steps is not None:
            requirement = f"is missing, and {path}.phase_steps is given"
            yield Problem(path=f"{path}.period_steps", requirement=requirement)
        return
    value = cause.period_steps
    if cause.per_hour is not None:
        requirement = f"must be left out where {path}.period_steps is given"
        hint = "what comes regularly has no rate; probability is that of a step in which it may"
        yield Problem(
            path=f"{path}.per_hour", requirement=requirement, value=cause.per_hour, hint=hint
        )
    if cause.span == "run":
        requirement = "must be left out where span is run, which has one draw for all steps"
        yield Problem(path=f"{path}.period_steps", requirement=requirement, value=value)
    if isinstance(cause.phase_steps, int) and cause.phase_steps >= value:
        requirement = f"must be < {value:,}, the period"
        yield Problem(path=f"{path}.phase_steps", requirement=requirement, value=cause.phase_steps)


def _named_units(
    scenario: Scenario, path: str, cause: Cause, ranges: list[tuple[int, int]], counts: Counts
) -> Iterator[Problem]:
    """Yield a problem where a cause names units that there are not."""
    pools = list(dict.fromkeys(scenario.pools if cause.pools is None else cause.pools))
    if len(pools) != 1:
        requirement = f"must name one pool, in which {path}.units are counted"
        hint = f"there is {', '.join(scenario.pools)}"
        yield Problem(path=f"{path}.pools", requirement=requirement, value=cause.pools, hint=hint)
        return
    (name,) = pools
    pool = scenario.pools.get(name)
    if pool is None:
        return
    if cause.scope in ("pool", "cluster"):
        requirement = f"must be left out where scope is {cause.scope}, which is one unit"
        yield Problem(path=f"{path}.units", requirement=requirement, value=cause.units)
        return
    if cause.scope == "replica" and is_mixed(scenario.layout):
        requirement = "must be left out where scope is replica and layout.placement is mixed"
        yield Problem(path=f"{path}.units", requirement=requirement, value=cause.units)
        return
    sizes = {
        "gpu": 1,
        "node": pool.accelerator.node_gpus,
        "domain": pool.accelerator.domain_gpus,
        "rack": pool.rack_gpus,
    }
    if cause.scope == "replica":
        n_units = counts.pools[name].n_replicas
    else:
        size = sizes[cause.scope]
        if size is None:
            return
        n_units = -(-numbered_gpus(pool) // size)
    last = max(last for _, last in ranges)
    if last >= n_units:
        requirement = f"must be numbers below {n_units:,}, those of a {cause.scope} of pool {name}"
        yield Problem(path=f"{path}.units", requirement=requirement, value=last)


def _within_step(scenario: Scenario, path: str, cause: Cause) -> Iterator[Problem]:
    """Yield a problem where a cause cannot change within a step."""
    if cause.affects == "network":
        requirement = "must be run or step where affects is network"
        yield Problem(path=f"{path}.span", requirement=requirement, value=cause.span)
    if cause.effect == "stall" and cause.span == "layer":
        requirement = "must not be layer where effect is stall"
        yield Problem(path=f"{path}.span", requirement=requirement, value=cause.span)
    elif cause.effect == "stall" and cause.scope in ("node", "domain", "rack"):
        requirement = "must be gpu, replica, pool or cluster for a stall of span microbatch"
        yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)
    elif cause.effect == "stall" and scenario.layout.placement == "mixed":
        partly = cause.pools is not None and not set(cause.pools) >= set(scenario.pools)
        if cause.scope == "pool" or (cause.scope == "cluster" and partly):
            requirement = (
                "must be gpu, replica, or cluster in all pools for a stall of span microbatch "
                "where layout.placement is mixed"
            )
            yield Problem(path=f"{path}.scope", requirement=requirement, value=cause.scope)


def _within_step_counts(
    scenario: Scenario, path: str, cause: Cause, counts: Counts
) -> Iterator[Problem]:
    """Yield a problem where a cause that changes within a step takes too many ranks or draws."""
    workload = scenario.workload
    if (workload.n_microbatches is None) == (workload.global_batch_seqs is None):
        return
    if counts.n_replicas == 0:
        return
    gang_ranks = counts.gang_replicas * replica_gpus(scenario.layout)
    if gang_ranks > _core.MAX_GANG_RANKS:
        requirement = (
            f"must not be {cause.span} where more than {_core.MAX_GANG_RANKS:,} ranks wait for "
            "each other in every layer"
        )
        yield Problem(path=f"{path}.span", requirement=requirement, value=gang_ranks)
    indices = n_microbatches(workload, counts.n_replicas)
    if cause.span == "layer":
        indices *= 2 * scenario.model.n_layers
    if indices > _core.MAX_INDICES:
        requirement = f"must make at most {_core.MAX_INDICES:,} draws of a GPU in a step"
        yield Problem(path=f"{path}.span", requirement=requirement, value=indices)


def _unknowns(scenario: Scenario) -> Iterator[Problem]:
    known = _settable(scenario, numbers_only=True)
    for path in scenario.unknowns:
        if path not in known:
            hint = did_you_mean(path, known, or_list=False)
            requirement = "is not the key path of a number of this scenario"
            yield Problem(path=f"unknowns.{path}", requirement=requirement, hint=hint)


def _basis(scenario: Scenario) -> Iterator[Problem]:
    known = _settable(scenario)
    for path in scenario.basis:
        # What is left of a cause that was removed is warned of.
        if of_no_cause(scenario, path):
            continue
        if path not in known and not any(other.startswith(f"{path}.") for other in known):
            hint = did_you_mean(path, known, or_list=False)
            requirement = "is not a key path of this scenario"
            yield Problem(path=f"basis.{path}", requirement=requirement, hint=hint)


def _settable(scenario: Scenario, *, numbers_only: bool = False) -> list[str]:
    """Return the key paths of all values, those left at None included."""
    table = scenario.model_dump(exclude={"unknowns", "basis", "name", "not_modelled"})
    if table["fabric"]["noise"] is None and scenario.noise is not None:
        table["fabric"]["noise"] = scenario.noise.model_dump()
    for model in table["models"].values():
        for key in ("latent", "experts"):
            if model[key] is None:
                del model[key]
    paths = list(leaves(table))
    return [path for path in paths if not numbers_only or _may_be_a_number(table, path)]


def _may_be_a_number(table: Table, path: str) -> bool:
    value: Any = table
    for part in path.split("."):
        value = value[part]
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
