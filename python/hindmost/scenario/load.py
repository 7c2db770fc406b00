"""Scenarios from files, presets and tables."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hindmost import catalog
from hindmost.errors import UNSET, Problem, ScenarioError, Verbatim, did_you_mean, shown
from hindmost.scenario.change import MAX_NESTING, Changes, apply_changes, as_changes
from hindmost.scenario.fields import field_problems
from hindmost.scenario.merge import KEYED_BY_PATH, Document, Table
from hindmost.scenario.models import Scenario
from hindmost.scenario.problems import problems
from hindmost.scenario.released_model import at_folder, lay_released_model
from hindmost.units import MEBI

MAX_BYTES = MEBI
"""Size of a scenario file in bytes, at most."""
MAX_DEPTH = 8
"""Levels of ``extends``, at most."""
MAX_FILES = 64
"""Files and presets that a scenario is made of, at most."""

SWITCHED = {"causes": "a known cause", "failures": "a known name of failures"}
"""Sections whose entries can be switched off, and what these are."""

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
        Name of a preset, or path of a file. A text that ends in ``.toml`` or has a
        separator is a path.
    changes
        Key paths and their new values, laid over the file.
    changes_from
        Name of the changes in problems.

    Raises
    ------
    ScenarioError
        With every problem at once: a file that cannot be read or is no TOML,
        keys that are unknown or missing, values of a wrong type or outside of their
        domain, and values that do not fit together.

    Examples
    --------
    >>> load("h100-1k").pools["h100"].n_gpus
    1024
    >>> load("h100-1k", {"pools.h100.n_gpus": 2048}).pools["h100"].n_gpus
    2048
    """
    return checked(document_of(name_or_path, changes, changes_from=changes_from))


def document_of(
    name_or_path: str | Path, changes: Changes | None = None, *, changes_from: str = "changes"
) -> Document:
    """Return the tables of a preset or a TOML file with changes laid over them, not checked yet.

    Parameters are those of `load`.

    Raises
    ------
    ScenarioError
        If the file cannot be read or is no TOML, or a key path cannot be set.
    """
    if not isinstance(name_or_path, str | Path):
        requirement = "must be the name of a preset or the path of a file"
        kind = Verbatim(f"a {type(name_or_path).__name__}")
        raise _refused("", requirement, path="scenario", value=kind)
    changes = as_changes(changes, changes_from)
    document = Document(str(name_or_path))
    for table, source in _Layers().of(name_or_path):
        document.lay(table, source)
    apply_changes(document, changes, changes_from)
    if name_or_path in catalog.names("presets") and "pools" not in document.table:
        requirement = "is a preset to be laid over others, and no scenario by itself"
        base = "llama3-405b-8192" if "layout" in document.table else "h100-1k"
        hint = f'in a file: extends = ["{base}", "{name_or_path}"]'
        raise _refused(str(name_or_path), requirement, hint=hint)
    return document


def from_table(table: Mapping[str, Any], source: str = "scenario") -> Scenario:
    """Return the scenario of a table, such as one in a stored run.

    Raises
    ------
    ScenarioError
        As `load`.
    """
    if _is_too_deep(table):
        raise _refused(source, f"is nested too deeply: at most {MAX_NESTING} levels")
    document = Document(source)
    document.lay(dict(table), source)
    return checked(document)


def with_changes(
    scenario: Scenario, changes: Changes, *, changes_from: str = "changes"
) -> Scenario:
    """Return a scenario with changed values at some key paths.

    Raises
    ------
    ScenarioError
        As `load`.
    """
    if not as_changes(changes, changes_from):
        return judged(scenario)
    document = Document(scenario.source)
    is_judged = scenario.is_judged
    base = to_table(scenario) if is_judged else _table_to_judge(scenario)
    document.lay(base, scenario.source)
    apply_changes(document, changes, changes_from)
    return checked(document, known=(scenario, base) if is_judged else None)


def judged(scenario: Scenario) -> Scenario:
    """Return a scenario that is judged: as it is, or else an equal one.

    Raises
    ------
    ScenarioError
        As `load`, for an object that was made otherwise, such as by ``model_copy``.
    """
    if scenario.is_judged:
        return scenario
    return from_table(_table_to_judge(scenario), scenario.source)


def _table_to_judge(scenario: Scenario) -> Table:
    """Return a scenario that is not judged as a table that lacks nothing which its object has."""
    # None stays: where a value is required, it is refused.
    return scenario.model_dump(warnings=False)


