"""Configuration of the documentation site, which `make site` builds with Sphinx.

The source folder is the root of the project, so that links between documents are those of the
repository. Nothing that is built needs a network.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))

NAVIGATION = {
    "Start": ["Tour </README>", "/docs/cookbook", "/docs/gallery", "/docs/glossary"],
    "Use": [
        "/docs/commands",
        "/docs/api",
        "/docs/plots",
        "/docs/what-if",
        "/docs/sweeps",
        "/docs/logs",
        "/docs/serving",
        "/docs/economics",
    ],
    "Understand": [
        "/docs/model",
        "/docs/engines",
        "/docs/collectives",
        "/docs/conventions",
        "/docs/queues",
        "/docs/validation",
        "/docs/colossus",
        "/docs/train-or-serve",
        "/docs/decisions",
    ],
    "Contribute": [
        "/CONTRIBUTING",
        "/docs/adding",
        "/docs/reproducibility",
        "/docs/performance",
        "/findings/README",
        "/CHANGELOG",
        "/RELEASING",
        "/SECURITY",
        "/CODE_OF_CONDUCT",
    ],
}
"""Pages by group; a page that is in none of them fails the build."""

project = "hindmost"
author = "The hindmost authors"
project_copyright = author
version = release = CARGO["workspace"]["package"]["version"]

extensions = ["myst_parser"]
myst_heading_anchors = 6

root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "findings/*.md"]

html_theme = "furo"
html_title = f"hindmost {release}"
html_copy_source = False
html_use_index = False


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Append the navigation to the first page, whose readers in the repository need none."""
    if page == root_doc:
        for group, pages in NAVIGATION.items():
            entries = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {group}\n\n{entries}\n```\n"


def add_files(app: Sphinx, problem: Exception | None) -> None:
    """Add what the gallery links to, and the first page again where a reader looks for it."""
    if problem is not None:
        return
    shutil.copytree(GALLERY, app.outdir / GALLERY.relative_to(ROOT), dirs_exist_ok=True)
    first = f"{root_doc}.html"
    text = (app.outdir / first).read_text(encoding="utf-8")
    # A redirection would do, but what takes pictures of pages or archives them stumbles over it.
    text = text.replace("<head>", f'<head><base href="{first}">', 1)
    (app.outdir / "index.html").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above to the build."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_files)
