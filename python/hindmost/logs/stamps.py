"""Time stamps that stand in lines of logs."""

from __future__ import annotations

import re
from datetime import UTC, datetime

STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?")
"""A date and a time of day, as loggers, `datetime` and Kubernetes write it."""
SHORT = re.compile(r"\b[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{1,9}) ")
"""A date without a year and a time of day, as absl writes it."""


def last_stamp(text: str) -> float | None:
    """Return the seconds since 1970 of the last time stamp in a text, or None if it has none.

    Zones are not looked at, and a year may be missing, so that differences within one log count,
    and nothing else.

    Examples
    --------
    >>> last_stamp("[2026-01-02 03:04:05.25] step") - last_stamp("2026-01-02T03:04:05Z step")
    0.25
    >>> last_stamp("I0102 03:04:05.250000 140 train.py:1] step")
    97445.25
    """
    found = STAMP.findall(text) or [("1970", *short) for short in SHORT.findall(text)]
    if not found:
        return None
    *parts, fraction = found[-1]
    year, month, day, hour, minute, second = map(int, parts)
    try:
        whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return whole + (float(f"0.{fraction}") if fraction else 0.0)


def seconds_since(begin: float | None, end: float | None) -> float | None:
    """Return the seconds from one time to another, or None if one of them is not known."""
    return None if begin is None or end is None else end - begin
