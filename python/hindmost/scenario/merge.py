"""Layers of TOML tables laid over each other, with a note of who set what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Table = dict[str, Any]

EITHER_OR = {"n_microbatches": "global_batch_seqs", "global_batch_seqs": "n_microbatches"}
"""Keys of [workload] of which a later layer's replaces an earlier layer's."""


def merged(base: Table, over: Table) -> Table:
    """Return `over` laid on `base`: tables are merged, all else is replaced.

    A table inside whose ``name`` is another one is another thing, such as
    another law, and is replaced as a whole.
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and not _renamed(below, value):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def _renamed(base: Table, over: Table) -> bool:
    return "name" in over and "name" in base and over["name"] != base["name"]


def leaves(table: Table, prefix: str = "") -> Iterator[str]:
    """Return the key paths of all values that are no tables."""
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path


@dataclass
class Document:
    """A scenario as tables, before it is judged.

    Attributes
    ----------
    source : str
        Who speaks for what nobody set.
    table : dict
        The merged tables.
    origins : dict
        Who set a key path: a file, a preset or an option.
    """

    source: str
    table: Table = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def lay(self, over: Table, source: str) -> None:
        """Lay one more table over the document.

        A value that is set anew loses the basis that the old one had, unless
        the same table brings another.
        """
        values = {key: value for key, value in over.items() if key != "basis"}
        table = merged(_without_alternatives(self.table, values), values)
        table["basis"] = _bases(self.table.get("basis", {}), over.get("basis", {}), values)
        self.table = table
        for path in leaves(over):
            self.origins[path] = source

    def origin(self, path: str) -> str:
        """Return who set a key path, or what lies above it."""
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if prefix in self.origins:
                return self.origins[prefix]
            below = [who for key, who in self.origins.items() if key.startswith(f"{prefix}.")]
            if below:
                return below[-1]
        return self.source


def _without_alternatives(table: Table, over: Table) -> Table:
    workload, new = table.get("workload"), over.get("workload")
    if not (isinstance(workload, dict) and isinstance(new, dict)):
        return table
    replaced = {other for key, other in EITHER_OR.items() if key in new and other not in new}
    kept = {key: value for key, value in workload.items() if key not in replaced}
    return {**table, "workload": kept}


def _bases(below: Any, over: Any, values: Table) -> Any:
    if not isinstance(below, dict) or not isinstance(over, dict):
        return over
    fresh = set(leaves(values))
    kept = {path: basis for path, basis in below.items() if not _is_set_anew(path, fresh)}
    return {**kept, **over}


def _is_set_anew(path: str, fresh: set[str]) -> bool:
    return any(
        path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")
        for other in fresh
    )
