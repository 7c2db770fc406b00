"""Problems of a scenario that concern several fields together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hindmost.errors import Problem, did_you_mean
from hindmost.scenario.basis import of_nothing
from hindmost.scenario.batch import Batch, batches
from hindmost.scenario.batch_problems import batch_problems, microbatch_problems
from hindmost.scenario.cause_problems import cause_problems, document_problems
from hindmost.scenario.counts import (
    Counts,
    domain_gpus,
)
from hindmost.scenario.fabric_problems import fabric_problems
from hindmost.scenario.ideal import FABRIC_NOISE, HOP_NOISE
from hindmost.scenario.layout_problems import collective_problems, layout_problems
from hindmost.scenario.merge import at_path, has_path, leaves
from hindmost.scenario.models import Layout, Pool, Scenario, Workload
from hindmost.scenario.pool_problems import (
    MAX_RANKS,
    domain_problems,
    missing,
    own_name_problems,
    port_problems,
)
from hindmost.scenario.power_problems import power_problems
from hindmost.scenario.reliability_problems import reliability_problems
from hindmost.scenario.slice_problems import slice_problems

NUMBERS_OR_WORDS = ("checkpoint.interval_s",)
"""Key paths of numbers that may also be words."""


def problems(scenario: Scenario) -> list[Problem]:
    """Return all problems of a scenario whose single fields are right."""
    counts = Counts.of(scenario.pools, scenario.layout, scenario.spares)
    values = _values(scenario) if scenario.unknowns or scenario.basis else {}
    of_batch = list(batch_problems(scenario, counts))
    shared: dict[str, Batch] = {}
    if counts.n_replicas and not of_batch:
        shared = batches(scenario.pools, scenario.workload, scenario.layout, counts)
    return [
        *_pools(scenario, counts),
        *own_name_problems(gpus=scenario.gpus, fabrics=scenario.fabrics),
        *fabric_problems(scenario),
        *_workload(scenario),
        *of_batch,
        *layout_problems(scenario, counts),
        *microbatch_problems(scenario, shared),
        *collective_problems(scenario, counts),
        *cause_problems(scenario, counts, shared),
        *document_problems(scenario, counts, shared),
        *reliability_problems(scenario, counts),
        *slice_problems(scenario, counts),
        *_ideals(scenario),
        *_unknowns(scenario, values),
        *_basis(scenario, values),
    ]


def _ideals(scenario: Scenario) -> Iterator[Problem]:
    """Yield a problem for each cause that is to be ideal and that there is not."""
    causes = [*scenario.causes, FABRIC_NOISE, HOP_NOISE]
    for name in scenario.ideals.causes:
        if name not in causes:
            yield Problem(
                path="ideal.causes",
                requirement="must name causes of this scenario",
                value=name,
                hint=did_you_mean(name, causes),
            )


def _pools(scenario: Scenario, counts: Counts) -> Iterator[Problem]:
    if not scenario.pools:
        yield Problem(path="pools", requirement="must hold at least one pool")
    total = sum(pool.n_gpus for pool in scenario.pools.values())
    if total >= MAX_RANKS:
        requirement = f"must hold fewer than {MAX_RANKS:,} GPUs together"
        yield Problem(path="pools", requirement=requirement, value=total)
    for name, pool in scenario.pools.items():
        yield from domain_problems(f"pools.{name}", pool)
        yield from _passes(f"pools.{name}", pool)
        yield from power_problems(scenario, name)
        yield from _efficiency(scenario.workload, f"pools.{name}", pool)
        yield from port_problems(f"pools.{name}", pool, scenario.fabric.network)
        crosses = _crosses_scale_up(pool, scenario.layout, counts)
        if crosses and pool.figure("scale_up_latency_s") is None:
            yield missing(f"pools.{name}.scale_up_latency_s", pool.gpu)


def _passes(path: str, pool: Pool) -> Iterator[Problem]:
    """Yield a problem where only one of the two passes was measured."""
    if (pool.forward_s is None) != (pool.backward_s is None):
        missing, given = "forward_s", "backward_s"
        if pool.backward_s is None:
            missing, given = given, missing
        requirement = f"is missing where {path}.{given} is given"
        yield Problem(path=f"{path}.{missing}", requirement=requirement)


def _efficiency(workload: Workload, path: str, pool: Pool) -> Iterator[Problem]:
    """Yield a problem where neither the pool nor the catalogue has a kernel efficiency."""
    # Attention scores and the output layer stay in BF16.
    for dtype in dict.fromkeys((workload.dtype, "bf16")):
        has_peak = pool.accelerator.peak_flop_per_s(dtype) is not None
        if has_peak and pool.forward_s is None and pool.efficiency(dtype) is None:
            of = "" if dtype == "bf16" else f" with {dtype}"
            yield missing(f"{path}.kernel_efficiency", f"{pool.gpu}{of}")
            break


def _crosses_scale_up(pool: Pool, layout: Layout, counts: Counts) -> bool:
    """Return whether ranks of a tensor group or of several replicas meet within a domain."""
    several = domain_gpus(pool) // layout.tensor > 1 and counts.n_replicas > 1
    return several or (layout.tensor > 1 and pool.forward_s is None)


def _workload(scenario: Scenario) -> Iterator[Problem]:
    workload = scenario.workload
    if workload.recompute_layers is not None and workload.recompute != "full":
        requirement = 'must be absent where workload.recompute is not "full"'
        yield Problem(
            path="workload.recompute_layers",
            requirement=requirement,
            value=workload.recompute_layers,
        )
    encoder = scenario.model.encoder
    if encoder is not None and encoder.tokens // encoder.merge > workload.seq_len:
        requirement = f"must make at most the {workload.seq_len:,} tokens of workload.seq_len"
        path = f"models.{workload.model}.encoder.tokens"
        yield Problem(path=path, requirement=requirement, value=encoder.tokens)
    if workload.recompute_modules and workload.recompute == "full":
        requirement = 'must be absent where workload.recompute is "full"'
        path, value = "workload.recompute_modules", list(workload.recompute_modules)
        yield Problem(path=path, requirement=requirement, value=value)
    modules = workload.recompute_modules
    if len(set(modules)) < len(modules):
        requirement = "must name each part once"
        path = "workload.recompute_modules"
        yield Problem(path=path, requirement=requirement, value=list(modules))
    for name, pool in scenario.pools.items():
        # Measured passes hold what moves behind them.
        moves = workload.offload_layers is not None and pool.forward_s is None
        if (moves or workload.offload_optimizer) and pool.host_bytes_per_s is None:
            requirement = "is missing, and the workload offloads"
            hint = "give what copies reach, one direction; a PCIe 5.0 x16 has 63e9 B/s at most"
            yield Problem(path=f"pools.{name}.host_bytes_per_s", requirement=requirement, hint=hint)
    for key, dtype in (("dtype", workload.dtype), ("mfu_dtype", workload.mfu_dtype)):
        for name, pool in scenario.pools.items():
            if pool.accelerator.peak_flop_per_s(dtype) is None:
                requirement = f"must be one that pool {name} ({pool.gpu}) has a peak for"
                yield Problem(path=f"workload.{key}", requirement=requirement, value=dtype)


def _unknowns(scenario: Scenario, values: dict[str, Any]) -> Iterator[Problem]:
    for path in scenario.unknowns:
        if not has_path(values, path) or not _may_be_a_number(path, at_path(values, path)):
            known = leaves(values)
            numbers = [one for one, value in known.items() if _may_be_a_number(one, value)]
            hint = did_you_mean(path, numbers, or_list=False)
            requirement = "is not the key path of a number of this scenario"
            yield Problem(path=f"unknowns.{path}", requirement=requirement, hint=hint)


def _basis(scenario: Scenario, values: dict[str, Any]) -> Iterator[Problem]:
    for path in scenario.basis:
        # What is left of causes and failures that were removed is warned of.
        if not has_path(values, path) and not of_nothing(scenario, path):
            hint = did_you_mean(path, leaves(values), or_list=False)
            requirement = "is not a key path of this scenario"
            yield Problem(path=f"basis.{path}", requirement=requirement, hint=hint)


def _values(scenario: Scenario) -> dict[str, Any]:
    """Return all values as nested tables, those left at None included."""
    table = scenario.model_dump(exclude={"unknowns", "basis", "name", "not_modelled"})
    if table["fabric"]["noise"] is None and scenario.noise is not None:
        table["fabric"]["noise"] = scenario.noise.model_dump()
    if table["workload"]["document_tokens"] is None:
        # A law that there is not is no number.
        del table["workload"]["document_tokens"]
    for pool in table["pools"].values():
        if pool["smoothing"] is None:
            del pool["smoothing"]
    for model in table["models"].values():
        for key in ("latent", "experts", "indexer", "linear", "state_space", "layers", "encoder"):
            if model[key] is None:
                del model[key]
    if scenario.checkpoint is not None and scenario.checkpoint.global_level is None:
        del table["checkpoint"]["global"]
    for key in ("recovery", "checkpoint"):
        if table[key] is None:
            del table[key]
    return table


def _may_be_a_number(path: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or is_number or path in NUMBERS_OR_WORDS
