"""The command line: one command a file."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import NoReturn

import click

from hindmost.cli.catalog import catalog
from hindmost.cli.init import init
from hindmost.cli.options import debug_option
from hindmost.cli.run import run
from hindmost.cli.schema import schema
from hindmost.cli.validate import validate

EXIT_THRESHOLD = 1
EXIT_WRONG_CALL = 2
EXIT_OUR_ERROR = 3
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hindmost")
@debug_option
def cli() -> None:
    """Predict how a huge, mixed, imperfect GPU cluster really performs.

    Exit status: 0 ok, 1 a threshold of --fail-if, 2 a wrong call, scenario or
    output path, 3 an error of ours or a failed write, 130 interrupted.
    """


for command in (run, init, validate, schema, catalog):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        status = _status_of(error)
    sys.exit(status if isinstance(status, int) else 0)


def _status_of(error: BaseException) -> int:
    """Say what went wrong, and return the exit status that stands for it."""
    from hindmost.errors import OutputError, ScenarioError

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    if "--debug" in sys.argv[1:]:
        traceback.print_exception(error)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return EXIT_WRONG_CALL
    if isinstance(error, KeyboardInterrupt | click.Abort):
        click.echo("hindmost: interrupted", err=True)
        return EXIT_INTERRUPTED
    if isinstance(error, ScenarioError):
        for problem in error.problems:
            click.echo(f"hindmost: {problem}", err=True)
        return EXIT_WRONG_CALL
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        _close_stdout()
        return 0
    if isinstance(error, OutputError | OSError | MemoryError):
        _close_stdout()
        click.echo(f"hindmost: {error or 'out of memory'}", err=True)
        return EXIT_OUR_ERROR
    click.echo(
        f"hindmost: an error of ours, {type(error).__name__}: {error} (--debug shows where)",
        err=True,
    )
    return EXIT_OUR_ERROR


def _close_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
