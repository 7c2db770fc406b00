"""What ``--over KEY=VALUES`` means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hindmost.errors import Problem, ScenarioError
from hindmost.scenario import parse_change
from hindmost.sweeps.spaces import MAX_POINTS, Range

HINT = "values as KEY=4,8, or a range as KEY=0.4:1.0:13, LOW:HIGH:NUMBER, with :log if wanted"

Over = tuple[str, Range | list[Any], int | None]
"""A key path, what it takes, and how many values of a range a grid has."""


def parse_over(text: str) -> Over:
    """Return the key path, the values or the range, and the number of values of a grid.

    Raises
    ------
    ScenarioError
        If it means nothing.

    Examples
    --------
    >>> parse_over("layout.tensor=4,8")
    ('layout.tensor', [4, 8], None)
    >>> path, taken, n = parse_over("pools.gb200.software_efficiency=0.4:1.0:13")
    >>> taken.low, taken.high, n
    (0.4, 1.0, 13)
    """
    path, equals, values = text.partition("=")
    if not equals or not path.strip() or not values.strip():
        raise _refused("must be KEY.PATH=VALUES", text)
    parts = values.split(":")
    if len(parts) > 1 and all(map(_is_number, parts[:2])):
        return (path.strip(), *_range(text, [part.strip() for part in parts]))
    items = list(_items(values))
    if not all(item.strip() for item in items):
        raise _refused("must have a value on both sides of each comma", text)
    return path.strip(), [parse_change(f"{path}={item}")[1] for item in items], None


def spread(over: Sequence[Over]) -> dict[str, list[Any]]:
    """Return the values of a grid for each key path.

    Raises
    ------
    ScenarioError
        For each range of which nobody says how many values it has.
    """
    problems = [
        Problem(
            path=f"--over {path}",
            requirement="must say how many values a grid has",
            value=f"{taken.low:g}:{taken.high:g}",
            hint=f"{path}={taken.low:g}:{taken.high:g}:5, or --sample",
        )
        for path, taken, n in over
        if isinstance(taken, Range) and n is None
    ]
    if problems:
        raise ScenarioError(problems)
    return {
        path: taken.values(n or 1) if isinstance(taken, Range) else taken for path, taken, n in over
    }


def _range(text: str, parts: list[str]) -> tuple[Range, int | None]:
    is_log = parts[-1] == "log"
    numbers = parts[:-1] if is_log else parts
    if len(numbers) > 3 or not all(map(_is_number, numbers)):
        raise _refused("must be LOW:HIGH:NUMBER, with :log if wanted", text)
    low, high = (_number(part) for part in numbers[:2])
    if not low < high or (is_log and low <= 0):
        raise _refused(f"must have the smaller number first{', above 0' * is_log}", text)
    n = None
    if len(numbers) == 3:
        if not numbers[2].isdecimal() or not 2 <= int(numbers[2]) <= MAX_POINTS:
            raise _refused(f"must have a number of values from 2 to {MAX_POINTS:,}", text)
        n = int(numbers[2])
    is_integer = isinstance(low, int) and isinstance(high, int)
    return Range(low=low, high=high, is_log=is_log, is_integer=is_integer), n


def _items(values: str) -> Iterator[str]:
    """Yield values between commas, but for those within brackets or quotation marks."""
    depth, quote, item = 0, "", ""
    for mark in values:
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "," and depth == 0:
            yield item
            item = ""
            continue
        item += mark
    yield item


def _is_number(text: str) -> bool:
    try:
        found = float(text)
    except ValueError:
        return False
    return abs(found) < float("inf")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _refused(requirement: str, text: str) -> ScenarioError:
    return ScenarioError([Problem(path="--over", requirement=requirement, value=text, hint=HINT)])
