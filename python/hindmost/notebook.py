"""How values show themselves in a notebook: a line and small tables, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

ROWS = 40
"""Rows of a table that are shown; the others are counted."""


class Cells(NamedTuple):
    """A table."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


def shown(title: str, *tables: Cells) -> str:
    """Return a line and tables as HTML; all texts are escaped.

    Parameters
    ----------
    title
        The line.
    tables
        Tables below it. Numbers have five digits.

    Examples
    --------
    >>> shown("a < b", Cells(["x"], [[0.5]])).startswith("<p><b>a &lt; b</b></p><table>")
    True
    """
    return f"<p><b>{escape(title)}</b></p>{''.join(map(_table, tables))}"


def _table(of: Cells) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in of.headings)
    lines = [
        f"<tr>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in row)}</tr>"
        for row in of.rows[:ROWS]
    ]
    more = len(of.rows) - ROWS
    if more > 0:
        lines.append(f'<tr><td colspan="{len(of.headings)}">and {more:,} more</td></tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
