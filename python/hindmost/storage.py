"""Files of results, which are written in full or not at all."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hindmost.analyses.caps import MovedCap
from hindmost.errors import OutputError, Problem, ScenarioError
from hindmost.report import result_document
from hindmost.result import Result

SUFFIXES = (".parquet", ".csv", ".json")
METADATA_KEY = "hindmost"
"""Key of a result's document in the metadata of a Parquet file."""


def check_output(path: Path) -> None:
    """Refuse a path to which no result could be written.

    Raises
    ------
    ScenarioError
        If the suffix is unknown, or the folder is missing or cannot be written.
    """
    try:
        requirement = _unwritable(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        requirement = f"must be a path of a file: {reason.lower()}"
    if requirement:
        raise ScenarioError([Problem(path="--output", requirement=requirement, value=str(path))])


def _unwritable(path: Path) -> str:
    """Return the requirement that a path does not meet, or an empty text."""
    if path.suffix not in SUFFIXES:
        return f"must end in {', '.join(SUFFIXES)}"
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


def write(result: Result, path: Path, *, caps: Sequence[MovedCap] | None = None) -> None:
    """Write a result's steps and, where the format can hold it, its document.

    Parquet holds the document in its metadata, JSON beside the steps; CSV holds the
    steps only.

    Parameters
    ----------
    result
        The result.
    path
        Path of the file, whose suffix decides the format.
    caps
        What the analysis of caps found, as part of the document.

    Raises
    ------
    ScenarioError
        As `check_output`.
    OutputError
        If writing fails; no part is left behind, and an existing file stays
        as it was.
    """
    check_output(path)
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        result.steps.write_csv(buffer)
    else:
        document = result_document(result, caps=caps)
        if path.suffix == ".parquet":
            result.steps.write_parquet(buffer, metadata={METADATA_KEY: json.dumps(document)})
        else:
            steps = result.steps.to_dict(as_series=False)
            buffer.write(json.dumps({**document, "steps": steps}).encode())
    _replace(path, buffer.getbuffer())


def read_inputs(path: Path) -> dict[str, Any]:
    """Return the inputs that a Parquet file of a result holds.

    Raises
    ------
    ScenarioError
        If the file cannot be read or is not of a result.
    """
    import polars as pl

    try:
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, f"cannot be read: {reason.lower()}") from None
    try:
        metadata = pl.read_parquet_metadata(path)
        inputs = json.loads(metadata[METADATA_KEY])["inputs"]
        kinds = {
            "scenario": dict,
            "seed": int,
            "runs": int,
            "steps": int,
            "method": str,
            "version": str,
        }
        if all(isinstance(inputs[key], kind) for key, kind in kinds.items()):
            return dict(inputs)
    except (pl.exceptions.PolarsError, OSError, LookupError, ValueError, TypeError, RecursionError):
        pass
    except BaseException as error:
        # A damaged file may make Polars panic, and the exception's class is not public.
        if type(error).__name__ != "PanicException":
            raise
    raise _unreadable(path, "is no result that hindmost has written")


def _unreadable(path: Path, requirement: str) -> ScenarioError:
    return ScenarioError([Problem(path="", requirement=requirement, source=str(path))])


def _replace(path: Path, data: memoryview) -> None:
    """Write a file beside `path`, sync it and rename it to `path`."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".hindmost-", dir=path.parent)
    except OSError as error:
        raise _failed(path, error) from None
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _failed(path, error) from None
        raise


def _failed(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{path} could not be written: {reason}")


def _umask() -> int:
    """Return the mask of new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
