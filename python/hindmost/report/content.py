"""Content of a report, before any format: a headline, tables, notes and lists.

Control characters in them are escaped: names and sources are of files that somebody else may have
written, and one entry is one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.errors import plain


@dataclass(frozen=True)
class Table:
    """Cells under headings; the first column names the rows.

    Attributes
    ----------
    headings : tuple of str
        One a column.
    rows : tuple of tuple of str
        Cells, as many in each row as there are headings.
    has_rule : bool
        Whether a line is drawn below the headings where there is nothing else to tell them by.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    has_rule: bool = True

    def __post_init__(self) -> None:
        if any(len(row) != len(self.headings) for row in self.rows):
            raise ValueError(f"every row must have {len(self.headings)} cells")
        object.__setattr__(self, "headings", _plain(self.headings))
        object.__setattr__(self, "rows", tuple(map(_plain, self.rows)))


@dataclass(frozen=True)
class Listing:
    """Lines under a title.

    Attributes
    ----------
    title : str
        The title, without punctuation.
    lines : tuple of str
        One an entry.
    """

    title: str
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", plain(self.title))
        object.__setattr__(self, "lines", _plain(self.lines))


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that a report says, in order.

    Attributes
    ----------
    headline : str
        What the report is about, in one line.
    lead : tuple of str
        Sentences to be read before the tables.
    tables : tuple of Table
        Numbers.
    notes : tuple of str
        Sentences about the tables.
    listings : tuple of Listing
        What else there is to say.
    """

    headline: str
    lead: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    listings: tuple[Listing, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "headline", plain(self.headline))
        object.__setattr__(self, "lead", _plain(self.lead))
        object.__setattr__(self, "notes", _plain(self.notes))


def _plain(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(plain, texts))
