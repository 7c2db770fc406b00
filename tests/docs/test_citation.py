"""CITATION.cff is valid, and of this version."""

import re
import tomllib

import hindmost as hm
from tests.docs.markdown import ROOT, text_of

REQUIRED = {"cff-version", "message", "title", "authors"}
OPTIONAL = {"abstract", "type", "version", "license", "keywords", "date-released"}
"""Keys of the Citation File Format 1.2.0 that are in use."""


def parsed(text: str) -> dict[str, str | list[str]]:
    """Return a table of YAML whose values are texts or lists of texts.

    What is not of this form raises ValueError: a part of YAML is all that the file needs.
    """
    table: dict[str, str | list[str]] = {}
    key, folded = "", False
    for number, line in enumerate(text.splitlines(), start=1):
        value = table.get(key)
        if match := re.fullmatch(r"([a-z-]+):(?: (.+))?", line):
            key, given = match[1], match[2]
            if key in table:
                raise ValueError(f"line {number}: {key} stands twice")
            folded = given == ">-"
            table[key] = "" if folded else [] if given is None else unquoted(given)
        elif isinstance(value, list) and (match := re.fullmatch(r"  - (.+)", line)):
            value.append(match[1])
        elif isinstance(value, str) and folded and (match := re.fullmatch(r"  (\S.*)", line)):
            table[key] = f"{value} {match[1]}".strip()
        else:
            raise ValueError(f"line {number}: {line}")
    return table


def unquoted(text: str) -> str:
    """Return a plain or a quoted text."""
    if match := re.fullmatch(r'"([^"\\]*)"', text):
        return match[1]
    if re.search(r": |#|^[-?&*!|>%@`{\[\"']", text):
        raise ValueError(f"must stand in quotes: {text}")
    return text


CITATION = parsed(text_of(ROOT / "CITATION.cff"))


def test_the_citation_has_the_keys_of_its_format() -> None:
    assert REQUIRED <= set(CITATION) <= REQUIRED | OPTIONAL
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"


def test_the_citation_is_of_this_version_and_licence() -> None:
    package = tomllib.loads(text_of(ROOT / "Cargo.toml"))["workspace"]["package"]
    assert CITATION["version"] == package["version"] == hm.__version__
    assert CITATION["license"] == package["license"]


def test_the_authors_are_those_of_the_package() -> None:
    package = tomllib.loads(text_of(ROOT / "Cargo.toml"))["workspace"]["package"]
    assert CITATION["authors"] == [f"name: {name}" for name in package["authors"]]


def test_the_changelog_has_a_section_of_this_version() -> None:
    assert re.search(rf"^## {re.escape(hm.__version__)}\b", text_of(ROOT / "CHANGELOG.md"), re.M)
