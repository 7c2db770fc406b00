"""Reports as plain text, for terminals."""

from __future__ import annotations

from hindmost.report.alignment import aligned
from hindmost.report.content import Content, Listing, Table


def text(content: Content) -> str:
    """Return a report as plain text, with an empty line between its blocks.

    Examples
    --------
    >>> print(text(Content(headline="a job", listings=(Listing("Assumed", ("a cap",)),))), end="")
    a job
    <BLANKLINE>
    Assumed:
      a cap
    """
    blocks = [
        content.headline,
        "\n".join(content.lead),
        *map(_table, content.tables),
        "\n".join(content.notes),
        *map(_listing, content.listings),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _table(table: Table) -> str:
    cells = aligned(table)
    rule = ["-" * width for width in cells.widths]
    return "\n".join("  ".join(line).rstrip() for line in (cells.headings, rule, *cells.rows))


def _listing(listing: Listing) -> str:
    return "\n".join([f"{listing.title}:", *(f"  {line}" for line in listing.lines)])
