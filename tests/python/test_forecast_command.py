"""`hindmost run` forecasts, and says what the scenario's own values come to beside."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost import cli
from hindmost.analyses.forecast import RUNS_BESIDE, STEPS_BESIDE, forecast_beside
from hindmost.reading import _forecast_fits
from hindmost.report import render
from hindmost.scenario import from_table, to_table

SMALL = ("h100-1k", "--steps", "6", "--runs", "2", "--seed", "4")
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `hindmost run` in this process."""

    def called(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hindmost", "run", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert isinstance(caught.value.code, int)
        return Done(words, caught.value.code, *capsys.readouterr())

    return called


def document_of(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_json_holds_the_forecast_beside_the_summary_at_values(run: Run) -> None:
    document = document_of(run(*SMALL, "--format", "json"))
    at_values = document_of(run(*SMALL, "--format", "json", "--at-values"))
    found = document.pop("forecast")
    assert "forecast" not in at_values
    for one in (document, at_values):
        del one["machine"]["wall_time_s"]
    # All else is the same, the order of keys included.
    assert json.dumps(document) == json.dumps(at_values)
    expected = hm.forecast("h100-1k", seed=4, runs=RUNS_BESIDE, steps=6)
    for metric in ("mfu", "step_time_s"):
        for statistic in ("p5", "p50", "p95", "mean"):
            assert found[metric][statistic] == expected.value(metric, statistic)
    assert found["mfu"]["p5"] < found["mfu"]["p50"] < found["mfu"]["p95"]
    assert (found["seed"], found["runs"], found["steps"]) == (4, RUNS_BESIDE, 6)
    assert found["unknowns"] == {path: found["unknowns"][path] for path in expected.unknowns}
    assert at_values["unknowns"].items() <= found["unknowns"].items()


def test_a_run_forecasts_with_few_steps(run: Run) -> None:
    for name, method in (("h100-1k", "order-statistics"), ("h100-1k", "sample")):
        words = ("--seed", "1", "--runs", "2", "--steps", "300", "--method", method)
        found = document_of(run(name, *words, "--format", "json"))["forecast"]
        assert (found["method"], found["steps"]) == (method, STEPS_BESIDE[method])


def test_an_approximate_run_has_a_sampled_forecast() -> None:
    call: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 4}
    result = hm.simulate("llama3-405b-8192", method="order-statistics", **call)
    assert forecast_beside(result).inputs["method"] == "sample"


def test_a_table_says_the_forecast_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    text = run("colossus-1", "--steps", "20", "--runs", "2", "--seed", "1", "--assumed").stdout
    headline, lead, table, values, *_ = text.split("\n\n")
    assert headline.startswith("colossus-1: ")
    forecast, software, elsewhere, drawn, held, idle, at_values = lead.splitlines()
    assert forecast.startswith("Forecast: MFU 0.")
    assert "step time" in forecast
    assert "of 16 draws of what is not known" in forecast
    assert software.startswith("Its software is as the stack typical, because ")
    assert elsewhere.startswith("Nobody has measured the stack typical with hopper or blackwell")
    assert drawn.startswith("Drawn anew in each: pools.h100.software_efficiency, ")
    assert ", causes.gpu-speed.law.sigma, " in drawn
    assert held.endswith(": workload.n_microbatches.")
    assert idle.startswith("Not acting on steps: recovery.restart_s")
    assert at_values.startswith("At the scenario's own values MFU is 0.")
    assert "ceiling" in at_values
    assert table.split("\n")[0].split() == ["forecast", "MFU", "step", "time,", "s"]
    names = [line.split("  ")[0] for line in table.split("\n")[2:]]
    assert names == ["p5", "p50", "p95", "at its values"]
    assert values.startswith("at its values ")
    best = run("h100-1k", *SMALL[1:], "--set", "workload.stack=best", "--assumed").stdout
    assert "both are ceilings" in best
    assert "Its software" not in best
    # Software that is not at its best is no ceiling.
    slow = run("h100-1k", *SMALL[1:], "--set", "pools.h100.software_efficiency=0.9").stdout
    assert "ceiling" not in slow


def test_drawn_software_leaves_the_values_as_the_ceiling(run: Run) -> None:
    law = '{ name = "uniform", low = 0.5, high = 0.9 }'
    setting = f"unknowns.pools.h100.software_efficiency={law}"
    text = run(*SMALL, "--set", setting, "--assumed").stdout
    said = " ".join(text.split())
    assert "a ceiling as far as software goes, which is at its best there." in said
    forecast = document_of(run(*SMALL, "--set", setting, "--format", "json"))
    assert forecast["forecast"]["mfu"]["p95"] < 0.95 * forecast["summary"][32]["value"]


def test_at_values_says_nothing_of_a_forecast(run: Run) -> None:
    text = run(*SMALL, "--at-values", "--assumed").stdout
    assert "orecast" not in text
    assert text.split("\n\n")[1].split()[:2] == ["mean", "p5"]


def test_csv_has_the_forecast_below_the_summary(run: Run) -> None:
    rows = list(csv.DictReader(run(*SMALL, "--format", "csv").stdout.splitlines()))
    values = list(csv.DictReader(run(*SMALL, "--format", "csv", "--at-values").stdout.splitlines()))
    assert rows[: len(values)] == values
    assert [(row["metric"], row["statistic"]) for row in rows[len(values) :]] == [
        (f"forecast.{metric}", statistic)
        for metric in ("mfu", "step_time_s")
        for statistic in ("p5", "p50", "p95", "mean")
    ]


def test_markdown_has_the_forecast_too(run: Run) -> None:
    text = run(*SMALL, "--format", "markdown").stdout
    assert "\n\nForecast: MFU" in text
    assert "| forecast " in text
    assert "| at its values | " in text


def test_without_unknowns_the_forecast_is_that_of_the_runs_below() -> None:
    table = {**to_table(hm.load("h100-1k", {"workload.stack": "best"})), "unknowns": {}}
    result = hm.simulate(from_table(table), seed=4, runs=5, steps=6)
    found = forecast_beside(result)
    assert found.runs["mfu"].to_list() == result.runs["mfu"].to_list()
    assert found.inputs["runs"] == 5
    one = forecast_beside(hm.simulate(from_table(table), seed=4, runs=1, steps=6))
    assert {row["std_error"] for row in one.summary_rows} == {None}
    shown = replace(result, forecast=found)
    text = render(shown, "table")
    assert "Nothing that acts on steps is unknown, so these are the runs below." in text
    assert "of 5 runs." in text


@pytest.mark.parametrize(
    ("threshold", "status"),
    [
        ("forecast.mfu.p5<0.05", 0),
        ("forecast.mfu.p5<0.9", 1),
        ("forecast.mfu.mean >= 0.9", 0),
        ("forecast.step_time_s.p95>0.1", 1),
    ],
)
def test_a_threshold_of_the_forecast_decides_the_status(
    run: Run, threshold: str, status: int
) -> None:
    done = run(*SMALL, "--fail-if", threshold)
    assert done.returncode == status
    assert (f": {threshold}" in done.stderr) == bool(status)
    if status:
        assert done.stderr.startswith("forecast.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fail-if", "forecast.mfu.p99<1"), "must be one of p5, p50, p95, mean in a forecast"),
        (("--fail-if", "forecast.stall_s.p5<1"), "must be one of mfu, step_time_s in a forecast"),
        (
            ("--at-values", "--fail-if", "forecast.mfu.p5<1"),
            "--fail-if must be of the scenario's values with --at-values",
        ),
    ],
)
def test_a_threshold_of_no_forecast_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*SMALL, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_forecast_is_stored_and_read_back_and_repeated(run: Run) -> None:
    assert run(*SMALL, "-o", "first.parquet").returncode == 0
    first = hm.read("first.parquet")
    result = hm.simulate("h100-1k", seed=4, runs=2, steps=6)
    assert first.forecast == hm.forecast("h100-1k", seed=4, runs=RUNS_BESIDE, steps=6)
    # A forecast lies beside a result, and does not make it another one.
    assert first == result
    assert run("first.parquet", "-o", "second.parquet").returncode == 0
    assert hm.read("second.parquet").forecast == first.forecast
    first.write("third.parquet")
    assert hm.read("third.parquet").forecast == first.forecast


