"""Where the numbers of a scenario come from."""

from __future__ import annotations

from collections.abc import Callable

from hindmost import catalog
from hindmost.catalog import Basis
from hindmost.scenario.hardware import OwnFabric, OwnGpu
from hindmost.scenario.models import Pool, Scenario

_OF_A_DTYPE = {
    "peak_bf16_flop_per_s": "bf16",
    "peak_fp8_flop_per_s": "fp8",
    "peak_fp4_flop_per_s": "fp4",
    "kernel_efficiency": "bf16",
    "kernel_efficiency_fp8": "fp8",
    "kernel_efficiency_fp4": "fp4",
}
"""Number format that a figure of a GPU is for."""


def bases(scenario: Scenario) -> dict[str, Basis]:
    """Return the basis of every number that has one, by key path.

    Those of the scenario come first, then those of the catalogue entries that it uses, its software
    stack among them. Figures that the scenario overrides are left out, and so are those of number
    formats that it does not use. Key paths of a catalogue entry begin with its name.
    """
    found = {
        path: basis for path, basis in scenario.basis.items() if not of_nothing(scenario, path)
    }
    for pool in scenario.pools.values():
        for field, basis in _of_gpu(scenario, pool.gpu).items():
            if _is_used(scenario, pool, field):
                found.setdefault(f"{pool.gpu}.{field}", basis)
    fabric = scenario.fabric
    for path, basis in _of_fabric(scenario, fabric.name).items():
        if getattr(fabric, path.partition(".")[0], None) is None:
            found.setdefault(f"{fabric.name}.{path}", basis)
    name = scenario.workload.model
    if name not in scenario.models:
        for path, basis in catalog.model(name).basis.items():
            found.setdefault(f"{name}.{path}", basis)
    for path, basis in _of_stack(scenario).items():
        found.setdefault(path, basis)
    return found


def _of_stack(scenario: Scenario) -> dict[str, Basis]:
    """Return the bases of what holds of a scenario's stack; those of its laws are of forecasts."""
    stack, workload = scenario.workload.software, scenario.workload
    own = {
        "tensor_overlap_fraction": workload.tensor_overlap_fraction,
        "hidden_cost": scenario.collective.hidden_cost,
    }
    if all(pool.memory_efficiency is not None for pool in scenario.pools.values()):
        own["memory_efficiency"] = True
    return {
        f"{stack.name}.{field}": basis
        for field, basis in stack.basis.items()
        if "." not in field and own.get(field) is None
    }


def _of_gpu(scenario: Scenario, name: str) -> dict[str, Basis]:
    """Return the bases of a GPU's figures, of one of the scenario's own those that it inherits."""
    own = scenario.gpus.get(name)
    return catalog.gpu(name).basis if own is None else _inherited(own, catalog.gpu)


def _of_fabric(scenario: Scenario, name: str) -> dict[str, Basis]:
    """Return the bases of a fabric's figures, of one of the scenario's own those it inherits."""
    own = scenario.fabrics.get(name)
    return catalog.fabric(name).basis if own is None else _inherited(own, catalog.fabric)


def _inherited(
    own: OwnGpu | OwnFabric, entry_of: Callable[[str], catalog.Entry]
) -> dict[str, Basis]:
    """Return the bases of the figures that an entry of the scenario's own leaves as they are."""
    if own.extends is None:
        return {}
    entry = entry_of(own.extends)

    def figure(of: object, path: str) -> object:
        for key in path.split("."):
            of = getattr(of, key, None)
        return of

    return {
        path: basis
        for path, basis in entry.basis.items()
        if figure(own, path) == figure(entry, path)
    }


def of_nothing(scenario: Scenario, path: str) -> bool:
    """Return whether a key path is that of a cause or failures that the scenario does not have.

    These may be removed and leave the basis of their numbers behind.
    """
    first, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    if first == "causes":
        return name != "" and name not in scenario.causes
    return first == "failures" and name != "" and name not in scenario.failures


def _is_used(scenario: Scenario, pool: Pool, field: str) -> bool:
    """Return whether a scenario uses a figure of a pool's GPU."""
    workload = scenario.workload
    dtype = _OF_A_DTYPE.get(field)
    if field == "attention_efficiency":
        own = pool.attention_efficiency is not None or pool.forward_s is not None
        return workload.software.attention == "measured" and not own
    if field.startswith("kernel_efficiency"):
        own = pool.kernel_efficiency is not None or pool.forward_s is not None
        return dtype in (workload.dtype, "bf16") and not own
    if dtype is not None:
        # Attention scores and the output layer are in BF16 in every format.
        return dtype in (workload.dtype, workload.mfu_dtype, "bf16")
    return getattr(pool, field, None) is None
