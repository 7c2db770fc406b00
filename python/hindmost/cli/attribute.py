"""``hindmost attribute``: what each mechanism costs."""

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
    parsed_plots,
    parsed_settings,
    plot_option,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    tell_warnings,
    threads_option,
    write_plots,
)


@click.command(short_help="What each mechanism costs of the MFU, by Shapley values.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@set_option
@click.option(
    "--by",
    type=click.Choice(["mechanism", "cause"]),
    default="mechanism",
    show_default=True,
    help="cause divides mechanisms of several causes into these.",
)
@click.option("--interactions", is_flag=True, help="Show which mechanisms cost more together.")
@click.option(
    "--exact",
    is_flag=True,
    help="Tell mechanisms apart even where every rank of each coalition is sampled, which may take "
    "hours; about how long is told first.",
)
@steps_option("Steps of a run of each coalition.")
@runs_option("Runs of each coalition.")
@seed_option(" of all coalitions")
@method_option("One for all coalitions; auto takes sample if any of them needs it.")
@threads_option
@days_option
@plot_option()
@format_option("; CSV holds the shares alone")
@debug_option
def attribute(
    scenario: str,
    settings: tuple[str, ...],
    interactions: bool,
    plots: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Say what each mechanism of SCENARIO costs of its MFU, whatever else is removed.

    By exact Shapley values; with failures also of its fleet MFU.
    """
    from hindmost.analyses.attribute import attribute as attributed
    from hindmost.report import render_attribution
    from hindmost.scenario.load import load

    wanted = parsed_plots(plots)
    base = load(scenario, parsed_settings(settings), changes_from="--set")
    tell_warnings(base)

    def announce(n_simulations: int, seconds: float) -> None:
        tell(f"hindmost: {n_simulations:,} simulations, about {_duration(seconds)}")

    with progress_bar("simulating") as progress:
        found = attributed(
            base, progress=progress, announce=announce if call["exact"] else None, **call
        )
    if style == "csv":
        tell(f"seed {found.inputs['seed']}")
    if found.grouped and style in ("csv", "json"):
        tell(f"hindmost: {found.grouped}")
    write_plots(wanted, lambda _: found.plot())
    echo_data(render_attribution(found, style, interactions=interactions))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
