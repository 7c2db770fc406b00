"""Changes: key paths and their new values, on which every what-if is based."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from hindmost.errors import Problem, ScenarioError, Verbatim
from hindmost.scenario.merge import KEYED_BY_PATH, ONE_OF_TWO, Document, Table, merged

Changes = Mapping[str, Any]
"""New values by key path."""

MAX_NESTING = 32
"""Levels of nested tables and lists in a scenario, at most."""


def as_changes(changes: Any, source: str = "changes") -> Changes:
    """Return changes as a mapping, an empty one for None.

    Raises
    ------
    ScenarioError
        If they are anything else.
    """
    if changes is None:
        return {}
    if isinstance(changes, Mapping):
        return changes
    requirement = "must be a mapping of key paths to values"
    kind = Verbatim(f"a {type(changes).__name__}")
    raise ScenarioError([Problem(path=source, requirement=requirement, value=kind)])


def parse_change(text: str) -> tuple[str, Any]:
    """Return the key path and the value of ``path=value``.

    The value is read as TOML, or else taken as a string.

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
        # A value with several lines could contain further keys.
        parsed = tomllib.loads(f"value = {value}") if "\n" not in value else {}
    except (ValueError, RecursionError):
        parsed = {}
    return path, parsed.get("value", value)


def apply_changes(document: Document, changes: Changes, source: str) -> None:
    """Lay changes over a document, in order.

    Raises
    ------
    ScenarioError
        With a problem for each key path that cannot be set.
    """
    problems = []
    numbers: Table = {}
    for path, value in changes.items():
        requirement = _unsettable(path, value, document.table)
        if requirement is not None:
            problems.append(
                Problem(path=str(path), requirement=requirement, value=value, source=source)
            )
        elif isinstance(value, float) and _is_only_a_number(path, document.table):
            # Numbers are laid together: every draw of a forecast sets many.
            numbers = merged(numbers, _nested(path, value))
        else:
            if numbers:
                document.lay(numbers, source)
                numbers = {}
            document.lay(_nested(path, plain_value(value)), source)
    if problems:
        raise ScenarioError(problems)
    if numbers:
        document.lay(numbers, source)


def _is_only_a_number(path: str, table: Table) -> bool:
    """Return whether a number of a table replaces a number there or nothing, and voids no other."""
    *parents, key = path.split(".")
    below: Any = table
    for part in parents:
        if not isinstance(below, dict):
            return False
        below = below.get(part)
    if not isinstance(below, dict) or not parents or parents[0] in KEYED_BY_PATH:
        return False
    return isinstance(below.get(key), float) or (key not in below and key not in ONE_OF_TWO)


def _unsettable(path: Any, value: Any, table: Table) -> str | None:
    """Return the requirement that a change does not meet, if there is one."""
    if not isinstance(path, str):
        return "must be a key path"
    if isinstance(value, Mapping) and not value:
        removable = path.partition(".")[0] in ("causes", "failures", "checkpoint")
        hint = "; enabled = false removes it" if removable else ""
        return f"cannot be set to an empty table{hint}"
    parts = path.split(".")
    if len(parts) > MAX_NESTING:
        return f"is nested too deeply: at most {MAX_NESTING} levels"
    if parts[0] == "extends":
        return "cannot be set: it belongs to a file"
    below: Any = table
    for depth, part in enumerate(parts[:-1]):
        below = below.get(part, {})
        if not isinstance(below, dict):
            return f"cannot be set, because {'.'.join(parts[: depth + 1])} is no table"
    return None


def plain_value(value: Any) -> Any:
    """Return a value with NumPy's numbers as those of Python, which TOML can hold."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(inner) for inner in value]
    return value


def _nested(path: str, value: Any) -> Table:
    """Return the nested tables that set `value` at a key path."""
    first, _, rest = path.partition(".")
    if not rest:
        return {first: value}
    return {first: {rest: value} if first in KEYED_BY_PATH else _nested(rest, value)}
