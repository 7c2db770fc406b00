"""Logs that are cut off, as by a full disk or while they are copied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

import hindmost as hm


def rows_missing_of_the_longest(folder: Path, text: str, lengths: Iterable[int]) -> int:
    """Cut a log at growing lengths, and return how many rows the longest piece lacks.

    Each piece is refused, or gives the first rows of the whole log, never fewer than a shorter one.
    """
    path = folder / "log"
    path.write_text(text)
    rows = hm.read_log(path).rows()
    last = 0
    for length in lengths:
        path.write_text(text[:length])
        try:
            frame = hm.read_log(path).filter(pl.col("kind") != "unread")
        except hm.ScenarioError:
            assert last == 0, "a longer piece is refused"
            continue
        assert frame.rows() == rows[: frame.height]
        assert frame.height >= last
        last = frame.height
    return len(rows) - last
