"""Cells of a table padded to the widths of their columns."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.report.content import Table


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A table whose columns have one width each.

    Attributes
    ----------
    widths : list of int
        Characters of each column.
    headings : list of str
        Padded headings.
    rows : list of list of str
        Padded cells: the first column to the left, the others to the right.
    """

    widths: list[int]
    headings: list[str]
    rows: list[list[str]]


def aligned(table: Table) -> Aligned:
    """Return a table with all cells padded.

    Examples
    --------
    >>> aligned(Table(("", "mean"), (("MFU", "0.4"), ("stall, s", "0.25")))).rows
    [['MFU     ', ' 0.4'], ['stall, s', '0.25']]
    """
    lines = [table.headings, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    headings, *rows = (
        [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return Aligned(widths=widths, headings=headings, rows=rows)
