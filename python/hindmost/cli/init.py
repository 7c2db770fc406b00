"""``hindmost init``: write a scenario to start from."""

from __future__ import annotations

from pathlib import Path

import click

from hindmost.cli.options import debug_option, echo_data, tell


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@debug_option
def init(path: Path | None) -> None:
    """Write a commented scenario to PATH, or to stdout.

    An existing file is not overwritten.
    """
    from importlib import resources

    text = (resources.files("hindmost.scenario") / "template.toml").read_text(encoding="utf-8")
    if path is None:
        echo_data(text)
        return
    _write_new(path, text)
    tell(f"wrote {path}; try: hindmost run {path}")


def _write_new(path: Path, text: str) -> None:
    from hindmost.errors import OutputError, Problem, ScenarioError

    def refused(requirement: str) -> ScenarioError:
        return ScenarioError([Problem(path="PATH", requirement=requirement, value=str(path))])

    if path.suffix != ".toml":
        raise refused("must end in .toml")
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise refused("must not exist yet") from None
    except FileNotFoundError:
        raise refused("must lie in a folder that exists") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise refused(f"must be writable: {reason}") from None
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path} could not be written: {reason}") from None
