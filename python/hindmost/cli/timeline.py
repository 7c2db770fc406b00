"""``hindmost timeline``: one step as a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    collected_problems,
    debug_option,
    echo_data,
    format_option,
    parsed_settings,
    progress_bar,
    seed_option,
    set_option,
    tell,
    tell_warnings,
    threads_option,
)


@click.command(short_help="One step as a trace: who computes what when, who waits.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The .json or .json.gz file, in the event format of Chrome, for ui.perfetto.dev.",
)
@set_option
@click.option(
    "--step", type=int, default=0, show_default=True, help="Step of the run, counted from 0."
)
@click.option("--run", type=int, default=0, show_default=True, help="Run, counted from 0.")
@seed_option("")
@threads_option
@format_option()
@debug_option
def timeline(
    scenario: str, output: Path, settings: tuple[str, ...], style: str, **call: Any
) -> None:
    """Draw one step of SCENARIO: the slowest replica, a median one and the fastest one.

    SCENARIO is a preset or a TOML file. The step is one of `hindmost run SCENARIO
    --method sample` under the same seed: passes and stalls of each stage, arrows
    of transfers, exchange exposed and hidden, and how many replicas wait.
    """
    from hindmost.arguments import refuse
    from hindmost.report import render_timeline
    from hindmost.scenario.load import load
    from hindmost.timelines.draw import step_problems
    from hindmost.timelines.draw import timeline as draw
    from hindmost.timelines.trace import check_path

    with collected_problems() as collect:
        collect(lambda: check_path(output, name="--output"))
        collect(lambda: refuse(step_problems(call["step"], call["run"])))
        loaded = collect(
            lambda: load(scenario, parsed_settings(settings), changes_from="--set"),
        )
    assert loaded is not None
    tell_warnings(loaded)
    with progress_bar("drawing") as progress:
        found = draw(loaded, progress=progress, **call)
    left_out = found.write(output)
    echo_data(render_timeline(found, style))
    tell(f"wrote {output}{f', without {left_out}' if left_out else ''}")
