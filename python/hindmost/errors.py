"""What hindmost says when it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any


class _Unset:
    """Stands for no value, where None is a value."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a scenario.

    Parameters
    ----------
    path
        Key path, such as ``causes.jitter.law.sigma``; empty for a whole file.
    requirement
        What the value must be, as the rest of a sentence about it, such as
        ``must be finite and >= 0`` or ``is missing``.
    value
        The value that was given, if it says something.
    hint
        What would do, if that is not clear from the requirement.
    source
        File, preset or option that set the value.
    """

    path: str
    requirement: str
    value: Any = UNSET
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        text = f"{self.path} {self.requirement}".strip()
        if self.value is not UNSET:
            text += f", got {shown(self.value)}"
        if self.hint:
            text += f"; {self.hint}"
        return f"{self.source}: {text}" if self.source else text

    def within(self, outer: str) -> Problem:
        """Return the same problem one level further out."""
        return replace(self, path=f"{outer}.{self.path}" if self.path else outer)


class HindmostError(Exception):
    """Base of everything that hindmost refuses."""


class ScenarioError(HindmostError, ValueError):
    """A scenario, or a call, with problems.

    Attributes
    ----------
    problems : tuple of Problem
        All of them; the message has one a line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OutputError(HindmostError, OSError):
    """A result that could not be written in full; nothing was left behind."""


class Verbatim(str):
    """A value that a message shows as it stands."""

    __slots__ = ()


def shown(value: Any) -> str:
    """Return `value` as a message shows it: as TOML would, and not too long."""
    if isinstance(value, Verbatim):
        text = str(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        # Nothing that a terminal would obey.
        plain = (char if char.isprintable() else repr(char)[1:-1] for char in value)
        text = f'"{"".join(plain)}"'
    elif isinstance(value, int) and abs(value) >= 10**60:
        text = "an integer of more than 60 digits"
    elif value is None:
        text = "nothing"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    else:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(name: str, known: Iterable[str], *, or_list: bool = True) -> str:
    """Return a hint that names what `name` may have meant, or else what there is."""
    known = list(known)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"there is {', '.join(known)}" if known and or_list else ""
