"""``hindmost slices``: how much of a pod slices take."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
    parsed_settings,
    set_option,
)


@click.command(short_help="What slices take of a pod of cubes, by their size.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "--running",
    metavar="SIZE@BLOCK[,...]",
    default="",
    help="Running slices: their cubes, and their block in blocks of that size, such as 16@0. With "
    "switches SIZE alone is enough.",
)
@click.option(
    "--waiting", metavar="SIZE[,...]", default="", help="Cubes of slices that wait for a place."
)
@click.option("--down", metavar="CUBE[,...]", default="", help="Cubes that are down, from 0 on.")
@click.option("--moves", type=int, help="Running slices that may be moved, at most.  [default: 1]")
@click.option(
    "--lost-s",
    type=float,
    help="Seconds that a moved slice loses.  [default: rewiring, restart and half of an interval "
    "between checkpoints, as the scenario has them]",
)
@set_option
@format_option()
@debug_option
def slices(
    scenario: str,
    running: str,
    waiting: str,
    down: str,
    settings: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Say what slices take of the pod of SCENARIO, by their size.

    Shares of cubes placed on average, on any cubes that are up, which optical
    switches join, and on fixed blocks of cubes; and goodput. With running and
    waiting slices also what up to --moves moves would gain and cost.

    SCENARIO is the name of a preset, such as tpu-v4-optical, or a TOML file.
    """
    from hindmost.analyses.placed_slices import placed_slices
    from hindmost.report import render_slices

    found = placed_slices(
        scenario,
        running=[_running(part) for part in _parts(running)],
        waiting=[_number(part) for part in _parts(waiting)],
        down=[_number(part) for part in _parts(down)],
        changes=parsed_settings(settings),
        changes_from="--set",
        **call,
    )
    echo_data(render_slices(found, style))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _running(text: str) -> tuple[Any, Any]:
    """Return the cubes and the block of a slice; block 0 where none is given."""
    size, _, block = text.partition("@")
    return _number(size), _number(block) if block else 0


def _number(text: str) -> Any:
    """Return an integer as a number, and what is none as it is, which is refused later."""
    try:
        return int(text)
    except ValueError:
        return text
