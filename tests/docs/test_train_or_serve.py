"""The page on letting a cluster or training on it is that of the code."""

from tests.docs import train_or_serve


def test_the_page_is_rendered_from_the_code() -> None:
    page = train_or_serve.PAGE.read_text(encoding="utf-8")
    assert page == train_or_serve.render(), "docs/train-or-serve.md is out of date: make references"


def test_its_worked_cases_are_those_of_the_closed_form() -> None:
    text = train_or_serve.changes()
    for price, needed in zip(train_or_serve.OUTSIDE, ("0.589", "0.446", "0.355"), strict=True):
        (row,) = [line for line in text.splitlines() if f"H100 rented for ${price:.2f}" in line]
        assert f"| {needed} |" in row
