"""The group of all commands, and the exit status of each error."""

from __future__ import annotations

import io
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from hindmost.cli.attribute import attribute
from hindmost.cli.catalog import catalog
from hindmost.cli.collective import collective
from hindmost.cli.compare import compare
from hindmost.cli.convention import convention
from hindmost.cli.economics import economics
from hindmost.cli.explain import explain
from hindmost.cli.fit import fit
from hindmost.cli.init import init
from hindmost.cli.model import model
from hindmost.cli.options import close_stdout, debug_option, tell
from hindmost.cli.report import report
from hindmost.cli.run import run
from hindmost.cli.schema import schema
from hindmost.cli.sensitivity import sensitivity
from hindmost.cli.serve import serve
from hindmost.cli.slices import slices
from hindmost.cli.sweep import sweep
from hindmost.cli.timeline import timeline
from hindmost.cli.validate import validate
from hindmost.cli.what_if import what_if

EXIT_WRONG_CALL = 2
EXIT_INTERNAL_ERROR = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


SECTIONS = {
    "Predict": (run, serve, slices, economics, sweep),
    "Explain": (compare, attribute, explain, sensitivity, timeline),
    "Measure": (fit, what_if, convention),
    "Look up": (collective, model, catalog, schema),
    "Write": (report, init, validate),
}
"""Commands by what they are for, in the order in which the help lists them."""


class _Sections(click.Group):
    """A group whose help lists commands by what they are for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of their sections."""
        return [str(command.name) for commands in SECTIONS.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each section."""
        limit = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(
                    [(str(one.name), one.get_short_help_str(limit)) for one in commands]
                )


@click.group(cls=_Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hindmost")
@debug_option
def cli() -> None:
    """Predict how a huge, mixed, imperfect GPU cluster really performs.

    Exit status: 0 for success, 1 if a threshold of --fail-if holds, 2 for a wrong
    call, scenario or output path, 3 for an internal error or a failed write,
    130 if interrupted, 143 if terminated.
    """


for section in SECTIONS.values():
    for command in section:
        cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        with _terminated_by_an_exception():
            status = cli.main(standalone_mode=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except BaseException as error:
        status = _status_of(error)
    sys.exit(status if isinstance(status, int) else 0)


class _TerminatedError(BaseException):
    """SIGTERM."""


@contextmanager
def _terminated_by_an_exception() -> Iterator[None]:
    """Make SIGTERM raise an exception, so that half-written files are removed."""

    def terminate(*_: object) -> NoReturn:
        raise _TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        # Only the main thread of a process has signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _status_of(error: BaseException) -> int:
    """Write what went wrong to stderr, and return the exit status of it."""
    from hindmost.errors import OutputError, ScenarioError

    if isinstance(error, SystemExit):
        # Click exits with status 1 on a closed pipe, which would look like a threshold.
        closed = isinstance(error.__context__, BrokenPipeError)
        return error.code if isinstance(error.code, int) and not closed else 0
    if "--debug" in sys.argv[1:]:
        tell("".join(traceback.format_exception(error)))
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        said = io.StringIO()
        error.show(said)
        tell(said.getvalue().rstrip("\n"))
        return EXIT_WRONG_CALL
    if isinstance(error, KeyboardInterrupt | click.Abort):
        tell("hindmost: interrupted")
        return EXIT_INTERRUPTED
    if isinstance(error, _TerminatedError):
        tell("hindmost: terminated")
        return EXIT_TERMINATED
    if isinstance(error, ScenarioError):
        for problem in error.problems:
            tell(f"hindmost: {problem}")
        return EXIT_WRONG_CALL
    if isinstance(error, MemoryError):
        close_stdout()
        which = f" ({error})" if str(error) else ""
        tell(f"hindmost: out of memory{which}; fewer --steps, --runs or --threads need less")
        return EXIT_INTERNAL_ERROR
    if isinstance(error, OutputError | OSError):
        close_stdout()
        reason = getattr(error, "strerror", None)
        tell(f"hindmost: {reason.lower() if reason else error}")
        return EXIT_INTERNAL_ERROR
    # Only what loaded the core raises its errors; a core that does not load is told below.
    core = sys.modules.get("hindmost._core")
    if core is not None and isinstance(error, core.ThreadsError):
        tell(f"hindmost: {error} (--debug shows where)")
        return EXIT_INTERNAL_ERROR
    kind = type(error).__name__
    tell(f"hindmost: internal error, {kind}: {error} (--debug shows where)")
    return EXIT_INTERNAL_ERROR
