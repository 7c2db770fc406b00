"""What documents name exists: laws, presets, metrics, commands, options and files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.cli import cli
from hindmost.cli.threshold import parsed_thresholds
from hindmost.law import Law
from tests.docs.markdown import ROOT, blocks, code_spans, pages, text_of

PAGES = [page for page in pages() if page.name != "CHANGELOG.md"]
"""All documents but the changelog, which also names what was once there."""

CORE = ROOT / "rust" / "core" / "src"
PACKAGE = ROOT / "python" / "hindmost"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def section(page: str, heading: str) -> str:
    """Return a section of a page of docs/, without its heading."""
    text = text_of(ROOT / "docs" / page)
    return re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]


def first_column(text: str) -> set[str]:
    """Return the code in the first column of a table."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))


def entry(term: str) -> list[str]:
    """Return the code in a term's entry of the glossary."""
    text = text_of(ROOT / "docs" / "glossary.md").partition(f"- **{term}**:")[2]
    return code_spans(text.partition("\n- **")[0])


def law_names() -> set[str]:
    models = Law.__origin__.__args__  # type: ignore[attr-defined]
    return {model.model_fields["name"].default for model in models}


def test_the_model_names_every_law() -> None:
    assert first_column(section("model.md", "Laws")) | {"tabulated"} == law_names()


def test_the_model_names_every_schedule_sharding_and_algorithm() -> None:
    schema = hm.Scenario.model_json_schema()["$defs"]
    layout, collective = schema["Layout"]["properties"], schema["Collective"]["properties"]
    communication = section("model.md", "Communication between replicas")
    assert first_column(section("model.md", "Schedules")) == set(layout["schedule"]["enum"])
    named = first_column(communication)
    assert named == {*layout["sharding"]["enum"], *collective["algorithm"]["enum"]}


def test_the_model_names_every_field_of_a_cause() -> None:
    fields = set(hm.Scenario.model_json_schema()["$defs"]["Cause"]["properties"])
    assert first_column(section("model.md", "Causes")) == fields - {"pools", "enabled"}


def test_engines_names_every_reason() -> None:
    (reasons,) = CORE.rglob("reason.rs")
    kinds = set(re.findall(r'=> "([a-z-]+)"', text_of(reasons)))
    exact = first_column(section("engines.md", "Where it is not exact"))
    replicas = first_column(section("engines.md", "Replica laws by simulation"))
    assert exact | replicas == kinds
    assert exact & replicas == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_presets_with_a_heading_exist(page: Path) -> None:
    named = re.findall(r"^#+ Preset `([^`]+)`", text_of(page), flags=re.MULTILINE)
    assert set(named) <= set(catalog.names("presets"))


def test_the_glossary_names_the_metrics_and_statistics() -> None:
    summary = hm.simulate("colossus-1", seed=0, runs=1, steps=1, days=1).summary
    assert entry("metric") == summary["metric"].unique(maintain_order=True).to_list()
    statistics = summary["statistic"].unique(maintain_order=True).to_list()
    assert entry("statistic") == [*statistics[:2], statistics[-1]]


@cache
def words_of_the_sources() -> frozenset[str]:
    """Return all words of sources, with and without the dots and dashes between them."""
    suffixes = {".py", ".pyi", ".rs", ".toml"}
    folders = [PACKAGE, ROOT / "rust", ROOT / "tests", ROOT / "benches"]
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in suffixes]
    files += [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "Cargo.toml"]
    text = "\n".join(text_of(file) for file in files if "docs" not in file.parts)
    names = {name for file in files for name in (file.stem, file.name)}
    names |= {name for kind in catalog.KINDS for name in catalog.names(kind)}
    return frozenset({*re.findall(r"[\w-]+", text), *re.findall(r"\w+", text), *names})


SYMBOLS = {"l_i"}
"""Symbols of formulas."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_in_code_are_those_of_the_sources(page: Path) -> None:
    spans = code_spans(text_of(page))
    names = {span for span in spans if re.fullmatch(r"[a-z][a-z0-9_-]+", span)}
    assert names - SYMBOLS - words_of_the_sources() == set()


def calls(page: Path) -> Iterator[list[str]]:
    """Yield the calls of the command in a page, as words."""
    text = text_of(page)
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    for line in [*lines, *code_spans(text)]:
        command = line.partition(" #")[0].strip()
        if re.match(r"(\S*/)?hindmost ", command):
            yield shlex.split(command)[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_calls_name_commands_options_and_entries_that_exist(page: Path) -> None:
    for name, *words in calls(page):
        if name.isupper():
            continue
        command = cli if name.startswith("-") else cli.commands[name]
        known = options(command)
        given = [word.partition("=")[0] for word in (name, *words) if word.startswith("-")]
        assert set(given) <= known, f"{name}: {given}"
        named = [word for word in words if re.fullmatch(r"[a-z0-9][a-z0-9-]*", word)]
        if name in ("run", "validate"):
            assert set(words[:1]) & set(named) <= set(catalog.names("presets"))
        if name == "catalog":
            entries: dict[str, tuple[str, ...]] = {
                kind: catalog.names(kind) for kind in catalog.KINDS
            }
            assert set(named[1:]) <= set(entries[named[0]] if named else ())
        if "--fail-if" in words:
            parsed_thresholds([words[words.index("--fail-if") + 1]])


def options(command: click.Command) -> set[str]:
    context = click.Context(command, **{**cli.context_settings, **command.context_settings})
    return {flag for one in command.get_params(context) for flag in one.opts}


def test_calls_are_found() -> None:
    assert sum(len(list(calls(page))) for page in PAGES) > 12


FOLDERS = [ROOT, ROOT / "rust", PACKAGE, PACKAGE / "catalog", CORE, CORE / "order_statistics"]
"""Where paths in documents begin."""

BUILT = {"dist/"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_code_lead_to_files(page: Path) -> None:
    form = r"[\w./-]+/|[\w./-]+/[\w.-]+\.(py|pyi|rs|toml|md)"
    paths = {span for span in code_spans(text_of(page)) if re.fullmatch(form, span)}
    missing = {path for path in paths if not any((folder / path).exists() for folder in FOLDERS)}
    assert {path for path in missing - BUILT if "NAME" not in path} == set()
