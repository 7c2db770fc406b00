"""Numbers as people read them: with no more digits than their errors allow."""

from __future__ import annotations

import math

from hindmost.units import MEGA


def with_error(value: float, std_error: float | None) -> str:
    """Return a value and its standard error, with no more digits than the error allows.

    Examples
    --------
    >>> with_error(0.41234567, 0.00123)
    '0.4123 ± 0.0012'
    >>> with_error(0.41234567, 0.0056)
    '0.412 ± 0.006'
    >>> with_error(0.41234567, None)
    '0.4123'
    >>> with_error(1.34e38, 1.5e37)
    '1.34e+38 ± 1.5e+37'
    """
    if std_error is None or std_error == 0 or not math.isfinite(std_error):
        return rounded(value, std_error)
    if _is_far_from_one(value):
        return f"{rounded(value, std_error)} ± {std_error:.1e}"
    places = _places(value, std_error)
    if std_error < 0.5 * 10.0**-places:
        return f"{rounded(value, std_error)} ± {std_error:.1g}"
    return f"{rounded(value, std_error)} ± {std_error:.{places}f}"


def rounded(value: float, std_error: float | None) -> str:
    """Return a value rounded to its standard error, or to four digits without one.

    Examples
    --------
    >>> rounded(4.53712, 0.02)
    '4.54'
    >>> rounded(4.53712, None)
    '4.537'
    """
    if value == 0:
        return "0"
    if std_error is None or not math.isfinite(std_error):
        return f"{value:.4g}"
    if std_error == 0:
        return f"{value:.6g}"
    if _is_far_from_one(value):
        # As many digits as the error has, or one more.
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(std_error)) + 1
        return f"{value:.{min(max(digits, 0), 3)}e}"
    return f"{value:.{_places(value, std_error)}f}"


def signed_percent(share: float, std_error: float | None) -> str:
    """Return a change as percent with its sign, rounded to its standard error.

    Parameters
    ----------
    share, std_error
        The change and its standard error, both in percent.

    Examples
    --------
    >>> signed_percent(1.234, 0.1), signed_percent(-1.234, None)
    ('+1.23%', '-1.234%')
    """
    return f"{'+' * (share > 0)}{rounded(share, std_error)}%"


def count(number: int) -> str:
    """Return a count with separators of thousands.

    Examples
    --------
    >>> count(220000)
    '220,000'
    """
    return f"{number:,}"


def counted(number: int, what: str) -> str:
    """Return a count of what has a plural in s.

    Examples
    --------
    >>> counted(1, "restart"), counted(1200, "restart")
    ('1 restart', '1,200 restarts')
    """
    return f"{count(number)} {what}{'s' * (number != 1)}"


def large_count(number: int) -> str:
    """Return a large count to three digits, in thousands, millions, billions or more.

    Examples
    --------
    >>> large_count(450_445_312), large_count(2_097_152)
    ('0.45e9', '2.1e6')
    """
    exponent = 3 if number < 1e5 else 6 if number < 1e8 else 9
    if number >= 1e9:
        exponent = max(exponent, 3 * (math.floor(math.log10(number)) // 3))
    return f"{number / 10**exponent:.3g}e{exponent}"


def mega(value: float | None) -> str:
    """Return joules in MJ or watts in MW, to four digits, or nothing where they are not known.

    Examples
    --------
    >>> mega(1_623_243_999.6), mega(70.0), mega(None)
    ('1623', '7e-05', '')
    """
    if value is None:
        return ""
    return f"{value / MEGA:.4g}"


def _is_far_from_one(value: float) -> bool:
    """Return whether a value has so many zeros that it is better written with an exponent."""
    return value != 0 and not 1e-3 <= abs(value) < 1e7


def _places(value: float, std_error: float) -> int:
    """Return the decimals that show an error: one digit of it, two if it begins with 1.

    But no more than five digits of the value.
    """
    exponent = math.floor(math.log10(std_error))
    places = -exponent + (1 if std_error / 10**exponent < 2 else 0)
    most = 4 - math.floor(math.log10(abs(value))) if value else places
    return max(min(places, most), 0)