def to_table(scenario: Scenario) -> Table:
    """Return a scenario as a table, from which `from_table` makes an equal scenario."""
    return scenario.model_dump(mode="json", exclude_none=True)


def checked(document: Document, *, known: tuple[Scenario, Table] | None = None) -> Scenario:
    """Return the scenario of a document, or raise all of its problems.

    Parameters
    ----------
    document
        The document.
    known
        A scenario that has been judged, and its table: what the document has from that very table
        is taken over, and not validated again.
    """
    document.table.setdefault("name", Path(document.source).stem)
    lay_released_model(document)
    table = document.table
    if table.get("serving") is not None and "workload" not in table:
        requirement = "is missing, as in a scenario that only serves"
        hint = "hindmost serve, or hm.serve, takes such a one"
        raise _refused(document.source, requirement, path="workload", hint=hint)
    collective = table.get("collective", {})
    basis = table.setdefault("basis", {})
    tables = isinstance(collective, dict) and isinstance(basis, dict)
    if tables and "overlap_fraction" not in collective:
        basis["collective.overlap_fraction"] = _DEFAULT_OVERLAP
    try:
        scenario = Scenario.of(table, document.source, parts=_parts(table, known))
        found = problems(scenario)
    except ValidationError as error:
        found = field_problems(error)
        for section, what in SWITCHED.items():
            found = _without_half(section, what, found, table)
        found = _with_unquoted_paths(found, table)
    if found:
        raise ScenarioError(
            replace(problem, source=document.origin(problem.path)) for problem in found
        )
    scenario.mark_judged()
    return scenario


OF_ENTRIES = ("pools", "causes", "failures", "unknowns", "basis")
"""Sections of which each entry is validated by itself."""


def _parts(table: Table, known: tuple[Scenario, Table] | None) -> Table:
    """Return a table with what is known of it validated already."""
    if known is None:
        return table
    scenario, base = known
    if any(table.get(key) is not base.get(key) for key in ("gpus", "fabrics", "models")):
        # Pools and fabrics hold the hardware that they name.
        return table
    found = dict(table)
    for key, value in table.items():
        before = base.get(key)
        if value is before and isinstance(value, dict):
            found[key] = getattr(scenario, key)
        elif key in OF_ENTRIES and isinstance(value, dict) and isinstance(before, dict):
            entries = getattr(scenario, key)
            found[key] = {
                name: entries[name] if isinstance(each, dict) and each is before.get(name) else each
                for name, each in value.items()
            }
    return found


def _without_half(section: str, what: str, found: list[Problem], table: Table) -> list[Problem]:
    """Return problems, with only one for each unknown entry that is merely switched on or off.

    Such a table lacks all other fields of an entry, and each of them would be a problem.

    Parameters
    ----------
    section, what
        Key of the section, and what its entries are.
    found
        The problems.
    table
        The scenario.
    """
    entries = table.get(section)
    if not isinstance(entries, dict):
        return found
    half = [
        name
        for name, entry in entries.items()
        if isinstance(entry, dict) and set(entry) == {"enabled"}
    ]
    others = [name for name in entries if name not in half]
    kept = [
        problem
        for problem in found
        if not any(problem.path.startswith(f"{section}.{name}.") for name in half)
    ]
    return [
        *kept,
        *(
            Problem(
                path=f"{section}.{name}",
                requirement=f"is not {what}",
                hint=did_you_mean(name, others),
            )
            for name in half
        ),
    ]


def _with_unquoted_paths(found: list[Problem], table: Table) -> list[Problem]:
    """Return problems, with one for each key path in a table of key paths that was not quoted.

    TOML takes the path for nested tables, and what these lack would be further problems.
    """
    for key in KEYED_BY_PATH:
        entries = table.get(key)
        for first, entry in entries.items() if isinstance(entries, dict) else ():
            paths = list(_unquoted(first, entry))
            if paths:
                prefix = f"{key}.{first}"
                found = [
                    *(one for one in found if not f"{one.path}.".startswith(f"{prefix}.")),
                    *(
                        Problem(
                            path=f"{key}.{path}",
                            requirement="must be one key, in quotation marks",
                            hint=f'write "{path}" = ... under [{key}]',
                        )
                        for path in paths
                    ),
                ]
    return found


