"""Scenarios and layers as the text of a TOML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hindmost.errors import Problem, ScenarioError, plain


def toml_text(table: Mapping[str, Any], head: Sequence[str]) -> str:
    """Return the text of a TOML file.

    Parameters
    ----------
    table
        What it holds; without what TOML has no word for.
    head
        Lines of comments at its begin.

    Raises
    ------
    ScenarioError
        If tomli-w is not installed.
    """
    check_writer("toml")
    import tomli_w

    comments = "".join(f"# {plain(line)}\n" for line in head)
    return f"{comments}\n{tomli_w.dumps(table)}"


def check_writer(name: str) -> None:
    """Refuse to write TOML where nothing is installed that does; the problem is of `name`.

    Raises
    ------
    ScenarioError
        If tomli-w is not installed.
    """
    from importlib.util import find_spec

    if find_spec("tomli_w") is None:
        requirement = "needs tomli-w, which writes scenarios"
        hint = "pip install 'hindmost[report]'"
        raise ScenarioError([Problem(path=name, requirement=requirement, hint=hint)])
