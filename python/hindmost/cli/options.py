"""Options and parameters that commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hindmost.scenario import Changes

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

MAX_SEED = 2**53 - 1
"""The greatest integer that every JSON reader keeps."""

debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show where an error comes from.",
)

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Set a value of the scenario anew; may be given several times.",
)


def parsed_settings(settings: tuple[str, ...]) -> Changes:
    """Return the changes that ``--set`` options make."""
    from hindmost.errors import Problem, ScenarioError
    from hindmost.scenario import parse_change

    changes = {}
    found: list[Problem] = []
    for setting in settings:
        try:
            path, value = parse_change(setting)
            changes[path] = value
        except ScenarioError as error:
            found += error.problems
    if found:
        raise ScenarioError(found)
    return changes


def echo_data(text: str) -> None:
    """Write data to stdout, in what characters its encoding has."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("±", "+-").encode(encoding, errors="replace").decode(encoding)
    sys.stdout.write(text)
    sys.stdout.flush()
