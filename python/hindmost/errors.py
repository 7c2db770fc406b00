"""Errors, and the problems that they hold."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any


class _Unset:
    """Type of the mark for no value, where None is a value."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        # Pickled and copied by name, because it is told by its identity.
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
        The value that was given, if it helps to see it.
    hint
        What would be accepted, if that is not clear from the requirement.
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
        # Key paths, names and sources are of files that somebody else may have written.
        return plain(f"{self.source}: {text}" if self.source else text)

    def within(self, outer: str) -> Problem:
        """Return the problem with `outer` before its key path."""
        return replace(self, path=f"{outer}.{self.path}" if self.path else outer)


class HindmostError(Exception):
    """Base of the errors that hindmost raises on purpose."""


class ScenarioError(HindmostError, ValueError):
    """A scenario or a call that was refused.

    Attributes
    ----------
    problems : tuple of Problem
        Everything that is wrong; the message has one problem a line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is made again by its class and args, which are no problems.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class UnknownNameError(ScenarioError, KeyError):
    """A name that a table does not have; the problems say which ones it has."""

    # That of KeyError would show the message as a literal.
    __str__ = Exception.__str__


class OutputError(HindmostError, OSError):
    """A result that could not be written in full; no part of it was left behind."""


class Verbatim(str):
    """A text that messages show without quotation marks."""

    __slots__ = ()


def plain(text: str, *, keep: str = "") -> str:
    r"""Return a text with escapes for control characters, which would act on a terminal.

    Parameters
    ----------
    text
        The text.
    keep
        Control characters that stay, such as those between lines.

    Examples
    --------
    >>> plain("a \x1b[31mred\x1b[0m\nname")
    'a \\x1b[31mred\\x1b[0m\\nname'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else repr(char)[1:-1] for char in text
    )


def shown(value: Any) -> str:
    """Return `value` as messages show it: in the form of TOML, cut to 60 characters."""
    if isinstance(value, Verbatim):
        text = str(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = f'"{plain(value)}"'
    elif isinstance(value, int) and abs(value) >= 10**60:
        text = "an integer of more than 60 digits"
    elif value is None:
        text = "nothing"
    elif isinstance(value, list):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    else:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(name: str, known: Iterable[str], *, or_list: bool = True) -> str:
    """Return a hint that names the entry closest to `name`, or else lists all of them.

    Capital and small letters count as equal.
    """
    known = list(known)
    by_lower_case = {other.lower(): other for other in reversed(known)}
    close = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{by_lower_case[close[0]]}"?'
    return f"there is {', '.join(known)}" if known and or_list else ""
