"""The page of a report: what it says, that nothing leaves it, and that names stay texts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.analyses.forecast import forecast_beside
from hindmost.cli.app import cli
from hindmost.plots import plot as plot_module
from hindmost.report.nearest import FILE, nearest, published, within
from hindmost.report.page import page

ROOT = Path(__file__).parents[2]
NAME = "<script>alert(\"1\")</script> & 'more'"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def result() -> hm.Result:
    made = hm.simulate("colossus-1", seed=3, runs=4, steps=500, days=3)
    return replace(made, forecast=forecast_beside(made))


class Reader(HTMLParser):
    """Collects tags, attributes and texts by heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.headings: list[str] = []
        self.codes: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [str(value) for key, value in attrs if key in ("src", "href", "data")]
        self.targets += [key for key, _ in attrs if key.startswith("on")]
        self._into = {"h1": self.headings, "h2": self.headings, "pre": self.codes}.get(tag)

    def handle_endtag(self, tag: str) -> None:
        self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)


def test_it_says_what_is_to_be_known_in_order(result: hm.Result) -> None:
    text = page(result, source="colossus-1")
    read = Reader(text)
    assert read.headings == [
        "colossus-1",
        "Cluster and job",
        "Forecast",
        "Steps at the scenario's own values",
        "Whole runs: S x R x P",
        "Who is waited for",
        "Power and energy",
        "What matters most",
        "What is assumed, unknown, and not modelled",
        "How far to trust it",
        "Do it again",
    ]
    for said in (
        "Forecast: MFU 0.",
        "of 16 draws of what is not known",
        "million $",
        "gb200-nvl72",
        "pools.*.software_efficiency",
        "the software stack typical",
        "failures of whole racks, whose rate nobody has published",
        "hindmost run colossus-1 --seed 3 --runs 4 --steps 500",
    ):
        assert said in text, said
    assert len(text.encode()) <= 150_000


def test_nothing_leaves_the_page_and_nothing_runs_in_it(result: hm.Result) -> None:
    read = Reader(page(result))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(read.tags)
    assert read.targets == []
    assert read.tags.count("svg") == 6


def test_names_stay_texts() -> None:
    made = hm.simulate("h100-1k", seed=1, runs=2, steps=5, changes={"name": NAME})
    made = replace(made, forecast=forecast_beside(made))
    text = page(made)
    assert "<script" not in text
    assert Reader(text).headings[0] == NAME
    # Nor do they end the scripts of a page that has some.
    living = page(made, is_interactive=True)
    assert living.count("<script") == living.count("</script>") == 2
    assert "alert(" in living
    assert len(living.encode()) <= 1_200_000


def test_the_scenario_in_it_makes_an_equal_result(result: hm.Result, tmp_path: Path) -> None:
    *_, toml = Reader(page(result)).codes
    path = tmp_path / "scenario.toml"
    path.write_text(toml)
    assert hm.load(path) == result.scenario


def test_without_forecast_and_failures_there_is_less_to_say() -> None:
    made = hm.simulate("h100-1k", seed=1, runs=2, steps=5)
    headings = Reader(page(made)).headings
    assert "Forecast" not in headings
    assert "Whole runs: S x R x P" not in headings
    assert "What matters most" not in headings
    assert "At the scenario's own values MFU 0." in page(made).replace("&#x27;", "'")


def test_the_nearest_published_rows_are_of_like_jobs() -> None:
    found = nearest(hm.load("llama3-405b-16384"))
    assert (found[0].gpu, found[0].n_gpus, found[0].dtype) == ("h100-sxm", 16384, "bf16")
    assert len({one.family for one in found}) == len(found) == 5
    assert len(published()) > 100
    assert within([0.1, -0.3, 0.2, 0.4], 0.5) == 0.2
    assert within([0.1, -0.3, 0.2, 0.4], 1.0) == 0.4
    rows = (ROOT / "docs" / "validation.csv").read_text(encoding="utf-8")
    assert (ROOT / "python" / "hindmost" / "report" / FILE).read_text(encoding="utf-8") == rows


def test_the_command_writes_a_scenario_or_a_stored_run(tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, [*words])

    first, second, stored = (tmp_path / name for name in ("a.html", "b.html", "run.parquet"))
    small = ("--seed", "1", "--runs", "2", "--steps", "20")
    done = run("report", "h100-1k", "-o", str(first), *small, "--attribute")
    assert done.exit_code == 0, done.output
    assert "Why" in Reader(first.read_text()).headings
    done = run("run", "h100-1k", *small, "--attribute", "-o", str(stored))
    assert done.exit_code == 0, done.output
    assert "MFU: exchange inside replicas costs most" in " ".join(done.stdout.split())
    assert hm.read(stored).attribution == hm.attribute("h100-1k", seed=1)
    assert run("report", str(stored), "-o", str(second)).exit_code == 0
    assert "Why" in Reader(second.read_text()).headings
    assert run("run", "h100-1k", *small, "-o", str(stored)).exit_code == 0
    done = run("report", str(stored), "-o", str(second))
    assert done.exit_code == 0, done.output
    again = Reader(second.read_text())
    assert "Forecast" in again.headings
    assert "Why" not in again.headings
    assert f"hindmost run {stored}" in again.codes[0]
    wrong = run("report", str(stored), "-o", str(tmp_path / "c.pdf"), "--seed", "3")
    assert isinstance(wrong.exception, hm.ScenarioError)
    for said in ("--output must end in .html", "--seed must be absent with the file of a run"):
        assert said in str(wrong.exception)


def test_without_what_draws_plots_it_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_module, "is_drawable", lambda: False)
    done = CliRunner().invoke(cli, ["report", "h100-1k", "-o", str(tmp_path / "a.html")])
    assert isinstance(done.exception, hm.ScenarioError)
    assert "--output needs vl-convert" in str(done.exception)
    assert "pip install" in str(done.exception)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("is_interactive", [False, True])
def test_a_browser_shows_it_without_an_error(
    result: hm.Result, tmp_path: Path, is_interactive: bool
) -> None:
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(page(result, is_interactive=is_interactive), encoding="utf-8")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}"]
    # Every request fails, so that one would be told.
    words += ["--host-resolver-rules=MAP * ~NOTFOUND", path.as_uri()]
    done = subprocess.run(
        [str(CHROMIUM), *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert shot.stat().st_size > 10_000, done.stderr
    assert ":CONSOLE" not in done.stderr
    dumped = subprocess.run(
        [str(CHROMIUM), *words[:-1], "--virtual-time-budget=10000", "--dump-dom", words[-1]],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout
    assert dumped.count("vega-embed has-actions") == 0
    assert ("vega-embed" in dumped.partition("<script")[0]) == is_interactive
