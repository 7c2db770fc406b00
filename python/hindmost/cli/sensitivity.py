"""``hindmost sensitivity``: which measurement to take next."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    days_option,
    debug_option,
    echo_data,
    format_option,
    method_option,
    parsed_settings,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    tell_warnings,
    threads_option,
)


@click.command(short_help="Which unknown to measure next: Sobol indices.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "--metric",
    type=click.Choice(["mfu", "fleet_mfu"]),
    default="mfu",
    show_default=True,
    help="MFU of steps, or of whole runs of all GPUs.",
)
@click.option(
    "--n",
    type=click.IntRange(min=16),
    help="Points that each unknown is varied in.  [default: 256]",
)
@set_option
@steps_option("Steps of a run of each point.")
@runs_option("Runs of each point.")
@seed_option(" of all points")
@method_option()
@threads_option
@days_option
@format_option()
@debug_option
def sensitivity(scenario: str, settings: tuple[str, ...], style: str, **call: Any) -> None:
    """Say which part of what is uncertain about SCENARIO each of its unknowns explains."""
    from hindmost.analyses.sensitivity import sensitivity as found_by
    from hindmost.report import render_sensitivity
    from hindmost.scenario.load import load

    base = load(scenario, parsed_settings(settings), changes_from="--set")
    tell_warnings(base)
    with progress_bar("simulating") as progress:
        found = found_by(base, progress=progress, **call)
    if style == "csv":
        tell(f"seed {found.inputs['seed']}")
    echo_data(render_sensitivity(found, style))
