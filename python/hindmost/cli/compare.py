"""``hindmost compare``: differences between scenarios, with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    days_option,
    debug_option,
    echo_data,
    format_option,
    method_option,
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
    settings: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Compare SCENARIO with OTHERS and with changes of itself, on common random numbers."""
    from hindmost.analyses.compare import compare as compared
    from hindmost.report import render_comparison
    from hindmost.scenario.load import load

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
