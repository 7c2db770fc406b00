"""Models that a scenario takes from a released ``config.json``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindmost import catalog
from hindmost.errors import Problem, ScenarioError
from hindmost.scenario.merge import Document, Table
from hindmost.units import MEBI

if TYPE_CHECKING:
    from hindmost.catalog.released import Released

MAX_BYTES = MEBI
"""Size of such a file in bytes, at most."""


def is_released(name: Any) -> bool:
    """Return whether the name of a model is the path of a released configuration."""
    return isinstance(name, str) and name.endswith(".json")


def at_folder(table: Table, folder: Path) -> None:
    """Make the path of a released configuration in a file's table start from its folder."""
    workload = table.get("workload")
    if isinstance(workload, dict) and is_released(workload.get("model")):
        workload["model"] = str(folder / workload["model"])


def lay_released_model(document: Document) -> None:
    """Lay the model of a released configuration over a document that names its path.

    The model becomes one of the scenario's own, so that a stored scenario does not need the file.
    """
    workload = document.table.get("workload")
    name = workload.get("model") if isinstance(workload, dict) else None
    if not is_released(name):
        return
    assert isinstance(name, str)
    found = read_released(name)
    own = document.table.get("models")
    entry = own_name(name, taken=own if isinstance(own, dict) else {})
    over: Table = {"models": {entry: found.table}, "workload": {"model": entry}}
    if found.left_out:
        before = document.table.get("not_modelled")
        left_out = [f"{Path(name).name}: {what}" for what in found.left_out]
        over["not_modelled"] = [*(before if isinstance(before, list) else []), *left_out]
    document.lay(over, name)


def read_released(path: str) -> Released:
    """Return what a released configuration says.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is too large, or is no JSON object, and as `released`.
    """
    # Most scenarios name no file, and each run pays for what is imported.
    from hindmost.catalog.released import released

    def refused(requirement: str) -> ScenarioError:
        return ScenarioError([Problem(path="", requirement=requirement, source=path)])

    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refused(f"cannot be read: {reason}") from None
    except ValueError:
        raise refused("must be a path") from None
    if len(data) > MAX_BYTES:
        raise refused(f"is too large: a config.json has at most {MAX_BYTES:,} bytes")
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise refused(f"is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise refused("must be a JSON object, as a released config.json is")
    return released(config, path)


def own_name(path: str, taken: Table) -> str:
    """Return the name of a released model: that of its file, or of its folder.

    Examples
    --------
    >>> own_name("models/Qwen3-32B/config.json", {}), own_name("my_model.json", {})
    ('qwen3-32b-released', 'my-model')
    """
    file = Path(path)
    stem = file.resolve().parent.name if file.stem == "config" else file.stem
    slug = re.sub(r"[^a-z0-9-]+", "-", stem.lower()).strip("-") or "model"
    if slug in (*taken, *catalog.names("models")):
        slug = f"{slug}-released"
    return slug
