"""From docstrings in numpydoc form to Markdown."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterable, Iterator

Block = list[str]
"""Lines without an empty one between them."""

WITH_ENTRIES = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
"""Sections of entries: a name or a type, and below it a text that is set in."""


def to_markdown(docstring: str) -> str:
    """Return a docstring as Markdown: its text, then each section below a bold title."""
    lines = inspect.cleandoc(docstring).splitlines()
    starts = [0, *_titles(lines), len(lines)]
    text, *sections = (lines[start:end] for start, end in itertools.pairwise(starts))
    rendered = [_text(text), *(_section(title, body) for title, _rule, *body in sections)]
    return "\n\n".join(filter(None, rendered))


def sections(docstring: str) -> set[str]:
    """Return the titles of a docstring's sections."""
    lines = inspect.cleandoc(docstring).splitlines()
    return {lines[index] for index in _titles(lines)}


def _titles(lines: list[str]) -> Iterator[int]:
    """Yield the places of section titles: lines that a line of as many dashes follows."""
    for index, (title, rule) in enumerate(itertools.pairwise(lines)):
        if title and rule == "-" * len(title):
            yield index


def _section(title: str, body: list[str]) -> str:
    if title in WITH_ENTRIES:
        rendered = "\n".join(_entry(*entry, title) for entry in _entries(body))
    else:
        rendered = _text(body)
    return f"**{title}**\n\n{rendered}"


def _entries(body: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the first line of each entry, and the text below it."""
    first: list[int] = [
        index for index, line in enumerate(body) if line and not line.startswith(" ")
    ]
    for start, end in itertools.pairwise([*first, len(body)]):
        yield body[start], inspect.cleandoc("\n".join(body[start + 1 : end])).splitlines()


def _entry(first: str, below: list[str], title: str) -> str:
    """Return an entry as an item of a list."""
    names, colon, kind = first.partition(" : ")
    if title in ("Parameters", "Attributes"):
        head = ", ".join(f"`{name}`" for name in names.split(", "))
        head += f" ({_inline(kind)})" if colon else ""
    elif title == "Raises":
        head = f"`{first}`"
    else:
        head = _inline(first)
    text = _text(below).splitlines()
    lines = [f"- {head}: {text[0]}" if text else f"- {head}", *text[1:]]
    return "\n".join([lines[0], *(f"  {line}".rstrip() for line in lines[1:])])


def _text(lines: list[str]) -> str:
    return "\n\n".join(_block(block) for block in _blocks(lines))


def _blocks(lines: Iterable[str]) -> Iterator[Block]:
    for is_empty, block in itertools.groupby(lines, key=lambda line: not line.strip()):
        if not is_empty:
            yield list(block)


def _block(block: Block) -> str:
    """Return a paragraph; what has a form of its own becomes a code block."""
    if block[0].startswith(">>> "):
        return _fenced("pycon", block)
    if block[0].startswith(("===", " ")):
        return _fenced("text", block)
    return "\n".join(_inline(line) for line in block)


def _fenced(language: str, block: Block) -> str:
    return "\n".join([f"```{language}", *block, "```"])


def _inline(text: str) -> str:
    """Return text with one backtick around code, where reStructuredText has two."""
    return re.sub(r"``(.+?)``", r"`\1`", text)
