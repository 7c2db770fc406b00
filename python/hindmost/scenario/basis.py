"""On what the numbers of a scenario rest."""

from __future__ import annotations

from hindmost import catalog
from hindmost.catalog import Basis
from hindmost.scenario.models import Scenario


def bases(scenario: Scenario) -> dict[str, Basis]:
    """Return the basis of every number that has one, by key path.

    Those of the scenario come first, then those of the catalogue entries that
    it uses, without what the scenario overrides; a catalogue entry's key paths
    begin with its name.
    """
    found = dict(scenario.basis)
    for pool in scenario.pools.values():
        for field, basis in catalog.gpu(pool.gpu).basis.items():
            if not (field == "kernel_efficiency" and pool.kernel_efficiency is not None):
                found.setdefault(f"{pool.gpu}.{field}", basis)
    fabric = scenario.fabric
    for path, basis in catalog.fabric(fabric.name).basis.items():
        if getattr(fabric, path.partition(".")[0], None) is None:
            found.setdefault(f"{fabric.name}.{path}", basis)
    for field, basis in catalog.model(scenario.workload.model).basis.items():
        found.setdefault(f"{scenario.workload.model}.{field}", basis)
    return found
