"""``hindmost catalog``: what scenarios can name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from hindmost.cli.completion import entries as complete_entries
from hindmost.cli.options import debug_option, echo_data

if TYPE_CHECKING:
    from hindmost.catalog import Kind

KINDS: tuple[Kind, ...] = (
    "gpus",
    "fabrics",
    "models",
    "stacks",
    "engines",
    "prices",
    "ownership",
    "conventions",
    "presets",
)


@click.command()
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.argument("name", required=False, shell_complete=complete_entries)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Format of what is printed.",
)
@debug_option
def catalog(kind: Kind | None, name: str | None, style: str) -> None:
    """List the catalogue or one KIND of it, or show the entry NAME.

    An entry shows where each of its numbers comes from.
    """
    from hindmost import catalog as entries

    kinds = [kind] if kind else list(KINDS)
    if name is None:
        listing = {key: list(entries.names(key)) for key in kinds}
        if style == "json":
            echo_data(json.dumps(listing, indent=2, allow_nan=False) + "\n")
        else:
            lines = [f"{key}: {', '.join(names)}" for key, names in listing.items()]
            echo_data("\n".join(lines) + "\n")
        return
    echo_data(_shown(kinds[0], name, style))


def _shown(kind: Kind, name: str, style: str) -> str:
    import tomllib

    from hindmost import catalog as entries
    from hindmost.errors import Problem, ScenarioError, did_you_mean

    try:
        text = entries.text(kind, name)
    except KeyError:
        hint = did_you_mean(name, entries.names(kind))
        problem = Problem(path="NAME", requirement=f"must be one of {kind}", value=name, hint=hint)
        raise ScenarioError([problem]) from None
    if style == "json":
        return json.dumps(tomllib.loads(text), indent=2, allow_nan=False) + "\n"
    return text
