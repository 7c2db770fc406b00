"""Reports as Markdown, with tables of GitHub's form."""

from __future__ import annotations

from hindmost.report.alignment import aligned
from hindmost.report.content import Content, Listing, Table


def text(content: Content) -> str:
    """Return a report as Markdown.

    Examples
    --------
    >>> print(text(Content(headline="a job", listings=(Listing("Assumed", ("a cap",)),))), end="")
    a job
    <BLANKLINE>
    **Assumed**
    <BLANKLINE>
    - a cap
    """
    blocks = [
        content.headline,
        *content.lead,
        *map(_table, content.tables),
        *content.notes,
        *map(_listing, content.listings),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    cells = aligned(table)
    first, *others = cells.widths
    rule = "|".join(["-" * (first + 2), *("-" * (width + 1) + ":" for width in others)])
    headings, *rows = (f"| {' | '.join(line)} |" for line in (cells.headings, *cells.rows))
    return "\n".join([headings, f"|{rule}|", *rows])


def _listing(listing: Listing) -> str:
    return "\n".join([f"**{listing.title}**", "", *(f"- {line}" for line in listing.lines)])
