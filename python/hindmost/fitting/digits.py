"""Digits of numbers in fitted scenarios."""

from __future__ import annotations

DIGITS = 6
"""Significant digits: more than any log determines, and few enough to be read."""


def rounded(value: float) -> float:
    """Return a number with as many digits as a fitted scenario holds.

    Examples
    --------
    >>> rounded(0.123456789)
    0.123457
    """
    return float(f"{value:.{DIGITS}g}")
