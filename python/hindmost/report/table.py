"""Reports as plain text, for terminals."""

from __future__ import annotations

import shutil
import textwrap

from hindmost.report.alignment import aligned
from hindmost.report.content import Content, Listing, Table

WIDTH = 80
"""Columns where nobody says how many there are."""
NARROWEST = 40
"""Columns under which lines are not wrapped further."""


def terminal_width() -> int:
    """Return the columns of the terminal, or of the environment's COLUMNS, or 80."""
    return max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)


def text(content: Content, width: int = WIDTH) -> str:
    """Return a report as plain text, with an empty line between its blocks.

    Parameters
    ----------
    content
        The report.
    width
        Columns that lines are wrapped to; tables have the width that they have.

    Examples
    --------
    >>> print(text(Content(headline="a job", listings=(Listing("Assumed", ("a cap",)),))), end="")
    a job
    <BLANKLINE>
    Assumed:
      a cap
    """
    blocks = [
        _wrapped(content.headline, width),
        "\n".join(_wrapped(line, width) for line in content.lead),
        *map(_table, content.tables),
        "\n".join(_wrapped(line, width) for line in content.notes),
        *(_listing(listing, width) for listing in content.listings),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _table(table: Table) -> str:
    cells = aligned(table)
    rule = ["-" * width for width in cells.widths]
    rules = [rule] if table.has_rule else []
    return "\n".join("  ".join(line).rstrip() for line in (cells.headings, *rules, *cells.rows))


def _listing(listing: Listing, width: int) -> str:
    lines = (_wrapped(line, width, first="  ", others="    ") for line in listing.lines)
    return "\n".join([f"{listing.title}:", *lines])


def _wrapped(line: str, width: int, *, first: str = "", others: str = "") -> str:
    """Return a line in lines of a width; words that are longer stay whole."""
    return textwrap.fill(
        line,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
