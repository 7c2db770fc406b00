"""Values that data do not determine: their laws, and points drawn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hindmost import _core
from hindmost.errors import Problem, ScenarioError
from hindmost.law import LawModel
from hindmost.scenario import Scenario, to_table, with_changes
from hindmost.scenario.merge import at_path
from hindmost.scenario.stack import stack_unknowns

MAX_POINTS = 65_536
"""Points that there are random numbers for: they are addressed like runs."""
ENDS = (1e-3, 1 - 1e-3)
"""Probabilities of the ends of a range."""
STACK_STREAM = "unknown/workload.stack"
"""Address of the word that all efficiencies share which a software stack implies."""

Number = int | float
Point = dict[str, Number]
"""A value of each unknown, by key path."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A value that data do not determine.

    Attributes
    ----------
    path : str
        Its key path.
    law : LawModel
        What is known of it: the prior.
    is_integer : bool
        Whether it is a whole number, to which points are rounded; forecasts take the one below.
    given : int, float or None
        Its value in the scenario; None for the default of a key that is not set.
    stream : str
        Address of its random words, by default ``unknown/KEY PATH``. The efficiencies that a
        software stack implies share one: one team's software is good or bad on all of its GPUs at
        once.
    """

    path: str
    law: LawModel
    is_integer: bool
    given: Number | None
    stream: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stream", self.stream or f"unknown/{self.path}")

    def as_value(self, number: float) -> Number:
        """Return a number as a value of the key."""
        return round(number) if self.is_integer else number

    def as_value_below(self, number: float) -> Number:
        """Return a number as a value of the key, or the whole number below it."""
        return math.floor(number) if self.is_integer else number

    def at(self, share: float, /) -> Number:
        """Return the value below which a share of its law lies."""
        return self.as_value(self.law.ppf(share))

    @property
    def ends(self) -> tuple[Number, Number]:
        """Both ends of its range: the quantiles p0.1 and p99.9."""
        low, high = ENDS
        return self.as_value(self.law.ppf(low)), self.as_value(self.law.isf(1 - high))


def unknowns_of(scenario: Scenario) -> list[Unknown]:
    """Return the unknowns of a scenario: those of its software stack, then its own.

    Of a key that both name the scenario's law holds.
    """
    laws = {**stack_unknowns(scenario), **scenario.unknowns}
    table = to_table(scenario) if laws else {}
    found = []
    for path, law in laws.items():
        given = at_path(table, path)
        is_integer = _takes_integers_only(scenario, path, law, given)
        is_shared = path not in scenario.unknowns and path.endswith(".software_efficiency")
        found.append(
            Unknown(
                path=path,
                law=law,
                is_integer=is_integer,
                given=given if isinstance(given, int | float) else None,
                stream=STACK_STREAM if is_shared else "",
            )
        )
    return found


def some_unknowns_of(scenario: Scenario) -> list[Unknown]:
    """Return the unknowns of a scenario that must have some.

    Raises
    ------
    ScenarioError
        If it has none.
    """
    found = unknowns_of(scenario)
    if not found:
        requirement = "must name at least one value and its law"
        hint = '"causes.stall.per_hour" = { name = "log-uniform", low = 0.005, high = 0.05 }'
        raise ScenarioError(
            [Problem(path="unknowns", requirement=requirement, hint=hint, source=scenario.source)]
        )
    return found


def drawn(unknowns: Sequence[Unknown], seed: int, first: int, end: int) -> list[Point]:
    """Return the points from number `first` to `end`, each by the random words of its number."""
    streams = [(unknown, fnv_1a(unknown.stream)) for unknown in unknowns]
    return [
        {
            unknown.path: _value(unknown, _core.philox(seed, (0, 0, number << 16, stream))[0])
            for unknown, stream in streams
        }
        for number in range(first, end)
    ]


def _value(unknown: Unknown, word: int) -> Number:
    """Return the value of a random word, which orders it."""
    is_upper = word >= 2**31
    tail = ((0xFFFF_FFFF - word if is_upper else word) + 0.5) / 2**32
    law = unknown.law
    return unknown.as_value(law.isf(tail) if is_upper else law.ppf(tail))


@cache
def fnv_1a(text: str) -> int:
    """Return the stream of an address: FNV-1a in 32 bits."""
    found = 0x811C_9DC5
    for byte in text.encode():
        found = (found ^ byte) * 0x0100_0193 % 2**32
    return found


def _takes_integers_only(scenario: Scenario, path: str, law: LawModel, given: Any) -> bool:
    if given is not None:
        return isinstance(given, int) and not isinstance(given, bool)
    # Of a key that is not set only its type says so.
    value = law.ppf(0.5)
    below = round(value) - 0.5 if value == round(value) else value
    try:
        with_changes(scenario, {path: below})
    except ScenarioError as error:
        return any(
            problem.path == path and "integer" in problem.requirement for problem in error.problems
        )
    return False
