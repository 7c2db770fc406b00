"""The gallery is what its commands draw."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs import gallery
from tests.docs.gallery import FILES, PICTURES, Picture
from tests.docs.markdown import text_of

SLOW = {"attribute.svg", "explain.svg"}
"""Pictures that take more than two seconds, which only `make gallery` draws anew."""


def said(picture: Path) -> list[str]:
    """Return all that a picture says: its texts, and the values of its marks, in order.

    Where marks lie depends on the version that draws them; what they say does not.
    """
    found = []
    for element in ElementTree.parse(picture).iter():
        found += [element.text or "", element.get("aria-label", "")]
    return [text for text in found if text.strip()]


def test_the_page_is_rendered_from_its_list() -> None:
    assert text_of(gallery.PAGE) == gallery.render(), "docs/gallery.md is out of date: make gallery"


def test_the_page_has_a_file_of_each_command_and_no_others() -> None:
    shown = re.findall(r'(?:\(|")gallery/([\w.]+)', text_of(gallery.PAGE))
    assert sorted(shown) == sorted(file.name for file in FILES.iterdir())
    assert sum(file.stat().st_size for file in FILES.iterdir()) < 600_000


@pytest.mark.parametrize(
    "picture", [one for one in PICTURES if one.file not in SLOW], ids=lambda one: str(one.file)
)
def test_a_picture_says_what_its_command_draws(picture: Picture, tmp_path: Path) -> None:
    gallery.draw(picture.command, tmp_path)
    shown = said(FILES / picture.file)
    assert len(shown) > 5
    assert said(tmp_path / picture.file) == shown, "docs/gallery is out of date: make gallery"
