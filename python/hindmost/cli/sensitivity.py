"""``hindmost sensitivity``: which measurement to take next."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    MAX_SEED,
    debug_option,
    echo_data,
    format_option,
    parsed_settings,
    progress_bar,
    set_option,
    tell,
    tell_warnings,
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
@click.option("--steps", type=click.IntRange(min=1), help="Steps of a run of each point.")
@click.option("--runs", type=click.IntRange(min=1), help="Runs of each point.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=MAX_SEED),
    help="Seed of all points; drawn by the operating system and printed if omitted.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "order-statistics", "sample"]),
    default="auto",
    show_default=True,
    help="As in run.",
)
@click.option("--threads", type=click.IntRange(min=1, max=1024), help="Threads.  [default: all]")
@click.option("--days", type=float, help="Days of whole runs, where there are failures.")
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
