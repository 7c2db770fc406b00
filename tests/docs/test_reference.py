"""The rendered references are those of the code."""

import os
import subprocess
import sys

import pytest

import hindmost as hm
from hindmost.cli import cli
from tests.docs.markdown import ROOT, anchors
from tests.docs.reference import DOCS, PAGES, api, commands


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_is_rendered_from_the_code(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == PAGES[name](), f"docs/{name} is out of date: make references"


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "40", "LINES": "10", "TERM": "dumb", "NO_COLOR": "1"},
        {"COLUMNS": "200", "TERM": "xterm-256color", "FORCE_COLOR": "1", "LANGUAGE": "de"},
    ],
    ids=["narrow", "wide and coloured"],
)
def test_the_terminal_changes_no_reference(environment: dict[str, str]) -> None:
    code = (
        "import sys; from tests.docs.reference import PAGES; "
        "sys.stdout.buffer.write(''.join(render() for render in PAGES.values()).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "".join(render() for render in PAGES.values())


def test_every_public_name_has_a_section() -> None:
    assert {name.lower() for name in hm.__all__} <= anchors(api())


def test_every_command_has_a_section() -> None:
    assert {f"hindmost-{name}" for name in cli.commands} <= anchors(commands())


def test_lines_of_help_are_no_longer_than_80_columns() -> None:
    helps = commands().split("```text\n")[1:]
    lines = [line for text in helps for line in text.split("\n```")[0].splitlines()]
    assert len(lines) > 50
    assert max(map(len, lines)) <= 80
