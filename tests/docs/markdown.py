"""The project's documents, and what tests look up in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def pages() -> list[Path]:
    """Return all documents, in order."""
    found = [ROOT.glob("*.md"), *((ROOT / name).rglob("*.md") for name in FOLDERS)]
    return sorted(page for pages in found for page in pages)


FOLDERS = (".github", "docs", "findings")


def text_of(page: Path) -> str:
    """Return the text of a document."""
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def without_blocks(text: str) -> str:
    """Return a text without its code blocks and comments."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def code_spans(text: str) -> list[str]:
    """Return what stands between single backticks, in order."""
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", without_blocks(text))


def links(text: str) -> list[str]:
    """Return the targets of links that lead to a document or a heading."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))
    return [target for target in targets if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors of all headings; the second one of a name ends in -1."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_blocks(text), flags=re.MULTILINE):
        found.add(next(name for name in _numbered(anchor(heading)) if name not in found))
    return found


def anchor(heading: str) -> str:
    """Return the anchor that hosting platforms give to a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 0
    while True:
        number += 1
        yield f"{name}-{number}"
