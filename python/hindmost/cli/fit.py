"""``hindmost fit``: causes of a job from its log."""

from __future__ import annotations

from pathlib import Path

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    MAX_SEED,
    collected_problems,
    column_option,
    debug_option,
    echo_data,
    format_option,
    parsed_columns,
    progress_bar,
    tell,
    threads_option,
)


@click.command(short_help="Causes of a job from its log, as a scenario.")
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the scenario to a .toml file."
)
@click.option(
    "--base",
    metavar="SCENARIO",
    shell_complete=scenarios(".toml"),
    help="Scenario of the job, whose causes are replaced and whose speed is fitted; without it the "
    "causes alone are a layer to be laid over others.",
)
@column_option
@click.option(
    "--node-gpus",
    type=click.IntRange(min=1),
    help="Ranks of a node, of a log that has the times of each.  [default: those of the base, or "
    "8]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=MAX_SEED),
    default=0,
    show_default=True,
    help="Seed of draws from which errors are read, and of simulations.",
)
@threads_option
@format_option()
@debug_option
def fit(
    log: Path,
    output: Path | None,
    base: str | None,
    columns: tuple[str, ...],
    node_gpus: int | None,
    seed: int,
    threads: int | None,
    style: str,
) -> None:
    """Fit the causes of a job to LOG: step times, or times of each rank.

    LOG is a file, or a folder with the files of one job.
    """
    from hindmost.files import check_writable
    from hindmost.fitting.fit import SUFFIXES
    from hindmost.fitting.fit import fit as fitted
    from hindmost.fitting.text import check_writer
    from hindmost.logs.read import read_log
    from hindmost.report import render_fit
    from hindmost.scenario.load import load

    with collected_problems() as collect:
        if output is not None:
            collect(lambda: check_writable(output, SUFFIXES, name="--output"))
            collect(check_writer, "--output")
        loaded = None if base is None else collect(load, base)
        with progress_bar("reading") as progress:
            rows = collect(
                lambda: read_log(log, columns=parsed_columns(columns), progress=progress)
            )
    assert rows is not None
    with progress_bar("fitting") as progress:
        found = fitted(
            rows,
            loaded,
            node_gpus=node_gpus,
            origin=log.name,
            seed=seed,
            threads=threads,
            progress=progress,
        )
    for warning in found.warnings:
        tell(f"hindmost: warning: {log}: {warning}")
    if output is not None:
        found.write(output)
        tell(f"wrote {output}")
    echo_data(render_fit(found, style))
