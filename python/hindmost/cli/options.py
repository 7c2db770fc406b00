"""Options that commands share, and how they write to stdout and stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from hindmost.errors import Problem
    from hindmost.plots.plot import Plot
    from hindmost.scenario import Changes, Scenario

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Decorator(Protocol):
    """Adds an option to a command."""

    def __call__(self, command: Decorated, /) -> Decorated:
        """Return the command with it."""


MAX_SEED = 2**53 - 1
"""Greatest seed: the greatest integer that every JSON reader keeps."""

debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show where an error comes from.",
)

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Change a value of the scenario; may be given several times.",
)

column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="WHAT=NAME",
    help="Column of a table that holds step, seconds, rank, start or tokens, where it has another "
    "name; may be given several times.",
)

threads_option = click.option(
    "--threads", type=click.IntRange(min=1, max=1024), help="Threads.  [default: all]"
)

days_option = click.option(
    "--days", type=float, help="Days of whole runs, where there are failures."
)


def steps_option(note: str = "Steps of a run.  [default: as run]") -> Decorator:
    """Return the option ``--steps``."""
    return click.option("--steps", type=click.IntRange(min=1), help=note)


def runs_option(note: str = "Runs.  [default: as run]", *, least: int = 1) -> Decorator:
    """Return the option ``--runs``."""
    return click.option("--runs", type=click.IntRange(min=least), help=note)


def seed_option(
    of: str, without: str = "drawn by the operating system and printed if omitted"
) -> Decorator:
    """Return the option ``--seed``, with what is drawn with it and what happens without one."""
    return click.option(
        "--seed", type=click.IntRange(min=0, max=MAX_SEED), help=f"Seed{of}; {without}."
    )


def method_option(note: str = "As in run.") -> Decorator:
    """Return the option ``--method`` of commands that simulate several scenarios."""
    return click.option(
        "--method",
        type=click.Choice(["auto", "order-statistics", "sample"]),
        default="auto",
        show_default=True,
        help=note,
    )


def plot_option(kinds: tuple[str, ...] = ()) -> Decorator:
    """Return the option ``--plot``; with several kinds of plots it may say which."""
    metavar = "[KIND=]FILE" if kinds else "FILE"
    which = f"; KIND is {', '.join(kinds)}, by default {kinds[0]}" if kinds else ""
    return click.option(
        "--plot",
        "plots",
        multiple=True,
        metavar=metavar,
        help=f"Draw a plot to a .svg, .png or .json file (Vega-Lite){which}.",
    )


def parsed_plots(plots: tuple[str, ...], kinds: tuple[str, ...] = ()) -> dict[Path, str]:
    """Return the kind of plot that each file is to hold.

    Raises
    ------
    ScenarioError
        With a problem for each file that could not be written, and each kind that there is not.
    """
    from hindmost.errors import Problem, did_you_mean
    from hindmost.plots.plot import check_plot

    found: dict[Path, str] = {}
    with collected_problems() as collect:
        for text in plots:
            kind, is_named, name = text.partition("=")
            if not is_named:
                kind, name = kinds[0] if kinds else "", text
            elif kind not in kinds:
                hint = did_you_mean(kind, kinds)
                requirement = f"must be KIND=FILE with one of {', '.join(kinds)}"
                if not kinds:
                    requirement = "must be a file: there is one kind of plot"
                problem = Problem(path="--plot", requirement=requirement, value=text, hint=hint)
                collect(_refuse, problem)
                continue
            path = Path(name)
            collect(lambda path=path: check_plot(path, name="--plot"))
            found[path] = kind
    return found


def write_plots(plots: Mapping[Path, str], draw: Callable[[str], Plot]) -> None:
    """Write each plot to its file, and say so.

    Parameters
    ----------
    plots
        The kind of plot of each file.
    draw
        Returns the plot of a kind.
    """
    for path, kind in plots.items():
        draw(kind).write(path)
        tell(f"wrote {path}")


def _refuse(problem: Problem) -> None:
    from hindmost.errors import ScenarioError

    raise ScenarioError([problem])


STYLES = ("table", "json", "csv", "markdown")
"""Formats of reports."""


def format_option(note: str = "") -> Decorator:
    """Return the option ``--format``, with what is to be noted about a format."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(STYLES),
        default="table",
        show_default=True,
        help=f"Format of what is printed{note}.",
    )


