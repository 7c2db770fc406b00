"""Tables of TOML laid over each other, with the source of each value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Table = dict[str, Any]

KEYED_BY_PATH = ("basis", "unknowns")
"""Tables whose keys are key paths of other values."""

BATCHES = ("n_microbatches", "global_batch_seqs")
"""Keys of [workload] of which a later layer's replaces an earlier layer's."""
OCCURRENCES = ("probability", "per_hour")
"""Such keys of a cause."""
PERIODS = ("period_steps", "per_hour")
"""Others of a cause: what comes regularly has no rate."""
ONE_OF_TWO = frozenset((*BATCHES, *OCCURRENCES, *PERIODS))
"""Keys of all of these."""


def merged(base: Table, over: Table) -> Table:
    """Return `over` laid on `base`: tables are merged, other values are replaced.

    A nested table with another ``name`` is another object, such as another law,
    and is replaced as a whole.
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


def leaves(table: Table) -> dict[str, Any]:
    """Return all values that are not tables, by key path."""
    found: dict[str, Any] = {}
    _collect(table, "", found)
    return found


def _collect(table: Table, prefix: str, found: dict[str, Any]) -> None:
    # Every change of a scenario goes through here: generators within generators take twice as long.
    for key, value in table.items():
        if isinstance(value, dict) and value:
            _collect(value, f"{prefix}{key}.", found)
        else:
            found[f"{prefix}{key}"] = value


def has_path(table: Table, path: str) -> bool:
    """Return whether a table has a value or a table at a key path."""
    below: Any = table
    for part in path.split("."):
        if not isinstance(below, dict) or part not in below:
            return False
        below = below[part]
    return True


def at_path(table: Table, path: str) -> Any:
    """Return what a table has at a key path; None where there is nothing."""
    below: Any = table
    for part in path.split("."):
        below = below.get(part) if isinstance(below, dict) else None
    return below


@dataclass
class Document:
    """A scenario as tables, before it is checked.

    Attributes
    ----------
    source : str
        Name of the whole document in problems.
    table : dict
        The merged tables.
    layers : list of (dict, str)
        The tables, lowest first, and the source of each: a file, a preset or an option.
    """

    source: str
    table: Table = field(default_factory=dict)
    layers: list[tuple[Table, str]] = field(default_factory=list)

    def lay(self, over: Table, source: str) -> None:
        """Lay one more table over the document.

        A value that is set anew loses its entries in the basis and among the
        unknowns, unless the new table has entries for it.
        """
        self.layers.append((over, source))
        if not self.table:
            # Copied as deep as it may be added to.
            own = {key: over[key] for key in KEYED_BY_PATH if isinstance(over.get(key), dict)}
            self.table = {**over, **{key: dict(entries) for key, entries in own.items()}}
            return
        values = {key: value for key, value in over.items() if key not in KEYED_BY_PATH}
        void = _void(values)
        below = _without(self.table, {path for path in void if has_path(self.table, path)})
        table = merged(below, values)
        gone = {*leaves(values), *_replaced(below, values), *void}
        for key in KEYED_BY_PATH:
            entries = _remaining(self.table.get(key, {}), over.get(key, {}), gone)
            if entries or key in over:
                table[key] = entries
            else:
                table.pop(key, None)
        self.table = table

    def origin(self, path: str) -> str:
        """Return the source of a key path, or of the closest table above it."""
        origins = {key: source for over, source in self.layers for key in leaves(over)}
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if prefix in origins:
                return origins[prefix]
            below = [who for key, who in origins.items() if key.startswith(f"{prefix}.")]
            if below:
                return below[-1]
        return self.source


def _void(over: Table) -> set[str]:
    """Return the key paths of values below a table that its values make void."""
    void = _other_ways("workload", _table(over, "workload"), BATCHES)
    causes = {f"causes.{name}": cause for name, cause in _table(over, "causes").items()}
    causes["fabric.noise"] = _table(over, "fabric").get("noise")
    for path, cause in causes.items():
        if isinstance(cause, dict):
            void |= _other_ways(path, cause, OCCURRENCES) | _other_ways(path, cause, PERIODS)
            if cause.get("span", "drift") != "drift":
                void.add(f"{path}.correlation_s")
    if _table(over, "layout").get("sharding", "hybrid") != "hybrid":
        void.add("layout.shard_group_replicas")
    for name, failures in _table(over, "failures").items():
        if isinstance(failures, dict) and failures.get("scope", "switch") != "switch":
            void.add(f"failures.{name}.unit_gpus")
    return void


def _other_ways(path: str, table: Table, keys: tuple[str, str]) -> set[str]:
    """Return the path of the one of two keys that a table does not have, if it has the other."""
    given = [key for key in keys if key in table]
    return {f"{path}.{key}" for key in keys if given and key not in given}


def _without(table: Table, paths: set[str], prefix: str = "") -> Table:
    """Return a table without the values at some key paths."""
    if not paths:
        return table
    return {
        key: _without(value, paths, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in table.items()
        if f"{prefix}{key}" not in paths
    }


def _table(table: Table, key: str) -> Table:
    """Return the table at a key, or an empty one where there is none."""
    inner = table.get(key)
    return inner if isinstance(inner, dict) else {}


def _remaining(lower: Any, upper: Any, gone: set[str]) -> Any:
    """Return the entries of a table keyed by path that still hold.

    Parameters
    ----------
    lower, upper
        Entries of the document, and those of the table that is laid over it.
    gone
        Key paths of values of the document that the table replaces or makes void.
    """
    if not isinstance(lower, dict):
        # Of a wrong type, which is refused later.
        return lower
    if not isinstance(upper, dict):
        return upper
    kept = {path: entry for path, entry in lower.items() if not _is_one_of(path, gone)}
    return {**kept, **upper}


def _replaced(base: Table, over: Table, prefix: str = "") -> Iterator[str]:
    """Yield the key paths of tables that are replaced as a whole."""
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            path = f"{prefix}{key}"
            if _renamed(below, value):
                yield path
            else:
                yield from _replaced(below, value, f"{path}.")


def _is_one_of(path: str, gone: set[str]) -> bool:
    """Return whether a key path is one of others, or lies below one."""
    while path not in gone:
        path, dot, _ = path.rpartition(".")
        if not dot:
            return False
    return True
