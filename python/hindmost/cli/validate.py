"""``hindmost validate``: check a scenario without running it."""

from __future__ import annotations

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    debug_option,
    echo_data,
    parsed_settings,
    set_option,
    tell_warnings,
)


@click.command(short_help="Check SCENARIO, and print its cluster and job.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@set_option
@debug_option
def validate(scenario: str, settings: tuple[str, ...]) -> None:
    """Check SCENARIO, a preset or a TOML file, and print its cluster in one line."""
    from hindmost.compiled import compile
    from hindmost.report.headline import headline
    from hindmost.scenario.load import load
    from hindmost.units import gigabytes

    loaded = load(scenario, parsed_settings(settings), changes_from="--set")
    plan = compile(loaded).plan
    tell_warnings(loaded)
    needed = gigabytes(plan.fullest_bytes)
    echo_data(f"{headline(loaded, plan)}; {needed} a GPU\n")
