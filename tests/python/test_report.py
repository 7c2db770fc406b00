"""Formats of reports, by contents that no simulation made."""

from __future__ import annotations

import ast
import csv as standard_csv
import json as standard_json
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost.report import FORMATS, csv, json, markdown, render, table
from hindmost.report.content import Content, Listing, Table

FOLDER = Path(hm.__file__).parent / "report"

CONTENT = Content(
    headline="two pools",
    tables=(Table(("pool", "GPUs"), (("h100", "1,024"), ("gb200-nvl72", "72"))),),
    notes=("The first note.", "The second note."),
    listings=(Listing("Assumed", ("a cap", "a rate")), Listing("Unknown", ("a law",))),
)

PLAIN = """two pools

pool          GPUs
-----------  -----
h100         1,024
gb200-nvl72     72

The first note.
The second note.

Assumed:
  a cap
  a rate

Unknown:
  a law
"""

MARKDOWN = """two pools

| pool        |  GPUs |
|-------------|------:|
| h100        | 1,024 |
| gb200-nvl72 |    72 |

The first note.

The second note.

**Assumed**

- a cap
- a rate

**Unknown**

- a law
"""


def test_plain_text_is_what_the_content_says() -> None:
    assert table.text(CONTENT) == PLAIN


def test_markdown_is_what_the_content_says() -> None:
    assert markdown.text(CONTENT) == MARKDOWN


def test_a_headline_alone_is_a_report() -> None:
    for style in (table, markdown):
        assert style.text(Content(headline="nothing more")) == "nothing more\n"


def test_rows_of_csv_come_back() -> None:
    rows: list[dict[str, Any]] = [
        {"name": 'a "quoted", name', "value": 0.1},
        {"name": "two\nlines", "value": None},
    ]
    read = list(standard_csv.reader(csv.text(rows).splitlines(keepends=True)))
    assert read == [["name", "value"], ['a "quoted", name', "0.1"], ["two\nlines", ""]]


def test_a_document_of_json_comes_back_and_has_finite_numbers() -> None:
    document = {"name": "±", "values": [1, 0.1, None]}
    assert standard_json.loads(json.text(document)) == document
    with pytest.raises(ValueError, match="not JSON compliant"):
        json.text({"value": float("nan")})


def test_a_table_has_a_cell_under_each_heading() -> None:
    with pytest.raises(ValueError, match="every row must have 2 cells"):
        Table(("pool", "GPUs"), (("h100",),))


@pytest.mark.parametrize("style", [table, markdown])
def test_no_part_of_a_report_acts_on_a_terminal(style: Any) -> None:
    evil = "\x1b[2J\x07\nline"
    text = style.text(
        Content(
            headline=evil,
            tables=(Table((evil, evil), ((evil, evil),)),),
            notes=(evil,),
            listings=(Listing(evil, (evil,)),),
        )
    )
    assert text.count(r"\x1b[2J\x07\nline") == 8
    assert all(line.isprintable() for line in text.splitlines())


def test_contents_are_values() -> None:
    again = Content(
        headline=CONTENT.headline,
        tables=CONTENT.tables,
        notes=CONTENT.notes,
        listings=CONTENT.listings,
    )
    assert again == CONTENT
    assert len({CONTENT, again}) == 1


def test_an_unknown_format_is_refused() -> None:
    result = hm.simulate("h100-1k", seed=1, runs=1, steps=1)
    with pytest.raises(ValueError, match="style must be one of table, json, csv, markdown"):
        render(result, "xml")


@pytest.mark.parametrize("style", FORMATS)
def test_a_format_knows_contents_or_rows_and_no_results(style: str) -> None:
    tree = ast.parse((FOLDER / f"{style}.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in imported if name and name.startswith("hindmost")}
    assert ours <= {"hindmost.report.alignment", "hindmost.report.content"}
