"""From a file, a preset or a mapping to a scenario."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hindmost import catalog
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.scenario.change import Changes, apply_changes
from hindmost.scenario.fields import field_problems
from hindmost.scenario.merge import Document, Table
from hindmost.scenario.models import Scenario
from hindmost.scenario.problems import problems
from hindmost.units import MEBI

MAX_BYTES = MEBI
"""Size of a scenario file, at most."""
MAX_DEPTH = 8
"""Levels of ``extends``, at most."""
MAX_NESTING = 32
"""Levels of tables and lists, at most."""

_DEFAULT_OVERLAP = {
    "kind": "assumed",
    "where": "default; no figure for it has been published",
}


def load(
    name_or_path: str | Path, changes: Changes | None = None, *, changes_from: str = "changes"
) -> Scenario:
    """Return the scenario of a preset or a TOML file.

    Parameters
    ----------
    name_or_path
        Name of a preset, or path of a file: what ends in ``.toml`` or has a
        separator is a path.
    changes
        Key path to new value, laid over the file.
    changes_from
        What problems call the changes.

    Raises
    ------
    ScenarioError
        With every problem at once: a file that cannot be read or is no TOML,
        keys that are unknown or missing, values of the wrong type or out of
        their domain, and what does not fit together.

    Examples
    --------
    >>> load("h100-1k").pools["h100"].n_gpus
    1024
    >>> load("h100-1k", {"pools.h100.n_gpus": 2048}).pools["h100"].n_gpus
    2048
    """
    document = Document(str(name_or_path))
    for table, source in _layers(name_or_path, Path(), ()):
        document.lay(table, source)
    apply_changes(document, changes or {}, changes_from)
    return judged(document)


def from_table(table: Mapping[str, Any], source: str = "scenario") -> Scenario:
    """Return the scenario of a table, such as a stored run holds it.

    Raises
    ------
    ScenarioError
        As `load`.
    """
    document = Document(source)
    document.lay(dict(table), source)
    return judged(document)


def with_changes(scenario: Scenario, changes: Changes) -> Scenario:
    """Return a scenario with some key paths set anew.

    Raises
    ------
    ScenarioError
        As `load`.
    """
    if not changes:
        return scenario
    document = Document(scenario.name)
    document.lay(to_table(scenario), scenario.name)
    apply_changes(document, changes, "changes")
    return judged(document)


def to_table(scenario: Scenario) -> Table:
    """Return a scenario as a table from which `from_table` makes it again."""
    return scenario.model_dump(mode="json", exclude_none=True)


def judged(document: Document) -> Scenario:
    """Return the scenario of a document, or raise all its problems."""
    table = document.table
    table.setdefault("name", Path(document.source).stem)
    collective = table.get("collective", {})
    basis = table.setdefault("basis", {})
    tables = isinstance(collective, dict) and isinstance(basis, dict)
    if tables and "overlap_fraction" not in collective:
        basis["collective.overlap_fraction"] = _DEFAULT_OVERLAP
    try:
        scenario = Scenario.model_validate(table)
        found = problems(scenario)
    except ValidationError as error:
        found = field_problems(error)
    if found:
        raise ScenarioError(
            [
                Problem(
                    path=problem.path,
                    requirement=problem.requirement,
                    value=problem.value,
                    hint=problem.hint,
                    source=document.origin(problem.path),
                )
                for problem in found
            ]
        )
    return scenario


def _layers(
    name_or_path: str | Path, folder: Path, above: tuple[str, ...]
) -> list[tuple[Table, str]]:
    """Return the tables of a file and of all that it extends, lowest first."""
    is_path = isinstance(name_or_path, Path) or _looks_like_a_path(name_or_path)
    path = folder / name_or_path
    source = str(path) if is_path else str(name_or_path)
    identity = str(path.resolve()) if is_path else source
    if identity in above:
        raise _refused(above[-1], "extends must not come back to where it began", source)
    if len(above) > MAX_DEPTH:
        raise _refused(above[-1], f"extends must not go deeper than {MAX_DEPTH} levels", source)
    text = _read(path) if is_path else _preset(source)
    table = _parsed(text, source)
    extends = table.pop("extends", [])
    if not (isinstance(extends, list) and all(isinstance(base, str) for base in extends)):
        raise _refused(source, "extends must be a list of names and paths", extends)
    layers = []
    for base in extends:
        layers += _layers(base, path.parent if is_path else Path(), (*above, identity))
    return [*layers, (table, source)]


def _looks_like_a_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or "\\" in name


def _refused(source: str, requirement: str, value: Any) -> ScenarioError:
    return ScenarioError([Problem(path="", requirement=requirement, value=value, source=source)])


def _preset(name: str) -> str:
    presets = catalog.names("presets")
    if name in presets:
        return catalog.text("presets", name)
    hint = did_you_mean(name, presets)
    requirement = "must be a preset or the path of a .toml file"
    raise ScenarioError([Problem(path="scenario", requirement=requirement, value=name, hint=hint)])


def _read(path: Path) -> str:
    problem = Problem(path="", requirement="", source=str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        requirement = f"cannot be read: {reason}"
        raise ScenarioError([_with(problem, requirement)]) from None
    if len(data) > MAX_BYTES:
        requirement = f"is too large: a scenario has at most {MAX_BYTES:,} bytes"
        raise ScenarioError([_with(problem, requirement)])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        requirement = f"is no text: byte {error.start} is not UTF-8"
        raise ScenarioError([_with(problem, requirement)]) from None


def _with(problem: Problem, requirement: str) -> Problem:
    return Problem(path="", requirement=requirement, source=problem.source)


def _parsed(text: str, source: str) -> Table:
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        # TOMLDecodeError, and what Python says of integers of thousands of digits.
        requirement = f"is no TOML: {error}"
        raise ScenarioError([Problem(path="", requirement=requirement, source=source)]) from None
    except RecursionError:
        table = {}
        too_deep = True
    else:
        too_deep = _depth(table) > MAX_NESTING
    if too_deep:
        requirement = f"is nested too deeply: at most {MAX_NESTING} levels"
        raise ScenarioError([Problem(path="", requirement=requirement, source=source)])
    return table


def _depth(value: Any) -> int:
    """Return the levels of tables and lists, found without recursion."""
    depth, level = 0, [value]
    while level:
        level = [
            inner
            for outer in level
            for inner in (
                outer.values()
                if isinstance(outer, dict)
                else outer
                if isinstance(outer, list)
                else ()
            )
        ]
        depth += 1
    return depth
