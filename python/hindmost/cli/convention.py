"""``hindmost convention``: what an MFU that another tool printed is here."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import of_kind, scenarios
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
    parsed_settings,
    set_option,
)


@click.command(short_help="What an MFU that another tool printed is here.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "--tool",
    required=True,
    metavar="NAME|FILE",
    shell_complete=of_kind("conventions"),
    help="Tool of the catalogue (hindmost catalog conventions), or a TOML file like its entries.",
)
@click.option("--mfu", type=float, help="MFU that it printed, such as 0.38.")
@click.option("--tflops-per-gpu", type=float, help="TFLOP/s of a GPU that it printed; or this.")
@click.option(
    "--tokens-per-s-per-gpu", type=float, help="Tokens/s of a GPU that it printed; or this."
)
@set_option
@format_option("; CSV holds the FLOPs of a token by part alone")
@debug_option
def convention(scenario: str, settings: tuple[str, ...], style: str, **call: Any) -> None:
    """Say what an MFU that another tool printed of SCENARIO is here, and why.

    Tools count other FLOPs and take other peaks. Nothing is simulated: SCENARIO says
    model, sequences and GPUs of the job.
    """
    from hindmost.analyses.convention import convention as converted
    from hindmost.report import render_convention
    from hindmost.scenario.load import load

    base = load(scenario, parsed_settings(settings), changes_from="--set")
    echo_data(render_convention(converted(base, **call), style))
