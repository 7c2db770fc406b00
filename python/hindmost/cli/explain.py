"""``hindmost explain``: what one would have to believe, given an observed MFU."""

from __future__ import annotations

import re
import sys
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

ESS = re.compile(r"\s*ess\s*<\s*(\d+(?:\.\d+)?)\s*")


@click.command(short_help="What one would have to believe for an observed MFU.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option("--mfu", type=float, help="MFU of steps that was observed; or --fleet-mfu.")
@click.option("--fleet-mfu", type=float, help="Fleet MFU that was observed.")
@click.option(
    "--tolerance",
    type=float,
    required=True,
    help="How far off the observation may be: a standard deviation.",
)
@click.option("--tail", type=float, help="p95 over p50 of step times that was observed.")
@click.option("--tail-tolerance", type=float, help="How far off that may be.")
@set_option
@steps_option("Steps of a run of each point.")
@runs_option("Runs of each point.")
@seed_option(" of all points")
@method_option()
@threads_option
@days_option
@click.option(
    "--fail-if",
    "threshold",
    metavar="'ess<NUMBER'",
    help="Exit with status 1 if the effective sample size is below this.",
)
@plot_option()
@format_option("; CSV holds the posterior alone")
@debug_option
def explain(
    scenario: str,
    settings: tuple[str, ...],
    plots: tuple[str, ...],
    style: str,
    threshold: str | None,
    **call: Any,
) -> None:
    """Say what one would have to believe of the unknowns of SCENARIO, given an observed MFU."""
    least = _parsed(threshold)
    from hindmost.analyses.explain import explain as explained
    from hindmost.report import render_explanation
    from hindmost.scenario.load import load

    wanted = parsed_plots(plots)
    base = load(scenario, parsed_settings(settings), changes_from="--set")
    tell_warnings(base)
    with progress_bar("simulating") as progress:
        found = explained(base, progress=progress, **call)
    if style == "csv":
        tell(f"seed {found.inputs['seed']}")
        if not found.beliefs:
            tell("hindmost: not reached, so that there is no posterior")
    echo_data(render_explanation(found, style))
    # What is said took a while, and a plot of what was not reached is refused.
    write_plots(wanted, lambda _: found.plot())
    if least is not None and found.ess is not None and found.ess < least:
        tell(f"hindmost: {threshold} holds: the effective sample size is {found.ess:.0f}")
        sys.exit(1)


def _parsed(threshold: str | None) -> float | None:
    """Return the number of a threshold ``ess<NUMBER``."""
    if threshold is None:
        return None
    match = ESS.fullmatch(threshold)
    if match is None:
        from hindmost.errors import Problem, ScenarioError

        requirement = "must be ess< and a number"
        hint = "such as ess<400"
        problem = Problem(path="--fail-if", requirement=requirement, value=threshold, hint=hint)
        raise ScenarioError([problem])
    return float(match[1])
