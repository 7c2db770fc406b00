"""The page on colossus-1 is that of the presets as they are."""

from collections.abc import Callable

import pytest

from tests.validation import colossus

PAGE = colossus.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", colossus.QUICK_PARTS, ids=lambda part: part.__name__)
def test_the_page_is_rendered_from_the_presets(part: Callable[[], str]) -> None:
    # What takes minutes moves with these: `make colossus` renders all of it.
    assert part() in PAGE
