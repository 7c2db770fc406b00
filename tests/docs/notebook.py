"""Runs the cells of the cookbook's notebook; `python -m tests.docs.notebook` writes it."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from typing import Any

from tests.docs.markdown import ROOT, blocks, text_of

FILE = ROOT / "docs" / "notebook.ipynb"
COOKBOOK = ROOT / "docs" / "cookbook.md"


def cells() -> list[str]:
    """Return the code of the recipe, cell by cell."""
    recipe = text_of(COOKBOOK).partition("\n## A notebook\n")[2].partition("\n## ")[0]
    return [code.rstrip() for code in blocks(recipe, "python")]


def render() -> dict[str, Any]:
    """Return the notebook, with what each cell prints and shows."""
    names: dict[str, object] = {}
    return {
        "cells": [cell(code, number, names) for number, code in enumerate(cells(), start=1)],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(code: str, number: int, names: dict[str, object]) -> dict[str, Any]:
    """Return a cell that was run after those before it, whose names it sees and adds to."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "cell", "exec"), names)
        value = eval(ast.unparse(last), names) if last is not None else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue()})
    if value is not None:
        outputs.append(
            {
                "output_type": "execute_result",
                "execution_count": number,
                "data": shown(value),
                "metadata": {},
            }
        )
    return {
        "cell_type": "code",
        "execution_count": number,
        "id": f"cell-{number}",
        "metadata": {},
        "source": code,
        "outputs": outputs,
    }


def shown(value: Any) -> dict[str, str]:
    """Return what a value shows, by media type: a plot is a picture, all else a table."""
    if hasattr(value, "_repr_mimebundle_"):
        return {"image/svg+xml": value._repr_mimebundle_()["image/svg+xml"]}
    return {"text/html": value._repr_html_()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(render(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
