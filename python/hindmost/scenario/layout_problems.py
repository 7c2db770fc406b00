"""Problems of layouts and collectives that concern several fields together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile

from hindmost import _core
from hindmost.errors import Problem
from hindmost.scenario.counts import (
    Counts,
    block_gpus,
    domain_gpus,
    expert_tensor,
    is_mixed,
    replica_gpus,
)
from hindmost.scenario.models import Scenario
from hindmost.scenario.numbering import numberings
from hindmost.scenario.places import places

MEGATRONS_ORDER = "tp-cp-ep-dp-pp"
"""The order that Megatron-LM numbers ranks in by default; it suits every layout."""


def layout_problems(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of how ranks divide the work."""
    layout, model = scenario.layout, scenario.model
    for name, pool in scenario.pools.items():
        most = domain_gpus(pool)
        if pool.n_gpus < layout.tensor <= pool.accelerator.domain_gpus:
            requirement = f"must be >= {layout.tensor}, a tensor group"
            yield Problem(path=f"pools.{name}.n_gpus", requirement=requirement, value=pool.n_gpus)
        elif layout.tensor > most:
            whose = "the domain" if most == pool.accelerator.domain_gpus else "GPUs of a domain"
            requirement = f"must be <= {most}, {whose} of pool {name} ({pool.gpu})"
            yield Problem(path="layout.tensor", requirement=requirement, value=layout.tensor)
    for n_heads in model.divided_heads:
        if n_heads % layout.tensor:
            requirement = f"must divide the {n_heads} heads of {scenario.workload.model}"
            yield Problem(path="layout.tensor", requirement=requirement, value=layout.tensor)
    path = "layout.shard_group_replicas"
    if layout.sharding == "hybrid" and layout.shard_group_replicas is None:
        requirement = 'is missing where layout.sharding is "hybrid"'
        yield Problem(path=path, requirement=requirement)
    if layout.sharding != "hybrid" and layout.shard_group_replicas is not None:
        requirement = f'must be absent where layout.sharding is "{layout.sharding}"'
        yield Problem(path=path, requirement=requirement, value=layout.shard_group_replicas)
    yield from _order(scenario, counts)
    yield from _experts(scenario, counts)
    yield from _tokens(scenario)
    yield from _replicas(scenario, counts)
    yield from _stages(scenario)


