"""The file of a sweep, and the folder beside it that keeps its points until it is written."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hindmost import _core
from hindmost.files import check_writable, replace_by
from hindmost.scenario import Scenario, to_table
from hindmost.sweeps.store import Store

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".parquet", ".csv", ".json")
"""Suffixes of the files that a sweep is written to."""


def check_output(path: Path) -> None:
    """Refuse a path to which no sweep could be written.

    Raises
    ------
    ScenarioError
        As `check_writable`.
    """
    check_writable(path, SUFFIXES, name="--output")


@dataclass(frozen=True)
class Output:
    """The file of a sweep.

    Attributes
    ----------
    path : Path
        Where it is to be.
    """

    path: Path

    @property
    def parts(self) -> Path:
        """The folder that keeps points until the file is there."""
        return self.path.with_name(f"{self.path.name}.parts")

    @property
    def n_done(self) -> int:
        """Points that it has."""
        return Store(self.parts).n_rows

    def seed(self, of: Any) -> int:
        """Return the seed of a sweep: that with which the same one was begun, or a new one.

        Parameters
        ----------
        of
            All else that decides what it is: plain data and scenarios.
        """
        from hashlib import blake2b

        plain = json.dumps([_core.__version__, of], default=_plain, sort_keys=True)
        store = Store(self.parts)
        store.prepare()
        return store.seed_of(blake2b(plain.encode(), digest_size=16).hexdigest())

    def finish(self, frame: pl.DataFrame) -> None:
        """Write the file in full, and remove the folder beside it.

        Raises
        ------
        OutputError
            If writing fails; the folder stays then.
        """

        def write(file: BinaryIO) -> None:
            match self.path.suffix:
                case ".csv":
                    frame.write_csv(file)
                case ".json":
                    columns = frame.to_dict(as_series=False)
                    file.write(json.dumps(columns, allow_nan=False).encode())
                case _:
                    _write_parquet(frame, file)

        replace_by(self.path, write)
        shutil.rmtree(self.parts, ignore_errors=True)


def _write_parquet(frame: pl.DataFrame, file: BinaryIO) -> None:
    import polars as pl

    try:
        frame.write_parquet(file)
    except pl.exceptions.PolarsError as error:
        # Of a frame in memory nothing but the file can fail, such as on a full disk.
        raise OSError(str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Scenario):
        return to_table(value)
    raise TypeError(f"a {type(value).__name__} has no place in a sweep")
