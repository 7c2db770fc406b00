"""``hindmost economics``: what a cluster is worth."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
    parsed_settings,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    threads_option,
)

OPTIONS = {
    "lease_price": "lease_usd_per_gpu_hour",
    "outside_price": "outside_usd_per_gpu_hour",
    "outside_mfu": "outside_mfu",
    "outside_gpu": "outside_gpu",
}
"""Keys of [economics] that options set."""


@click.command(short_help="What a cluster is worth: let it, train on it, or serve.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "--lease-price",
    type=float,
    help="US dollars that an hour of one of its GPUs is let for.  [default: all readings]",
)
@click.option(
    "--outside-price",
    type=float,
    help="US dollars for an hour of a rented GPU.  [default: all readings]",
)
@click.option(
    "--outside-mfu",
    type=float,
    help="MFU of training on rented GPUs.  [default: 0.41 to 0.43, as published]",
)
@click.option("--outside-gpu", help="Type of GPU that is rented.  [default: h100-sxm]")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Model that it would serve; may be given several times.",
)
@set_option
@runs_option("Draws of the forecast.  [default: 64]", least=2)
@steps_option("Steps of each.  [default: 100]")
@seed_option(" of the forecast")
@threads_option
@format_option()
@debug_option
def economics(
    scenario: str,
    models: tuple[str, ...],
    settings: tuple[str, ...],
    runs: int | None,
    style: str,
    **call: Any,
) -> None:
    """Say what the cluster of SCENARIO is worth: let it, train on it, or serve.

    The MFU at which training on it costs what letting it and renting others'
    GPUs costs, the price at which that flips, how many H100 it stands for, and
    what tokens cost, over all published readings of each price.

    SCENARIO is the name of a preset, such as colossus-1, or a TOML file.
    """
    from hindmost.analyses.economics import economics as worth
    from hindmost.report import render_worth

    changes = parsed_settings(settings)
    given = {key: call.pop(option) for option, key in OPTIONS.items()}
    if runs is not None:
        call["runs"] = runs
    with progress_bar("forecasting") as progress:
        found = worth(
            scenario,
            models=models or None,
            changes=changes,
            changes_from="options",
            progress=progress,
            **given,
            **call,
        )
    if style != "json":
        # JSON contains it.
        tell(f"seed {found.inputs['seed']}")
    echo_data(render_worth(found, style))
