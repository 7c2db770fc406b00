"""``hindmost compare``: differences between scenarios, with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    collected_problems,
    column_option,
    days_option,
    debug_option,
    echo_data,
    format_option,
    method_option,
    parsed_columns,
    parsed_settings,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    threads_option,
)

if TYPE_CHECKING:
    from hindmost.scenario import Changes


@click.command(short_help="Paired differences between scenarios, or changes of one.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.argument("others", nargs=-1, shell_complete=scenarios(".toml"))
@click.option(
    "--side",
    "changed",
    multiple=True,
    metavar="[NAME:] KEY=VALUE; ...",
    help="A side that is SCENARIO with changes, separated by semicolons; may be given several "
    "times, such as 'fast restarts: recovery.restart_s=150'.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="Log of the job, which the prediction is held against instead of other sides.",
)
@column_option
@set_option
@steps_option()
@runs_option()
@seed_option(" of all sides")
@method_option("One for all sides; auto takes sample if any of them needs it.")
@threads_option
@days_option
@format_option()
@debug_option
def compare(
    scenario: str,
    others: tuple[str, ...],
    changed: tuple[str, ...],
    log: Path | None,
    columns: tuple[str, ...],
    settings: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Compare SCENARIO with OTHERS and with changes of itself, on common random numbers.

    With --log it is held against what was run.
    """
    if log is not None:
        _check_log_alone(others, changed, call.pop("days"))
        _compare_with_log(scenario, log, columns, settings, style, call)
        return
    from hindmost.analyses.compare import compare as compared
    from hindmost.report import render_comparison
    from hindmost.scenario.load import load

    _check_no_columns(columns)
    base = load(scenario, parsed_settings(settings), changes_from="--set")
    sides: dict[str, Any] = {**dict(map(parsed_side, changed)), **{name: name for name in others}}
    _check(len(sides), len(changed) + len(others))
    with progress_bar("simulating") as progress:
        found = compared(base, sides, progress=progress, **call)
    for name in found.unchanged:
        tell(f"hindmost: warning: {name} changes nothing: its plan is that of {scenario}")
    if style == "csv":
        tell(f"seed {found.base.inputs['seed']}")
    echo_data(render_comparison(found, style))


def _compare_with_log(
    scenario: str,
    log: Path,
    columns: tuple[str, ...],
    settings: tuple[str, ...],
    style: str,
    call: dict[str, Any],
) -> None:
    from hindmost.fitting.against_log import compare_with_log
    from hindmost.logs.read import read_log
    from hindmost.report import render_log_comparison
    from hindmost.scenario.load import load

    with collected_problems() as collect:
        base = collect(lambda: load(scenario, parsed_settings(settings), changes_from="--set"))
        with progress_bar("reading") as progress:
            rows = collect(
                lambda: read_log(log, columns=parsed_columns(columns), progress=progress)
            )
    assert base is not None
    assert rows is not None
    with progress_bar("simulating") as progress:
        found = compare_with_log(base, rows, progress=progress, **call)
    if style == "csv":
        tell(f"seed {found.seed}")
    echo_data(render_log_comparison(found, style))


def parsed_side(text: str) -> tuple[str, Changes]:
    """Return the name and the changes of a side.

    Examples
    --------
    >>> parsed_side("fast restarts: recovery.restart_s=150; recovery.swap_s=0")
    ('fast restarts', {'recovery.restart_s': 150, 'recovery.swap_s': 0})
    >>> parsed_side("layout.tensor=4")
    ('layout.tensor=4', {'layout.tensor': 4})
    """
    before, equals, _ = text.partition("=")
    name, colon, rest = text.partition(":")
    is_named = bool(colon) and ":" in before
    settings = tuple(part for part in (rest if is_named else text).split(";") if part.strip())
    del equals
    return (name if is_named else text).strip(), parsed_settings(settings)


def _check_log_alone(others: tuple[str, ...], changed: tuple[str, ...], days: float | None) -> None:
    """Refuse other sides beside a log, and days of whole runs."""
    from hindmost.errors import Problem, ScenarioError

    given = {"OTHERS": others[:1], "--side": changed[:1], "--days": () if days is None else (days,)}
    requirement = "must be absent with --log, which is the other side"
    found = [
        Problem(path=path, requirement=requirement, value=value)
        for path, values in given.items()
        for value in values
    ]
    if found:
        raise ScenarioError(found)


def _check_no_columns(columns: tuple[str, ...]) -> None:
    """Refuse columns without the log that they are of."""
    from hindmost.errors import Problem, ScenarioError

    if columns:
        requirement = "must be absent without --log"
        raise ScenarioError([Problem(path="--column", requirement=requirement, value=columns[0])])


def _check(n_sides: int, n_given: int) -> None:
    """Refuse a comparison without sides, or with two of one name."""
    from hindmost.errors import Problem, ScenarioError

    if n_given == 0:
        hint = "another scenario, or --side 'KEY.PATH=VALUE'"
        requirement = "is missing: something to compare with"
        raise ScenarioError([Problem(path="OTHERS", requirement=requirement, hint=hint)])
    if n_sides < n_given:
        requirement = "must have names of their own"
        raise ScenarioError([Problem(path="sides", requirement=requirement)])
