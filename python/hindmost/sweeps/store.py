"""A folder of rows, one file a point, each written in full or not at all."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hindmost.arguments import SEED_BITS, drawn_seed
from hindmost.errors import Problem, ScenarioError
from hindmost.files import replace
from hindmost.sweeps.rows import is_row


@dataclass(frozen=True)
class Store:
    """Rows of points in a folder, which any number of sweeps may share.

    Attributes
    ----------
    folder : Path
        The folder.
    """

    folder: Path

    def prepare(self) -> None:
        """Make the folder.

        Raises
        ------
        ScenarioError
            If there can be none, or it cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            requirement = f"must be a folder that can be written to: {reason}"
            value = str(self.folder)
            raise ScenarioError(
                [Problem(path="store", requirement=requirement, value=value)]
            ) from None

    @property
    def n_rows(self) -> int:
        """Rows that it has."""
        files = (path.name for path in self.folder.glob("*.json"))
        return sum(not name.startswith("seed-") for name in files)

    def seed_of(self, digest: str) -> int:
        """Return the seed of a sweep that has none: that which it was begun with, or a new one.

        Parameters
        ----------
        digest
            Name of all of its points.
        """
        path = self.folder / f"seed-{digest}.json"
        try:
            seed = json.loads(path.read_text(encoding="utf-8"))["seed"]
            if type(seed) is int and 0 <= seed < 2**SEED_BITS:
                return seed
        except (OSError, ValueError, KeyError, TypeError):
            pass
        seed = drawn_seed()
        replace(path, memoryview(json.dumps({"seed": seed}).encode()))
        return seed

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the row of a point; None if it is not there, or cannot be read."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))["row"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if is_row(found) else None

    def write(self, key: str, text: str, row: str) -> None:
        """Keep the row of a point, beside its inputs.

        Raises
        ------
        OutputError
            If that fails.
        """
        data = f'{{"inputs":{text},"row":{row}}}\n'.encode()
        replace(self._path(key), memoryview(data))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
