"""The glossary has one entry for each term, and each term is in use."""

import re

import pytest

from tests.docs.markdown import ROOT, pages, text_of

GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRIES = re.findall(r"^- \*\*(.+?)\*\*(.*)$", text_of(GLOSSARY), flags=re.MULTILINE)
TERMS = [term for term, _ in ENTRIES]


def in_use() -> str:
    """Return all that is written by hand: the other documents, and the sources."""
    documents = [page for page in pages() if page != GLOSSARY]
    sources = [*(ROOT / "python").rglob("*.py"), *(ROOT / "rust").rglob("*.rs")]
    return "\n".join(text_of(file) for file in [*documents, *sources])


IN_USE = in_use()


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_in_use(term: str) -> None:
    words = r"\s+".join(map(re.escape, term.split()))
    assert re.search(rf"\b{words}(e?s)?\b", IN_USE, flags=re.IGNORECASE)


def test_a_term_has_one_entry_which_says_what_it_is() -> None:
    assert len(TERMS) == len(set(TERMS)) > 60
    assert [term for term, text in ENTRIES if not text.startswith(": ")] == []
