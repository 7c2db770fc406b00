"""Ranks in the names of files."""

from __future__ import annotations

import re
from pathlib import Path

_AFTER_WORD = re.compile(r"rank[-_.]?(\d{1,7})(?!\d)", re.IGNORECASE)
_LAST = re.compile(r"(\d{1,7})(?:\.[a-z]+)*$")


def named_rank(path: Path) -> int | None:
    """Return the number that follows the word rank in the name of a file.

    Examples
    --------
    >>> named_rank(Path("rank-12.host_4711.pt.trace.json")), named_rank(Path("host_4711.json"))
    (12, None)
    """
    named = _AFTER_WORD.search(path.name)
    return int(named[1]) if named else None


def last_number(path: Path) -> int | None:
    """Return the number at the end of the name of a file, but for its suffixes.

    Examples
    --------
    >>> last_number(Path("nccl_trace_rank_3")), last_number(Path("chakra.7.json.gz"))
    (3, 7)
    """
    named = _LAST.search(path.name)
    return int(named[1]) if named else None
