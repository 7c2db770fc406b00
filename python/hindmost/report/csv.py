"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    r"""Return rows as CSV under the keys of the first one; None is an empty cell.

    Of no rows, nothing.

    Examples
    --------
    >>> text([{"metric": "mfu", "value": 0.5}, {"metric": "stall_s", "value": None}])
    'metric,value\nmfu,0.5\nstall_s,\n'
    """
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
