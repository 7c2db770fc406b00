"""Results in files: written beside, synced and renamed, or not at all."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from hindmost.errors import OutputError, Problem, ScenarioError
from hindmost.result import Result

SUFFIXES = (".parquet", ".csv", ".json")
KEY = "hindmost"
"""Key of the metadata of a Parquet file."""


def check_output(path: Path) -> None:
    """Refuse a path that no result could be written to.

    Raises
    ------
    ScenarioError
        If the suffix is unknown, or the folder is missing or cannot be written.
    """
    problem = None
    if path.suffix not in SUFFIXES:
        problem = f"must end in {', '.join(SUFFIXES)}"
    elif path.is_dir():
        problem = "must not be a folder"
    elif not path.parent.is_dir():
        problem = "must lie in a folder that exists"
    elif not os.access(path.parent, os.W_OK | os.X_OK) or (
        path.exists() and not os.access(path, os.W_OK)
    ):
        problem = "must be writable"
    if problem:
        raise ScenarioError([Problem(path="--output", requirement=problem, value=str(path))])


def write(result: Result, path: Path) -> None:
    """Write a result's steps, and with them all the rest where the format can.

    Parquet holds the rest as metadata, JSON beside the steps; CSV holds the
    steps alone.

    Raises
    ------
    ScenarioError
        As `check_output`.
    OutputError
        If writing fails; nothing is left behind, and a file that was there
        stays as it was.
    """
    check_output(path)
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        result.steps.write_parquet(buffer, metadata={KEY: json.dumps(to_json(result))})
    elif path.suffix == ".csv":
        result.steps.write_csv(buffer)
    else:
        everything = {**to_json(result), "steps": result.steps.to_dict(as_series=False)}
        buffer.write(json.dumps(everything).encode())
    _replace(path, buffer.getbuffer())


def to_json(result: Result) -> dict[str, Any]:
    """Return a result without its steps, as JSON holds it."""
    scenario = result.inputs["scenario"]
    return {
        "inputs": result.inputs,
        "machine": result.machine,
        "summary": result.summary.to_dicts(),
        "pools": result.pools.to_dicts(),
        "assumed": result.assumed,
        "unknowns": scenario["unknowns"],
        "not_modelled": scenario["not_modelled"],
        "warnings": [
            {"metric": metric, "statistic": statistic, "warning": warning}
            for (metric, statistic), warning in result.warnings.items()
        ],
    }


def read_inputs(path: Path) -> dict[str, Any]:
    """Return the inputs that a Parquet file of a result holds.

    Raises
    ------
    ScenarioError
        If the file cannot be read or is not of a result.
    """
    try:
        metadata = pl.read_parquet_metadata(path)
        inputs: dict[str, Any] = json.loads(metadata[KEY])["inputs"]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _unreadable(path, f"cannot be read: {reason}") from None
    except (pl.exceptions.PolarsError, KeyError, ValueError, TypeError):
        raise _unreadable(path, "is no result that hindmost has written") from None
    return inputs


def _unreadable(path: Path, requirement: str) -> ScenarioError:
    return ScenarioError([Problem(path="", requirement=requirement, source=str(path))])


def _replace(path: Path, data: memoryview) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{path} could not be written: {reason}") from None
        raise
