"""What reads the logs of one tool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hindmost.logs.records import Records
from hindmost.logs.source import Source


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What reads the logs of one tool.

    Attributes
    ----------
    name : str
        Name of the tool, which is the source of its records.
    recognises : callable
        Whether a file is one of its logs, by its first bytes: never by its name.
    read : callable
        Adds the records of all files of one job. What is recognised and cannot be read is a
        record of kind ``unread``; nothing is raised for it.
    """

    name: str
    recognises: Callable[[Source], bool]
    read: Callable[[Sequence[Source], Records], None]
