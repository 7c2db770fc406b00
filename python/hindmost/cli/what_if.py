"""``hindmost what-if``: a recorded job without its stragglers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hindmost.cli.options import (
    collected_problems,
    debug_option,
    echo_data,
    format_option,
    tell,
    threads_option,
)

if TYPE_CHECKING:
    from hindmost.stragglers.ideal import Ideal


@click.command("what-if", short_help="A recorded job without its stragglers.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "--ideal",
    "ideals",
    multiple=True,
    metavar="KEY=VALUE[,KEY=VALUE]",
    help="What else is made ideal: rank, dp_rank, stage or type, as in rank=3 or "
    "stage=2,type=forward-compute. May be given more than once, each for a time of its own.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The .json or .json.gz file of one step as a trace, for ui.perfetto.dev; with what "
    "--ideal says made ideal, if anything.",
)
@click.option("--step", type=int, help="Step that is written.  [default: the first one]")
@threads_option
@format_option()
@debug_option
def what_if(
    trace: Path,
    ideals: tuple[str, ...],
    output: Path | None,
    step: int | None,
    style: str,
    threads: int | None,
) -> None:
    """Say how much slower the job of TRACE was than without stragglers, and why.

    TRACE is a Parquet file of ByteDance's StragglerAnalysis. Steps are timed again
    with operations made ideal: those of all workers, or of all but one type, stage
    or rank.
    """
    from hindmost.report import render_stragglers
    from hindmost.stragglers.what_if import what_if as find
    from hindmost.timelines.trace import check_path

    wanted = {text: _parsed(text) for text in ideals}
    if output is None and step is not None:
        raise click.UsageError("--step is of the trace that --output names")
    if output is not None and len(wanted) > 1:
        raise click.UsageError("--output takes one --ideal at most")
    with collected_problems() as collect:
        if output is not None:
            collect(lambda: check_path(output, name="--output"))
        found = collect(lambda: find(trace, threads=threads))
    assert found is not None
    text = render_stragglers(found, style, ideals=wanted)
    if output is not None:
        found.timeline(step=step, ideal=next(iter(wanted.values()), None)).write(output)
    echo_data(text)
    if output is not None:
        tell(f"wrote {output}")


def _parsed(text: str) -> Ideal:
    """Return what an option makes ideal: ``all``, or a dictionary."""
    if text == "all":
        return text
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key.strip() in found:
            hint = "must be KEY=VALUE, each key once, or all"
            raise click.BadParameter(f"{hint}, got {text!r}", param_hint="--ideal")
        value = value.strip()
        found[key.strip()] = int(value) if value.isdecimal() else value
    return found
