"""What the first page and the cookbook show is what their commands and code print."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import notebook
from tests.docs.gallery import FILES
from tests.docs.markdown import ROOT, blocks, text_of
from tests.docs.test_gallery import said

COOKBOOK = text_of(ROOT / "docs" / "cookbook.md")
PAGES = (text_of(ROOT / "docs" / "index.md"), COOKBOOK)


SVG = "image/svg+xml"


def recipes() -> dict[str, list[tuple[str, str]]]:
    """Return the code blocks of each section that runs hindmost, as languages with texts."""
    found = {}
    for page in PAGES:
        for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
            heading, _, text = section.partition("\n")
            parts = re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
            if any("hindmost" in code for _, code in parts):
                found[heading] = parts
    return found


RECIPES = recipes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, where `hindmost` is that of this interpreter."""
    commands = tmp_path / "commands"
    commands.mkdir()
    command = commands / "hindmost"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hindmost "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_prints_what_it_shows(heading: str, folder: Path) -> None:
    printed, names = "", dict[str, object]()
    for language, code in RECIPES[heading]:
        if language == "toml":
            (folder / code.split()[1]).write_text(code, encoding="utf-8")
        elif language == "sh":
            printed = shell(code)
        elif language == "python":
            printed = python(code, names)
        elif language == "text":
            assert missing(code, printed) is None


def shell(commands: str) -> str:
    """Return what commands print, messages among it."""
    call = ["sh", "-c", commands]
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def python(code: str, names: dict[str, object]) -> str:
    """Return what a cell prints, which sees the names of the cells before it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "cookbook.md", "exec"), names)
    return printed.getvalue()


def missing(shown: str, printed: str) -> str | None:
    """Return the first lines that are shown and not printed in this order; "..." is any lines."""
    rest = f"\n{printed}"
    for number, part in enumerate(re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)):
        before, found, rest = rest.partition(f"\n{part}")
        if not found or (before and number == 0):
            return part
        rest = f"\n{rest}"
    return None if shown.endswith("...\n") else rest.strip() or None


def test_lines_that_differ_are_missing() -> None:
    assert missing("a\nb\n", "a\nb\n") is None
    assert missing("a\n...\nc\n...\n", "a\nb\nc\nd\n") is None
    assert missing("...\nc\nd\n", "a\nb\nc\nd\n") is None
    for shown in ("a\n", "b\n...\n", "a\nc\n...\n", "a\n...\nbb\n...\n", "a\n...\nc\n"):
        assert missing(shown, "a\nb\nc\nd\n") is not None, shown


def test_the_gate_of_ci_runs_a_command_of_the_recipe() -> None:
    [workflow] = blocks(COOKBOOK, "yaml")
    gates = re.findall(r"- run: (hindmost .+)", workflow)
    assert gates
    assert set(gates) <= set(RECIPES["A gate in CI"][0][1].splitlines())


def test_the_notebook_shows_what_its_cells_do(tmp_path: Path) -> None:
    pictures = []
    shown, anew = json.loads(text_of(notebook.FILE)), notebook.render()
    for document in (shown, anew):
        outputs = [output for cell in document["cells"] for output in cell["outputs"]]
        [picture] = [data for output in outputs if (data := output.get("data", {})) if SVG in data]
        (tmp_path / "mfu.svg").write_text(picture.pop(SVG), encoding="utf-8")
        pictures.append(said(tmp_path / "mfu.svg"))
    assert shown == anew, "docs/notebook.ipynb is out of date: make gallery"
    assert pictures[0] == pictures[1] == said(FILES / "mfu.svg")
    assert "(gallery/mfu.svg)" in COOKBOOK
