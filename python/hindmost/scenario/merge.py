"""Layers of TOML tables laid over each other, with a note of who set what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Table = dict[str, Any]

KEYED_BY_PATH = ("basis", "unknowns")
"""Tables whose keys are key paths of others."""

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

        What is said of a value, in the basis and the unknowns, goes with it
        when it is set anew, unless the same table says it again.
        """
        values = {key: value for key, value in over.items() if key not in KEYED_BY_PATH}
        below = _without_alternatives(self.table, values)
        table = merged(below, values)
        for key in KEYED_BY_PATH:
            said = _said(self.table.get(key, {}), over.get(key, {}), below, values)
            if said or key in over:
                table[key] = said
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
    """Return a table without what another one makes void."""
    workload, layout = _inside(over, "workload"), _inside(over, "layout")
    void = {
        "workload": {
            other for key, other in EITHER_OR.items() if key in workload and other not in workload
        },
        "layout": set()
        if layout.get("sharding", "hybrid") == "hybrid"
        else {"shard_group_replicas"},
    }
    return {
        key: {name: inner for name, inner in value.items() if name not in void[key]}
        if key in void and isinstance(value, dict)
        else value
        for key, value in table.items()
    }


def _inside(table: Table, key: str) -> Table:
    inner = table.get(key)
    return inner if isinstance(inner, dict) else {}


def _said(lower: Any, upper: Any, below: Table, values: Table) -> Any:
    """Return what is still said of values, by key path, when others are laid over them."""
    if not isinstance(lower, dict):
        # It is wrong, and stays so.
        return lower
    if not isinstance(upper, dict):
        return upper
    gone = [*leaves(values), *_replaced(below, values)]
    kept = {path: said for path, said in lower.items() if not _is_one_of(path, gone)}
    return {**kept, **upper}


def _replaced(base: Table, over: Table, prefix: str = "") -> Iterator[str]:
    """Return the key paths of tables that are replaced as a whole."""
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            path = f"{prefix}{key}"
            if _renamed(below, value):
                yield path
            else:
                yield from _replaced(below, value, f"{path}.")


def _is_one_of(path: str, gone: list[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") for other in gone)
