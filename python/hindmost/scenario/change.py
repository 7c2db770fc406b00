"""Changes: key path to new value, the one concept behind every what-if."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from hindmost.errors import Problem, ScenarioError
from hindmost.scenario.merge import Document, Table

Changes = Mapping[str, Any]

KEYED_BY_PATH = ("basis", "unknowns")
"""Tables whose keys are key paths themselves."""


def parse_change(text: str) -> tuple[str, Any]:
    """Return the key path and the value of ``path=value``.

    The value is read as TOML; what is no TOML is a string.

    Raises
    ------
    ScenarioError
        If there is no ``=`` or no key path before it.

    Examples
    --------
    >>> parse_change("pools.h100.n_gpus=150_000")
    ('pools.h100.n_gpus', 150000)
    >>> parse_change("fabric.name=roce-400g-shared")
    ('fabric.name', 'roce-400g-shared')
    """
    path, equals, value = text.partition("=")
    path, value = path.strip(), value.strip()
    if not equals or not path:
        requirement = "must be KEY.PATH=VALUE"
        raise ScenarioError([Problem(path="--set", requirement=requirement, value=text)])
    try:
        # A value of several lines could smuggle in further keys.
        parsed = tomllib.loads(f"value = {value}") if "\n" not in value else {}
    except (ValueError, RecursionError):
        parsed = {}
    return path, parsed.get("value", value)


def apply_changes(document: Document, changes: Changes, source: str) -> None:
    """Lay changes over a document, in order.

    Raises
    ------
    ScenarioError
        If a key path leads through something that is no table.
    """
    problems = []
    for path, value in changes.items():
        through = _no_table_on_the_way(path.split("."), document.table)
        if through is None:
            document.lay(_nested(path, value), source)
            continue
        requirement = f"cannot be set, because {through} is no table"
        problems.append(Problem(path=path, requirement=requirement, value=value, source=source))
    if problems:
        raise ScenarioError(problems)


def _no_table_on_the_way(parts: list[str], table: Table) -> str | None:
    below: Any = table
    for depth, part in enumerate(parts[:-1]):
        below = below.get(part, {})
        if not isinstance(below, dict):
            return ".".join(parts[: depth + 1])
    return None


def _nested(path: str, value: Any) -> Table:
    """Return the tables that set `value` at a key path."""
    first, _, rest = path.partition(".")
    if not rest:
        return {first: value}
    return {first: {rest: value} if first in KEYED_BY_PATH else _nested(rest, value)}