def _order(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problem of an order in which ranks cannot be numbered."""
    layout = scenario.layout
    names = layout.order.split("-")
    hint = f"{MEGATRONS_ORDER} suits every layout"
    path, value = "layout.order", layout.order
    if layout.tensor > 1 and names[0] != "tp":
        requirement = "must begin with tp: a tensor group lies on GPUs that follow each other"
        yield Problem(path=path, requirement=requirement, value=value, hint=hint)
    if is_mixed(layout) and layout.context > 1 and names[:2] != ["tp", "cp"]:
        requirement = (
            "must begin with tp-cp where layout.placement is mixed: a stage is in one pool"
        )
        yield Problem(path=path, requirement=requirement, value=value, hint=hint)
    if layout.expert > 1 and "ep" not in names:
        requirement = "must name ep, too: layout.expert is more than 1"
        yield Problem(path=path, requirement=requirement, value=value, hint=hint)
        return
    if layout.tensor % expert_tensor(layout) or any(_expert_ranks(scenario, counts)):
        return
    both = numberings(
        layout.order,
        tensor=layout.tensor,
        context=layout.context,
        pipeline=layout.pipeline,
        data=max(1, counts.n_replicas),
        expert=layout.expert,
        expert_tensor=expert_tensor(layout),
    )
    if layout.pipeline > 1 and not both.agree:
        requirement = "must give experts the same stages as all other weights"
        yield Problem(path=path, requirement=requirement, value=value, hint=hint)


def _experts(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    layout, experts = scenario.layout, scenario.model.experts
    expert, parts = layout.expert, expert_tensor(layout)
    if layout.tensor % parts:
        requirement = f"must divide layout.tensor ({layout.tensor})"
        yield Problem(path="layout.expert_tensor", requirement=requirement, value=parts)
        return
    if layout.expert_tensor is not None and experts is None:
        requirement = f"must be absent: {scenario.workload.model} has no experts"
        yield Problem(path="layout.expert_tensor", requirement=requirement, value=parts)
    if expert == 1:
        return
    if experts is None:
        requirement = f"must be 1: {scenario.workload.model} has no experts"
        yield Problem(path="layout.expert", requirement=requirement, value=expert)
        return
    if experts.n_experts % expert:
        requirement = f"must divide the {experts.n_experts} experts of {scenario.workload.model}"
        yield Problem(path="layout.expert", requirement=requirement, value=expert)
    yield from _expert_ranks(scenario, counts)


def _tokens(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each word about the exchange of tokens, where there are no experts."""
    workload = scenario.workload
    if scenario.model.experts is not None:
        return
    for name, field in type(workload).model_fields.items():
        value = getattr(workload, name)
        if name.startswith("expert_") and value != field.default:
            requirement = f"must be {field.default}: {workload.model} has no experts"
            yield Problem(path=f"workload.{name}", requirement=requirement, value=value)


def _expert_ranks(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield a problem where the ranks of a stage cannot be divided among the experts."""
    layout = scenario.layout
    expert, parts = layout.expert, expert_tensor(layout)
    of_replica = layout.tensor * layout.context
    replicas = {"": counts.n_replicas}
    if not is_mixed(layout) and len(counts.pools) > 1:
        replicas = {f" of pool {name}": pool.n_replicas for name, pool in counts.pools.items()}
    for where, n_replicas in replicas.items():
        n_ranks = of_replica * n_replicas
        if n_ranks % (expert * parts) == 0:
            continue
        requirement = f"must divide the {n_ranks // parts:,} ranks of a stage{where}"
        if parts > 1:
            requirement += f" that hold the same part of an expert (1 of {parts})"
        hint = ""
        if parts > 1 and n_ranks % expert == 0:
            hint = f"with layout.expert_tensor = 1 it divides all {n_ranks:,}"
        yield Problem(path="layout.expert", requirement=requirement, value=expert, hint=hint)


def _replicas(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield a problem for each pool that holds no replica."""
    layout = scenario.layout
    if any(domain_gpus(pool) < layout.tensor for pool in scenario.pools.values()):
        return
    size, spares = replica_gpus(layout), scenario.spares
    if layout.n_replicas is not None:
        fits = Counts.of(scenario.pools, layout.model_copy(update={"n_replicas": None}), spares)
        if found := _replicas_left_out(scenario, fits, counts):
            yield found
            return
    if is_mixed(layout):
        if scenario.pools and counts.n_replicas == 0:
            requirement = f"must hold a replica together, {size:,} GPUs in full domains"
            requirement += _beside(sum(spares.values()))
            yield Problem(path="pools", requirement=requirement)
        return
    for name, pool in scenario.pools.items():
        if counts.pools[name].n_replicas == 0:
            of_domain = domain_gpus(pool)
            requirement = f"must hold a replica, {size:,} GPUs in full domains of {of_domain}"
            requirement += _beside(spares[name])
            spreads = layout.placement == "aligned"
            hint = "layout.placement = mixed spreads stages over pools" if spreads else ""
            hint = "hold fewer GPUs back" if spares[name] else hint
            yield Problem(
                path=f"pools.{name}.n_gpus", requirement=requirement, value=pool.n_gpus, hint=hint
            )


def _beside(spares: int) -> str:
    return f", beside {spares:,} spares" if spares else ""


def _replicas_left_out(scenario: Scenario, fits: Counts, counts: Counts) -> Problem | None:
    """Return the problem of a number of replicas, if it is not one that the job can have.

    Parameters
    ----------
    scenario
        The scenario.
    fits, counts
        Counts of all replicas that fit, and of those that the job is to have.
    """
    layout, path = scenario.layout, "layout.n_replicas"
    value = layout.n_replicas
    assert value is not None
    if is_mixed(layout):
        requirement = "must be absent where layout.placement is mixed"
        return Problem(path=path, requirement=requirement, value=value)
    if not all(pool.n_replicas for pool in fits.pools.values()):
        # That a pool holds none is told instead.
        return None
    if value > fits.n_replicas:
        requirement = f"must be <= {fits.n_replicas:,}, the replicas that fit"
        return Problem(path=path, requirement=requirement, value=value)
    for name, pool in scenario.pools.items():
        left = counts.pools[name]
        if left.n_replicas == 0:
            requirement = f"must leave pool {name} a replica: they are taken in document order"
            hint = f"more than {_replicas_before(fits, name):,} would do, or leave the pool out"
            return Problem(path=path, requirement=requirement, value=value, hint=hint)
        block = block_gpus(pool, layout)
        if scenario.enabled_failures and left.held_back_gpus % block:
            requirement = (
                f"must leave out multiples of {block} GPUs of pool {name} ({pool.gpu}) where there "
                "are failures: whole nodes and whole tensor groups"
            )
            return Problem(path=path, requirement=requirement, value=value)
    return None


def _replicas_before(counts: Counts, name: str) -> int:
    """Return the replicas of the pools before one."""
    before = takewhile(lambda one: one != name, counts.pools)
    return sum(counts.pools[one].n_replicas for one in before)


def _stages(scenario: Scenario) -> Iterator[Problem]:
    layout = scenario.layout
    n_layers = scenario.model.depth
    n_stages = layout.pipeline * layout.chunks
    if layout.pipeline > _core.MAX_STAGES:
        requirement = f"must be <= {_core.MAX_STAGES}"
        yield Problem(path="layout.pipeline", requirement=requirement, value=layout.pipeline)
    if layout.chunks > 1 and layout.schedule != "interleaved":
        requirement = 'must be 1 unless layout.schedule is "interleaved"'
        yield Problem(path="layout.chunks", requirement=requirement, value=layout.chunks)
    elif layout.chunks > 1 and layout.pipeline == 1:
        requirement = "must be 1 where layout.pipeline is 1"
        yield Problem(path="layout.chunks", requirement=requirement, value=layout.chunks)
    # The first chunk may hold the input embedding only, and the last one the output layer.
    if n_stages > n_layers + 2:
        requirement = (
            f"times layout.chunks must be <= {n_layers + 2}: {scenario.workload.model} has "
            f"{n_layers} layers, an input embedding and an output layer"
        )
        yield Problem(path="layout.pipeline", requirement=requirement, value=n_stages)
    if layout.stage_layers is not None and (
        len(layout.stage_layers) != n_stages
        or sum(layout.stage_layers) != n_layers
        or 0 in layout.stage_layers[1:-1]
    ):
        requirement = (
            f"must hold {n_stages} counts (pipeline x chunks) that add up to {n_layers}, the "
            f"layers of {scenario.workload.model}; only the first and the last may be 0"
        )
        yield Problem(
            path="layout.stage_layers", requirement=requirement, value=layout.stage_layers
        )
    for key in ("last_stage_forward", "last_stage_backward"):
        value = getattr(layout, key)
        if layout.pipeline == 1 and value is not None:
            requirement = "must be absent where layout.pipeline is 1"
            yield Problem(path=f"layout.{key}", requirement=requirement, value=value)


def collective_problems(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of how collectives between replicas are done."""
    chosen = scenario.collective
    kind = scenario.fabric.network.kind
    if (chosen.algorithm == "torus") != (kind == "torus"):
        requirement = (
            f"must be torus on {scenario.fabric.name}, which is one"
            if kind == "torus"
            else f"must not be torus: {scenario.fabric.name} has switches"
        )
        yield Problem(path="collective.algorithm", requirement=requirement, value=chosen.algorithm)
    shape = scenario.fabric.shape
    if kind == "torus" and shape is None:
        yield Problem(path="fabric.shape", requirement="is missing: the fabric is a torus")
    elif kind != "torus" and shape is not None:
        requirement = f"must be absent: {scenario.fabric.name} is no torus"
        yield Problem(path="fabric.shape", requirement=requirement, value=shape)
    elif shape is not None and math.prod(shape) != counts.shard_ranks:
        requirement = (
            f"must have {counts.shard_ranks:,} ranks: those of a shard group, or all that have "
            "the same part of the model"
        )
        yield Problem(path="fabric.shape", requirement=requirement, value=shape)
    if kind == "torus" and scenario.hop_noise is not None:
        requirement = (
            f"must be absent: {scenario.fabric.name} is a torus, whose hops are not random"
        )
        yield Problem(path="fabric.hop_noise", requirement=requirement)
    if chosen.latency == "nccl" and chosen.algorithm not in ("ring", "tree", "pat"):
        requirement = 'must be "hops" unless collective.algorithm is ring, tree or pat'
        yield Problem(path="collective.latency", requirement=requirement, value=chosen.latency)
    if chosen.algorithm == "pat":
        yield from _pat(scenario, counts)


def _pat(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    """Yield the problems of PAT: it only gathers and scatters, with one rank a domain."""
    path, sharding = "collective.algorithm", scenario.layout.sharding
    reduces_all = {
        "none": counts.n_data_ranks > 1,
        "hybrid": counts.n_data_ranks > counts.shard_ranks,
    }
    if reduces_all.get(sharding, False):
        requirement = f'must not be pat where layout.sharding is "{sharding}", which all-reduces'
        hint = (
            "hierarchical, ring or tree would do; with sharding zero1, zero2 or zero3 nothing is "
            "all-reduced"
        )
        yield Problem(path=path, requirement=requirement, value="pat", hint=hint)
    # Where there is no replica, or no numbering, that is told elsewhere.
    wrong = [*_order(scenario, counts), *_experts(scenario, counts)]
    has_places = counts.n_replicas and not wrong
    where = places(scenario.pools, scenario.layout, counts) if has_places else {}
    for name, of_pool in where.items():
        if of_pool.data.members > 1:
            requirement = (
                "must not be pat where a domain holds several ranks with the same part "
                f"of the model, as in pool {name}"
            )
            yield Problem(path=path, requirement=requirement, value="pat")
