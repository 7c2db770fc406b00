"""Files that are written in full or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hindmost.errors import OutputError, Problem, ScenarioError


def check_writable(path: Path, suffixes: tuple[str, ...], *, name: str = "path") -> None:
    """Refuse a path to which no file could be written.

    Parameters
    ----------
    path
        The path.
    suffixes
        Suffixes that it may have.
    name
        What problems call it.

    Raises
    ------
    ScenarioError
        If the suffix is another one, or the folder is missing or cannot be written.
    """
    try:
        requirement = _unwritable(path, suffixes)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        requirement = f"must be a path of a file: {reason.lower()}"
    if requirement:
        raise ScenarioError([Problem(path=name, requirement=requirement, value=str(path))])


def _unwritable(path: Path, suffixes: tuple[str, ...]) -> str:
    """Return the requirement that a path does not meet, or an empty text."""
    if path.suffix not in suffixes:
        return f"must end in {', '.join(suffixes)}"
    path = _target(path)
    if path.is_symlink():
        return "must not be a link that leads back to itself"
    is_there = os.path.lexists(path)
    if not is_there:
        # Only a lookup shows that a name is too long.
        with suppress(FileNotFoundError):
            path.lstat()
    if path.is_dir():
        return "must not be a folder"
    if not path.parent.is_dir():
        return "must lie in a folder that exists"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "must lie in a folder that can be written to"
    return "must be writable" if is_there and not os.access(path, os.W_OK) else ""


def replace(path: Path, data: memoryview) -> None:
    """Write a file beside `path`, sync it and rename it to `path`.

    Errors are those of `replace_by`.
    """

    def write(file: BinaryIO) -> None:
        file.write(data)

    replace_by(path, write)


def replace_by(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Have a file written beside `path`, sync it and rename it to `path`.

    A symbolic link stays, and what it points to is replaced.

    Parameters
    ----------
    path
        Where it is to be.
    write
        Writes all of it to a file that is open.

    Raises
    ------
    OutputError
        If that fails; no part is left behind, and an existing file stays as it was.
    """
    target = _target(path)
    beside = target.parent / f".hindmost-{secrets.token_hex(8)}"
    try:
        # Opened by name, so that the system takes the mask of new files into account: that mask
        # belongs to all threads of a process.
        with beside.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _failed(path, error) from None
        raise


def _target(path: Path) -> Path:
    """Return the path of the file itself, where a path is a symbolic link to it."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _failed(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{path} could not be written: {reason}")