def parsed_settings(settings: tuple[str, ...]) -> Changes:
    """Return the changes that ``--set`` options make.

    Raises
    ------
    ScenarioError
        With a problem for each option that is not of the form ``KEY.PATH=VALUE``.
    """
    from hindmost.errors import ScenarioError
    from hindmost.scenario import parse_change

    changes = {}
    found: list[Problem] = []
    for setting in settings:
        try:
            path, value = parse_change(setting)
            changes[path] = value
        except ScenarioError as error:
            found += error.problems
    if found:
        raise ScenarioError(found)
    return changes


def parsed_columns(columns: tuple[str, ...]) -> dict[str, str] | None:
    """Return the columns that ``--column`` options name, by what they hold; None without any.

    Raises
    ------
    ScenarioError
        With a problem for each option that is not of the form ``WHAT=NAME``.
    """
    from hindmost.errors import Problem, ScenarioError

    found: dict[str, str] = {}
    problems: list[Problem] = []
    for text in columns:
        what, equals, name = text.partition("=")
        if what and equals and name:
            found[what] = name
        else:
            requirement = "must be WHAT=NAME"
            problems.append(Problem(path="--column", requirement=requirement, value=text))
    if problems:
        raise ScenarioError(problems)
    return found or None


class Collect(Protocol):
    """Calls a function and collects the problems that it raises."""

    def __call__(self, function: Callable[..., T], /, *arguments: Any) -> T | None:
        """Return what the function returns, or None if it raises problems."""


@contextmanager
def collected_problems() -> Iterator[Collect]:
    """Yield a caller of functions, and raise the problems of all calls together at the end.

    Raises
    ------
    ScenarioError
        If any call raised a problem.
    """
    from hindmost.errors import ScenarioError

    found: list[Problem] = []

    def collect(function: Callable[..., T], /, *arguments: Any) -> T | None:
        try:
            return function(*arguments)
        except ScenarioError as error:
            found.extend(error.problems)
            return None

    yield collect
    if found:
        raise ScenarioError(found)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], object]]:
    """Show progress on stderr if it is a terminal."""
    hidden = sys.stderr is None or not sys.stderr.isatty()
    bar = click.progressbar(length=1, label=label, file=sys.stderr, hidden=hidden)
    with bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(min(done, total) - bar.pos)

        yield show
        bar.update((bar.length or 1) - bar.pos)


def echo_data(text: str) -> None:
    """Write data to stdout, with ASCII for what its encoding lacks.

    A closed pipe or stdout ends the writing without an error.

    Raises
    ------
    OutputError
        If writing fails otherwise, such as on a full disk.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("±", "+-").encode(encoding, errors="replace").decode(encoding)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        close_stdout()
    except OSError as error:
        from hindmost.errors import OutputError

        close_stdout()
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"stdout could not be written: {reason}") from None


def close_stdout() -> None:
    """Redirect stdout, so that what is still buffered causes no second error at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell_warnings(scenario: Scenario) -> None:
    """Write what is suspect about a scenario to stderr."""
    from hindmost.scenario import scenario_warnings

    for warning in scenario_warnings(scenario):
        tell(f"hindmost: warning: {scenario.source}: {warning}")


def tell(text: str) -> None:
    """Write a message to stderr, control characters escaped; failures are ignored."""
    from hindmost.errors import plain

    with suppress(OSError):
        click.echo(plain(text, keep="\n"), err=True)
