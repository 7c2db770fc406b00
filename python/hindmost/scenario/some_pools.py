"""A scenario with some of its pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hindmost.scenario.load import from_table, to_table
from hindmost.scenario.models import Scenario


def with_pools(scenario: Scenario, names: Sequence[str]) -> Scenario:
    """Return a scenario with some of its pools, and with what is said of them alone.

    Parameters
    ----------
    scenario
        The scenario.
    names
        Pools that stay.

    Raises
    ------
    ScenarioError
        If the job does not run on these pools.
    """
    if len(names) == len(scenario.pools):
        return scenario
    table = to_table(scenario)
    gone = tuple(f"pools.{name}." for name in table["pools"] if name not in names)
    kept = {**table, "pools": {name: table["pools"][name] for name in names}}
    for section in ("causes", "failures"):
        kept[section] = _of_pools(table.get(section, {}), names)
    for section in ("unknowns", "basis"):
        entries = table.get(section, {})
        kept[section] = {
            path: entry for path, entry in entries.items() if not path.startswith(gone)
        }
    return from_table(kept, source=scenario.source)


def _of_pools(entries: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the causes or failures that act on some pools, named for these alone."""
    found = {}
    for key, entry in entries.items():
        acts_on = entry.get("pools", names)
        left = [name for name in acts_on if name in names]
        if left:
            found[key] = {**entry, "pools": left} if "pools" in entry else entry
    return found
