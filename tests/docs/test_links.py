"""Links of documents lead to files and headings that exist."""

from pathlib import Path

import pytest

from tests.docs.markdown import README, ROOT, anchor, anchors, links, pages, text_of


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in links(text_of(page)):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not heading or heading in anchors(text_of(file)), target


def test_the_readme_leads_to_every_document() -> None:
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(text_of(README))}
    folders = {ROOT, ROOT / "docs", ROOT / "findings"}
    documents = {page for page in pages() if page.parent in folders} - {README}
    assert documents <= linked, sorted(map(name_of, documents - linked))


def test_anchors_are_those_of_hosting_platforms() -> None:
    text = "# One: `two_three`\n\n```sh\n# no heading\n```\n\n## [Four](a.md), 5x\n\n## four 5x\n"
    assert anchors(text) == {"one-two_three", "four-5x", "four-5x-1"}
    assert anchor("Errors and percentiles") == "errors-and-percentiles"


def test_links_in_code_are_none() -> None:
    assert links("[a](b.md#c) [d](https://e) [f](#g)\n```\n[h](i.md)\n```\n") == ["b.md#c", "#g"]
