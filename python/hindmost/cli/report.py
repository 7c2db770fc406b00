"""``hindmost report``: one page on a scenario or a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    collected_problems,
    debug_option,
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

SUFFIXES = (".html",)
"""Suffixes of the files that a page is written to."""


@click.command(short_help="One page on a scenario or a stored run, for a browser.")
@click.argument("scenario", shell_complete=scenarios(".toml", ".parquet"))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The .html file, which needs no network and runs no script.",
)
@set_option
@runs_option()
@steps_option()
@seed_option("", "drawn by the operating system and told in the page if omitted")
@threads_option
@click.option(
    "--attribute",
    "with_attribution",
    is_flag=True,
    help="Say what each mechanism costs, too, which takes longer; a run that was stored with "
    "--attribute says it anyway.",
)
@click.option(
    "--interactive",
    "is_interactive",
    is_flag=True,
    help="Let plots be pointed at, by a script within the file, which then has 1 MB.",
)
@debug_option
def report(
    scenario: str,
    output: Path,
    settings: tuple[str, ...],
    with_attribution: bool,
    is_interactive: bool,
    **call: Any,
) -> None:
    """Write one page on SCENARIO: forecast, whole runs, who is waited for, what matters most.

    SCENARIO is a preset, a TOML file, or the Parquet file of an earlier run, whose
    result is shown as it is.
    """
    from hindmost.files import check_writable
    from hindmost.files import replace as write_file
    from hindmost.plots.plot import check_drawable
    from hindmost.report.page import page

    is_stored = scenario.endswith(".parquet")
    with collected_problems() as collect:
        collect(lambda: check_writable(output, SUFFIXES, name="--output"))
        collect(lambda: check_drawable("--output"))
        if is_stored:
            collect(_check_stored, settings, call)
    if is_stored:
        from hindmost.reading import read

        result = read(scenario)
    else:
        result = _simulated(scenario, settings, call)
    if with_attribution and result.attribution is None:
        from hindmost.analyses.attribute import attribute

        with progress_bar("attributing") as progress:
            found = attribute(
                result.scenario,
                seed=result.inputs["seed"],
                threads=call["threads"],
                progress=progress,
            )
        result = replace(result, attribution=found)
    text = page(result, source=scenario, is_interactive=is_interactive)
    write_file(output, memoryview(text.encode()))
    tell(f"wrote {output}")


def _simulated(scenario: str, settings: tuple[str, ...], call: dict[str, Any]) -> Any:
    from hindmost.analyses.forecast import forecast_beside
    from hindmost.scenario.load import load
    from hindmost.simulation import simulate

    loaded = load(scenario, parsed_settings(settings), changes_from="--set")
    tell_warnings(loaded)
    with progress_bar("simulating") as progress:
        result = simulate(loaded, progress=progress, **call)
    with progress_bar("forecasting") as progress:
        return replace(result, forecast=forecast_beside(result, progress=progress))


def _check_stored(settings: tuple[str, ...], call: dict[str, Any]) -> None:
    """Refuse what would need another simulation than the stored one."""
    from hindmost.errors import Problem, ScenarioError

    requirement = "must be absent with the file of a run, which is shown as it is"
    hint = "hindmost run FILE.parquet repeats it with changes"
    given = {**call, "set": settings or None}
    found = [
        Problem(path=f"--{key}", requirement=requirement, value=value, hint=hint)
        for key, value in given.items()
        if value is not None and key != "threads"
    ]
    if found:
        raise ScenarioError(found)