def _unquoted(path: str, entry: Any) -> Iterator[str]:
    """Yield the key paths of the entries that lie in nested tables."""
    # A law has a name and a basis has a kind, and neither has a table of another name in it.
    if not isinstance(entry, dict) or {"name", "kind", "where"} & entry.keys():
        return
    for key, inner in entry.items():
        if isinstance(inner, dict):
            below = list(_unquoted(f"{path}.{key}", inner))
            yield from below or [f"{path}.{key}"]


class _Layers:
    """Reads a file and the files and presets that it extends."""

    def __init__(self) -> None:
        self.count = 0

    def of(
        self,
        name_or_path: str | Path,
        folder: Path | None = None,
        above: tuple[tuple[str, str], ...] = (),
    ) -> list[tuple[Table, str]]:
        """Return the tables of a file and of all that it extends, lowest first, with their sources.

        Parameters
        ----------
        name_or_path
            Name of a preset or path of a file.
        folder
            Folder that relative paths start from.
        above
            Identities and names of the files that extend this one.
        """
        is_path = isinstance(name_or_path, Path) or _looks_like_a_path(name_or_path)
        path = Path(name_or_path) if folder is None else folder / name_or_path
        source = str(path) if is_path else str(name_or_path)
        identity = os.path.realpath(path) if is_path and "\0" not in source else source
        named_by = above[-1][1] if above else ""
        if identity in [other for other, _ in above]:
            requirement = f"must not come back to {shown(source)}"
            raise _refused(named_by, requirement, path="extends")
        if len(above) > MAX_DEPTH:
            requirement = f"must not go deeper than {MAX_DEPTH} levels"
            raise _refused(named_by, requirement, path="extends")
        self.count += 1
        if self.count > MAX_FILES:
            requirement = f"must not lead to more than {MAX_FILES} files"
            raise _refused(named_by, requirement, path="extends")
        text = _read(path, named_by) if is_path else _preset(source, named_by, folder or Path())
        table = _parsed(text, source)
        extends = table.pop("extends", [])
        if not (isinstance(extends, list) and all(isinstance(base, str) for base in extends)):
            requirement = "must be a list of names and paths"
            raise _refused(source, requirement, path="extends", value=extends)
        layers = []
        if is_path:
            at_folder(table, path.parent)
        for base in extends:
            below = path.parent if is_path else Path()
            layers += self.of(base, below, (*above, (identity, source)))
        return [*layers, (table, source)]


def _looks_like_a_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or "\\" in name


def _refused(
    source: str, requirement: str, *, path: str = "", value: Any = UNSET, hint: str = ""
) -> ScenarioError:
    problem = Problem(path=path, requirement=requirement, value=value, hint=hint, source=source)
    return ScenarioError([problem])


def _preset(name: str, named_by: str, folder: Path) -> str:
    """Return the text of a preset; a file of its name in a folder makes a hint."""
    presets = catalog.names("presets")
    if name in presets:
        return catalog.text("presets", name)
    hint = did_you_mean(name, presets)
    with suppress(OSError, ValueError):
        beside = f"{name}.toml"
        hint = f'did you mean "{beside}"?' if (folder / beside).is_file() else hint
    if named_by:
        requirement = "must name presets and paths of .toml files"
        raise _refused(named_by, requirement, path="extends", value=name, hint=hint)
    requirement = "must be a preset or the path of a .toml file"
    raise _refused("", requirement, path="scenario", value=name, hint=hint)


def _read(path: Path, named_by: str) -> str:
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        by = f" (named by {named_by})" if named_by else ""
        raise _refused(source, f"cannot be read: {reason}{by}") from None
    except ValueError:
        path_of = "extends" if named_by else "scenario"
        raise _refused(named_by, "must be a path", path=path_of, value=source) from None
    if len(data) > MAX_BYTES:
        requirement = f"is too large: a scenario has at most {MAX_BYTES:,} bytes"
        raise _refused(source, requirement)
    try:
        # Some editors write a byte order mark first.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        requirement = f"is no text: byte {error.start} is not UTF-8"
        raise _refused(source, requirement) from None


def _parsed(text: str, source: str) -> Table:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(source, f"is no TOML: {error}") from None
    except ValueError:
        requirement = "is no TOML: it holds an integer of thousands of digits"
        raise _refused(source, requirement) from None
    except RecursionError:
        table = {}
        too_deep = True
    else:
        too_deep = _is_too_deep(table)
    if too_deep:
        raise _refused(source, f"is nested too deeply: at most {MAX_NESTING} levels")
    return table


def _is_too_deep(value: Any) -> bool:
    """Return whether tables and lists are nested too deeply, without recursion."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
