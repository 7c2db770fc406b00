"""The site is whole: it needs no network, and every page and anchor can be reached."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from tests.docs.markdown import ROOT, blocks, pages, text_of

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="needs the extra docs: pip install '.[docs]'",
)


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    file: Path
    base: str = ""
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(text_of(self.file))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "base":
            self.base = given["href"]
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])
        else:
            self.loaded += [given[name] for name in ("src", "href", "data") if name in given]

    def target(self, link: str) -> tuple[Path, str]:
        """Return the file and the anchor that a link leads to."""
        address, anchor = urldefrag(urljoin(urljoin(self.file.as_uri(), self.base), link))
        return Path(unquote(urlsplit(address).path)), unquote(anchor)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make site` does."""
    recipe = re.search(r"-m (sphinx .*?)--doctree-dir", text_of(ROOT / "Makefile"), flags=re.DOTALL)
    assert recipe is not None
    options = recipe[1].replace("\\", " ").split()
    folders = ["--doctree-dir", str(site.parent / "doctrees"), "--conf-dir", "docs", ".", str(site)]
    call = [sys.executable, "-m", *options, *folders]
    return subprocess.run(call, cwd=source, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_nothing_is_loaded_from_elsewhere(site: Path, built: dict[Path, Page]) -> None:
    assert len(built) > 25
    for file, page in built.items():
        assert [address for address in page.loaded if is_elsewhere(address)] == [], file
    for style in site.rglob("*.css"):
        assert not re.search(r"""(@import|url\()\s*["']?(https?:)?//""", text_of(style)), style


def test_every_link_leads_to_a_file_and_an_anchor(built: dict[Path, Page]) -> None:
    for file, page in built.items():
        for link in (*page.links, *page.loaded):
            if is_elsewhere(link) or urlsplit(link).scheme not in ("", "file"):
                continue
            target, anchor = page.target(link)
            assert target.is_file(), (file, link)
            assert not anchor or anchor in built[target].anchors, (file, link)


def test_every_document_is_in_the_navigation(site: Path, built: dict[Path, Page]) -> None:
    first = built[site / "index.html"]
    navigation = {first.target(link)[0] for link in first.links}
    documents = {
        site / page.relative_to(ROOT).with_suffix(".html")
        for page in pages()
        if not page.relative_to(ROOT).is_relative_to(".github")
    }
    assert len(documents) > 20
    assert documents <= navigation, documents - navigation


def test_the_first_page_is_where_a_reader_looks_for_it(site: Path, built: dict[Path, Page]) -> None:
    first, copy = built[site / "docs" / "index.html"], built[site / "index.html"]
    assert [copy.target(link) for link in copy.links] == [
        first.target(link) for link in first.links
    ]
    [shown] = blocks(text_of(ROOT / "docs" / "index.md"), "text")
    assert shown.splitlines()[0] in text_of(copy.file)


def test_words_can_be_searched_without_a_server(site: Path, built: dict[Path, Page]) -> None:
    index = text_of(site / "searchindex.js")
    assert index.startswith("Search.setIndex(")
    for word in ("straggler", "shapley", "checkpoint"):
        assert f'"{word}":' in index, word
    assert "searchindex.js" in {
        Path(one).name for one in loaded_scripts(built[site / "search.html"])
    }


def loaded_scripts(page: Page) -> Iterator[str]:
    yield from (urlsplit(address).path for address in page.loaded if ".js" in address)


def test_a_page_that_is_lost_and_a_link_that_is_broken_fail_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for file in (*ROOT.glob("*.md"), ROOT / "Cargo.toml"):
        shutil.copy(file, source)
    for name in ("docs", "findings"):
        shutil.copytree(ROOT / name, source / name)
    lost = source / "docs" / "lost.md"
    lost.write_text("# Lost\n\n[gone](gone.md) [no heading](model.md#nowhere)\n", encoding="utf-8")
    done = build(source, tmp_path / "site")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "lost.md" in line]
    assert len(said) == 3, done.stderr
    for what in ("toctree", "gone.md", "nowhere"):
        assert any(what in line for line in said), what
