"""What a scenario's unknowns can reach: their corners, and each of them alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hindmost.analyses.unknowns import Number, Point, Unknown

MOST_CORNERS_OF = 8
"""Unknowns of which all corners are looked at."""
MOST_DOUBLINGS = 40
"""Doublings of an unknown beyond its range, at most."""
IDLE_DOUBLINGS = 6
"""Doublings that change nothing, after which none is expected to."""
MOST_HALVINGS = 30
"""Halvings of an interval that holds the value that would do, at most."""

INSIDE = (0.1, 0.5, 0.9)
"""Quantiles of an unknown that are looked at beside the ends of its range."""
CLOSER = 20
"""Parts of a tolerance within which a value is close enough to stop looking."""

Value = Callable[[Point], float | None]
"""What a point comes to; None where the scenario refuses it."""

Bracket = tuple[float, float, float]
"""Two numbers between which the observed value lies, and what the first one comes to."""


@dataclass(frozen=True, kw_only=True)
class Lever:
    """What one unknown reaches alone, with all others as in the scenario.

    Attributes
    ----------
    path : str
        Its key path.
    low, high : int or float
        Ends of its range.
    at_low, at_high : float or None
        What these come to; None where the scenario refuses it.
    would_do : int, float or None
        The value that would come to what was observed; None if none was found.
    is_inside : bool or None
        Whether that lies in its range.
    """

    path: str
    low: Number
    high: Number
    at_low: float | None
    at_high: float | None
    would_do: Number | None
    is_inside: bool | None


def corners(unknowns: Sequence[Unknown], alone: Sequence[Lever]) -> list[Point]:
    """Return corners of the range of unknowns.

    All of them, of up to 8 unknowns. Of more the two where each is at the end that alone comes to
    the lower, and to the higher value.
    """
    if len(unknowns) <= MOST_CORNERS_OF:
        paths = [unknown.path for unknown in unknowns]
        ends = itertools.product(*(unknown.ends for unknown in unknowns))
        return [dict(zip(paths, values, strict=True)) for values in ends]

    def end(lever: Lever, *, is_higher: bool) -> Number:
        at_low = -1.0 if lever.at_low is None else lever.at_low
        at_high = -1.0 if lever.at_high is None else lever.at_high
        return lever.high if (at_high > at_low) == is_higher else lever.low

    return [
        {lever.path: end(lever, is_higher=is_higher) for lever in alone}
        for is_higher in (False, True)
    ]


def lever_of(unknown: Unknown, at: tuple[float | None, float | None]) -> Lever:
    """Return a lever before it is known which value would do.

    Parameters
    ----------
    unknown
        The unknown.
    at
        What both ends of its range come to.
    """
    low, high = unknown.ends
    return Lever(
        path=unknown.path,
        low=low,
        high=high,
        at_low=at[0],
        at_high=at[1],
        would_do=None,
        is_inside=None,
    )


def value_that_would_do(
    unknown: Unknown, lever: Lever, observed: float, value: Value, *, tolerance: float
) -> tuple[Number, bool] | None:
    """Return the value of one unknown that comes to what was observed, and whether it is in range.

    None if none was found that comes within the tolerance. It is looked for between both ends of
    the range, three numbers within it and the scenario's own, then up to what the scenario
    refuses, and then beyond the ends.

    Parameters
    ----------
    unknown, lever
        The unknown.
    observed
        What was observed.
    value
        What a point comes to.
    tolerance
        How far off that may be.
    """

    def at(number: float) -> float | None:
        return value({unknown.path: unknown.as_value(number)})

    def halved(bracket: Bracket) -> Number | None:
        number, off = _between(*bracket, observed, at, tolerance / CLOSER)
        return unknown.as_value(number) if off <= tolerance else None

    tried = _tried(unknown, lever, at)
    known = [(number, came) for number, came in tried if came is not None]
    if not known:
        return None
    for (low, at_low), (high, at_high) in itertools.pairwise(known):
        if (at_low - observed) * (at_high - observed) <= 0:
            found = halved((low, high, at_low))
            if found is not None:
                return found, True
    for (refused, came), (last, at_last) in ((tried[0], known[0]), (tried[-1], known[-1])):
        if came is None:
            bracket = _up_to_a_limit(last, refused, at_last, observed, at)
            found = None if bracket is None else halved(bracket)
            if found is not None:
                return found, True
    # Beyond the end that comes closer first.
    is_idle = len({came for _, came in known}) == 1
    ends = [(known[0], known[-1][0]), (known[-1], known[0][0])]
    for (end, at_end), other in sorted(ends, key=lambda one: abs(one[0][1] - observed)):
        if end not in (lever.low, lever.high) or end == other:
            continue
        bracket = _beyond(end, other, at_end, observed, at, is_idle=is_idle)
        found = None if bracket is None else halved(bracket)
        if found is not None:
            return found, False
    return None


def _tried(
    unknown: Unknown, lever: Lever, at: Callable[[float], float | None]
) -> list[tuple[float, float | None]]:
    """Return numbers in the range of an unknown, in order, and what each comes to."""
    found: dict[float, float | None] = {lever.low: lever.at_low, lever.high: lever.at_high}
    inside = [unknown.as_value(unknown.law.ppf(share)) for share in INSIDE]
    if unknown.given is not None and lever.low < unknown.given < lever.high:
        inside.append(unknown.given)
    for number in inside:
        if number not in found:
            found[number] = at(number)
    return sorted(found.items())


def _beyond(
    end: float,
    other: float,
    at_end: float,
    observed: float,
    at: Callable[[float], float | None],
    *,
    is_idle: bool,
) -> Bracket | None:
    """Return two numbers beyond an end between which the observed value lies, and the first's.

    An unknown that changes nothing in its range may do so far beyond.
    """
    is_geometric = end > 0 and other > 0
    last, at_last, idle = end, at_end, 0
    for doubling in range(MOST_DOUBLINGS):
        if is_geometric:
            number = end * 2.0 ** ((doubling + 1) * (1 if end > other else -1))
        else:
            number = end + (end - other) * 2.0**doubling
        found = at(number)
        if found is None:
            return _up_to_a_limit(last, number, at_last, observed, at)
        if (found - observed) * (at_last - observed) <= 0:
            return last, number, at_last
        idle = 0 if abs(found - observed) < abs(at_last - observed) else idle + 1
        if idle >= IDLE_DOUBLINGS and not is_idle:
            return None
        last, at_last = number, found
    return None


def _up_to_a_limit(
    last: float,
    refused: float,
    at_last: float,
    observed: float,
    at: Callable[[float], float | None],
) -> Bracket | None:
    """Return what `_beyond` does, between a number and one that the scenario refuses."""
    for _ in range(MOST_HALVINGS):
        middle = (last + refused) / 2
        found = at(middle)
        if found is None:
            refused = middle
        elif (found - observed) * (at_last - observed) <= 0:
            return last, middle, at_last
        else:
            last, at_last = middle, found
    return None


def _between(
    first: float,
    second: float,
    at_first: float,
    observed: float,
    at: Callable[[float], float | None],
    close: float,
) -> tuple[float, float]:
    """Return the number between two that comes closest to the observed value, and how far off.

    By halving: near a jump none may be close.
    """
    is_geometric = first > 0 and second > 0
    best = (first, abs(at_first - observed))
    for _ in range(MOST_HALVINGS):
        middle = (first * second) ** 0.5 if is_geometric else (first + second) / 2
        found = at(middle)
        if found is None:
            break
        best = min(best, (middle, abs(found - observed)), key=lambda one: one[1])
        if best[1] < close:
            break
        if (found - observed) * (at_first - observed) > 0:
            first, at_first = middle, found
        else:
            second = middle
    return best
