"""The page on conventions is that of the code, and its claims are those of its figures."""

import hindmost as hm
from tests.docs import conventions
from tests.docs.conventions import JOB, JOB_CHANGES


def test_the_page_is_rendered_from_the_code() -> None:
    page = conventions.PAGE.read_text(encoding="utf-8")
    assert page == conventions.render(), "docs/conventions.md is out of date: make references"


def test_the_lower_figure_is_the_better_run() -> None:
    one, other = (
        hm.convention(JOB, tool=tool, mfu=mfu, changes=JOB_CHANGES)
        for tool, mfu in (("torchtitan", 0.45), ("megatron-lm", 0.42))
    )
    assert one.causal < other.causal
