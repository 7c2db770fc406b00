"""Options and parameters that commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
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
    """Write data to stdout, in what characters its encoding has.

    Nobody may listen: a closed pipe ends the writing quietly.

    Raises
    ------
    OutputError
        If stdout takes no more.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("±", "+-").encode(encoding, errors="replace").decode(encoding)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        close_stdout()
    except OSError as error:
        from hindmost.errors import OutputError

        close_stdout()
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"stdout could not be written: {reason}") from None


def close_stdout() -> None:
    """Let what is still to be flushed at exit go nowhere."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(text: str) -> None:
    """Write talk to stderr, if anybody listens."""
    with suppress(OSError):
        click.echo(text, err=True)