def test_a_run_without_a_forecast_is_repeated_without_one(run: Run) -> None:
    assert run(*SMALL, "--at-values", "-o", "values.parquet").returncode == 0
    assert hm.read("values.parquet").forecast is None
    assert run("values.parquet", "-o", "again.parquet").returncode == 0
    assert hm.read("again.parquet") == hm.read("values.parquet")
    # A threshold of one asks for it.
    assert run("values.parquet", "--fail-if", "forecast.mfu.p5<0.9").returncode == 1


def test_files_of_json_hold_the_forecast_and_csv_the_steps(run: Run) -> None:
    assert run(*SMALL, "-o", "run.json").returncode == 0
    document = json.loads(Path("run.json").read_text(encoding="utf-8"))
    assert document["forecast"]["runs"] == RUNS_BESIDE
    assert run(*SMALL, "-o", "run.csv").returncode == 0
    head = Path("run.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.split(",") == hm.simulate("h100-1k", seed=4, runs=2, steps=6).steps.columns


@pytest.mark.timed
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_ends_a_forecast_within_a_second() -> None:
    code = "import hindmost as hm; print(1, flush=True); hm.forecast('colossus-1', runs=60000)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(4.0)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, told = process.communicate(timeout=20)
    assert time.monotonic() - sent < 2.0
    assert "KeyboardInterrupt" in told


@pytest.mark.parametrize(
    "wrong",
    [
        {"mfu": (0.4,)},
        {"draws": {}},
        {"step_time_s": (0.0,) * 8},
        {"n_redrawn": 3},
        {"inputs": {"runs": 8}},
    ],
)
def test_a_forecast_that_does_not_fit_its_document_is_refused(wrong: dict[str, Any]) -> None:
    found = hm.forecast("h100-1k", seed=1, runs=8, steps=2).without_scenario()
    document = json.loads(json.dumps(found.document()))
    assert _forecast_fits(found, document)
    assert not _forecast_fits(replace(found, **wrong), document)
    assert not _forecast_fits(None, document)
    assert not _forecast_fits(found, None)
    assert _forecast_fits(None, None)


def test_caps_and_a_forecast_are_those_of_each_alone(run: Run) -> None:
    document = document_of(run(*SMALL, "--format", "json", "--caps"))
    alone = document_of(run(*SMALL, "--format", "json", "--caps", "--at-values"))
    assert document["caps"] == alone["caps"] != []
    assert document["forecast"] == document_of(run(*SMALL, "--format", "json"))["forecast"]


def test_forecasts_of_runs_are_the_same_on_any_number_of_threads(run: Run) -> None:
    first, *others = (
        document_of(run(*SMALL, "--format", "json", "--threads", threads))["forecast"]
        for threads in ("1", "2", "7")
    )
    assert others == [first, first]
